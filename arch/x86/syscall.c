/* SPDX-License-Identifier: MIT */
/*
 * SYSCALL. From guest kernel mode it is a hypercall wherever it stands (guests use no hypercall
 * page), from guest user mode the guest's own system call. Arguments: number in rax; rdi, rsi, rdx,
 * r10, r8, r9; result in rax; rcx and r11 are lost.
 */
#include "arch/x86/guest.h"

#include "arch/x86/desc.h"
#include "arch/x86/pcpu.h"
#include "hv/hypercall.h"

#define SYSCALL_BYTES 2

static void hypercall(struct vcpu *v, struct regs *r)
{
    struct hypercall call = {r->rax, {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
    long result;

    hypercall_started(v);
    result = hypercall_run(v, &call);
    if (result == -XEN_ERESTART) {
        /* The guest executes it again, with what is left to do. */
        r->rdi = call.arg[0];
        r->rsi = call.arg[1];
        r->rdx = call.arg[2];
        r->r10 = call.arg[3];
        r->r8 = call.arg[4];
        r->r9 = call.arg[5];
        r->rip -= SYSCALL_BYTES;
        r->rcx = r->rip;
        return;
    }
    if (call.nr != __HYPERVISOR_iret) /* which loaded rax from its frame */
        r->rax = (uint64_t)result;
}

/*
 * SYSRET restores rip from rcx and rflags from r11, and flat selectors. Not for rip that is not
 * canonical, where an Intel processor would fault in ring 0 on the guest's stack (CVE-2012-0217),
 * nor with RF or TF set.
 */
static bool sysret_ok(const struct regs *r)
{
    return r->rcx == r->rip && r->r11 == r->rflags && r->cs == SEL_GUEST_CS &&
           r->ss == SEL_GUEST_SS && x86_canonical(r->rip) && !(r->rflags & (RFLAGS_RF | RFLAGS_TF));
}

/* From entry.S. True: SYSRET may be used. */
bool syscall_dispatch(struct regs *r);
bool syscall_dispatch(struct regs *r)
{
    struct pcpu *p = this_pcpu();
    struct vcpu *v = p->current;

    r->rsp = p->guest_rsp;
    if (r->vector == VECTOR_SYSCALL32 || !v->arch.kernel_mode)
        x86_inject_syscall(v, r->vector == VECTOR_SYSCALL32);
    else
        hypercall(v, r);
    if (!x86_guest_exit_idle(p, v))
        x86_guest_exit();
    return sysret_ok(r);
}
