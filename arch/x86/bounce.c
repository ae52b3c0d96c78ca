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

static void deliver(struct vcpu *v, const struct bounce *b)
{
    struct regs *r = x86_vcpu_regs(v);
    uint64_t frame[12], rsp = r->rsp;
    uint64_t cs = r->cs & 0xffff;
    unsigned n = 0;
    uint8_t mask = v->info->evtchn_upcall_mask;

    if (!b->handler) {
        domain_crash(v->domain, "no handler registered for it");
        return;
    }
    if (v->arch.kernel_mode) {
        cs &= ~3UL;
    } else {
        x86_toggle_mode(v);
        rsp = v->arch.kernel_sp;
    }
    frame[n++] = r->rcx;
    frame[n++] = r->r11;
    for (unsigned i = 0; b->selectors && i < 4; i++)
        frame[n++] = b->selectors[i];
    if (b->has_error)
        frame[n++] = b->error;
    frame[n++] = r->rip;
    frame[n++] = cs | (uint64_t)(mask != 0) << 32;
    frame[n++] = (r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL)) | (mask ? 0 : RFLAGS_IF);
    frame[n++] = r->rsp;
    frame[n++] = r->ss & 0xffff;

    rsp = (rsp & ~15UL) - n * sizeof frame[0];
    if (arch_copy_to_guest(rsp, frame, n * sizeof frame[0])) {
        domain_crash(v->domain, "its kernel stack at %lx cannot take an exception frame", rsp);
        return;
    }
    if (b->mask_events)
        v->info->evtchn_upcall_mask = 1;
    r->rip = b->handler;
    r->cs = SEL_GUEST_CS;
    r->ss = SEL_GUEST_SS;
    r->rsp = rsp;
    r->rflags &= ~FRAME_CLEAR;
    r->vector = VECTOR_NONE;
}

/* trap_info.flags: bits 0-1 the lowest privilege that may raise it by INT, bit 2 mask events
 * (arch-x86/xen.h). */
static unsigned trap_dpl(const struct trap_info *t)
{
    return t->flags & 3;
}

static void inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
    const struct trap_info *t = &v->arch.traps[vector];
    struct bounce b = {
        .handler = t->address,
        .mask_events = t->flags & 4,
        .has_error = has_error,
        .error = error,
    };

    if (!t->address) {
        const struct regs *r = x86_vcpu_regs(v);
        domain_crash(v->domain,
                     "exception %u, error code %x, at %lx, and no handler for it (cr2 %lx)", vector,
                     error, r->rip, v->info->arch.cr2);
        return;
    }
    deliver(v, &b);
}

void x86_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
    inject(v, vector, has_error, error);
}

/* cr2 goes where the guest reads it: there is no trap for reading the register. */
void x86_inject_page_fault(struct vcpu *v, uint64_t va, uint32_t error)
{
    v->info->arch.cr2 = va;
    inject(v, VEC_PF, true, error);
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
        inject(v, VEC_GP, true, vector << 3 | 2);
        return;
    }
    inject(v, vector, false, 0);
}

void x86_inject_syscall(struct vcpu *v, bool compat)
{
    const struct callback *c = compat ? &v->arch.syscall32 : &v->arch.syscall;
    struct bounce b = {.handler = c->address, .mask_events = c->mask_events};

    if (!c->address) {
        /* As a processor without SYSCALL would have it. The instruction is two bytes long. */
        x86_vcpu_regs(v)->rip -= 2;
        inject(v, VEC_UD, false, 0);
        return;
    }
    deliver(v, &b);
}

void x86_inject_event(struct vcpu *v)
{
    struct bounce b = {.handler = v->arch.event.address, .mask_events = true};

    deliver(v, &b);
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
    deliver(v, &b);
}
