/* SPDX-License-Identifier: MIT */
/*
 * Hard work for a Linux kernel, whose result does not depend on the machine: the same program says
 * the same on bare hardware and in a guest, or one of the two is wrong. A static program in the
 * tests' initramfs: `stress NAME`.
 */
#ifndef TESTS_LINUX_GUEST_STRESS_H
#define TESTS_LINUX_GUEST_STRESS_H

#include <stdint.h>

/* Print what is wrong and leave with status 1. */
#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
void fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* The same numbers on each machine. */
uint64_t random_next(uint64_t *seed);

/* CPUs that are online, and the calling thread bound to one of them. */
int cpu_count(void);
void cpu_bind(int cpu);

/* Sum that depends on the order. */
uint64_t checksum(uint64_t sum, const void *bytes, unsigned long len);

void stress_fork(void);
void stress_memory(void);
void stress_signal(void);
void stress_fpu(void);
void stress_futex(void);
void stress_clock(void);
void stress_vdso(void);

#endif
