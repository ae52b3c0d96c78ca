/* SPDX-License-Identifier: MIT */
/*
 * The processor state of vCPUs: what is loaded when one begins to run on a pCPU, what is saved when
 * it stops, and the way out to the guest.
 *
 * While a vCPU runs, its general registers are in the frame at the top of the pCPU's stack, and its
 * FPU, segment bases and selectors are in the processor. GS base: in guest kernel mode GS.base is
 * gs_base_kernel and MSR_KERNEL_GS_BASE gs_base_user; in guest user mode the other way round. The
 * hypervisor itself never uses GS. DR7 is 0x400 but for a vCPU with a breakpoint.
 */
#include "arch/x86/guest.h"

#include <stddef.h>
#include <string.h>
#include "arch/x86/cpu.h"
#include "arch/x86/desc.h"
#include "arch/x86/paging.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/tsc.h"
#include "hv/arch.h"
#include "hv/evtchn.h"
#include "hv/log.h"
#include "mm/heap.h"
#include "mm/tlb.h"

struct vcpu *current_vcpu(void)
{
    return this_pcpu()->current;
}

struct regs *x86_guest_regs(void)
{
    return (struct regs *)this_pcpu()->stack_top - 1;
}

struct regs *x86_vcpu_regs(struct vcpu *v)
{
    return v == current_vcpu() ? x86_guest_regs() : &v->arch.regs;
}

long arch_vcpu_init(struct vcpu *v)
{
    v->arch.kernel_mode = true;
    v->arch.kernel_ss = SEL_GUEST_SS;
    v->arch.debugreg[6] = 0xffff0ff0;
    v->arch.debugreg[7] = 0x400;
    return x86_fpu_alloc(v);
}

void arch_vcpu_free(struct vcpu *v)
{
    x86_gdt_release(v);
    x86_ldt_release(v);
    heap_free(v->arch.fpu);
    v->arch.fpu = NULL;
}

/* ---- switching ---- */

static __attribute__((noinline)) void load_debug(const struct arch_vcpu *a)
{
    x86_write_dr0(a->debugreg[0]);
    x86_write_dr1(a->debugreg[1]);
    x86_write_dr2(a->debugreg[2]);
    x86_write_dr3(a->debugreg[3]);
    x86_write_dr7(a->debugreg[7]);
}

/* Any breakpoint in force? If not, whatever DR0 to DR3 hold from others is without effect, and
 * guests never see it. */
static bool breaks(const struct arch_vcpu *a)
{
    return a->debugreg[7] & 0xff;
}

/* To a registered area at a guest virtual address of the kernel's tables, whatever mode the vCPU is
 * in; an address that is not mapped, or not for writing, is left alone. */
static bool write_area(struct vcpu *v, uint64_t va, const void *src, size_t bytes)
{
    struct paging_vcpu kernel = v->paging;

    kernel.user_mode = false;
    return paging_write_va(v->domain->paging, &kernel, va, src, bytes) == 0;
}

/* Guests that asked for it (VMASST_TYPE_runstate_update_flag) see the top bit of state_entry_time
 * set while the rest changes. */
static void write_runstate(struct vcpu_runstate_info *area, const struct vcpu_runstate_info *info,
                           bool flag)
{
    uint64_t entry = info->state_entry_time;

    __atomic_store_n(&area->state_entry_time, flag ? entry | XEN_RUNSTATE_UPDATE : entry,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&area->state, info->state, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        __atomic_store_n(&area->time[i], info->time[i], __ATOMIC_RELAXED);
    __atomic_store_n(&area->state_entry_time, entry, __ATOMIC_RELEASE);
}

/*
 * The run-state area is at a guest virtual address of the kernel's tables; it is written only while
 * its entry is reachable: whenever the vCPU begins to run, for itself, and when it stops, for its
 * other vCPUs (Linux's spinlocks ask who was preempted). One that goes over a page's end is written
 * in pieces.
 */
static __attribute__((noinline)) void publish_runstate(struct vcpu *v)
{
    struct paging *p = v->domain->paging;
    bool flag = v->domain->vm_assist & 1u << VMASST_TYPE_runstate_update_flag;
    struct vcpu_runstate_info info, *area;
    uint64_t entry_va;

    sched_runstate(v, &info);
    area = paging_window_va(p, &v->paging, v->runstate_va, sizeof info);
    if (area) {
        write_runstate(area, &info, flag);
        paging_window_end(p, area);
        return;
    }
    entry_va = v->runstate_va + offsetof(struct vcpu_runstate_info, state_entry_time);
    if (flag) {
        info.state_entry_time |= XEN_RUNSTATE_UPDATE;
        write_area(v, entry_va, &info.state_entry_time, sizeof info.state_entry_time);
    }
    write_area(v, v->runstate_va, &info, sizeof info);
    if (flag) {
        info.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
        write_area(v, entry_va, &info.state_entry_time, sizeof info.state_entry_time);
    }
}

/* Its tables are loaded here no more. */
static inline void left_tables(const struct pcpu *p, const struct domain *d)
{
    __atomic_and_fetch(paging_pcpus_of(d->paging), ~(1UL << p->id), __ATOMIC_RELEASE);
}

void arch_vcpu_save(struct vcpu *prev)
{
    prev->arch.regs = *x86_guest_regs();
    x86_segments_save(&prev->arch);
    x86_fpu_save(prev);
    if (prev->runstate_va)
        publish_runstate(prev);
    if (breaks(&prev->arch))
        x86_write_dr7(0x400);
}

void arch_vcpu_leave(struct vcpu *prev)
{
    struct pcpu *p = this_pcpu();

    p->current = NULL;
    x86_load_idle_root();
    left_tables(p, prev->domain);
}

/* Ticks. The scale never changes, so a guest's clock is right however old its copy is. It is
 * renewed for guests that multiply in 64 bits: 2^32 ticks would be too many. */
#define TIME_KEEPS (1UL << 30)

void arch_vcpu_load(struct vcpu *next, struct vcpu *from)
{
    struct pcpu *p = this_pcpu();
    struct domain *d = next->domain, *left = from ? from->domain : NULL;

    p->current = next;
    p->access_retries = ACCESS_RETRIES;
    *x86_guest_regs() = next->arch.regs;
    if (!left || left != d)
        __atomic_or_fetch(paging_pcpus_of(d->paging), 1UL << p->id, __ATOMIC_SEQ_CST);
    if (cpu.pcid)
        pcid_forget(&p->pcid); /* what the domain flushes while it is not here, is not told here */
    x86_load_root(next);
    if (left && left != d)
        left_tables(p, left);
    if (next->arch.gdt_pages || p->gdt_pages)
        x86_gdt_load_guest(next->arch.gdt, next->arch.gdt_pages);
    if (next->arch.ldt_entries || p->ldt_loaded)
        x86_ldt_load(next);
    if (!x86_segments_load(&next->arch))
        next->arch.failsafe_due = true;
    x86_fpu_load(next);
    if (breaks(&next->arch))
        load_debug(&next->arch);
    if (next->time_va || x86_rdtsc() - next->arch.time_written > TIME_KEEPS)
        arch_vcpu_update_time(next);
    if (next->runstate_va)
        publish_runstate(next);
}

/* `stamp`: translations of this root that were flushed later than that may be kept. */
static __attribute__((noinline)) void load_cr3_pcid(maddr_t root, uint64_t stamp)
{
    struct pcpu *p = this_pcpu();

    p->root = root;
    x86_write_cr3(pcid_load(&p->pcid, root, stamp, tlb_flush_begin()));
}

static inline void load_cr3(maddr_t root)
{
    struct pcpu *p = this_pcpu();
    uint64_t began =
        tlb_flush_begin(); /* before: what is unmapped from now on may be cached again */

    p->root = root;
    x86_write_cr3(root);
    __atomic_store_n(p->tlb_noted, began, __ATOMIC_RELEASE); /* tlb_flush_end() */
}

void arch_root_switch(struct vcpu *v, maddr_t root)
{
    if (cpu.pcid) /* a new base pointer shows what was changed before, as it does without PCIDs */
        load_cr3_pcid(root, shadow_removal_stamp(v->domain->paging));
    else
        load_cr3(root);
}

bool arch_root_load(struct vcpu *v)
{
    struct paging *p = v->domain->paging;
    mfn_t root = shadow_root(p, &v->paging);

    if (!mfn_valid(root)) {
        x86_load_idle_root();
        return false;
    }
    arch_root_switch(v, mfn_to_maddr(root));
    return true;
}

static __attribute__((noinline)) void find_root(struct vcpu *v)
{
    bool found;

    paging_lock(v->domain->paging);
    found = arch_root_load(v);
    paging_unlock(v->domain->paging);
    if (!found)
        domain_crash(v->domain, "no page table to run on in %s mode",
                     v->paging.user_mode ? "user" : "kernel");
}

void x86_load_root(struct vcpu *v)
{
    maddr_t root = shadow_root_cached(&v->paging);

    if (!root)
        find_root(v);
    else if (cpu.pcid)
        load_cr3_pcid(root, 0);
    else
        load_cr3(root);
}

void arch_user_root_set(struct vcpu *v)
{
    pcid_forget_older(&this_pcpu()->pcid, v->paging.root[1],
                      shadow_removal_stamp(v->domain->paging));
}

/* The LDT's address may be mapped to something else in the new tables. */
void arch_root_changed(struct vcpu *v)
{
    if (v->arch.ldt_loaded)
        x86_ldt_root_changed(v);
}

void x86_toggle_mode(struct vcpu *v)
{
    v->arch.kernel_mode = !v->arch.kernel_mode;
    v->paging.user_mode = !v->arch.kernel_mode;
    x86_swapgs();
    x86_load_root(v);
}

/* ---- the way out ---- */

/* On the stack's end, below the guest's frame: a pCPU begins, and begins again, here. */
static void run_guests(void)
{
    this_pcpu()->resched = true;
    x86_guest_exit();
    x86_resume(x86_guest_regs());
}

void pcpu_start(void)
{
    /* Everything on the stack is done with; keep clear of the place of the guest's frame. */
    asm volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call *%1"
                 :
                 : "r"(x86_guest_regs()), "r"(run_guests)
                 : "memory");
    __builtin_unreachable();
}

void x86_guest_exit(void)
{
    struct pcpu *p = this_pcpu();
    struct vcpu *v;

    for (;;) {
        while (p->resched) {
            p->resched = false;
            if (!sched_run()) {
                arch_idle_wait();
                p->resched = true;
            }
        }
        v = p->current;
        if (v->arch.failsafe_due)
            x86_inject_failsafe(v);
        else if (evtchn_upcall_due(v) && v->arch.event.address)
            x86_inject_event(v);
        else
            return;
    }
}

/* The second copy, for a guest's user mode: read by all vCPUs at any time, so its version is odd
 * before the rest changes and even after that. */
static void publish_time(struct vcpu *v, struct vcpu_time_info t)
{
    if (!v->time_va || v != current_vcpu())
        return;
    t.version--;
    if (!write_area(v, v->time_va, &t.version, sizeof t.version) ||
        !write_area(v, v->time_va, &t, sizeof t))
        return;
    t.version++;
    write_area(v, v->time_va, &t.version, sizeof t.version);
}

void arch_vcpu_update_time(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->info->time;
    uint32_t version = t->version | 1;

    /* Odd while it changes; the reader's loop pairs with these two releases (xen.h,
     * vcpu_time_info). */
    __atomic_store_n(&t->version, version, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    t->tsc_timestamp = v->arch.time_written = x86_rdtsc();
    t->system_time = tsc_to_ns(t->tsc_timestamp);
    t->tsc_to_system_mul = tsc_scale.mul;
    t->tsc_shift = tsc_scale.shift;
    t->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
    __atomic_store_n(&t->version, version + 1, __ATOMIC_RELEASE);
    publish_time(v, *t);
}

/* ---- report ---- */

void arch_vcpu_dump(struct vcpu *v)
{
    const struct regs *r = x86_vcpu_regs(v);
    /* A guest's death is news for the log, not for the terminal; domain 0's concerns everybody. */
    enum log_level level = v->domain == dom0 ? LOG_ERROR : LOG_INFO;
    uint64_t stack[8];

    if (r->vector == VECTOR_HYPERCALL) {
        v->arch.dump_due = true; /* hypercall_finish() has all of them */
        return;
    }
    log_printf(level, "d%dv%u %s mode, rip %04lx:%016lx rflags %08lx\n", v->domain->id, v->id,
               v->arch.kernel_mode ? "kernel" : "user", r->cs, r->rip, r->rflags);
    log_printf(level, "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", r->rax, r->rbx, r->rcx,
               r->rdx);
    log_printf(level, "  rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", r->rsi, r->rdi, r->rbp,
               r->rsp);
    log_printf(level, "  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", r->r8, r->r9, r->r10,
               r->r11);
    log_printf(level, "  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", r->r12, r->r13, r->r14,
               r->r15);
    log_printf(level, "  kernel root gfn %lx, user root gfn %lx, kernel stack %lx, cr2 %lx\n",
               v->paging.kernel_root.n, v->paging.user_root.n, v->arch.kernel_sp,
               v->info->arch.cr2);
    if (!paging_read_va(v->domain->paging, &v->paging, r->rsp, stack, sizeof stack))
        log_printf(level, "  stack: %lx %lx %lx %lx %lx %lx %lx %lx\n", stack[0], stack[1],
                   stack[2], stack[3], stack[4], stack[5], stack[6], stack[7]);
}
