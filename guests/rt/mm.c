/* SPDX-License-Identifier: MIT */
/*
 * Memory at start of day. The builder has mapped the image, its own pages (frame list, start_info,
 * page tables, stack) and at least 512 KiB behind them, at MM_VIRT_BASE + pfn * 4096; all behind
 * the last of its pages is free. Here the rest of the domain's pages are mapped the same way, with
 * page tables taken from the free ones that are mapped already, and then everything free is given
 * to the page allocator.
 */
#include "mm.h"

#include <string.h>

#include "hypercall.h"
#include "mm_internal.h"
#include "pt.h"
#include "start.h"

#define L1_ENTRIES 512UL

extern char _text[], _data[], _end[];

xen_pfn_t *mm_frames;
unsigned long mm_limit;

static unsigned long boot_next, boot_mapped; /* pfns: free from next, mapped below mapped */

static unsigned long max_ul(unsigned long a, unsigned long b)
{
    return a > b ? a : b;
}

/* The first pfn behind everything that the builder put into memory. */
static unsigned long first_free_pfn(unsigned long boot_sp)
{
    const struct start_info *si = start_info;
    unsigned long end = (unsigned long)_end;

    end = max_ul(end, (unsigned long)si + PAGE_SIZE);
    end = max_ul(end, si->pt_base + si->nr_pt_frames * PAGE_SIZE);
    end = max_ul(end, si->mfn_list + si->nr_pages * sizeof(xen_pfn_t));
    end = max_ul(end, boot_sp);
    if (si->mod_len && !(si->flags & SIF_MOD_START_PFN)) {
        end = max_ul(end, si->mod_start + si->mod_len);
    }
    if (!start_is_dom0()) {
        if (si->store_mfn) {
            end = max_ul(end, (unsigned long)mfn_to_virt(si->store_mfn) + PAGE_SIZE);
        }
        if (si->console.domU.mfn) {
            end = max_ul(end, (unsigned long)mfn_to_virt(si->console.domU.mfn) + PAGE_SIZE);
        }
    }
    return (end + PAGE_SIZE - 1 - MM_VIRT_BASE) >> PAGE_SHIFT;
}

/* A page before the allocator works. */
static void *boot_page(void)
{
    if (boot_next >= boot_mapped) {
        panic("too little memory is mapped at boot (%lu pages)", boot_mapped);
    }
    return memset(pfn_to_virt(boot_next++), 0, PAGE_SIZE);
}

static uint64_t direct_pte(unsigned long pfn)
{
    return virt_to_mfn(pfn_to_virt(pfn)) << PAGE_SHIFT | PTE_KERNEL | PTE_NX;
}

/* Links a new table into *entry. Its content is written while it is still plain memory. */
static void boot_link(uint64_t *entry, uint64_t *table)
{
    if (pt_make_table(table) || pt_write(entry, virt_to_mfn(table) << PAGE_SHIFT | PTE_TABLE)) {
        panic("the hypervisor refused a boot page table");
    }
}

/* The L2 entry of a direct-map address, whose L3 and L2 tables are made if need be. */
static uint64_t *boot_l2_entry(unsigned long va)
{
    uint64_t *table = pt_kernel_root();

    for (int shift = 39; shift > 21; shift -= 9) {
        uint64_t *entry = &table[(va >> shift) & 511];

        if (!(*entry & PTE_P)) {
            boot_link(entry, boot_page());
        }
        table = mfn_to_virt((*entry & PTE_ADDR) >> PAGE_SHIFT);
    }
    return &table[(va >> 21) & 511];
}

/* Maps the pfns from boot_mapped up to the end of its L1 table or `end`. */
static void map_one_table(unsigned long end)
{
    unsigned long stop = (boot_mapped & ~(L1_ENTRIES - 1)) + L1_ENTRIES;
    uint64_t *entry = boot_l2_entry((unsigned long)pfn_to_virt(boot_mapped));

    if (stop > end) {
        stop = end;
    }
    if (!(*entry & PTE_P)) {
        uint64_t *table = boot_page();

        for (unsigned long pfn = boot_mapped; pfn < stop; pfn++) {
            table[pfn % L1_ENTRIES] = direct_pte(pfn);
        }
        boot_link(entry, table);
    } else {
        for (unsigned long pfn = boot_mapped; pfn < stop; pfn++) {
            if (hypercall_update_va_mapping((unsigned long)pfn_to_virt(pfn), direct_pte(pfn), 0)) {
                panic("pfn %#lx cannot be mapped", pfn);
            }
        }
    }
    boot_mapped = stop;
}

/* Text and constants become read-only, data not executable. */
static void protect_image(void)
{
    unsigned long data = (unsigned long)_data, end = (unsigned long)_end;

    for (unsigned long page = (unsigned long)_text; page < end; page += PAGE_SIZE) {
        const uint64_t *entry = pt_walk(pt_kernel_root(), page, false);
        uint64_t flags = page < data ? PTE_P | PTE_A : PTE_KERNEL | PTE_NX;

        if (hypercall_update_va_mapping(page, (*entry & PTE_ADDR) | flags, UVMF_INVLPG)) {
            panic("image page %#lx cannot be protected", page);
        }
    }
}

void mm_init(unsigned long boot_sp)
{
    unsigned long end = start_info->nr_pages;
    unsigned long limit = (MM_DIRECT_END - MM_VIRT_BASE) >> PAGE_SHIFT;
    uint64_t *entry;
    uint8_t *orders;

    if (end > limit) {
        end = limit;
    }
    mm_frames = (xen_pfn_t *)start_info->mfn_list;
    mm_limit = end;
    pt_init();
    boot_next = first_free_pfn(boot_sp);
    boot_mapped = boot_next;
    while (boot_mapped < end &&
           (entry = pt_walk(pt_kernel_root(), (unsigned long)pfn_to_virt(boot_mapped), false)) &&
           (*entry & PTE_P)) {
        boot_mapped++;
    }
    while (boot_mapped < end) {
        map_one_table(end);
    }
    orders = pfn_to_virt(boot_next);
    boot_next += (end + PAGE_SIZE - 1) >> PAGE_SHIFT;
    if (boot_next >= end) {
        panic("%lu pages are too little memory", end);
    }
    protect_image();
    page_init(orders, boot_next, end);
}

/* --- later: memory comes and goes ---------------------------------------------------------- */

void mm_map_pfns(const unsigned long *pfns, unsigned n)
{
    struct mmu_update updates[MM_BATCH];
    unsigned done = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned long va = (unsigned long)pfn_to_virt(pfns[i]);

        updates[i].ptr =
            pt_entry_maddr(pt_walk(pt_kernel_root(), va, false)) | MMU_NORMAL_PT_UPDATE;
        updates[i].val = mm_frames[pfns[i]] == FRAME_NONE ? 0 : direct_pte(pfns[i]);
    }
    if (hypercall_mmu_update(updates, n, &done, DOMID_SELF)) {
        panic("pfn %#lx cannot be mapped or unmapped", pfns[done]);
    }
    pt_flush_all();
}

static unsigned long pages_for(unsigned long bytes)
{
    return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* n pages in one piece; what the power of two has too much goes back. */
static void *alloc_pages(unsigned long n)
{
    unsigned order = 0;
    char *pages;

    while (1UL << order < n) {
        order++;
    }
    pages = order <= MM_ORDER_MAX ? page_alloc(order) : NULL;
    for (unsigned long i = n; pages && i < 1UL << order; i++) {
        page_free(pages + i * PAGE_SIZE, 0);
    }
    return pages;
}

/* The lists that were there before stay: another vCPU may be reading them, and this is rare. */
int mm_extend(unsigned long limit)
{
    unsigned long frame_pages = pages_for(limit * sizeof(*mm_frames));
    xen_pfn_t *frames;

    if (limit > (MM_DIRECT_END - MM_VIRT_BASE) >> PAGE_SHIFT) {
        return -XEN_EINVAL;
    }
    if (limit <= mm_limit) {
        return 0;
    }
    frames = alloc_pages(frame_pages + pages_for(limit));
    if (!frames) {
        return -XEN_ENOMEM;
    }
    memcpy(frames, mm_frames, mm_limit * sizeof(*frames));
    for (unsigned long pfn = mm_limit; pfn < limit; pfn++) {
        frames[pfn] = FRAME_NONE;
    }
    page_extend((uint8_t *)frames + frame_pages * PAGE_SIZE, limit);
    __atomic_store_n(&mm_frames, frames, __ATOMIC_RELEASE); /* whole before others see it */
    mm_limit = limit;
    return 0;
}
