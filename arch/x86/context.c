/* SPDX-License-Identifier: MIT */
/*
 * struct vcpu_guest_context (public header arch-x86/xen.h) to a vCPU and back: how a vCPU gets its
 * first state. Everything is checked before anything is changed, but frames, which are checked as
 * they are taken.
 */
#include "arch/x86/guest.h"

#include <string.h>
#include "arch/x86/desc.h"
#include "hv/arch.h"
#include "hv/log.h"

#define RFLAGS_GUEST (0xcd5UL /* status flags, DF */ | RFLAGS_TF | RFLAGS_AC | RFLAGS_ID)

/* Ring 3 whatever the guest asked for; a null code selector becomes the flat one. */
static uint64_t code_selector(uint64_t sel)
{
    return (sel & 0xfffc) ? (sel & 0xffff) | 3 : SEL_GUEST_CS;
}

static uint64_t stack_selector(uint64_t sel)
{
    return (sel & 0xfffc) ? (sel & 0xffff) | 3 : SEL_GUEST_SS;
}

static long check(const struct domain *d, const struct vcpu_guest_context *c)
{
    const uint64_t handlers[] = {c->event_callback_eip, c->failsafe_callback_eip,
                                 c->syscall_callback_eip, c->user_regs.rip};

    for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (!x86_canonical(handlers[i]))
            return refuse(d, -XEN_EINVAL, "entry point %lx is not canonical", handlers[i]);
    for (unsigned i = 0; i < 256; i++)
        if (!x86_canonical(c->trap_ctxt[i].address))
            return refuse(d, -XEN_EINVAL, "handler of trap %u is not canonical", i);
    if (!x86_canonical(c->fs_base) || !x86_canonical(c->gs_base_kernel) ||
        !x86_canonical(c->gs_base_user))
        return refuse(d, -XEN_EINVAL, "segment base is not canonical");
    if (!x86_guest_address(c->kernel_sp))
        return refuse(d, -XEN_EINVAL, "kernel stack %lx is not a guest address",
                      (unsigned long)c->kernel_sp);
    if (!x86_ldt_valid(c->ldt_base, c->ldt_ents))
        return refuse(d, -XEN_EINVAL, "LDT of %lu entries at %lx", (unsigned long)c->ldt_ents,
                      (unsigned long)c->ldt_base);
    if (c->gdt_ents > DESC_GDT_ENTRIES_GUEST)
        return refuse(d, -XEN_EINVAL, "GDT of %lu entries", (unsigned long)c->gdt_ents);
    if (!(c->flags & VGCF_in_kernel) && !c->ctrlreg[1])
        return refuse(d, -XEN_EINVAL, "user mode without a user page table");
    return 0;
}

static void set_registers(struct arch_vcpu *a, const struct cpu_user_regs *u, bool kernel)
{
    a->regs = (struct regs){
        .r15 = u->r15,
        .r14 = u->r14,
        .r13 = u->r13,
        .r12 = u->r12,
        .rbp = u->rbp,
        .rbx = u->rbx,
        .r11 = u->r11,
        .r10 = u->r10,
        .r9 = u->r9,
        .r8 = u->r8,
        .rax = u->rax,
        .rcx = u->rcx,
        .rdx = u->rdx,
        .rsi = u->rsi,
        .rdi = u->rdi,
        .vector = VECTOR_NONE,
        .rip = u->rip,
        .cs = code_selector(u->cs),
        .rsp = u->rsp,
        .ss = stack_selector(u->ss),
        .rflags = (u->rflags & RFLAGS_GUEST) | RFLAGS_IF | 2,
    };
    a->kernel_mode = kernel;
    a->iopl =
        (u->rflags & RFLAGS_IOPL) / (RFLAGS_IOPL / 3); /* the virtual one: the hardware's stays 0 */
    a->ds = u->ds;
    a->es = u->es;
    a->fs = u->fs;
    a->gs = u->gs;
}

static void set_handlers(struct arch_vcpu *a, const struct vcpu_guest_context *c)
{
    memcpy(a->traps, c->trap_ctxt, sizeof a->traps);
    a->event = (struct callback){.address = c->event_callback_eip, .mask_events = true};
    a->failsafe = (struct callback){.address = c->failsafe_callback_eip,
                                    .mask_events = c->flags & VGCF_failsafe_disables_events};
    a->syscall = (struct callback){.address = c->syscall_callback_eip,
                                   .mask_events = c->flags & VGCF_syscall_disables_events};
}

static long set_roots(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct paging *p = v->domain->paging;
    long err;

    paging_lock(p);
    err = shadow_set_kernel_root(p, &v->paging, gfn_of(xen_cr3_to_pfn(c->ctrlreg[3])));
    if (!err && c->ctrlreg[1])
        err = shadow_set_user_root(p, &v->paging, gfn_of(xen_cr3_to_pfn(c->ctrlreg[1])));
    v->paging.user_mode = !(c->flags & VGCF_in_kernel);
    paging_unlock(p);
    if (err)
        return refuse(v->domain, -XEN_EINVAL, "page table root %lx is not its own memory",
                      (unsigned long)xen_cr3_to_pfn(c->ctrlreg[3]));
    return 0;
}

long arch_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct arch_vcpu *a = &v->arch;
    long err = check(v->domain, c);

    if (err)
        return err;
    err = x86_gdt_set(v, c->gdt_frames, c->gdt_ents);
    if (err)
        return err;
    arch_ldt_set(v, c->ldt_base, (unsigned)c->ldt_ents);
    err = set_roots(v, c);
    if (err)
        return err;
    set_registers(a, &c->user_regs, c->flags & VGCF_in_kernel);
    set_handlers(a, c);
    a->kernel_ss = stack_selector(c->kernel_ss);
    a->kernel_sp = c->kernel_sp;
    a->fs_base = c->fs_base;
    a->gs_base_kernel = c->gs_base_kernel;
    a->gs_base_user = c->gs_base_user;
    a->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < 8; i++)
        if (c->debugreg[i])
            x86_set_debugreg(v, i, c->debugreg[i]);
    return 0;
}

void arch_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    struct arch_vcpu *a = &v->arch;
    const struct regs *r = x86_vcpu_regs(v);

    memset(c, 0, sizeof *c);
    c->user_regs = (struct cpu_user_regs){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .r10 = r->r10,
        .r9 = r->r9,
        .r8 = r->r8,
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .rip = r->rip,
        .cs = (uint16_t)r->cs,
        .rflags = r->rflags,
        .rsp = r->rsp,
        .ss = (uint16_t)r->ss,
        .ds = a->ds,
        .es = a->es,
        .fs = a->fs,
        .gs = a->gs,
    };
    c->flags = VGCF_I387_VALID | VGCF_online | (a->kernel_mode ? VGCF_in_kernel : 0) |
               (a->failsafe.mask_events ? VGCF_failsafe_disables_events : 0) |
               (a->syscall.mask_events ? VGCF_syscall_disables_events : 0);
    memcpy(c->trap_ctxt, a->traps, sizeof a->traps);
    for (unsigned i = 0; i < GDT_GUEST_PAGES; i++)
        c->gdt_frames[i] = a->gdt[i] ? a->gdt_gfn[i].n : 0;
    c->gdt_ents = a->gdt_entries;
    c->ldt_base = a->ldt_base;
    c->ldt_ents = a->ldt_entries;
    c->kernel_ss = a->kernel_ss;
    c->kernel_sp = a->kernel_sp;
    c->ctrlreg[0] = CR0_PG | CR0_WP | 1 | (a->cr0_ts ? CR0_TS : 0);
    c->ctrlreg[1] = v->paging.user_root.n ? xen_pfn_to_cr3(v->paging.user_root.n) : 0;
    c->ctrlreg[3] = xen_pfn_to_cr3(v->paging.kernel_root.n);
    c->ctrlreg[4] = a->cr4;
    memcpy(c->debugreg, a->debugreg, sizeof a->debugreg);
    c->event_callback_eip = a->event.address;
    c->failsafe_callback_eip = a->failsafe.address;
    c->syscall_callback_eip = a->syscall.address;
    c->vm_assist = v->domain->vm_assist;
    c->fs_base = a->fs_base;
    c->gs_base_kernel = a->gs_base_kernel;
    c->gs_base_user = a->gs_base_user;
}
