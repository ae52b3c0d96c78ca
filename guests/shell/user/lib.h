/* SPDX-License-Identifier: MIT */
/*
 * What a user program of the shell has: system calls and printf; strings and numbers come from
 * <string.h> and <stdlib.h>. Each program supplies main().
 */
#ifndef SHELL_USER_LIB_H
#define SHELL_USER_LIB_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi.h"

/* args: what stood behind the program's name. The result is the exit status. */
int main(const char *args);

long sys_call(long number, long a, long b, long c);

static inline long sys_write(const void *bytes, size_t count)
{
    return sys_call(SYS_WRITE, (long)bytes, (long)count, 0);
}

static inline long sys_read(void *buf, size_t size)
{
    return sys_call(SYS_READ, (long)buf, (long)size, 0);
}

static inline long sys_getpid(void)
{
    return sys_call(SYS_GETPID, 0, 0, 0);
}

static inline long sys_spawn(const char *name, const char *args)
{
    return sys_call(SYS_SPAWN, (long)name, (long)args, 0);
}

static inline long sys_wait(long pid, int *status)
{
    return sys_call(SYS_WAIT, pid, (long)status, 0);
}

static inline void *sys_sbrk(long delta)
{
    return (void *)sys_call(SYS_SBRK, delta, 0, 0);
}

static inline void sys_yield(void)
{
    sys_call(SYS_YIELD, 0, 0, 0);
}

static inline void sys_sleep(long ms)
{
    sys_call(SYS_SLEEP, ms, 0, 0);
}

#endif
