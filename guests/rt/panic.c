/* SPDX-License-Identifier: MIT */
/*
 * The end of a kernel that has found itself broken. It trusts as little as it can: output goes
 * straight to the hypervisor's log (console_io) and to the console; the backtrace follows frame
 * pointers only inside the direct map.
 */
#include <stdarg.h>
#include <stdio.h>

#include "console.h"
#include "event.h"
#include "hypercall.h"
#include "mm.h"
#include "smp.h"
#include "start.h"
#include "trap.h"

#define BACKTRACE_MAX 24

extern char _text[], _data[], _end[];

static int panicking;

void panic_begin(void)
{
    event_upcalls_save();
    if (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST)) {
        start_shutdown(SHUTDOWN_crash);
    }
}

void panic_printf(const char *fmt, ...)
{
    char line[200];
    int count;
    va_list ap;

    va_start(ap, fmt);
    count = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (count >= (int)sizeof(line)) {
        count = sizeof(line) - 1;
    }
    console_write_raw(line, (size_t)count);
}

void trap_dump(const struct trap_regs *r)
{
    panic_printf("vcpu %u  rip %016lx  cs %04lx  rflags %08lx  rsp %016lx\n", smp_id(), r->rip,
                 r->cs & 0xffff, r->rflags, r->rsp);
    panic_printf("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", r->rax, r->rbx, r->rcx,
                 r->rdx);
    panic_printf("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", r->rsi, r->rdi, r->rbp, r->r8);
    panic_printf("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", r->r9, r->r10, r->r11, r->r12);
    panic_printf("r13 %016lx  r14 %016lx  r15 %016lx\n", r->r13, r->r14, r->r15);
    if (!trap_from_user(r)) {
        trap_backtrace(r->rbp);
    }
}

void trap_backtrace(unsigned long rbp)
{
    panic_printf("called from:");
    for (int i = 0; i < BACKTRACE_MAX; i++) {
        const unsigned long *frame = (const unsigned long *)rbp;

        if (rbp % 8 || rbp < MM_VIRT_BASE || rbp >= MM_DIRECT_END ||
            frame[1] < (unsigned long)_text || frame[1] >= (unsigned long)_data) {
            break;
        }
        panic_printf(" %016lx", frame[1]);
        if (frame[0] <= rbp) {
            break;
        }
        rbp = frame[0];
    }
    panic_printf("\n");
}

void panic(const char *fmt, ...)
{
    char line[200];
    va_list ap;

    if (!panicking) {
        panic_begin();
        trap_backtrace((unsigned long)__builtin_frame_address(0));
    }
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    panic_printf("guest kernel panic: %s\n", line);
    start_shutdown(SHUTDOWN_crash);
}

/* What assert() of <assert.h> calls. */
void __assert_fail(const char *condition, const char *file, unsigned line, const char *function);
void __assert_fail(const char *condition, const char *file, unsigned line, const char *function)
{
    panic("assertion %s failed, %s:%u %s()", condition, file, line, function);
}
