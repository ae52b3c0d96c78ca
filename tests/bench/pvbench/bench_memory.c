/* SPDX-License-Identifier: MIT */
/*
 * memory.*: a page goes back to the hypervisor, and another comes for it, as a balloon driver does
 * it.
 */
#include "bench.h"

#include <stdint.h>
#include <xen/memory.h>

#include "figure.h"
#include "mmu.h"
#include "pages.h"

#define RUNS 200

static uint64_t decrease[RUNS], populate[RUNS], cycle[RUNS];

/* Exactly one page is to be done: 0, or an error. */
static long one_page(unsigned cmd, struct xen_memory_reservation *r, uint64_t *ticks)
{
    uint64_t start = cpu_tsc();
    long rc = hyper2(__HYPERVISOR_memory_op, cmd, HYPER_ARG(r));

    *ticks = cpu_tsc() - start;
    return rc == 1 ? 0 : rc ? rc : -1;
}

/* Gives the frame under `page` away and puts a new one there; reports what was refused. */
static bool exchange(void *page, int run)
{
    uint64_t pfn = pages_pfn(page), start = cpu_tsc();
    xen_pfn_t frame = pages_frames[pfn];
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    long rc;

    set_xen_guest_handle(r.extent_start, &frame);
    rc = mmu_map(HYPER_ARG(page), 0, UVMF_INVLPG);
    if (rc) {
        figure_refused("memory.unmap", rc);
        return false;
    }
    rc = one_page(XENMEM_decrease_reservation, &r, &decrease[run]);
    if (rc) {
        figure_refused("memory.decrease", rc);
        mmu_map(HYPER_ARG(page), pages_entry(page, PTE_KERNEL_RW), UVMF_INVLPG);
        return false;
    }
    frame = pfn; /* in: the pfn, out: the new frame */
    rc = one_page(XENMEM_populate_physmap, &r, &populate[run]);
    if (rc) {
        figure_refused("memory.populate", rc);
        return false;
    }
    pages_frames[pfn] = frame;
    rc = mmu_map(HYPER_ARG(page), pages_entry(page, PTE_KERNEL_RW), UVMF_INVLPG);
    if (rc) {
        figure_refused("memory.remap", rc);
        return false;
    }
    cycle[run] = cpu_tsc() - start;
    return true;
}

void bench_memory(void)
{
    void *page = pages_take_zeroed();

    for (int run = 0; run < RUNS; run++) {
        if (!exchange(page, run)) {
            return; /* and the page with it */
        }
    }
    figure_report_from("memory.decrease1", decrease, RUNS, 1, figure_overhead);
    figure_report_from("memory.populate1", populate, RUNS, 1, figure_overhead);
    figure_report_from("memory.balloon_out_in_cycle", cycle, RUNS, 1, figure_overhead);
    *(volatile uint64_t *)page = 1; /* it is there */
    pages_give(page);
}
