/* SPDX-License-Identifier: MIT */
/*
 * Where things lie in domain 0's memory at its start, and its first page tables, as <xen/xen.h>
 * describes them ("Start-of-day memory layout"). Pure: numbers and a way to reach the domain's
 * pages. For hv/dom0.c.
 *
 *   mapped at virt_base   kernel, [initrd], [phys2mach], start_info, page tables, boot stack, room
 *   behind it             [initrd, if the kernel takes it by pfn, unmapped],
 *                         [phys2mach, if the kernel wants it at INIT_P2M]
 */
#ifndef HV_DOM0_LAYOUT_H
#define HV_DOM0_LAYOUT_H

#include "hv/elf.h"

struct dom0_area {
    uint64_t pfn, pages;
};

struct dom0_layout {
    uint64_t virt_base, nr_pages;
    struct dom0_area initrd, p2m, start_info, tables, stack;
    uint64_t mapped_pages;
    bool initrd_by_pfn; /* not mapped: SIF_MOD_START_PFN */
    bool p2m_apart;     /* mapped at p2m_va, outside the range at virt_base */
    uint64_t p2m_va;
};

/* Plans the layout in nr_pages pages of memory. 0, or -XEN_EINVAL / -XEN_ENOMEM with *why set for
 * the user. */
long dom0_layout_plan(struct dom0_layout *l, const struct elf_image *image, uint64_t nr_pages,
                      uint64_t initrd_bytes, const char **why);

/* The virtual address of a page that is mapped at virt_base. */
static inline uint64_t dom0_layout_va(const struct dom0_layout *l, uint64_t pfn)
{
    return l->virt_base + (pfn << 12);
}

/* Entries of the domain's table pages, by pfn; pages start as zeros. */
struct dom0_memory {
    uint64_t (*read)(void *context, uint64_t pfn, unsigned index);
    void (*write)(void *context, uint64_t pfn, unsigned index, uint64_t entry);
    void *context;
    uint64_t first_frame; /* frame number of pfn 0, as the guest writes it; the others follow */
};

/* Writes the page tables: the root is the first page of l->tables, then level by level; each of
 * them mapped read-only. */
void dom0_layout_tables(const struct dom0_layout *l, const struct dom0_memory *memory);

#endif
