/* SPDX-License-Identifier: MIT */
/*
 * Page table entries and the calls that change them; multicalls. For every file of the benchmark
 * guest, vCPU 0 only. The calls are inline: what stands between two readings of the clock is the
 * hypercall and its arguments.
 *
 * All results are 0 or a negative Xen errno value.
 */
#ifndef BENCH_MMU_H
#define BENCH_MMU_H

#include <stdint.h>
#include <xen/xen.h>

#include "hyper.h"

#define PTE_PRESENT   0x001UL
#define PTE_WRITE     0x002UL
#define PTE_USER      0x004UL
#define PTE_ACCESSED  0x020UL
#define PTE_DIRTY     0x040UL
#define PTE_KERNEL_RO (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY)
#define PTE_KERNEL_RW (PTE_KERNEL_RO | PTE_WRITE)
#define PTE_USER_RX   (PTE_KERNEL_RO | PTE_USER)
#define PTE_USER_RW   (PTE_KERNEL_RW | PTE_USER)
#define PTE_TABLE     PTE_USER_RW

#define MMU_TABLE_ENTRIES 512
#define MULTI_MAX         128

extern struct mmu_update mmu_batch[MMU_TABLE_ENTRIES];
extern struct multicall_entry multi_calls[MULTI_MAX];

/* The L1 entry of an address in the current space; flags: UVMF_*. */
static inline long mmu_map(uint64_t va, uint64_t entry, uint64_t flags)
{
    return hyper3(__HYPERVISOR_update_va_mapping, va, entry, flags);
}

/* One entry, at machine address `at`. */
static inline long mmu_update_one(uint64_t at, uint64_t entry)
{
    struct mmu_update update = {at | MMU_NORMAL_PT_UPDATE, entry};

    return hyper4(__HYPERVISOR_mmu_update, HYPER_ARG(&update), 1, 0, DOMID_SELF);
}

/* The first n of mmu_batch. */
static inline long mmu_update_batch(uint64_t n)
{
    return hyper4(__HYPERVISOR_mmu_update, HYPER_ARG(mmu_batch), n, 0, DOMID_SELF);
}

/* One MMUEXT_* operation. */
static inline long mmu_extended(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = cmd};

    op.arg1.linear_addr = arg1;
    op.arg2.nr_ents = (unsigned)arg2;
    return hyper4(__HYPERVISOR_mmuext_op, HYPER_ARG(&op), 1, 0, DOMID_SELF);
}

static inline void multi_set(int i, uint64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    multi_calls[i].op = op;
    multi_calls[i].args[0] = a;
    multi_calls[i].args[1] = b;
    multi_calls[i].args[2] = c;
    multi_calls[i].args[3] = d;
}

/* The first n of multi_calls; their own results are not looked at. */
static inline long multi_run(uint64_t n)
{
    return hyper2(__HYPERVISOR_multicall, HYPER_ARG(multi_calls), n);
}

/* The same; the first result of theirs that is an error is the result. */
static inline long multi_run_checked(int n)
{
    long rc = multi_run((uint64_t)n);

    for (int i = 0; !rc && i < n; i++) {
        long result = (long)multi_calls[i].result;

        rc = result < 0 ? result : 0;
    }
    return rc;
}

#endif
