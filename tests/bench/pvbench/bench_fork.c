/* SPDX-License-Identifier: MIT */
/*
 * fork.*: the life of an address space of 256 pages: filled, made read-only, pinned, entered, its
 * pages touched, left, unpinned, made writable and given back. Phase 1 is the guest's own work.
 */
#include "bench.h"

#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"

#define RUNS  17
#define PAGES 256

enum phase { FILL, READONLY, PIN, SWITCH, UNPIN, WRITABLE, TOTAL, PHASES };

static const char *const names[PHASES] = {
    "fork.1_fill",  "fork.2_readonly", "fork.3_pin",    "fork.4_switch_touch256_back",
    "fork.5_unpin", "fork.6_writable", "fork.total256",
};

static uint64_t ticks[PHASES][RUNS];
static uint64_t phase_began;

static void phase_end(enum phase phase, int run)
{
    uint64_t now = cpu_tsc();

    ticks[phase][run] = now - phase_began;
    phase_began = now;
}

static void must(const char *what, long rc)
{
    if (rc) {
        text_panic(what, rc);
    }
}

static void enter_and_touch(const struct space *s)
{
    must("fork switch", space_switch(s));
    for (unsigned i = 0; i < PAGES; i++) {
        *(volatile uint64_t *)(SPACE_DATA + i * PAGE_BYTES) = i;
    }
    must("fork back", space_switch(&space_main));
}

static void life(int run)
{
    struct space s;
    uint64_t born = cpu_tsc();

    phase_began = born;
    space_fill(&s, 2);
    for (int i = 0; i < PAGES; i++) {
        s.l1[1][i] = pages_entry(pages_data[i], PTE_USER_RW);
    }
    phase_end(FILL, run);
    must("fork readonly", space_protect(&s, PTE_KERNEL_RO));
    phase_end(READONLY, run);
    must("fork pin", space_pin(&s));
    phase_end(PIN, run);
    enter_and_touch(&s);
    phase_end(SWITCH, run);
    must("fork unpin", space_unpin(&s));
    phase_end(UNPIN, run);
    must("fork writable", space_protect(&s, PTE_KERNEL_RW));
    space_free(&s);
    phase_end(WRITABLE, run);
    ticks[TOTAL][run] = phase_began - born;
}

void bench_fork(void)
{
    for (int run = 0; run < RUNS; run++) {
        life(run);
    }
    for (enum phase phase = 0; phase < PHASES; phase++) {
        figure_report_from(names[phase], ticks[phase], RUNS, 1, figure_overhead);
    }
}
