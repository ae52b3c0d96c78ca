/* SPDX-License-Identifier: MIT */
/* See syscall.h and abi.h. Every pointer from user mode goes through memory_from_user() or
 * memory_to_user(). */
#include "syscall.h"

#include <stdio.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/console.h>
#include <rt/hypercall.h>
#include <rt/thread.h>

#include "memory.h"
#include "tty.h"

#define LINE_MAX_ 256

static long sys_exit(struct process *p, struct trap_regs *regs)
{
    (void)p;
    process_exit((int)(regs->rdi & 0xff));
}

static long sys_write(struct process *p, struct trap_regs *regs)
{
    unsigned long from = regs->rdi, left = regs->rsi;
    char part[LINE_MAX_];

    while (left && !p->killed) {
        size_t n = left < sizeof(part) ? left : sizeof(part);
        int rc = memory_from_user(p, part, from, n);

        if (rc) {
            return rc;
        }
        console_write(part, n);
        from += n;
        left -= n;
    }
    return (long)(regs->rsi - left);
}

static long sys_read(struct process *p, struct trap_regs *regs)
{
    char line[LINE_MAX_];
    size_t size = regs->rsi < sizeof(line) ? regs->rsi : sizeof(line);
    long n = tty_read(line, size, &p->killed);
    int rc = n > 0 ? memory_to_user(p, regs->rdi, line, (size_t)n) : 0;

    return rc ? rc : n;
}

static long sys_getpid(struct process *p, struct trap_regs *regs)
{
    (void)regs;
    return p->pid;
}

static long sys_spawn(struct process *p, struct trap_regs *regs)
{
    char name[16], args[USER_ARGS_MAX];
    int rc = memory_string_from_user(p, name, regs->rdi, sizeof(name));

    rc = rc ? rc : memory_string_from_user(p, args, regs->rsi, sizeof(args));
    return rc ? rc : process_spawn(name, args, p->pid);
}

static long sys_wait(struct process *p, struct trap_regs *regs)
{
    int status;
    long pid = process_wait(p->pid, (int)regs->rdi, &status);

    if (pid > 0 && regs->rsi && memory_to_user(p, regs->rsi, &status, sizeof(status))) {
        return -XEN_EFAULT;
    }
    return pid;
}

static long sys_sbrk(struct process *p, struct trap_regs *regs)
{
    return memory_sbrk(p, (long)regs->rdi);
}

static long sys_yield(struct process *p, struct trap_regs *regs)
{
    (void)p;
    (void)regs;
    thread_yield();
    return 0;
}

static long sys_sleep(struct process *p, struct trap_regs *regs)
{
    uint64_t ms = regs->rdi < 1000000000 ? regs->rdi : 1000000000;
    uint64_t end = waitq_deadline(ms * 1000000);

    /* In pieces, so that Ctrl-C is noticed. */
    while (clock_ns() < end && !p->killed) {
        uint64_t left = end - clock_ns();

        thread_sleep_ns(left < 50000000 ? left : 50000000);
    }
    return 0;
}

static long sys_time(struct process *p, struct trap_regs *regs)
{
    (void)p;
    (void)regs;
    return (long)clock_ns();
}

long syscall_run(struct process *p, struct trap_regs *regs)
{
    static long (*const calls[SYS_COUNT])(struct process *, struct trap_regs *) = {
        [SYS_EXIT] = sys_exit,     [SYS_WRITE] = sys_write, [SYS_READ] = sys_read,
        [SYS_GETPID] = sys_getpid, [SYS_SPAWN] = sys_spawn, [SYS_WAIT] = sys_wait,
        [SYS_SBRK] = sys_sbrk,     [SYS_YIELD] = sys_yield, [SYS_SLEEP] = sys_sleep,
        [SYS_TIME] = sys_time,
    };

    if (regs->rax >= SYS_COUNT) {
        return -XEN_ENOSYS;
    }
    return calls[regs->rax](p, regs);
}
