/* SPDX-License-Identifier: MIT */
/*
 * A new domain's first page tables: which tables there must be, and what stands in them. Pure; for
 * the builder. Four levels of 512 entries (AMD APM volume 2, 5.3). Domain-wide frame numbers of the
 * guest's own ("pfn") go in; the caller turns them into what the entries hold.
 */
#ifndef DOM0_BUILDER_PTBUILD_H
#define DOM0_BUILDER_PTBUILD_H

#include <stdbool.h>
#include <stdint.h>

#define PTBUILD_ENTRIES     512
#define PTBUILD_REGIONS_MAX 2

/* `pages` pages from `pfn` on, mapped contiguously at `va`. */
struct ptbuild_region {
    uint64_t va, pfn, pages;
};

struct ptbuild_table {
    unsigned level; /* 4 is the root */
    uint64_t base;  /* lowest of the 48-bit addresses that it covers */
    uint64_t pfn;   /* of the table itself */
};

struct ptbuild {
    struct ptbuild_region regions[PTBUILD_REGIONS_MAX];
    uint64_t region_tables[PTBUILD_REGIONS_MAX]; /* pfn of the first table that it needed */
    unsigned region_new[PTBUILD_REGIONS_MAX];    /* and how many there are */
    unsigned region_count;
    struct ptbuild_table *tables; /* heap; [0] is the root */
    unsigned table_count, table_room;
};

/* Tables that one region alone needs, the root included. */
uint64_t ptbuild_count(uint64_t va, uint64_t pages);

/*
 * Map a region. Tables that are not there yet get pfns from first_table_pfn on, root first, then
 * by level. Returns how many were new, or -XEN_ENOMEM, or -XEN_EINVAL (too many regions).
 * Regions must not overlap.
 */
int ptbuild_add(struct ptbuild *pt, const struct ptbuild_region *region, uint64_t first_table_pfn);

/*
 * The content of tables[index]. to_mfn(ctx, pfn) gives the frame number for an entry. Leaf entries
 * are writable unless they point to a table; A is set everywhere and D too, so that nobody
 * need set them later.
 */
void ptbuild_fill(const struct ptbuild *pt, unsigned index, uint64_t entries[PTBUILD_ENTRIES],
                  uint64_t (*to_mfn)(void *ctx, uint64_t pfn), void *ctx);

void ptbuild_free(struct ptbuild *pt);

#endif
