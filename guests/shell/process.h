/* SPDX-License-Identifier: MIT */
/*
 * Processes: a kernel thread each, an address space with demand-paged heap and stack, and one
 * program. All functions are for threads; "self" ones for the process's own thread.
 */
#ifndef SHELL_PROCESS_H
#define SHELL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rt/pt.h>
#include <rt/trap.h>

#include "abi.h"

#define PROCESS_MAX 16

#define STACK_TOP   0x700000000000UL
#define STACK_BYTES (1UL << 20)
#define HEAP_MAX    (256UL << 20)

enum process_state { RUNNING, ZOMBIE };

struct process {
    int pid, parent; /* parent 0: the shell */
    enum process_state state;
    int status;           /* of a zombie */
    volatile bool killed; /* ends at its next way out of the kernel */
    char name[16], args[USER_ARGS_MAX];
    struct thread *thread;
    struct pt_space space;
    unsigned long heap_start, heap_end;
    unsigned long pages; /* of user memory */
    unsigned long entry;
};

/* Starts program `name`; the pid, or -XEN_ENOENT no such program, -XEN_EAGAIN too many processes,
 * -XEN_ENOMEM. */
int process_spawn(const char *name, const char *args, int parent);

/* Waits for a child (pid -1: any) of `parent` to end, and forgets it; its pid, or -XEN_ESRCH if
 * there is none. */
int process_wait(int parent, int pid, int *status);

/* Ends it soon, with status WAIT_INTERRUPT. False if there is no such running process. */
bool process_kill(int pid);

/* For each process, running ones and zombies, in order of their slots. */
void process_each(void (*fn)(const struct process *p, void *arg), void *arg);

/* Of the calling thread; NULL on the shell's own threads. */
struct process *process_self(void);

void process_exit(int status) __attribute__((noreturn));

/* Traps and system calls go to the processes; called once. */
void process_init(void);

#endif
