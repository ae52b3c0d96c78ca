/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and system calls of this guest. Every vector has a handler; one that nobody registered
 * prints the registers and a backtrace and crashes the domain. Handlers run on the kernel stack of
 * the current thread with event upcalls masked; one that came from user mode may unmask them
 * (event_upcalls_restore(false)) and wait like any other code of its thread.
 */
#ifndef RT_TRAP_H
#define RT_TRAP_H

#include <stdbool.h>
#include <stdint.h>

#define TRAP_SYSCALL  256 /* `syscall` of user mode, as a vector of its own */
#define TRAP_FAILSAFE 258 /* a data selector could not be loaded again, and is null now */
#define TRAP_COUNT    259 /* 257 is the event upcall, for which nobody registers */

/* What the entry code saves, low address to high; rip to ss are the hypervisor's frame. */
struct trap_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector;
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* True if the registers are those of user mode: the hypervisor clears the privilege level in the
 * saved cs when it interrupted the guest's kernel. Bits 32 to 39 of cs are the saved event mask. */
static inline bool trap_from_user(const struct trap_regs *regs)
{
    return (regs->cs & 3) == 3;
}

/* Returns true if the trap is dealt with and the registers, perhaps changed, are to be resumed. */
typedef bool (*trap_fn)(struct trap_regs *regs);

void trap_set_handler(unsigned vector, trap_fn fn);

/* Called with upcalls masked whenever an event upcall is about to return to user mode: the place to
 * let other threads run. NULL takes it away. */
void trap_set_preempt_hook(void (*fn)(struct trap_regs *regs));

/* The address of the page fault being handled (of the calling vCPU). */
unsigned long trap_fault_address(void);

/* Leaves the kernel to the state in *regs (user mode if cs has privilege level 3); does not come
 * back. */
void trap_resume(const struct trap_regs *regs) __attribute__((noreturn));

/* Set-up: the boot vCPU's tables, called once. A secondary vCPU gets the same ones in its context.
 */
void trap_init(void);

/* For smp.c: the entry points, and the table in the form of vcpu_guest_context. */
void trap_fill_context(void *vcpu_guest_context);

/* Called by the assembly entries. */
void trap_dispatch(struct trap_regs *regs);

/* Prints registers and a frame-pointer backtrace. */
void trap_dump(const struct trap_regs *regs);
void trap_backtrace(unsigned long rbp);

#endif
