/* SPDX-License-Identifier: MIT */
/*
 * Guests' pages that stay mapped from request to request ("feature-persistent" in
 * <xen/io/blkif.h>): found by their grant reference, bounded, and replaced in turn, those that were
 * used since the last round last (the clock algorithm). Pure: the caller maps and unmaps.
 */
#ifndef DOM0_BLK_GRANTCACHE_H
#define DOM0_BLK_GRANTCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <rt/grant.h>

#define GRANTCACHE_MAX  1024 /* a ring's worth of requests of 32 pages */
#define GRANTCACHE_HASH 1024

struct grantcache_entry {
    struct grant_page page; /* va NULL: a free entry */
    grant_ref_t ref;
    uint16_t users; /* requests in flight */
    uint16_t next;  /* of its hash chain: index and one, 0 ends it */
    bool recent;
};

struct grantcache {
    unsigned count, hand;
    uint16_t hash[GRANTCACHE_HASH];
    struct grantcache_entry entries[GRANTCACHE_MAX];
};

/* The page of a reference with one user more, or NULL. The cache is zeroed memory at first. */
struct grantcache_entry *grantcache_get(struct grantcache *c, grant_ref_t ref);
/*
 * Takes a page in, with one user. Another may have to go: *evicted is it, to be unmapped, or has va
 * NULL. NULL: all are in use, or the reference is there already; the page stays the caller's.
 */
struct grantcache_entry *grantcache_add(struct grantcache *c, grant_ref_t ref,
                                        const struct grant_page *page, struct grant_page *evicted);
void grantcache_put(struct grantcache_entry *e);
/* Takes one page out that has no user; false if there is none. */
bool grantcache_take(struct grantcache *c, struct grant_page *page);

#endif
