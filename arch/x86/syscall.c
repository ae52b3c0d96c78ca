/* SPDX-License-Identifier: MIT */
/*
 * SYSCALL, what is not in entry.S: a guest kernel's hypercall that has something to do on its way
 * out, and the system calls of guest user mode, which are its kernel's.
 */
#include "arch/x86/guest.h"

#include <stddef.h>

#include "arch/x86/desc.h"
#include "arch/x86/pcpu.h"
#include "hv/arch.h"
#include "hv/hypercall.h"

#define SYSCALL_BYTES 2

/* The frame is the call: nothing is copied, and a continuation's arguments are in place. */
#define FRAME_IS_CALL(frame_reg, call_member)                                                \
    _Static_assert(offsetof(struct regs, frame_reg) ==                                       \
                       offsetof(struct regs, rax) + offsetof(struct hypercall, call_member), \
                   "arguments of a hypercall")
FRAME_IS_CALL(rax, nr);
FRAME_IS_CALL(rdi, arg[0]);
FRAME_IS_CALL(rsi, arg[1]);
FRAME_IS_CALL(rdx, arg[2]);
FRAME_IS_CALL(r10, arg[3]);
FRAME_IS_CALL(r8, arg[4]);
FRAME_IS_CALL(r9, arg[5]);

/*
 * SYSRET restores rip from rcx and rflags from r11, and flat selectors. Not for rip that is not
 * canonical, where an Intel processor would fault in ring 0 on the guest's stack (CVE-2012-0217;
 * rip is behind a SYSCALL that may be the last of the lower half), nor with RF or TF set.
 */
static inline bool sysret_can_return(const struct regs *r)
{
    return x86_canonical(r->rip) && !(r->rflags & (RFLAGS_RF | RFLAGS_TF));
}

/* The frame may have been changed by an event or IRET, or be another vCPU's by now: does it look as
 * SYSCALL makes them? */
static bool is_syscall_frame(const struct regs *r)
{
    return r->rcx == r->rip && r->r11 == r->rflags && r->cs == SEL_GUEST_CS &&
           r->ss == SEL_GUEST_SS;
}

/* What is left of a hypercall, with its result, if entry.S cannot just return. True: SYSRET may be
 * used. */
bool hypercall_finish(struct regs *r, long result);
bool hypercall_finish(struct regs *r, long result)
{
    struct pcpu *p = this_pcpu();
    struct vcpu *v = p->current;

    if (r->vector == VECTOR_HYPERCALL) { /* or IRET has replaced it */
        r->vector = VECTOR_SYSCALL;      /* the frame is complete */
        if (result == -XEN_ERESTART) {
            /* The guest executes it again, with what is left to do. */
            r->rip -= SYSCALL_BYTES;
            r->rcx = r->rip;
        } else {
            r->rax = (uint64_t)result;
        }
    }
    if (v->arch.dump_due) {
        v->arch.dump_due = false;
        arch_vcpu_dump(v);
    }
    if (!x86_guest_exit_idle(p, v))
        x86_guest_exit();
    return is_syscall_frame(r) && sysret_can_return(r);
}

/* A system call of user mode. True: SYSRET may be used. */
bool syscall_dispatch(struct regs *r);
bool syscall_dispatch(struct regs *r)
{
    struct pcpu *p = this_pcpu();

    x86_inject_syscall(p->current, false);
    if (!x86_guest_exit_idle(p, p->current))
        x86_guest_exit();
    return is_syscall_frame(r) && sysret_can_return(r);
}

void syscall32_dispatch(struct regs *r);
void syscall32_dispatch(struct regs *r)
{
    struct pcpu *p = this_pcpu();

    r->rsp = p->guest_rsp;
    p->access_retries = ACCESS_RETRIES;
    x86_inject_syscall(p->current, true);
    if (!x86_guest_exit_idle(p, p->current))
        x86_guest_exit();
}
