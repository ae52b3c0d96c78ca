/* SPDX-License-Identifier: MIT */
/*
 * mmu.*: changes of page table entries, by hypercall and by plain stores to a table in use.
 */
#include "bench.h"

#include <stdint.h>
#include <xen/version.h>

#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"
#include "trap.h"

#define ROUNDS 64

static uint64_t page_a, page_b; /* entries that map a page each */
static uint64_t flip;           /* which one is next */

static uint64_t other(void)
{
    return (flip ^= 1) ? page_b : page_a;
}

static void unmap(void)
{
    long rc = mmu_map(SPACE_DATA, 0, UVMF_INVLPG);

    if (rc) {
        text_panic("unmap", rc);
    }
}

static void va_mapping(void)
{
    const uint64_t va = SPACE_DATA;
    long rc = mmu_map(va, page_a, UVMF_INVLPG);

    if (rc) {
        figure_refused("mmu.update_va_mapping", rc);
        return;
    }
    MEASURE("mmu.update_va_mapping_invlpg", 1000, 1, mmu_map(va, other(), UVMF_INVLPG));
    MEASURE("mmu.update_va_mapping_invlpg_touch", 1000, 1, mmu_map(va, other(), UVMF_INVLPG);
            *(volatile uint64_t *)va = 1);
    MEASURE("mmu.update_va_mapping_noflush", 1000, 1, mmu_map(va, other(), UVMF_NONE));
    page_b = page_a & ~PTE_WRITE;
    MEASURE("mmu.update_va_mapping_protect", 1000, 1, mmu_map(va, other(), UVMF_INVLPG));
    unmap();
}

/* One whole table: ticks, or panic. */
static uint64_t update_512(const char *what)
{
    uint64_t start = cpu_tsc(), ticks;
    long rc = mmu_update_batch(MMU_TABLE_ENTRIES);

    ticks = cpu_tsc() - start;
    if (rc) {
        text_panic(what, rc);
    }
    return ticks;
}

static void whole_tables(void)
{
    static uint64_t map[ROUNDS], protect[ROUNDS], clear[ROUNDS];

    for (unsigned i = 0; i < MMU_TABLE_ENTRIES; i++) {
        mmu_batch[i].ptr = space_data_entry(&space_main, i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MMU_TABLE_ENTRIES; i++) {
            mmu_batch[i].val = pages_entry(pages_data[i], PTE_USER_RW);
        }
        map[round] = update_512("map 512");
        for (int i = 0; i < MMU_TABLE_ENTRIES; i++) {
            mmu_batch[i].val &= ~PTE_WRITE;
        }
        protect[round] = update_512("protect 512");
        for (int i = 0; i < MMU_TABLE_ENTRIES; i++) {
            mmu_batch[i].val = 0;
        }
        clear[round] = update_512("unmap 512");
    }
    figure_report_from("mmu.mmu_update512_map.per_pte", map, ROUNDS, 512, figure_overhead);
    figure_report_from("mmu.mmu_update512_protect.per_pte", protect, ROUNDS, 512, figure_overhead);
    figure_report_from("mmu.mmu_update512_unmap.per_pte", clear, ROUNDS, 512, figure_overhead);
}

/* A store that goes on behind itself if it faults. */
static inline void store(volatile uint64_t *entry, uint64_t value)
{
    asm volatile(TRAP_GO_ON_AT(trap_pf_fixup) "movq %1, (%0); 1:" ::"r"(entry), "r"(value)
                 : "rax", "memory");
}

/* A table in use is mapped read-only here: stores fault, and the hypervisor may do them. */
static void live_stores(void)
{
    volatile uint64_t *entry = &space_main.l1[1][0];
    uint64_t faults = trap_pf_count;

    hyper2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    store(entry, page_a);
    if (trap_pf_count != faults || (*entry ^ page_a) & ~0xfffUL) {
        figure_refused("mmu.pte_store_live_l1", -14);
    } else {
        MEASURE("mmu.pte_store_live_l1", 1000, 1, store(entry, other()));
        MEASURE("mmu.pte_store_live_l1_touch", 1000, 1, store(entry, page_b);
                *(volatile uint64_t *)SPACE_DATA = 1; store(entry, 0);
                mmu_extended(MMUEXT_INVLPG_LOCAL, SPACE_DATA, 0));
        MEASURE("mmu.pte_xchg_live_l1", 500, 1,
                asm volatile("mov %1, %%rax; xchg %%rax, (%0)" ::"r"(entry), "r"(other())
                             : "rax", "memory"));
        if (trap_pf_count != faults) {
            text_info("pte_store faults delivered", (long)(trap_pf_count - faults));
        }
    }
    trap_pf_fixup = 0;
    unmap();
}

void bench_mmu(void)
{
    void *a = pages_take_zeroed(), *b = pages_take_zeroed();
    volatile uint64_t *unused_table = pages_take_zeroed();
    uint64_t at = space_data_entry(&space_main, 0);

    page_a = pages_entry(a, PTE_USER_RW);
    page_b = pages_entry(b, PTE_USER_RW);
    flip = 0;
    va_mapping();
    page_b = pages_entry(b, PTE_USER_RW);
    whole_tables();
    flip = 0;
    MEASURE("mmu.mmu_update1", 1000, 1, mmu_update_one(at, other()));
    unmap();
    /* An ordinary page until it is announced. */
    MEASURE("mmu.pte_store_unused_l1", 1000, 1, *unused_table = (flip ^= 1) ? page_b : 0);
    live_stores();
    pages_give(a);
    pages_give(b);
    pages_give((void *)unused_table);
}
