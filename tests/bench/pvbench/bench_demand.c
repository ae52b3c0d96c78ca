/* SPDX-License-Identifier: MIT */
/*
 * demand.*: user code touches 1,024 pages that the guest kernel maps when they fault.
 */
#include "bench.h"

#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"
#include "trap.h"
#include "user.h"

#define RUNS  9
#define PAGES 1024

/* Maps all of the data part, or nothing of it. */
static void set_all(bool mapped)
{
    for (unsigned first = 0; first < PAGES; first += MMU_TABLE_ENTRIES) {
        long rc;

        for (unsigned i = 0; i < MMU_TABLE_ENTRIES; i++) {
            mmu_batch[i].ptr = space_data_entry(&space_main, first + i);
            mmu_batch[i].val = mapped ? pages_entry(pages_data[first + i], PTE_USER_RW) : 0;
        }
        rc = mmu_update_batch(MMU_TABLE_ENTRIES);
        if (rc) {
            text_panic("demand set", rc);
        }
    }
    if (!mapped) {
        mmu_extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    }
}

static uint64_t touch(void)
{
    user_run(u_touch, SPACE_SAMPLES, SPACE_DATA, PAGES);
    return space_samples[0];
}

static void by_fault(const char *name, enum trap_demand how)
{
    for (int i = 0; i < RUNS; i++) {
        trap_demand_faults = 0;
        trap_demand = how;
        figure_samples[i] = touch();
        trap_demand = DEMAND_OFF;
        if (trap_demand_faults != PAGES) {
            text_info("demand faults", trap_demand_faults);
        }
        set_all(false);
    }
    figure_report(name, RUNS, PAGES);
}

void bench_demand(void)
{
    by_fault("demand.user_1024_va_mapping.per_page", DEMAND_VA_MAPPING);
    by_fault("demand.user_1024_mmu_update.per_page", DEMAND_MMU_UPDATE);
    set_all(true);
    for (int i = 0; i < RUNS; i++) {
        figure_samples[i] = touch();
    }
    figure_report("demand.user_1024_mapped_floor.per_page", RUNS, PAGES);
    set_all(false);
}
