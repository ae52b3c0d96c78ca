/* SPDX-License-Identifier: MIT */
/*
 * The area of address space for pages that are not this domain's own memory, or have attributes of
 * their own. A bitmap says which of its pages are in use; its page tables are made at first use and
 * stay.
 */
#include <stdbool.h>

#include "hypercall.h"
#include "mm.h"
#include "mm_internal.h"
#include "pt.h"
#include "start.h"

#define AREA_BASE  MM_WINDOW_BASE
#define AREA_PAGES (1UL << 18) /* 1 GiB */
#define BATCH      64

static uint64_t used[AREA_PAGES / 64];

static bool page_used(unsigned long page)
{
    return used[page / 64] & (1UL << (page % 64));
}

static void page_mark(unsigned long page, bool in_use)
{
    uint64_t bit = 1UL << (page % 64);

    used[page / 64] = in_use ? used[page / 64] | bit : used[page / 64] & ~bit;
}

/* The first run of n unused pages in [from, to), or AREA_PAGES. */
static unsigned long find_run(unsigned long from, unsigned long to, unsigned n)
{
    unsigned long run = 0;

    for (unsigned long page = from; page < to; page++) {
        if (page % 64 == 0 && used[page / 64] == ~0UL) {
            page += 63; /* a full word */
            run = 0;
            continue;
        }
        run = page_used(page) ? 0 : run + 1;
        if (run == n) {
            return page + 1 - n;
        }
    }
    return AREA_PAGES;
}

unsigned long map_reserve(unsigned n)
{
    /* The lowest addresses again and again: so no more table pages than are needed at once. */
    unsigned long first = n ? find_run(0, AREA_PAGES, n) : AREA_PAGES;

    if (first == AREA_PAGES) {
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!pt_walk(pt_kernel_root(), AREA_BASE + (first + i) * PAGE_SIZE, true)) {
            return 0;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        page_mark(first + i, true);
    }
    return AREA_BASE + first * PAGE_SIZE;
}

void map_release(unsigned long va, unsigned n)
{
    unsigned long first = (va - AREA_BASE) >> PAGE_SHIFT;

    for (unsigned i = 0; i < n; i++) {
        if (first + i >= AREA_PAGES || !page_used(first + i)) {
            panic("map_release(%#lx, %u): not mapped", va, n);
        }
        page_mark(first + i, false);
    }
}

static uint64_t map_entry_maddr(unsigned long va)
{
    return pt_entry_maddr(pt_walk(pt_kernel_root(), va, false));
}

/* Writes up to BATCH entries; stops at the first error. *done: entries written. */
static int map_batch(unsigned long va, const xen_pfn_t *frames, unsigned n, domid_t dom,
                     uint64_t flags, unsigned *done)
{
    struct mmu_update updates[BATCH];

    for (unsigned i = 0; i < n; i++) {
        updates[i].ptr = map_entry_maddr(va + i * PAGE_SIZE) | MMU_NORMAL_PT_UPDATE;
        updates[i].val = frames ? frames[i] << PAGE_SHIFT | flags : 0;
    }
    *done = 0;
    return (int)hypercall_mmu_update(updates, n, done, dom);
}

void *map_frames(const xen_pfn_t *frames, unsigned n, domid_t dom, int prot, int *errs)
{
    uint64_t flags = PTE_P | PTE_A | PTE_NX;
    unsigned long va = map_reserve(n);

    if (!va) {
        return NULL;
    }
    flags |= prot & MAP_WRITE ? PTE_RW | PTE_D : 0;
    flags |= prot & MAP_UNCACHED ? PTE_PCD | PTE_PWT : 0;
    for (unsigned i = 0; i < n;) {
        unsigned done, batch = n - i < BATCH ? n - i : BATCH;
        int rc = map_batch(va + i * PAGE_SIZE, frames + i, batch, dom, flags, &done);

        for (unsigned k = 0; errs && k < done; k++) {
            errs[i + k] = 0;
        }
        i += rc ? done : batch;
        if (rc && !errs) {
            unmap_frames((void *)va, n);
            return NULL;
        }
        if (rc) {
            errs[i++] = rc;
        }
    }
    return (void *)va;
}

void unmap_frames(void *pages, unsigned n)
{
    unsigned long va = (unsigned long)pages;
    unsigned done;

    if (!pages) {
        return;
    }
    if (n == 1) {
        if (hypercall_update_va_mapping(va, 0, UVMF_INVLPG | UVMF_ALL)) {
            panic("unmap_frames(%p): refused", pages);
        }
    } else {
        for (unsigned i = 0; i < n; i += BATCH) {
            unsigned batch = n - i < BATCH ? n - i : BATCH;

            if (map_batch(va + i * PAGE_SIZE, NULL, batch, DOMID_SELF, 0, &done)) {
                panic("unmap_frames(%p, %u): refused", pages, n);
            }
        }
        pt_flush_all();
    }
    map_release(va, n);
}
