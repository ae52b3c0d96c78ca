/* SPDX-License-Identifier: MIT */
/*
 * panic(): what went wrong, registers, and the calls that led there, on the serial port without a
 * lock; then everything stops.
 */
#include "arch/x86/panic.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/public.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/lib/format.h"
#include "hv/log.h"
#include "io/serial.h"

#define DEPTH 24

/* QEMU's isa-debug-exit device, if there is one: ends QEMU with status (value << 1) | 1. Nothing
 * else uses the port. */
#define DEBUG_EXIT_PORT  0xf4
#define DEBUG_EXIT_PANIC 0x11

/* Functions by address, made from the linked image (symbols.sh); the last one marks the end of the
 * text. */
struct symbol {
    uint64_t address;
    const char *name;
};
extern const struct symbol symbol_table[];
extern const uint64_t symbol_count;

static uint32_t owner; /* atomic: pCPU + 1 that reports; 0: all is well */
static bool stopped;   /* arch_halt_forever() was called */

const char *symbol_name(uint64_t address, uint64_t *offset)
{
    uint64_t low = 0, high = symbol_count;

    while (low < high) {
        uint64_t middle = (low + high) / 2;

        if (symbol_table[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || low == symbol_count)
        return NULL;
    *offset = address - symbol_table[low - 1].address;
    return symbol_table[low - 1].name;
}

static void sink(void *unused, const char *bytes, size_t count)
{
    (void)unused;
    serial_write(bytes, count);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    format_print(sink, NULL, fmt, ap);
    va_end(ap);
}

static void say_address(const char *what, uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_name(address, &offset);

    say("%s%016lx  %s+0x%lx\n", what, address, name ? name : "?", name ? offset : 0);
}

static void say_registers(const struct regs *r)
{
    say_address("rip ", r->rip);
    say("cs  %04lx  ss %04lx  rflags %08lx  vector %lx  error %lx\n", r->cs, r->ss, r->rflags,
        r->vector, r->error);
    say("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
    say("rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", r->rsi, r->rdi, r->rbp, r->rsp);
    say("r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", r->r8, r->r9, r->r10, r->r11);
    say("r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", r->r12, r->r13, r->r14, r->r15);
}

/* Does a frame (two words) at `fp` lie in a stack of this pCPU? Its other pages may be absent. */
static bool in_stack(uint64_t fp)
{
    uint64_t sp = (uint64_t)__builtin_frame_address(0), page = fp & (PCPU_AREA_SIZE - 1);

    if ((fp ^ sp) & ~(uint64_t)(PCPU_AREA_SIZE - 1) || fp & 7 || (fp & 0xfff) > 0xff0)
        return false;
    return (page >= PCPU_AREA_STACK && page < PCPU_AREA_STACK_TOP) ||
           (page >> 12 == (PCPU_AREA_NMI_TOP >> 12) - 1) ||
           (page >> 12 == (PCPU_AREA_DF_TOP >> 12) - 1) ||
           (page >> 12 == (PCPU_AREA_MC_TOP >> 12) - 1) ||
           (page >> 12 == (PCPU_AREA_DB_TOP >> 12) - 1);
}

static void say_calls(uint64_t fp)
{
    say("calls, innermost first:\n");
    for (unsigned i = 0; i < DEPTH && in_stack(fp); i++) {
        const uint64_t *frame = (const uint64_t *)fp; /* caller's rbp, return address */

        if (!frame[1])
            return;
        say_address("  ", frame[1] - 1); /* inside the call, also at a function's end */
        if (frame[0] <= fp)
            return;
        fp = frame[0];
    }
}

/* One pCPU reports; a second panic, or one inside the report, only stops. */
static void begin(void)
{
    uint32_t none = 0, me = this_pcpu()->id + 1;

    x86_cli();
    if (!__atomic_compare_exchange_n(&owner, &none, me, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        if (none == me)
            say("\n*** panic inside the report ***\n");
        arch_out8(DEBUG_EXIT_PORT, none == me ? DEBUG_EXIT_PANIC : 0);
        arch_halt_forever();
    }
    apic_stop_others();
    say("\n*** Penumbra panic on pCPU %u ***\n", this_pcpu()->id);
}

static void __attribute__((noreturn)) end(void)
{
    say("*** all processors stopped ***\n");
    arch_out8(DEBUG_EXIT_PORT, DEBUG_EXIT_PANIC);
    arch_halt_forever();
}

void panic(const char *fmt, ...)
{
    va_list ap;

    begin();
    va_start(ap, fmt);
    format_print(sink, NULL, fmt, ap);
    va_end(ap);
    say("\n");
    say_calls((uint64_t)__builtin_frame_address(0));
    end();
}

void x86_panic_regs(const struct regs *regs, const char *fmt, ...)
{
    va_list ap;

    begin();
    va_start(ap, fmt);
    format_print(sink, NULL, fmt, ap);
    va_end(ap);
    say("\ncr2 %016lx  cr3 %016lx\n", x86_read_cr2(), x86_read_cr3());
    say_registers(regs);
    say_calls(regs->rbp);
    end();
}

void x86_panic_nmi(void)
{
    if (__atomic_load_n(&owner, __ATOMIC_SEQ_CST) || __atomic_load_n(&stopped, __ATOMIC_SEQ_CST)) {
        for (;;) {
            x86_cli();
            x86_halt();
        }
    }
}

void arch_halt_forever(void)
{
    x86_cli();
    if (!__atomic_exchange_n(&stopped, true, __ATOMIC_SEQ_CST))
        apic_stop_others();
    for (;;) {
        x86_cli();
        x86_halt();
    }
}
