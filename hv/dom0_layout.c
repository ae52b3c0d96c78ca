/* SPDX-License-Identifier: MIT */
/*
 * Layout and first page tables of domain 0. The size of the tables depends on what is mapped, and
 * the tables are mapped too: the plan is repeated until it stands still.
 */
#include "hv/dom0_layout.h"

#include <xen/errno.h>

#define MIB            (1UL << 20)
#define PAGE_PRESENT   0x001UL
#define PAGE_WRITABLE  0x002UL
#define PAGE_USER      0x004UL
#define PAGE_ACCESSED  0x020UL
#define PAGE_DIRTY     0x040UL
#define ENTRY_TABLE    (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER | PAGE_ACCESSED | PAGE_DIRTY)
#define ENTRY_FRAME(e) (((e)&0x000ffffffffff000UL) >> 12)

/* The 16 root slots that no guest owns (HYPERVISOR_VIRT_START, HYPERVISOR_VIRT_END). */
#define HOLE_START 0xffff800000000000UL
#define HOLE_END   0xffff880000000000UL

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes >> 12) + ((bytes & 0xfff) != 0);
}

/* Is [va, va + bytes) the guest's to map: canonical, below the top of the address space, not in the
 * hole? */
static bool va_range_good(uint64_t va, uint64_t bytes)
{
    uint64_t last;

    if (!bytes || __builtin_add_overflow(va, bytes - 1, &last))
        return false;
    if (last < 0x0000800000000000UL)
        return true;
    return va >= HOLE_END || (va >= HOLE_START && last < HOLE_START);
}

/* How many tables of the level whose entries' tables span 1 << shift bytes do the two ranges need?
 */
static uint64_t tables_at(const struct dom0_layout *l, unsigned shift)
{
    uint64_t first = l->virt_base >> shift;
    uint64_t last = (l->virt_base + (l->mapped_pages << 12) - 1) >> shift;
    uint64_t count = last - first + 1;

    if (l->p2m_apart) {
        uint64_t p2m_first = l->p2m_va >> shift;
        uint64_t p2m_last = (l->p2m_va + (l->p2m.pages << 12) - 1) >> shift;

        for (uint64_t i = p2m_first; i <= p2m_last; i++)
            count += i < first || i > last;
    }
    return count;
}

static void place(struct dom0_area *area, uint64_t *next)
{
    area->pfn = *next;
    *next += area->pages;
}

/* One pass, with the number of tables that the last pass found. Everything here is below 2^52
 * bytes: sums fit. */
static void plan_pass(struct dom0_layout *l, uint64_t kernel_pages)
{
    uint64_t next = kernel_pages, end;

    if (!l->initrd_by_pfn)
        place(&l->initrd, &next);
    if (!l->p2m_apart)
        place(&l->p2m, &next);
    place(&l->start_info, &next);
    place(&l->tables, &next);
    place(&l->stack, &next);

    /* At least 512 KiB behind the stack, up to a 4 MiB boundary of the virtual address. */
    end = l->virt_base + (next << 12) + MIB / 2;
    end += -end & (4 * MIB - 1);
    l->mapped_pages = (end - l->virt_base) >> 12;

    next = l->mapped_pages;
    if (l->initrd_by_pfn)
        place(&l->initrd, &next);
    if (l->p2m_apart)
        place(&l->p2m, &next);
}

static long plan_check(const struct dom0_layout *l, const char **why)
{
    uint64_t bytes = l->mapped_pages << 12, end = l->mapped_pages;

    if (l->initrd_by_pfn)
        end += l->initrd.pages;
    if (l->p2m_apart)
        end += l->p2m.pages;
    if (end > l->nr_pages) {
        *why = "the kernel and its modules do not fit into the memory given to the domain: raise "
               "'memory'";
        return -XEN_ENOMEM;
    }
    /* The very last page of the address space may be mapped; the end address is then 0. */
    if (!va_range_good(l->virt_base, bytes)) {
        *why = "the VIRT_BASE note leaves no room for the kernel's memory";
        return -XEN_EINVAL;
    }
    if (l->p2m_apart &&
        (!va_range_good(l->p2m_va, l->p2m.pages << 12) ||
         (l->p2m_va - l->virt_base < bytes || l->virt_base - l->p2m_va < l->p2m.pages << 12))) {
        *why =
            "the INIT_P2M note points into the kernel's own mapping or into the hypervisor's hole";
        return -XEN_EINVAL;
    }
    return 0;
}

long dom0_layout_plan(struct dom0_layout *l, const struct elf_image *image, uint64_t nr_pages,
                      uint64_t initrd_bytes, const char **why)
{
    uint64_t kernel_pages = pages_of(image->paddr_end);

    *l = (struct dom0_layout){
        .virt_base = image->virt_base,
        .nr_pages = nr_pages,
        .initrd.pages = pages_of(initrd_bytes),
        .p2m.pages = pages_of(nr_pages * 8),
        .start_info.pages = 1,
        .stack.pages = 1,
        .initrd_by_pfn = image->mod_start_pfn && initrd_bytes,
        .p2m_apart = image->has_init_p2m,
        .p2m_va = image->init_p2m,
    };
    if (kernel_pages > nr_pages || l->initrd.pages > nr_pages || nr_pages > 1UL << 36) {
        *why = "the kernel and its modules do not fit into the memory given to the domain: raise "
               "'memory'";
        return -XEN_ENOMEM;
    }

    for (;;) {
        uint64_t count;
        long rc;

        plan_pass(l, kernel_pages);
        rc = plan_check(l, why);
        if (rc)
            return rc;
        count = 1 + tables_at(l, 39) + tables_at(l, 30) + tables_at(l, 21);
        if (count == l->tables.pages)
            break;
        l->tables.pages = count; /* grows only: the mapped range grows with it */
    }
    if (!l->p2m_apart)
        l->p2m_va = dom0_layout_va(l, l->p2m.pfn);
    return 0;
}

/* ---- page tables ---- */

struct table_writer {
    const struct dom0_layout *l;
    const struct dom0_memory *m;
    uint64_t next; /* pfn of the next unused table page */
};

/* The pfn of the table that holds the entry of va at `level` (4: the root); the path to it exists.
 */
static uint64_t table_for(const struct table_writer *w, uint64_t va, unsigned level)
{
    uint64_t pfn = w->l->tables.pfn;

    for (unsigned at = 4; at > level; at--) {
        uint64_t entry = w->m->read(w->m->context, pfn, (va >> (12 + 9 * (at - 1))) & 511);

        pfn = ENTRY_FRAME(entry) - w->m->first_frame;
    }
    return pfn;
}

/* Makes the tables of `level` (3 to 1) that [va, va + pages) needs. */
static void make_tables(struct table_writer *w, uint64_t va, uint64_t pages, unsigned level)
{
    unsigned shift = 12 + 9 * level;
    uint64_t last = (va + (pages << 12) - 1) >> shift;

    for (uint64_t i = va >> shift; i <= last; i++) {
        uint64_t parent = table_for(w, i << shift, level + 1);
        unsigned index = i & 511;

        if (w->m->read(w->m->context, parent, index))
            continue;
        w->m->write(w->m->context, parent, index,
                    (w->m->first_frame + w->next) << 12 | ENTRY_TABLE);
        w->next++;
    }
}

static void fill_entries(struct table_writer *w, uint64_t va, uint64_t pfn, uint64_t pages)
{
    const struct dom0_area *tables = &w->l->tables;

    for (uint64_t i = 0; i < pages; i++, va += 4096, pfn++) {
        uint64_t entry = (w->m->first_frame + pfn) << 12 | ENTRY_TABLE;

        if (pfn - tables->pfn < tables->pages)
            entry &= ~PAGE_WRITABLE;
        w->m->write(w->m->context, table_for(w, va, 1), (va >> 12) & 511, entry);
    }
}

void dom0_layout_tables(const struct dom0_layout *l, const struct dom0_memory *memory)
{
    struct table_writer w = {.l = l, .m = memory, .next = l->tables.pfn + 1};

    for (unsigned level = 3; level >= 1; level--) {
        make_tables(&w, l->virt_base, l->mapped_pages, level);
        if (l->p2m_apart)
            make_tables(&w, l->p2m_va, l->p2m.pages, level);
    }
    fill_entries(&w, l->virt_base, 0, l->mapped_pages);
    if (l->p2m_apart)
        fill_entries(&w, l->p2m_va, l->p2m.pfn, l->p2m.pages);
}
