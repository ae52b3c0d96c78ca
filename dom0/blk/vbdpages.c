/* SPDX-License-Identifier: MIT */
/*
 * The guest's pages of a request. Those of a front end that keeps its grants ("feature-persistent")
 * stay mapped, within a bound: then a request costs no hypercall. All others are mapped for one
 * request. What the device gets is their machine address in any case.
 */

#include "dom0/blk/vbd.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

static void unmap_one(const struct grant_page *page)
{
    grant_unmap_pages(page, 1);
}

/* A page that was mapped just now is kept, if there is room. */
static void keep(struct vbd *v, grant_ref_t ref, struct vbd_page *page)
{
    struct grant_page evicted;

    page->kept = grantcache_add(v->kept, ref, &page->page, &evicted);
    if (evicted.va) {
        unmap_one(&evicted);
    }
}

/* Pages [from, from + n), which have no mapping yet. Those to be kept are mapped for writing: the
 * next request may be a read. */
static int map_batch(struct vbd *v, const struct blkreq *req, const uint16_t *missing, unsigned n,
                     struct vbd_page *pages)
{
    bool readonly = blkreq_is_write(req->operation) && !v->kept;
    struct grant_page mapped[GRANT_MAP_MAX];
    grant_ref_t refs[GRANT_MAP_MAX] = {0};
    int error;

    for (unsigned i = 0; i < n; i++) {
        refs[i] = req->grefs[missing[i]];
    }
    error = grant_map_pages(v->domid, refs, n, readonly, mapped);
    for (unsigned i = 0; i < n && !error; i++) {
        pages[missing[i]].page = mapped[i];
        if (v->kept) {
            keep(v, refs[i], &pages[missing[i]]);
        }
    }
    return error;
}

int vbdpages_map(struct vbd *v, const struct blkreq *req, struct vbd_page *pages)
{
    uint16_t missing[GRANT_MAP_MAX];
    unsigned count = 0;
    int error = 0;

    for (unsigned i = 0; i < req->nsegs; i++) {
        pages[i].page.va = NULL;
        pages[i].kept = v->kept ? grantcache_get(v->kept, req->grefs[i]) : NULL;
        if (pages[i].kept) {
            pages[i].page = pages[i].kept->page;
        }
    }
    for (unsigned i = 0; i < req->nsegs && !error; i++) {
        if (!pages[i].page.va) {
            missing[count++] = (uint16_t)i;
        }
        if (count == GRANT_MAP_MAX || (count > 0 && i + 1 == req->nsegs)) {
            error = map_batch(v, req, missing, count, pages);
            count = 0;
        }
    }
    if (error) {
        vbdpages_unmap(pages, req->nsegs);
    }
    return error;
}

void vbdpages_unmap(const struct vbd_page *pages, unsigned n)
{
    struct grant_page batch[GRANT_MAP_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        if (pages[i].kept) {
            grantcache_put(pages[i].kept);
        } else if (pages[i].page.va) {
            batch[count++] = pages[i].page;
        }
        if (count == GRANT_MAP_MAX) {
            grant_unmap_pages(batch, count);
            count = 0;
        }
    }
    if (count > 0) {
        grant_unmap_pages(batch, count);
    }
}

int vbdpages_read_indirect(struct vbd *v, const struct blkreq *req,
                           struct blkif_request_segment *segs)
{
    struct grantcache_entry *kept = v->kept ? grantcache_get(v->kept, req->indirect_gref) : NULL;
    struct vbd_page page = {.kept = kept};
    int error = 0;

    if (kept) {
        page.page = kept->page;
    } else {
        error = grant_map_pages(v->domid, &req->indirect_gref, 1, !v->kept, &page.page);
        if (!error && v->kept) {
            keep(v, req->indirect_gref, &page);
        }
    }
    if (error) {
        return error;
    }
    memcpy(segs, page.page.va, req->nsegs * sizeof(*segs));
    /* What follows works on the copy: the compiler must not look at the page again. */
    __asm__ volatile("" ::: "memory");
    vbdpages_unmap(&page, 1);
    return 0;
}

void vbdpages_drop(struct vbd *v)
{
    struct grant_page page;

    while (v->kept && grantcache_take(v->kept, &page)) {
        unmap_one(&page);
    }
    free(v->kept);
    v->kept = NULL;
}
