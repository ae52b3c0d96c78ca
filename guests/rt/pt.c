/* SPDX-License-Identifier: MIT */
/*
 * Page tables by hypercall. A table page is found from an entry's frame by the machine-to-phys
 * table, which the hypervisor keeps for us at a fixed place; all tables lie in the direct map,
 * read-only. See pt.h.
 */
#include "pt.h"

#include <stddef.h>
#include <string.h>

#include "hypercall.h"
#include "mm.h"
#include "mm_internal.h"
#include "start.h"

#define LEVELS           4
#define INDEX(va, level) (((va) >> (PAGE_SHIFT + 9 * ((level)-1))) & 511)

static uint64_t *kernel_root;

void pt_init(void)
{
    kernel_root = (uint64_t *)start_info->pt_base;
}

uint64_t *pt_kernel_root(void)
{
    return kernel_root;
}

xen_pfn_t virt_to_mfn(const void *va)
{
    return mm_frames[virt_to_pfn(va)];
}

void *mfn_to_virt(xen_pfn_t mfn)
{
    return pfn_to_virt(machine_to_phys_mapping[mfn]);
}

static uint64_t entry_maddr(const uint64_t *entry)
{
    return virt_to_mfn(entry) << PAGE_SHIFT | ((unsigned long)entry & ~PAGE_MASK);
}

int pt_write(uint64_t *entry, uint64_t value)
{
    struct mmu_update update = {.ptr = entry_maddr(entry) | MMU_NORMAL_PT_UPDATE, .val = value};

    return (int)hypercall_mmu_update(&update, 1, NULL, DOMID_SELF);
}

uint64_t pt_entry_maddr(const uint64_t *entry)
{
    return entry_maddr(entry);
}

int pt_make_table(void *page)
{
    uint64_t pte = virt_to_mfn(page) << PAGE_SHIFT | PTE_P | PTE_A | PTE_NX;

    return (int)hypercall_update_va_mapping((unsigned long)page, pte, UVMF_INVLPG | UVMF_ALL);
}

int pt_make_memory(void *page)
{
    uint64_t pte = virt_to_mfn(page) << PAGE_SHIFT | PTE_KERNEL | PTE_NX;

    return (int)hypercall_update_va_mapping((unsigned long)page, pte, UVMF_INVLPG | UVMF_ALL);
}

/* An empty table, linked into `entry`; NULL if out of memory. */
static uint64_t *table_add(uint64_t *entry)
{
    uint64_t *table = page_alloc(0);

    if (!table) {
        return NULL;
    }
    if (pt_make_table(table) || pt_write(entry, virt_to_mfn(table) << PAGE_SHIFT | PTE_TABLE)) {
        panic("the hypervisor refused a page table");
    }
    return table;
}

uint64_t *pt_walk(uint64_t *root, unsigned long va, bool make)
{
    uint64_t *table = root;

    for (int level = LEVELS; level > 1; level--) {
        uint64_t *entry = &table[INDEX(va, level)];

        if (*entry & PTE_P) {
            table = mfn_to_virt((*entry & PTE_ADDR) >> PAGE_SHIFT);
        } else {
            table = make ? table_add(entry) : NULL;
        }
        if (!table) {
            return NULL;
        }
    }
    return &table[INDEX(va, 1)];
}

void pt_flush_all(void)
{
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_ALL};

    hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}
