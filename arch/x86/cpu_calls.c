/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls about what only an x86 has: traps, callbacks, stacks, segments, descriptors, debug
 * registers, return to user mode. All act on the calling vCPU, whose state is loaded.
 */
#include "arch/x86/guest.h"

#include <stddef.h>
#include <xen/callback.h>
#include "arch/x86/desc.h"
#include "arch/x86/uaccess.h"
#include "hv/arch.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/guest.h"

#define TRAPS_PER_CHECK 64

/* arg: guest array of trap_info, ended by address 0; NULL clears the whole table. */
long hypercall_set_trap_table(struct vcpu *v, struct hypercall *call)
{
    struct trap_info t;

    if (!call->arg[0]) {
        for (unsigned i = 0; i < 256; i++)
            v->arch.traps[i].address = 0;
        return 0;
    }
    for (unsigned i = 0;; i++) {
        if (guest_read_item(&t, call->arg[0], i))
            return refuse(v->domain, -XEN_EFAULT, "trap table at %lx", call->arg[0]);
        if (!t.address)
            return 0;
        if (!x86_canonical(t.address))
            return refuse(v->domain, -XEN_EINVAL, "handler of trap %u is not canonical", t.vector);
        v->arch.traps[t.vector] = t;
        if ((i + 1) % TRAPS_PER_CHECK == 0 && hypercall_preempt()) {
            call->arg[0] = guest_item_va(call->arg[0], i + 1, sizeof t);
            return -XEN_ERESTART;
        }
    }
}

static long set_callback(struct vcpu *v, uint16_t type, struct callback c)
{
    if (!x86_canonical(c.address))
        return refuse(v->domain, -XEN_EINVAL, "callback %lx is not canonical", c.address);
    switch (type) {
    case CALLBACKTYPE_event:
        v->arch.event = c;
        return 0;
    case CALLBACKTYPE_failsafe:
        v->arch.failsafe = c;
        return 0;
    case CALLBACKTYPE_syscall:
        v->arch.syscall = c;
        return 0;
    case CALLBACKTYPE_syscall32:
        v->arch.syscall32 = c;
        return 0;
    case CALLBACKTYPE_sysenter: /* kept for guests that insist; SYSENTER itself is a #GP */
        v->arch.sysenter = c;
        return 0;
    default:
        return refuse(v->domain, -XEN_ENOSYS, "callback type %u", type);
    }
}

long hypercall_callback_op(struct vcpu *v, struct hypercall *call)
{
    struct callback_register reg;
    struct callback_unregister un;

    switch (call->arg[0]) {
    case CALLBACKOP_register:
        if (guest_read(&reg, call->arg[1], sizeof reg))
            return -XEN_EFAULT;
        return set_callback(v, reg.type,
                            (struct callback){reg.address, reg.flags & CALLBACKF_mask_events});
    case CALLBACKOP_unregister:
        if (guest_read(&un, call->arg[1], sizeof un))
            return -XEN_EFAULT;
        if (un.type == CALLBACKTYPE_event || un.type == CALLBACKTYPE_failsafe)
            return refuse(v->domain, -XEN_EINVAL, "callback type %u cannot be unregistered",
                          un.type);
        return set_callback(v, un.type, (struct callback){0});
    default:
        return refuse(v->domain, -XEN_ENOSYS, "callback_op %lu", call->arg[0]);
    }
}

/* The older form: event, failsafe, syscall entry points. */
long hypercall_set_callbacks(struct vcpu *v, struct hypercall *call)
{
    static const uint16_t types[3] = {CALLBACKTYPE_event, CALLBACKTYPE_failsafe,
                                      CALLBACKTYPE_syscall};

    for (unsigned i = 0; i < 3; i++)
        if (!x86_canonical(call->arg[i]))
            return refuse(v->domain, -XEN_EINVAL, "callback %lx is not canonical", call->arg[i]);
    for (unsigned i = 0; i < 3; i++)
        set_callback(v, types[i], (struct callback){call->arg[i], types[i] == CALLBACKTYPE_event});
    return 0;
}

long hypercall_stack_switch(struct vcpu *v, struct hypercall *call)
{
    if (!x86_guest_address(call->arg[1]))
        return refuse(v->domain, -XEN_EINVAL, "kernel stack %lx is not a guest address",
                      call->arg[1]);
    v->arch.kernel_ss = (call->arg[0] & 0xffff) | 3;
    v->arch.kernel_sp = call->arg[1];
    return 0;
}

long hypercall_fpu_taskswitch(struct vcpu *v, struct hypercall *call)
{
    v->arch.cr0_ts = call->arg[0] != 0;
    x86_fpu_set_ts(v->arch.cr0_ts);
    return 0;
}

long hypercall_set_debugreg(struct vcpu *v, struct hypercall *call)
{
    if (call->arg[0] > 7)
        return -XEN_EINVAL;
    return x86_set_debugreg(v, (unsigned)call->arg[0], call->arg[1]);
}

/* The result is the value itself, as in Xen. */
long hypercall_get_debugreg(struct vcpu *v, struct hypercall *call)
{
    uint64_t reg = call->arg[0];

    if (reg > 7)
        return -XEN_EINVAL;
    return (long)v->arch.debugreg[reg == 4 ? 6 : reg == 5 ? 7 : reg];
}

long hypercall_set_segment_base(struct vcpu *v, struct hypercall *call)
{
    uint64_t base = call->arg[1];

    if (call->arg[0] != SEGBASE_GS_USER_SEL && !x86_canonical(base))
        return refuse(v->domain, -XEN_EINVAL, "segment base %lx is not canonical", base);
    switch (call->arg[0]) {
    case SEGBASE_FS:
        x86_wrmsr(MSR_FS_BASE, base);
        return 0;
    case SEGBASE_GS_USER: /* hypercalls come from kernel mode: the other base is the user's */
        x86_wrmsr(MSR_KERNEL_GS_BASE, base);
        return 0;
    case SEGBASE_GS_KERNEL:
        x86_wrmsr(MSR_GS_BASE, base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        x86_segments_load_user_gs((uint16_t)base);
        return 0;
    default:
        return refuse(v->domain, -XEN_EINVAL, "segment %lu", call->arg[0]);
    }
}

/* arg: guest list of frame numbers, count of entries. */
long hypercall_set_gdt(struct vcpu *v, struct hypercall *call)
{
    uint64_t frames[GDT_GUEST_PAGES], entries = call->arg[1];
    unsigned count;

    if (entries > DESC_GDT_ENTRIES_GUEST)
        return refuse(v->domain, -XEN_EINVAL, "GDT of %lu entries", entries);
    count = (unsigned)(entries + 511) / 512;
    if (guest_read(frames, call->arg[0], count * sizeof frames[0]))
        return -XEN_EFAULT;
    return x86_gdt_set(v, frames, (unsigned)entries);
}

/* arg: machine address (gfn and offset) of a descriptor in a frame of the guest's, new value. */
long hypercall_update_descriptor(struct vcpu *v, struct hypercall *call)
{
    gfn_t gfn = gfn_of(call->arg[0] >> PAGE_SHIFT);
    unsigned offset = call->arg[0] & (PAGE_SIZE - 1);
    uint64_t desc = call->arg[1];
    bool present = desc >> 47 & 1;
    struct frame_hold hold;

    if (offset & 7)
        return refuse(v->domain, -XEN_EINVAL, "descriptor address %lx is not aligned",
                      call->arg[0]);
    if (present && !x86_descriptor_sanitise(desc))
        return refuse(v->domain, -XEN_EINVAL, "descriptor %lx is no code or data segment", desc);
    if (!paging_hold(v->domain->paging, gfn, true, &hold))
        return refuse(v->domain, -XEN_EINVAL, "frame %lx of a descriptor is not its own", gfn.n);
    /* The guest finds what it wrote, but with ring 3's privilege, as on Xen. */
    __atomic_store_n((uint64_t *)((char *)hold.va + offset),
                     present ? x86_descriptor_sanitise(desc) : desc, __ATOMIC_RELAXED);
    paging_release(&hold);
    x86_descriptor_changed(v->domain, gfn, offset, desc);
    return 0;
}

/* What HYPERVISOR_iret finds at the guest's stack pointer (arch-x86/xen-x86_64.h, struct
 * iret_context). */
struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};

static inline bool read_iret_frame(struct iret_frame *f, uint64_t va)
{
    if (!x86_guest_range(va, sizeof *f))
        return false;
    x86_user_access_begin();
    x86_get_guest(f->rax, va, fault);
    x86_get_guest(f->r11, va + 8, fault);
    x86_get_guest(f->rcx, va + 16, fault);
    x86_get_guest(f->flags, va + 24, fault);
    x86_get_guest(f->rip, va + 32, fault);
    x86_get_guest(f->cs, va + 40, fault);
    x86_get_guest(f->rflags, va + 48, fault);
    x86_get_guest(f->rsp, va + 56, fault);
    x86_get_guest(f->ss, va + 64, fault);
    x86_user_access_end();
    return true;
fault:
    x86_user_access_end();
    return false;
}

long hypercall_iret(struct vcpu *v, struct hypercall *call)
{
    /* Never a member of a multicall: the call stands in the frame (syscall.c). */
    struct regs *r = (struct regs *)((char *)call - offsetof(struct regs, rax));
    struct iret_frame f;

    if (!read_iret_frame(&f, r->rsp)) {
        domain_crash(v->domain, "iret frame at %lx cannot be read", r->rsp);
        return 0;
    }
    r->rax = f.rax;
    r->rip = f.rip;
    r->cs = (f.cs & 0xffff) | 3;
    r->rflags = (f.rflags & ~(RFLAGS_IOPL | RFLAGS_NT | RFLAGS_VM)) | RFLAGS_IF | 2;
    r->rsp = f.rsp;
    r->ss = (f.ss & 0xffff) | 3;
    r->rcx = f.rcx;
    r->r11 = f.r11;
    if (f.flags & VGCF_in_syscall) {
        r->rcx = r->rip;
        r->r11 = r->rflags;
    }
    /* A full barrier before the way out looks for events: whoever raises one looks at the mask
     * after that, and does not interrupt us while it is set (announce() in hv/evtchn.c). */
    __atomic_exchange_n(&v->info->evtchn_upcall_mask, !(f.rflags & RFLAGS_IF), __ATOMIC_SEQ_CST);
    if ((f.cs & 3) == 3) {
        if (!v->paging.user_root.n)
            domain_crash(v->domain, "iret to user mode without a user page table");
        else
            x86_toggle_mode(v);
    }
    r->vector = VECTOR_NONE; /* last: a crash is told with all registers (arch_vcpu_dump()) */
    return -XEN_ERESTART;    /* rax is in the frame, too: hypercall_finish() */
}
