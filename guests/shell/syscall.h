/* SPDX-License-Identifier: MIT */
/* The system calls of abi.h; called with upcalls enabled, on the process's thread. */
#ifndef SHELL_SYSCALL_H
#define SHELL_SYSCALL_H

#include "process.h"

long syscall_run(struct process *p, struct trap_regs *regs);

#endif
