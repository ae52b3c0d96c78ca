/* SPDX-License-Identifier: MIT */
/*
 * The hypercall fuzzer. Most calls are made up so that they have a chance (fuzz_make.c), the others
 * have wild arguments; on several vCPUs the latter change under the hypervisor's eyes. In the end
 * it says how many of each call were accepted: a fuzzer that is only refused tests nothing.
 *
 * On one vCPU a seed asks the same questions each run.
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/start.h>
#include <rt/trap.h>

#include "hostile.h"

#define FUZZ_CALLS 20000
#define NUMBERS    64

static unsigned calls[NUMBERS], accepted[NUMBERS];
static unsigned only, trace; /* this call alone; one line a call */

static const char *const names[NUMBERS] = {
    [__HYPERVISOR_set_trap_table] = "set_trap_table",
    [__HYPERVISOR_mmu_update] = "mmu_update",
    [__HYPERVISOR_set_gdt] = "set_gdt",
    [__HYPERVISOR_stack_switch] = "stack_switch",
    [__HYPERVISOR_fpu_taskswitch] = "fpu_taskswitch",
    [__HYPERVISOR_platform_op] = "platform_op",
    [__HYPERVISOR_set_debugreg] = "set_debugreg",
    [__HYPERVISOR_get_debugreg] = "get_debugreg",
    [__HYPERVISOR_update_descriptor] = "update_descriptor",
    [__HYPERVISOR_memory_op] = "memory_op",
    [__HYPERVISOR_multicall] = "multicall",
    [__HYPERVISOR_update_va_mapping] = "update_va_mapping",
    [__HYPERVISOR_set_timer_op] = "set_timer_op",
    [__HYPERVISOR_xen_version] = "xen_version",
    [__HYPERVISOR_console_io] = "console_io",
    [__HYPERVISOR_grant_table_op] = "grant_table_op",
    [__HYPERVISOR_vm_assist] = "vm_assist",
    [__HYPERVISOR_update_va_mapping_otherdomain] = "update_va_mapping_otherdomain",
    [__HYPERVISOR_vcpu_op] = "vcpu_op",
    [__HYPERVISOR_set_segment_base] = "set_segment_base",
    [__HYPERVISOR_mmuext_op] = "mmuext_op",
    [__HYPERVISOR_sched_op] = "sched_op",
    [__HYPERVISOR_event_channel_op] = "event_channel_op",
    [__HYPERVISOR_physdev_op] = "physdev_op",
    [__HYPERVISOR_sysctl] = "sysctl",
    [__HYPERVISOR_domctl] = "domctl",
};

/* ---- wild ones ---- */

/* Arguments point into the first two; results that follow them land in the others. */
static char page[4][4096] __attribute__((aligned(4096)));

/* Not asked: what ends or stops this guest by right, and what moves its stack, tables or console
 * away under it. */
static bool leave_out(unsigned nr, uint64_t a1)
{
    switch (nr) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_set_trap_table:
    case __HYPERVISOR_set_callbacks:
    case __HYPERVISOR_callback_op:
    case __HYPERVISOR_sched_op_compat:
    case __HYPERVISOR_update_va_mapping:
    case __HYPERVISOR_set_segment_base:
        return true;
    case __HYPERVISOR_vcpu_op:
        return a1 == VCPUOP_down || a1 == VCPUOP_register_vcpu_info || a1 == VCPUOP_initialise;
    case __HYPERVISOR_event_channel_op:
        return a1 == EVTCHNOP_reset || a1 == EVTCHNOP_close;
    case __HYPERVISOR_sched_op:
        return a1 == SCHEDOP_block || a1 == SCHEDOP_poll || a1 == SCHEDOP_shutdown;
    default:
        return false;
    }
}

static uint64_t wild_arg(struct racer *r)
{
    switch (race_pick(r, 8)) {
    case 0:
        return race_pick(r, 64);
    case 1:
        return (uint64_t)page[0] + race_pick(r, 64) * 8;
    case 2:
        return (uint64_t)page[1] - race_pick(r, 64);
    case 3:
        return 0xffff800000000000UL + race_random(r) % 0x100000000;
    case 4:
        return race_random(r);
    case 5:
        return ~0UL - race_pick(r, 4096);
    case 6:
        return DOMID_SELF;
    default:
        return 0;
    }
}

/* Sizes and lists that would be the end of this guest, or take for ever. */
static void tame(struct fuzz_call *c)
{
    if (c->nr == __HYPERVISOR_multicall || c->nr == __HYPERVISOR_mmuext_op ||
        c->nr == __HYPERVISOR_mmu_update)
        c->a[1] %= 4;
    if (c->nr == __HYPERVISOR_multicall || c->nr == __HYPERVISOR_mmuext_op)
        memset(page, 0x3f, sizeof page); /* no such operation */
    if (c->nr == __HYPERVISOR_grant_table_op)
        c->a[2] %= 64; /* it writes a status into each element */
    if (c->nr == __HYPERVISOR_console_io)
        c->a[1] %= 16;
}

static bool make_wild(struct racer *r, struct fuzz_call *c)
{
    c->nr = race_pick(r, NUMBERS);
    for (unsigned i = 0; i < 4; i++)
        c->a[i] = wild_arg(r);
    if (leave_out(c->nr, c->a[0]))
        return false;
    for (unsigned i = 0; i < 128; i++) {
        unsigned at = race_pick(r, sizeof page / 8);

        ((uint64_t *)page)[at] = race_pick(r, 2) ? 0 : wild_arg(r);
    }
    tame(c);
    return true;
}

/* ---- a step ---- */

static void fuzz_step(struct racer *r)
{
    struct fuzz_call c = {0};
    bool made = race_pick(r, 4);
    long rc;

    fuzz_forget(r);
    fuzz_use(r);
    if (made)
        fuzz_make(r, &c);
    else if (!make_wild(r, &c))
        return;
    if (only && c.nr != only)
        return;
    if (trace)
        printf("hostile: vCPU %u, %u: %u(%lx, %lx, %lx, %lx)\n", r->id, r->done, c.nr, c.a[0],
               c.a[1], c.a[2], c.a[3]);
    rc = hypercall_raw(c.nr, c.a[0], c.a[1], c.a[2], c.a[3]);
    race_note(r, rc);
    if (made) {
        bool good = fuzz_result(r, &c, rc);

        __atomic_add_fetch(&calls[c.nr], 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&accepted[c.nr], good, __ATOMIC_RELAXED);
    }
}

/* Descriptors go away under the selectors that are loaded: nothing more to do about it. */
static bool go_on(struct trap_regs *regs)
{
    (void)regs;
    return true;
}

static void fuzz(void)
{
    trap_set_handler(TRAP_FAILSAFE, go_on);
    only = (unsigned)start_option_u64("only", 0);
    trace = (unsigned)start_option_u64("trace", 0);
    if (!fuzz_set_up()) {
        expect("pages, tables and grants", 0, 1);
        return;
    }
    race_run(fuzz_step, FUZZ_CALLS);
    for (unsigned nr = 0; nr < NUMBERS; nr++) {
        if (calls[nr])
            printf("hostile: %s: %u made, %u accepted\n", names[nr] ? names[nr] : "?", calls[nr],
                   accepted[nr]);
    }
}

const struct question fuzz_questions[] = {
    {"fuzz", "hypercalls made up and wild, from all its vCPUs", fuzz},
    {NULL, NULL, NULL},
};
