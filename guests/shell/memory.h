/* SPDX-License-Identifier: MIT */
/* A process's memory: the program's image, demand paging of heap and stack, copies between kernel
 * and user. */
#ifndef SHELL_MEMORY_H
#define SHELL_MEMORY_H

#include "process.h"

struct program {
    const char *name;
    const char *image, *end;
};

extern const struct program program_table[]; /* ends with a NULL name */

const struct program *memory_program(const char *name);

/* Maps the program's segments and sets entry and heap. 0, -XEN_ENOEXEC, -XEN_ENOMEM. */
int memory_load(struct process *p, const struct program *program);

/* A page fault at va: maps a fresh page if it lies in heap or stack. False: the process has no
 * right to that access. */
bool memory_fault(struct process *p, unsigned long va, bool write);

/* Moves the end of the heap; the old end, or -XEN_ENOMEM. */
long memory_sbrk(struct process *p, long delta);

/* 0, or -XEN_EFAULT if any part of the user's range may not be accessed so. */
int memory_from_user(struct process *p, void *to, unsigned long from, size_t count);
int memory_to_user(struct process *p, unsigned long to, const void *from, size_t count);

/* A string with its NUL; -XEN_E2BIG if it is longer than size - 1. */
int memory_string_from_user(struct process *p, char *to, unsigned long from, size_t size);

#endif
