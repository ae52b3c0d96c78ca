/* SPDX-License-Identifier: MIT */
/*
 * What came in: exceptions, interrupts and system calls, from a guest or from ourselves.
 *
 * A guest's exception is handled (shadow faults, privileged instructions) or passed to its kernel
 * (bounce.c). Our own exception is one of: a guest address in a copy (extable), an IRET to a state
 * that the guest made impossible, or a bug: panic.
 */
#include "arch/x86/guest.h"

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/panic.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/uaccess.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/tlb.h"

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_FETCH   16u

struct extable_entry {
    uint64_t fault, fixup;
};
extern const struct extable_entry extable_start[], extable_end[];
extern const char entry_iret[];

/* Where to go on if the instruction at rip faults; 0: it may not. */
static uint64_t extable_find(uint64_t rip)
{
    for (const struct extable_entry *e = extable_start; e < extable_end; e++)
        if (e->fault == rip)
            return e->fixup;
    return 0;
}

static bool has_error_code(uint64_t vector)
{
    return vector == VEC_DF || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/*
 * IRETQ to the guest faulted: its rip, cs or ss cannot be loaded. The processor pushed a frame
 * below the five words that IRETQ was reading, and the guest's general registers are in that frame.
 * Put both together again at the top of the stack, where a guest's frame belongs: the exception is
 * the guest's own, at the state that it asked for, as on Xen. Its kernel must be able to survive
 * that: a process can bring it here, by an LDT entry that goes away.
 */
static void iret_failed(const struct regs *r)
{
    struct regs guest = *r; /* which lies where the guest's frame goes */
    struct vcpu *v = current_vcpu();
    unsigned vector = (unsigned)r->vector;
    uint32_t error = (uint32_t)r->error;
    const uint64_t *words = (const uint64_t *)r->rsp; /* rip cs rflags rsp ss */

    ASSERT(v);
    guest.rip = words[0];
    guest.cs = words[1];
    guest.rflags = words[2];
    guest.rsp = words[3];
    guest.ss = words[4];
    guest.vector = VECTOR_NONE;
    *x86_guest_regs() = guest;
    if (vector == VEC_PF)
        x86_descriptor_fault(v, x86_read_cr2());
    else
        x86_inject(v, vector, has_error_code(vector), error);
    x86_guest_exit();
    x86_resume(x86_guest_regs());
}

/* A page fault of our own on a guest's address, in a copy: may it be tried again? If not the copy
 * is given up. */
static bool copy_fault_retry(const struct regs *r, uint64_t va)
{
    struct vcpu *v = current_vcpu();
    struct fault_info info;
    struct paging *p;

    if (!v || !x86_guest_address(va) || !this_pcpu()->access_retries)
        return false;
    this_pcpu()->access_retries--;
    p = v->domain->paging;
    switch (shadow_fault(p, &v->paging, va, (uint32_t)r->error & ~PF_USER, &info)) {
    case FAULT_RETRY:
        return true;
    case FAULT_STORE:
        /* S4's gate: we write where the guest itself may. Its table stops being one. */
        if (info.guest_writable) {
            paging_lock(p);
            shadow_drop(p, info.gfn);
            paging_unlock(p);
            return true;
        }
        return false;
    case FAULT_CRASH:
        domain_crash(v->domain, "%s, at address %lx", info.why, va);
        return false;
    default:
        return false;
    }
}

static void own_exception(struct regs *r)
{
    uint64_t fixup = extable_find(r->rip);

    /* A selector in a page of the LDT that nobody needed before. */
    if (r->vector == VEC_PF && (fixup || r->rip == (uint64_t)entry_iret) &&
        x86_ldt_fault(current_vcpu(), x86_read_cr2()))
        return;
    if (r->rip == (uint64_t)entry_iret)
        iret_failed(r);
    if (fixup) {
        if (r->vector != VEC_PF || !copy_fault_retry(r, x86_read_cr2()))
            r->rip = fixup;
        return;
    }
    x86_panic_regs(r, "exception %lu in the hypervisor, error code %lx, cr2 %lx", r->vector,
                   r->error, x86_read_cr2());
}

static __attribute__((noinline)) void shadows_fault(struct vcpu *v, struct regs *r, uint64_t va)
{
    const uint32_t store = PF_PRESENT | PF_WRITE;
    uint32_t error = (uint32_t)r->error;
    struct fault_info info;

    if ((error & (store | PF_FETCH)) == store && v->arch.kernel_mode &&
        shadow_fault_is_store(v->domain->paging, &v->paging, va, &info)) {
        if (!x86_table_store(v, r, &info))
            x86_inject_page_fault(v, r, va, store);
        return;
    }
    switch (shadow_fault(v->domain->paging, &v->paging, va, error, &info)) {
    case FAULT_RETRY:
        return;
    case FAULT_GUEST:
        x86_inject_page_fault(v, r, va, info.guest_error);
        return;
    case FAULT_STORE:
        if (!x86_table_store(v, r, &info))
            x86_inject_page_fault(v, r, va, 3u | (v->arch.kernel_mode ? 0 : PF_USER));
        return;
    case FAULT_CRASH:
        domain_crash(v->domain, "%s, at address %lx", info.why, va);
        return;
    }
}

static inline void guest_page_fault(struct vcpu *v, struct regs *r)
{
    uint64_t va = x86_read_cr2();
    uint32_t error = (uint32_t)r->error;
    uint32_t absent = (error & (PF_WRITE | PF_FETCH)) | (v->arch.kernel_mode ? 0 : PF_USER);

    if (!x86_guest_range(va, 1)) {
        /* The processor's own look at a descriptor faults in our hole without U. */
        if (error & PF_USER)
            x86_inject_page_fault(v, r, va, absent & ~PF_FETCH);
        else
            x86_descriptor_fault(v, va);
    } else if (!(error & PF_PRESENT) && shadow_fault_is_guests(v->domain->paging, &v->paging, va)) {
        x86_inject_page_fault(v, r, va, absent);
    } else {
        shadows_fault(v, r, va);
    }
}

/* From entry.S, like trap_dispatch(): page faults are the most frequent exception by far. */
void page_fault_dispatch(struct regs *r);
void page_fault_dispatch(struct regs *r)
{
    struct pcpu *p = this_pcpu();
    struct vcpu *v = p->current;

    x86_user_access_end();
    if (!x86_from_guest(r)) {
        own_exception(r);
        return;
    }
    p->access_retries = ACCESS_RETRIES;
    guest_page_fault(v, r);
    if (!x86_guest_exit_idle(p, v))
        x86_guest_exit();
}

static __attribute__((noinline)) void guest_exception(struct vcpu *v, struct regs *r)
{
    switch (r->vector) {
    case VEC_GP:
        if (x86_emulate_privileged(v, r))
            return;
        break;
    case VEC_UD:
        if (x86_emulate_forced(v, r))
            return;
        break;
    case VEC_NM:
        x86_fpu_set_ts(false);
        v->arch.cr0_ts = false;
        break;
    case VEC_BP:
    case VEC_OF:
        x86_inject_software(v, (unsigned)r->vector);
        return;
    case VEC_DB:
        v->arch.debugreg[6] = x86_read_dr6();
        x86_write_dr6(0xffff0ff0);
        break;
    default:
        break;
    }
    x86_inject(v, (unsigned)r->vector, has_error_code(r->vector), (uint32_t)r->error);
}

static void came_from_us(struct regs *r)
{
    if (r->vector < 32)
        own_exception(r);
    else if (r->vector != VECTOR_NONE)
        apic_interrupt((unsigned)r->vector);
}

/* From entry.S, on the main stack (or on an IST stack with VECTOR_NONE). */
void trap_dispatch(struct regs *r);
void trap_dispatch(struct regs *r)
{
    struct pcpu *p = this_pcpu();

    x86_user_access_end();
    if (!x86_from_guest(r)) {
        came_from_us(r);
        return;
    }
    p->access_retries = ACCESS_RETRIES;
    if (r->vector < 32)
        guest_exception(p->current, r);
    else if (r->vector != VECTOR_NONE)
        apic_interrupt((unsigned)r->vector);
    else
        return;
    if (!x86_guest_exit_idle(p, p->current))
        x86_guest_exit();
}

/*
 * From entry.S, on an IST stack. #DB of a guest moves to the top of the main stack, which is free
 * (the guest was running), and is then an exception like others. #DB in our own code is the
 * guest's, pending since MOV SS (CVE-2018-8897), or of no consequence: we set no breakpoints. NMI
 * stops this pCPU if another one panics.
 */
struct regs *ist_dispatch(struct regs *r);
struct regs *ist_dispatch(struct regs *r)
{
    switch (r->vector) {
    case VEC_DB:
        if (x86_from_guest(r)) {
            struct regs *main = x86_guest_regs();
            *main = *r;
            return main;
        }
        x86_write_dr6(0xffff0ff0);
        r->rflags &= ~RFLAGS_TF;
        break;
    case VEC_NMI:
        x86_panic_nmi();
        break;
    case VEC_DF:
        x86_panic_regs(r, "double fault");
    case VEC_MC:
        x86_panic_regs(r, "machine check");
    default:
        x86_panic_regs(r, "vector %lu on an IST stack", r->vector);
    }
    r->vector = VECTOR_NONE;
    return r;
}
