/* SPDX-License-Identifier: MIT */
/*
 * Where everything lies in a new domain's memory, in the order in which Xen's own builder puts it,
 * since kernels rely on it: kernel, [ramdisk], [p2m], start_info, store ring, console ring, page
 * tables, boot stack; beyond the mapped part [ramdisk by pfn], [p2m at an address of its own].
 * Pure; for the builder.
 */
#ifndef DOM0_BUILDER_LAYOUT_H
#define DOM0_BUILDER_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "dom0/builder/ptbuild.h"

struct cfg_error;
struct elfimage;

/* All in pages; pfns unless said otherwise. */
struct layout {
    uint64_t page_count; /* of the domain */
    uint64_t ramdisk_pfn, ramdisk_pages;
    uint64_t p2m_pfn, p2m_pages; /* the list itself */
    uint64_t p2m_tables;         /* tables behind it that only map it */
    uint64_t p2m_va;             /* address */
    uint64_t start_info_pfn, store_pfn, console_pfn, stack_pfn;
    uint64_t table_pfn, table_pages;
    uint64_t mapped_pages; /* from pfn 0 on, at virt_base */
    struct ptbuild tables; /* free with layout_free */
};

/*
 * Plan for a domain of page_count pages and a ramdisk of that many bytes (0: none). Returns 0, or
 * with a line in err -XEN_ENOMEM (it does not fit into the domain, or dom0 has no memory) or
 * -XEN_ENOEXEC (the kernel wants addresses that guests cannot have). Nothing to free on error.
 */
int layout_plan(struct layout *l, const struct elfimage *image, uint64_t page_count,
                uint64_t ramdisk_bytes, struct cfg_error *err);

void layout_free(struct layout *l);

#endif
