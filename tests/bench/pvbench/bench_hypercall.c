/* SPDX-License-Identifier: MIT */
/*
 * hypercall.*: the way in and out, and calls that hardly do more.
 */
#include "bench.h"

#include <stdint.h>
#include <xen/sched.h>
#include <xen/version.h>

#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "trap.h"

#define MULTI 32

static void multicalls(void)
{
    for (int i = 0; i < MULTI; i++) {
        multi_set(i, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0);
    }
    MEASURE("hypercall.multicall32.per_entry", 500, MULTI, multi_run(MULTI));
    MEASURE("hypercall.multicall1", 500, 1, multi_run(1));
}

static void segment_base(const char *name, uint64_t which)
{
    long rc = hyper2(__HYPERVISOR_set_segment_base, which, 0x1000);

    if (rc) {
        figure_refused(name, rc);
        return;
    }
    MEASURE(name, 1000, 1, hyper2(__HYPERVISOR_set_segment_base, which, 0x1000));
}

static void processor_state(void)
{
    uint64_t stack = trap_stack_top();
    long rc = hyper2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS64, stack);

    if (rc) {
        figure_refused("hypercall.stack_switch", rc);
    } else {
        MEASURE("hypercall.stack_switch", 1000, 1,
                hyper2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS64, stack));
    }
    segment_base("hypercall.set_segment_base_fs", SEGBASE_FS);
    segment_base("hypercall.set_segment_base_gs_user", SEGBASE_GS_USER);
    rc = hyper1(__HYPERVISOR_fpu_taskswitch, 0);
    if (rc) {
        figure_refused("hypercall.fpu_taskswitch", rc);
    } else {
        MEASURE("hypercall.fpu_taskswitch", 1000, 1, hyper1(__HYPERVISOR_fpu_taskswitch, 0));
    }
}

static void flushes(void)
{
    long rc;

    MEASURE("hypercall.tlb_flush_local", 500, 1, mmu_extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0));
    MEASURE("hypercall.invlpg_local", 500, 1,
            mmu_extended(MMUEXT_INVLPG_LOCAL, HYPER_ARG(pages_data[0]), 0));
    rc = mmu_extended(MMUEXT_TLB_FLUSH_ALL, 0, 0);
    if (rc) {
        figure_refused("hypercall.tlb_flush_all", rc);
    } else {
        MEASURE("hypercall.tlb_flush_all", 500, 1, mmu_extended(MMUEXT_TLB_FLUSH_ALL, 0, 0));
    }
}

void bench_hypercall(void)
{
    MEASURE("hypercall.null", 1000, 1, hyper2(__HYPERVISOR_xen_version, XENVER_version, 0));
    multicalls();
    processor_state();
    MEASURE("hypercall.sched_yield", 1000, 1, hyper2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0));
    flushes();
}
