/* SPDX-License-Identifier: MIT */
/* The trap table and the way from an entry to its handler. See trap.h. */
#include "trap.h"

#include <stddef.h>

#include "event.h"
#include "hypercall.h"
#include "smp.h"
#include "start.h"

#define TRAP_VECTORS    22  /* exceptions with an entry of their own */
#define VECTOR_EVENT    257 /* not registrable: event upcall */
#define VECTOR_FAILSAFE 258 /* a selector of the interrupted state cannot be loaded */

#define TRAP_MASK_EVENTS 4 /* trap_info flags, <xen/arch-x86/xen.h> */
#define TRAP_DPL_USER    3

_Static_assert(sizeof(struct trap_regs) == 22 * 8, "entry.S builds and copies 22 words");
_Static_assert(offsetof(struct trap_regs, rip) == 17 * 8,
               "entry.S: frame after 15 registers, vector, error");

extern const unsigned long trap_entries[TRAP_VECTORS];
extern char trap_syscall_entry[], trap_event_entry[], trap_failsafe_entry[];

static trap_fn handlers[TRAP_COUNT];
static void (*preempt_hook)(struct trap_regs *regs);

void trap_set_preempt_hook(void (*fn)(struct trap_regs *regs))
{
    preempt_hook = fn;
}

void trap_set_handler(unsigned vector, trap_fn fn)
{
    handlers[vector] = fn;
}

unsigned long trap_fault_address(void)
{
    return smp_self()->info->arch.cr2;
}

/* #BP and #OF may come from user mode's own `int`. All entries mask events, so that the page
 * fault's address in vcpu_info is not overtaken by another fault before its handler has read it. */
static void trap_fill(struct trap_info *table)
{
    for (unsigned v = 0; v < TRAP_VECTORS; v++) {
        table[v].vector = (uint8_t)v;
        table[v].flags = TRAP_MASK_EVENTS | (v == 3 || v == 4 ? TRAP_DPL_USER : 0);
        table[v].cs = FLAT_KERNEL_CS;
        table[v].address = trap_entries[v];
    }
}

static void trap_callback(uint16_t type, const char *entry)
{
    struct callback_register op = {
        .type = type, .flags = CALLBACKF_mask_events, .address = (unsigned long)entry};

    if (hypercall_callback_op(CALLBACKOP_register, &op)) {
        panic("callback %u was refused", type);
    }
}

void trap_init(void)
{
    struct trap_info table[TRAP_VECTORS + 1] = {0};

    trap_fill(table);
    if (hypercall_set_trap_table(table)) {
        panic("the trap table was refused");
    }
    trap_callback(CALLBACKTYPE_event, trap_event_entry);
    trap_callback(CALLBACKTYPE_failsafe, trap_failsafe_entry);
    trap_callback(CALLBACKTYPE_syscall, trap_syscall_entry);
}

void trap_fill_context(void *context)
{
    struct vcpu_guest_context *ctx = context;

    trap_fill(ctx->trap_ctxt);
    ctx->event_callback_eip = (unsigned long)trap_event_entry;
    ctx->failsafe_callback_eip = (unsigned long)trap_failsafe_entry;
    ctx->syscall_callback_eip = (unsigned long)trap_syscall_entry;
}

static const char *trap_name(uint64_t vector)
{
    static const char *const names[TRAP_VECTORS] = {"divide error",
                                                    "debug",
                                                    "NMI",
                                                    "breakpoint",
                                                    "overflow",
                                                    "bound range",
                                                    "invalid opcode",
                                                    "device not available",
                                                    "double fault",
                                                    "coprocessor overrun",
                                                    "invalid TSS",
                                                    "segment not present",
                                                    "stack fault",
                                                    "general protection",
                                                    "page fault",
                                                    "vector 15",
                                                    "x87 error",
                                                    "alignment check",
                                                    "machine check",
                                                    "SIMD error",
                                                    "virtualization",
                                                    "control protection"};

    if (vector < TRAP_VECTORS) {
        return names[vector];
    }
    return vector == TRAP_SYSCALL ? "system call" : "bad selector (failsafe)";
}

void trap_dispatch(struct trap_regs *regs)
{
    if (regs->vector == VECTOR_EVENT) {
        event_upcall();
        if (preempt_hook && trap_from_user(regs)) {
            preempt_hook(regs);
        }
        return;
    }
    if (regs->vector < TRAP_COUNT && handlers[regs->vector] && handlers[regs->vector](regs)) {
        return;
    }
    panic_begin();
    if (regs->vector == 14) {
        panic_printf("page fault at address %#lx\n", trap_fault_address());
    }
    trap_dump(regs);
    panic("%s, error code %#lx", trap_name(regs->vector), regs->error);
}
