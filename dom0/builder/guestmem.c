/* SPDX-License-Identifier: MIT */
#include "dom0/builder/guestmem.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/memory.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/thread.h>

#define POPULATE_BATCH 1024 /* pages asked for at once */
#define WINDOW_PAGES   128

int guestmem_populate(struct guestmem *gm, domid_t domid, uint64_t page_count)
{
    gm->domid = domid;
    gm->page_count = page_count;
    gm->frames = malloc(page_count * sizeof *gm->frames);
    if (!gm->frames)
        return -XEN_ENOMEM;
    for (uint64_t pfn = 0; pfn < page_count; pfn++)
        gm->frames[pfn] = pfn;
    for (uint64_t done = 0; done < page_count;) {
        uint64_t n = page_count - done < POPULATE_BATCH ? page_count - done : POPULATE_BATCH;
        struct xen_memory_reservation r = {.nr_extents = n, .domid = domid};
        long rc;

        /* In: the pfns, for the machine-to-phys table. Out: the frames, in place. */
        set_xen_guest_handle(r.extent_start, gm->frames + done);
        rc = hypercall_memory_op(XENMEM_populate_physmap, &r);
        if (rc != (long)n)
            return rc < 0 ? (int)rc : -XEN_ENOMEM;
        done += n;
        thread_yield();
    }
    return 0;
}

void guestmem_free(struct guestmem *gm)
{
    free(gm->frames);
    gm->frames = NULL;
}

int guestmem_write(const struct guestmem *gm, uint64_t at, const void *buf, uint64_t len)
{
    const char *from = buf;

    if (at > gm->page_count << PAGE_SHIFT || len > (gm->page_count << PAGE_SHIFT) - at)
        return -XEN_EFAULT;
    while (len) {
        uint64_t in_page = at & (PAGE_SIZE - 1);
        uint64_t room = WINDOW_PAGES * PAGE_SIZE - in_page, part = len < room ? len : room;
        unsigned pages = (unsigned)((in_page + part + PAGE_SIZE - 1) >> PAGE_SHIFT);
        char *window =
            map_frames(gm->frames + (at >> PAGE_SHIFT), pages, gm->domid, MAP_WRITE, NULL);

        if (!window)
            return -XEN_ENOMEM;
        if (from)
            memcpy(window + in_page, from, part);
        else
            memset(window + in_page, 0, part);
        unmap_frames(window, pages);
        from += from ? part : 0;
        at += part;
        len -= part;
    }
    return 0;
}

uint64_t guestmem_frame(void *ctx, uint64_t pfn)
{
    const struct guestmem *gm = ctx;

    return pfn < gm->page_count ? gm->frames[pfn] : 0;
}
