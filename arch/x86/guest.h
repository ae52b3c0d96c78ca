/* SPDX-License-Identifier: MIT */
/*
 * Inside arch/x86: the running guest's registers, modes and traps. The files behind it: vcpu.c
 * (switching), context.c (vcpu_guest_context), traps.c (what came in), bounce.c (what is passed on
 * to the guest's kernel), emulate.c (privileged instructions), tablestore.c (stores to page
 * tables), descriptor.c (guest GDTs), ldt.c (guest LDTs), segments.c, fpu.c.
 */
#ifndef ARCH_X86_GUEST_H
#define ARCH_X86_GUEST_H

#include <xen/errno.h>
#include "arch/x86/pcpu.h"
#include "arch/x86/x86.h"
#include "hv/domain.h"
#include "hv/evtchn.h"

/* The frame of the vCPU that runs here: the top of this pCPU's main stack. */
struct regs *x86_guest_regs(void);
/* The registers of any vCPU that does not run elsewhere. */
struct regs *x86_vcpu_regs(struct vcpu *v);
static inline bool x86_from_guest(const struct regs *r)
{
    return r->cs & 3;
}
static inline bool x86_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}
/* Neither non-canonical nor in the hypervisor's part: an address that a guest may own. */
static inline bool x86_guest_address(uint64_t va)
{
    return x86_canonical(va) && (va < 0xffff800000000000UL || va >= 0xffff880000000000UL);
}

/* Guest kernel <-> guest user of the current vCPU: root table, GS base (swapgs), flags. A missing
 * user root crashes the domain. */
void x86_toggle_mode(struct vcpu *v);
/* Loads the root that the current vCPU's mode asks for; crashes the domain if there is none. */
void x86_load_root(struct vcpu *v);

/* The way out: reschedules, idles and delivers events until the frame at the stack's top may be
 * returned to. */
void x86_guest_exit(void);
void x86_resume(struct regs *r) __attribute__((noreturn));
/* Is there nothing to do on the way out? The common case, inline. */
static inline bool x86_guest_exit_idle(const struct pcpu *p, const struct vcpu *v)
{
    /* A failsafe callback falls due in x86_guest_exit() alone, when a vCPU is loaded. */
    return !p->resched && !evtchn_upcall_due(v);
}

/* Passing things on to the current vCPU's kernel (bounce.c). With no handler or no stack the domain
 * crashes. */
void x86_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error);
void x86_inject_page_fault(struct vcpu *v, struct regs *r, uint64_t va, uint32_t error);
void x86_inject_software(struct vcpu *v,
                         unsigned vector); /* int n: DPL checked, rip already behind it */
void x86_inject_syscall(struct vcpu *v, bool compat);
void x86_inject_event(struct vcpu *v);
void x86_inject_failsafe(struct vcpu *v);

/* Emulation; true if the instruction was dealt with (done, or a fault injected), false: the caller
 * injects its own. */
bool x86_emulate_privileged(struct vcpu *v, struct regs *r); /* after #GP */
bool x86_emulate_forced(struct vcpu *v, struct regs *r);     /* after #UD: ud2a "xen" prefix */
/* A store to a followed page table (FAULT_STORE), dealt with as the domain's mode says. True: done,
 * or to be run again; false: it is the guest's own page fault. */
bool x86_table_store(struct vcpu *v, struct regs *r, const struct fault_info *info);

/* Guest descriptors (descriptor.c). */
uint64_t x86_descriptor_sanitise(uint64_t desc); /* 0 (not present) for what a guest may not have */
long x86_gdt_set(struct vcpu *v, const uint64_t *frames,
                 unsigned entries); /* frames: gfns; -EINVAL, -ENOMEM */
void x86_gdt_release(struct vcpu *v);
void x86_descriptor_changed(struct domain *d, gfn_t gfn, unsigned offset, uint64_t desc);
/* Sanitised copies of `entries` descriptors, each read once. */
void x86_descriptors_copy(uint64_t *to, const uint64_t *from, unsigned entries);

/* Guest LDTs (ldt.c). */
bool x86_ldt_valid(uint64_t base, uint64_t entries);
void x86_ldt_load(const struct vcpu *v); /* on this pCPU, before its selectors */
void x86_ldt_release(struct vcpu *v);    /* its copies go */
void x86_ldt_root_changed(struct vcpu *v);
/* A page fault inside the hypervisor at va, a selector being loaded: true if the descriptor is
 * there now. */
bool x86_ldt_fault(struct vcpu *v, uint64_t va);
/* A guest's instruction needs a descriptor at va, which is not there: made so, or the guest's #PF
 * at the place in its own LDT, or #GP. */
void x86_descriptor_fault(struct vcpu *v, uint64_t va);
void x86_ldt_descriptor_changed(struct vcpu *v, gfn_t gfn, unsigned offset, uint64_t desc);

/* SET_DEBUGREG and MOV to a debug register (emulate.c); -EPERM for our addresses, -EINVAL. */
long x86_set_debugreg(struct vcpu *v, unsigned reg, uint64_t value);

/* Data selectors, FS and GS bases (segments.c). False: the processor refused a selector. */
void x86_segments_save(struct arch_vcpu *a);
bool x86_segments_load(const struct arch_vcpu *a);
void x86_segments_load_user_gs(uint16_t sel); /* in kernel mode; a bad one becomes null */

/* FPU, SSE, AVX state (fpu.c). */
long x86_fpu_alloc(struct vcpu *v);
void x86_fpu_save(struct vcpu *v);
void x86_fpu_load(struct vcpu *v);
void x86_fpu_set_ts(bool ts);

/* Model-specific registers and CPUID as the guest sees them (emulate_msr.c, emulate_cpuid.c).
 * False: #GP. */
bool x86_guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool x86_guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);
void x86_guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* I/O ports (ioport.c): reads of ports not given are all ones, writes are dropped. */
uint32_t x86_guest_in(struct vcpu *v, uint16_t port, unsigned size);
void x86_guest_out(struct vcpu *v, uint16_t port, unsigned size, uint32_t value);

/* fastpath.S */
#define VCPU_OFFSET(member, value) \
    _Static_assert(offsetof(struct vcpu, member) == (value), "known to assembly")
VCPU_OFFSET(domain, VCPU_DOMAIN);
VCPU_OFFSET(info, VCPU_INFO);
VCPU_OFFSET(hypercall_since, VCPU_HYPERCALL_SINCE);
VCPU_OFFSET(count.hypercalls, VCPU_HYPERCALLS);
VCPU_OFFSET(paging.root[1], VCPU_USER_ROOT);
VCPU_OFFSET(paging.user_mode, VCPU_USER_MODE);
VCPU_OFFSET(arch.kernel_mode, VCPU_KERNEL_MODE);
#define REGS_OFFSET(member, value) \
    _Static_assert(offsetof(struct regs, member) == (value), "known to assembly")
REGS_OFFSET(r15, REGS_R15);
REGS_OFFSET(r14, REGS_R14);
REGS_OFFSET(r13, REGS_R13);
REGS_OFFSET(r12, REGS_R12);
REGS_OFFSET(rbp, REGS_RBP);
REGS_OFFSET(rbx, REGS_RBX);
REGS_OFFSET(r11, REGS_R11);
REGS_OFFSET(rax, REGS_RAX);
REGS_OFFSET(rdi, REGS_RDI);
REGS_OFFSET(vector, REGS_VECTOR);
REGS_OFFSET(rip, REGS_RIP);
REGS_OFFSET(rflags, REGS_RFLAGS);
REGS_OFFSET(rsp, REGS_RSP);
_Static_assert(HYPERCALL_RESTART == XEN_ERESTART, "known to assembly");
_Static_assert(offsetof(struct domain, hypercalls) == DOMAIN_HYPERCALLS, "known to assembly");
_Static_assert(offsetof(struct vcpu_info, evtchn_upcall_pending) == INFO_PENDING &&
                   offsetof(struct vcpu_info, evtchn_upcall_mask) == INFO_MASK,
               "known to assembly");

/* entry.S */
int x86_rdmsr_safe(uint32_t msr, uint64_t *value), x86_wrmsr_safe(uint32_t msr, uint64_t value);

#endif
