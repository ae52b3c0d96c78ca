/* SPDX-License-Identifier: MIT */
/*
 * Between the shell's kernel and its user programs: the system calls. `syscall` with the number in
 * rax and up to three arguments in rdi, rsi, rdx; the result, or a negative errno, in rax; rcx and
 * r11 are destroyed.
 */
#ifndef SHELL_ABI_H
#define SHELL_ABI_H

enum {
    SYS_EXIT,   /* (status): does not return */
    SYS_WRITE,  /* (bytes, count) -> count: to the console */
    SYS_READ,   /* (buf, size) -> count: a line with its newline; 0 at Ctrl-D */
    SYS_GETPID, /* () -> pid */
    SYS_SPAWN,  /* (name, args) -> pid of a new process */
    SYS_WAIT,   /* (pid, status*) -> pid: of a child, -1 any; status is that of exit, or 256 + a
                   vector */
    SYS_SBRK,   /* (delta) -> the old end of the heap */
    SYS_YIELD,  /* () */
    SYS_SLEEP,  /* (ms) */
    SYS_TIME,   /* () -> system time in ns */
    SYS_COUNT
};

#define WAIT_KILLED \
    256 /* status: killed by exception (status - WAIT_KILLED), or by Ctrl-C (WAIT_INTERRUPT) */
#define WAIT_INTERRUPT 512

#define USER_ARGS_MAX 128 /* bytes of an argument string, the NUL included */

#endif
