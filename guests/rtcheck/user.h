/* SPDX-License-Identifier: MIT */
/* A few instructions in user mode, in an address space of their own. */
#ifndef RTCHECK_USER_H
#define RTCHECK_USER_H

#include <stdbool.h>
#include <stdint.h>

#include <rt/trap.h>

#define USER_CODE 0x10000000UL /* the code, which lies at the start of its page */
#define USER_DATA 0x10001000UL /* a page of data */

/* Makes the space. False: no memory. */
bool user_create(const void *code, unsigned bytes, const uint64_t *data, unsigned words);
/* Runs it from *regs (segments and rflags as they are to be) to its first exception or system call,
 * whose registers are in *regs then. */
void user_run(struct trap_regs *regs);
void user_destroy(void);

#endif
