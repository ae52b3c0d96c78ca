/* SPDX-License-Identifier: MIT */
#include "dom0/builder/layout.h"

#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/elfimage.h"
#include "dom0/config/cfgtext.h"

/* What is mapped beyond the boot stack: at least this, up to an address that is a multiple of that.
 * A promise of the interface (see start_info in <xen/xen.h>): kernels build tables there. */
#define PAD_BYTES (512ull << 10)
#define PAD_ALIGN (4ull << 20)

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes >> 12) + !!(bytes & 4095);
}

/* Take `pages` from *next. */
static uint64_t take(uint64_t *next, uint64_t pages)
{
    uint64_t pfn = *next;

    *next += pages;
    return pfn;
}

/*
 * May a guest have [va, va + pages)? Canonical, in one half, and not in the hypervisor's part
 * (<xen/arch-x86/xen-x86_64.h>: L4 slots 256 to 271).
 */
static bool range_valid(uint64_t va, uint64_t pages)
{
    const uint64_t low_end = 1ull << 47, high = 0xffff880000000000ull;

    if (va & 4095 || pages > (1ull << 34))
        return false;
    if (va < low_end)
        return pages << 12 <= low_end - va;
    return va >= high && (pages << 12) - 1 <= ~0ull - va;
}

static bool overlap(const struct ptbuild_region *a, const struct ptbuild_region *b)
{
    return a->va < b->va + (b->pages << 12) && b->va < a->va + (a->pages << 12);
}

static int no_room(uint64_t need, uint64_t have, struct cfg_error *err)
{
    cfg_error_set(err,
                  "the domain's memory is too small: its kernel and ramdisk need %llu MiB, memory "
                  "is %llu: raise memory",
                  (unsigned long long)((need + 255) / 256), (unsigned long long)(have / 256));
    return -XEN_ENOMEM;
}

/*
 * Page tables map themselves, so their number depends on itself: grow until it suffices. Sets
 * table_pages, stack_pfn and mapped_pages; *next is behind the stack.
 */
static void plan_tables(struct layout *l, uint64_t virt_base, uint64_t *next)
{
    uint64_t tables = 0, end;

    do {
        l->table_pages = tables;
        end = l->table_pfn + l->table_pages + 1;
        l->mapped_pages = (virt_base + (end << 12) + PAD_BYTES + PAD_ALIGN - 1) & ~(PAD_ALIGN - 1);
        l->mapped_pages = (l->mapped_pages - virt_base) >> 12;
        if (l->mapped_pages > l->page_count)
            l->mapped_pages = l->page_count;
        if (l->mapped_pages < end)
            l->mapped_pages = end;
        tables = ptbuild_count(virt_base, l->mapped_pages);
    } while (tables > l->table_pages);
    l->stack_pfn = l->table_pfn + l->table_pages;
    *next = l->stack_pfn + 1;
}

/* What is not mapped with the kernel comes behind all that is. */
static void plan_rest(struct layout *l, const struct elfimage *image, uint64_t next)
{
    if (next < l->mapped_pages)
        next = l->mapped_pages;
    if (image->mod_start_pfn)
        l->ramdisk_pfn = take(&next, l->ramdisk_pages);
    if (image->has_init_p2m) {
        l->p2m_pfn = take(&next, l->p2m_pages);
        l->p2m_va = image->init_p2m;
    }
}

static uint64_t needed_pages(const struct layout *l, const struct elfimage *image)
{
    uint64_t need = l->stack_pfn + 1;

    if (image->mod_start_pfn && l->ramdisk_pages)
        need = l->ramdisk_pfn + l->ramdisk_pages;
    if (image->has_init_p2m)
        need = l->p2m_pfn + l->p2m_pages + l->p2m_tables;
    return need;
}

static int make_tables(struct layout *l, const struct elfimage *image, struct cfg_error *err)
{
    struct ptbuild_region kernel = {image->virt_base, 0, l->mapped_pages};
    struct ptbuild_region p2m = {l->p2m_va, l->p2m_pfn, l->p2m_pages};
    int rc;

    if (!range_valid(kernel.va, kernel.pages) ||
        (image->has_init_p2m && (!range_valid(p2m.va, p2m.pages) || overlap(&kernel, &p2m)))) {
        cfg_error_set(err, "the kernel wants addresses that a guest cannot have (%#llx, p2m %#llx)",
                      (unsigned long long)kernel.va, (unsigned long long)p2m.va);
        return -XEN_ENOEXEC;
    }
    rc = ptbuild_add(&l->tables, &kernel, l->table_pfn);
    if (rc >= 0 && image->has_init_p2m) {
        rc = ptbuild_add(&l->tables, &p2m, l->p2m_pfn + l->p2m_pages);
        l->p2m_tables = rc > 0 ? (uint64_t)rc : 0;
    }
    if (rc < 0)
        cfg_error_set(err, "out of memory in dom0");
    return rc < 0 ? rc : 0;
}

int layout_plan(struct layout *l, const struct elfimage *image, uint64_t page_count,
                uint64_t ramdisk_bytes, struct cfg_error *err)
{
    uint64_t next = pages_of(image->end);
    int rc;

    memset(l, 0, sizeof *l);
    l->page_count = page_count;
    l->ramdisk_pages = pages_of(ramdisk_bytes);
    l->p2m_pages = pages_of(page_count * 8);
    /* First of all, so that the sums below stay small. What comes on top is estimated. */
    if (next > page_count || l->ramdisk_pages > page_count)
        return no_room(next + l->ramdisk_pages + next / 512 + 16, page_count, err);
    if (!image->mod_start_pfn)
        l->ramdisk_pfn = take(&next, l->ramdisk_pages);
    if (!image->has_init_p2m) {
        l->p2m_pfn = take(&next, l->p2m_pages);
        l->p2m_va = image->virt_base + (l->p2m_pfn << 12);
    }
    l->start_info_pfn = take(&next, 1);
    l->store_pfn = take(&next, 1);
    l->console_pfn = take(&next, 1);
    l->table_pfn = next;
    plan_tables(l, image->virt_base, &next);
    plan_rest(l, image, next);
    if (needed_pages(l, image) > page_count)
        return no_room(needed_pages(l, image), page_count, err);
    rc = make_tables(l, image, err);
    if (rc == 0 && needed_pages(l, image) > page_count)
        rc = no_room(needed_pages(l, image), page_count, err);
    if (rc < 0)
        layout_free(l);
    return rc;
}

void layout_free(struct layout *l)
{
    ptbuild_free(&l->tables);
}
