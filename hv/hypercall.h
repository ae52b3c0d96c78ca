/* SPDX-License-Identifier: MIT */
/*
 * The hypercall table: one entry per number with name and privilege. Arguments are in registers as
 * the PV64 ABI has them (rax number; rdi, rsi, rdx, r10, r8, r9); a handler returns the result for
 * rax. arch's system-call entry calls the handlers that the domain may call (domain.hypercalls);
 * for it `call` is the guest's registers themselves: a handler changes it only to be continued.
 *
 * A long hypercall is preemptible: it checks hypercall_preempt() between steps, stores its progress
 * in call->arg[] and returns -XEN_ERESTART; the caller's registers (or its multicall entry) are set
 * so that the guest executes it again. -XEN_ERESTART reaches no guest.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/domain.h"

struct hypercall {
    uint64_t nr;
    uint64_t arg[6];
};

typedef long (*hypercall_fn)(struct vcpu *v, struct hypercall *call);

struct hypercall_entry {
    hypercall_fn fn; /* NULL: -XEN_ENOSYS */
    const char *name;
    bool privileged; /* dom0 only, else -XEN_EPERM */
};
#define HYPERCALL_COUNT 64
extern const struct hypercall_entry hypercall_table[HYPERCALL_COUNT];

/* A bit for each call that exists and that a domain may make: for domain.hypercalls. */
uint64_t hypercall_allowed(bool privileged);
long hypercall_refused(struct vcpu *v, uint64_t nr); /* why it is not among them: -ENOSYS, -EPERM */

/* Has this pCPU spent its budget inside the hypervisor, or is somebody waiting? */
bool hypercall_preempt(void);
bool hypercall_preempt_vcpu(struct vcpu *v); /* the running one */

/* Handlers, by file. */
#define DECLARE_HYPERCALL(name) long hypercall_##name(struct vcpu *v, struct hypercall *call)
/* hv/mmu.c */
DECLARE_HYPERCALL(mmu_update);
DECLARE_HYPERCALL(update_va_mapping);
DECLARE_HYPERCALL(update_va_mapping_otherdomain);
DECLARE_HYPERCALL(mmuext_op);
/* hv/memory.c */
DECLARE_HYPERCALL(memory_op);
/* arch/x86/cpu_calls.c: descriptors, traps, stacks, segments */
DECLARE_HYPERCALL(set_trap_table);
DECLARE_HYPERCALL(set_gdt);
DECLARE_HYPERCALL(update_descriptor);
DECLARE_HYPERCALL(stack_switch);
DECLARE_HYPERCALL(set_callbacks);
DECLARE_HYPERCALL(callback_op);
DECLARE_HYPERCALL(fpu_taskswitch);
DECLARE_HYPERCALL(set_debugreg);
DECLARE_HYPERCALL(get_debugreg);
DECLARE_HYPERCALL(set_segment_base);
DECLARE_HYPERCALL(iret);
/* hv/sched_calls.c */
DECLARE_HYPERCALL(sched_op);
DECLARE_HYPERCALL(sched_op_compat);
DECLARE_HYPERCALL(set_timer_op);
DECLARE_HYPERCALL(vcpu_op);
/* hv/version.c */
DECLARE_HYPERCALL(xen_version);
DECLARE_HYPERCALL(vm_assist);
/* arch/x86/multicall.c */
DECLARE_HYPERCALL(multicall);
/* hv/console.c */
DECLARE_HYPERCALL(console_io);
/* hv/evtchn.c, hv/grant.c */
DECLARE_HYPERCALL(event_channel_op);
DECLARE_HYPERCALL(grant_table_op);
/* hv/physdev.c, hv/platform.c */
DECLARE_HYPERCALL(physdev_op);
DECLARE_HYPERCALL(platform_op);
/* hv/domctl.c, hv/sysctl.c */
DECLARE_HYPERCALL(domctl);
DECLARE_HYPERCALL(sysctl);
/* hv/penumbra_op.c: what Xen has no call for */
DECLARE_HYPERCALL(arch_2);

#endif
