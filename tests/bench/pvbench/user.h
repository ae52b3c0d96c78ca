/* SPDX-License-Identifier: MIT */
/*
 * The user code of user.S and the way into it. For the bench_*.c, vCPU 0 only.
 *
 * The routines run in user mode of the current space, which has them at user_entry(NAME). Each u_*
 * but u_touch takes (samples, n) and stores n times the ticks of one operation. All end by the
 * system call that leads back to the caller of user_run().
 */
#ifndef BENCH_USER_H
#define BENCH_USER_H

#include <stdint.h>

#include "space.h"

extern char user_text_start[], user_text_end[];

/* What is measured, by name in user.S. */
extern char u_empty[];
extern char u_syscall[];      /* return by SYSRET, as VGCF_in_syscall asks for */
extern char u_syscall_full[]; /* return by IRET */
extern char u_switch[];       /* a system call that switches to the other space */
extern char u_int3[], u_ud2[], u_int80[];
extern char u_touch[]; /* (sample, address, n): writes to n pages, one sample in all */

static inline uint64_t user_entry(const void *routine)
{
    return SPACE_BASE + ((uint64_t)routine - (uint64_t)user_text_start);
}

/* Of trap.S: to user mode; returns when the user code asks for it. Saves what a function must. */
void user_enter(uint64_t rip, uint64_t rsp, uint64_t a, uint64_t b, uint64_t c);

/* Runs a routine of user.S with up to three arguments. */
static inline void user_run(const void *routine, uint64_t a, uint64_t b, uint64_t c)
{
    user_enter(user_entry(routine), SPACE_STACK + PAGE_BYTES - 16, a, b, c);
}

/* n samples of a routine, the first 8 of them thrown away, as a figure. n <= 2056. */
void user_measure(const char *name, const void *routine, int n);

#endif
