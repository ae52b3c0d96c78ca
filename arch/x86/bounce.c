/* SPDX-License-Identifier: MIT */
/*
 * Bouncing: an exception, event or system call is passed to the guest's kernel, by a frame on its
 * stack (public header arch-x86/xen-x86_64.h and trap_info of arch-x86/xen.h). From low to high:
 *
 *   rcx, r11, [error code], rip, cs | saved upcall mask << 32, rflags, rsp, ss
 *
 * From guest user mode the stack is the one given by stack_switch and the guest changes to its
 * kernel; in kernel mode the frame goes below the present stack pointer. A guest whose stack cannot
 * take the frame is beyond help: it crashes alone.
 */
#include "arch/x86/guest.h"

#include "arch/x86/desc.h"
#include "arch/x86/uaccess.h"
#include "hv/arch.h"
#include "hv/log.h"

#define FRAME_CLEAR (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC)

/* What a frame needs besides the interrupted registers. */
struct bounce {
    uint64_t handler;
    bool mask_events;
    bool has_error;
    uint32_t error;
    const uint16_t *selectors; /* failsafe: ds, es, fs, gs follow rcx and r11 */
};

/* Writes the frame below the guest's stack pointer `top`; where it begins, 0: it cannot be
 * written. Inline, so that each of its few callers gets the frame that it needs without a branch.
 */
static inline __attribute__((always_inline)) uint64_t
write_frame(const struct regs *r, const struct bounce *b, uint64_t top, uint64_t cs, uint64_t flags)
{
    unsigned words = 7 + b->has_error + (b->selectors ? 4 : 0);
    uint64_t va = (top & ~15UL) - words * sizeof(uint64_t), at = va;

    if (!x86_guest_range(va, words * sizeof(uint64_t)))
        return 0;
    x86_user_access_begin();
    x86_put_guest(r->rcx, at, fault);
    x86_put_guest(r->r11, at + 8, fault);
    at += 16;
    for (unsigned i = 0; b->selectors && i < 4; i++, at += 8)
        x86_put_guest(b->selectors[i], at, fault);
    if (b->has_error) {
        x86_put_guest(b->error, at, fault);
        at += 8;
    }
    x86_put_guest(r->rip, at, fault);
    x86_put_guest(cs, at + 8, fault);
    x86_put_guest(flags, at + 16, fault);
    x86_put_guest(r->rsp, at + 24, fault);
    x86_put_guest((uint16_t)r->ss, at + 32, fault);
    x86_user_access_end();
    return va;
fault:
    x86_user_access_end();
    return 0;
}

static inline __attribute__((always_inline)) void deliver(struct vcpu *v, struct regs *r,
                                                          const struct bounce *b)
{
    bool masked = v->info->evtchn_upcall_mask;
    uint64_t flags = (r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL)) | (masked ? 0 : RFLAGS_IF);
    uint64_t cs = (uint16_t)r->cs | (uint64_t)masked << 32;
    uint64_t top = r->rsp, sp;

    if (v->arch.kernel_mode) {
        cs &= ~3UL;
    } else {
        x86_toggle_mode(v);
        top = v->arch.kernel_sp;
    }
    sp = write_frame(r, b, top, cs, flags);
    if (!sp) {
        domain_crash(v->domain, "its kernel stack at %lx cannot take an exception frame", top);
        return;
    }
    if (b->mask_events)
        v->info->evtchn_upcall_mask = 1;
    r->rip = b->handler;
    r->cs = SEL_GUEST_CS;
    r->ss = SEL_GUEST_SS;
    r->rsp = sp;
    r->rflags &= ~FRAME_CLEAR;
    r->vector = VECTOR_NONE;
}

/* trap_info.flags: bits 0-1 the lowest privilege that may raise it by INT, bit 2 mask events
 * (arch-x86/xen.h). */
static unsigned trap_dpl(const struct trap_info *t)
{
    return t->flags & 3;
}

static __attribute__((noinline)) void no_handler(struct vcpu *v, unsigned vector, uint32_t error)
{
    domain_crash(v->domain, "exception %u, error code %x, at %lx, and no handler for it (cr2 %lx)",
                 vector, error, x86_guest_regs()->rip, v->info->arch.cr2);
}

static inline __attribute__((always_inline)) void
inject(struct vcpu *v, struct regs *r, unsigned vector, bool has_error, uint32_t error)
{
    const struct trap_info *t = &v->arch.traps[vector];
    struct bounce b = {
        .handler = t->address,
        .mask_events = t->flags & 4,
        .has_error = has_error,
        .error = error,
    };

    if (t->address)
        deliver(v, r, &b);
    else
        no_handler(v, vector, error);
}

void x86_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
    struct regs *r = x86_guest_regs();

    if (has_error)
        inject(v, r, vector, true, error);
    else
        inject(v, r, vector, false, 0);
}

/* cr2 goes where the guest reads it: there is no trap for reading the register. */
void x86_inject_page_fault(struct vcpu *v, struct regs *r, uint64_t va, uint32_t error)
{
    v->info->arch.cr2 = va;
    inject(v, r, VEC_PF, true, error);
}

void x86_inject_software(struct vcpu *v, unsigned vector)
{
    const struct trap_info *t = &v->arch.traps[vector];
    struct regs *r = x86_vcpu_regs(v);

    /* User code may raise only what the guest allows; rip then is the instruction, as on hardware.
     */
    if (!t->address || (!v->arch.kernel_mode && trap_dpl(t) < 3)) {
        if (vector != VEC_BP && vector != VEC_OF)
            r->rip -= 2;
        else
            r->rip -= 1;
        x86_inject(v, VEC_GP, true, vector << 3 | 2);
        return;
    }
    x86_inject(v, vector, false, 0);
}

void x86_inject_syscall(struct vcpu *v, bool compat)
{
    const struct callback *c = compat ? &v->arch.syscall32 : &v->arch.syscall;
    struct bounce b = {.handler = c->address, .mask_events = c->mask_events};

    if (!c->address) {
        /* As a processor without SYSCALL would have it. The instruction is two bytes long. */
        x86_vcpu_regs(v)->rip -= 2;
        x86_inject(v, VEC_UD, false, 0);
        return;
    }
    deliver(v, x86_guest_regs(), &b);
}

void x86_inject_event(struct vcpu *v)
{
    struct bounce b = {.handler = v->arch.event.address, .mask_events = true};

    deliver(v, x86_guest_regs(), &b);
}

void x86_inject_failsafe(struct vcpu *v)
{
    const uint16_t selectors[4] = {v->arch.ds, v->arch.es, v->arch.fs, v->arch.gs};
    struct bounce b = {
        .handler = v->arch.failsafe.address,
        .mask_events = v->arch.failsafe.mask_events,
        .selectors = selectors,
    };

    v->arch.failsafe_due = false;
    if (b.handler)
        deliver(v, x86_guest_regs(), &b);
    else
        domain_crash(v->domain, "a selector cannot be loaded, and no failsafe callback");
}
