/* SPDX-License-Identifier: MIT */
/*
 * Requests to the device. Runs that lie side by side there become one, whichever of the guest's
 * requests they belong to, as long as these are started together.
 */

#include "dom0/blk/vbd.h"

#include <stdlib.h>
#include <xen/errno.h>
#include "dom0/blk/iotrace.h"
#include "dom0/drivers/blkdev.h"

#define SEGS  64
#define PARTS 16

struct vbd_dev {
    struct vbd_dev *next; /* of the spare ones */
    struct vbd *vbd;
    struct blk_request req;
    uint64_t end; /* sector behind it */
    unsigned nparts;
    struct vbd_io *parts[PARTS];
    unsigned ntraces; /* while somebody looks: each of its runs */
    uint64_t traces[SEGS];
    struct blk_segment segs[SEGS];
};

static void complete(struct vbd_dev *d, int status)
{
    struct vbd *v = d->vbd;

    for (unsigned i = 0; i < d->ntraces; i++) {
        iotrace_end(d->traces[i], status);
    }
    for (unsigned i = 0; i < d->nparts; i++) {
        vbdio_part_done(d->parts[i], status);
    }
    d->next = v->spare;
    v->spare = d;
    v->flying--;
    waitq_wake(&v->wake);
}

/* Called by the driver, on its thread. */
static void device_done(struct blk_request *req, int status)
{
    complete(req->arg, status);
}

static struct vbd_dev *dev_get(struct vbd *v, enum blk_op op, uint64_t sector)
{
    struct vbd_dev *d = v->spare;

    if (d) {
        v->spare = d->next;
    } else {
        d = malloc(sizeof(*d));
    }
    if (d) {
        d->vbd = v;
        d->end = sector;
        d->nparts = d->ntraces = 0;
        d->req = (struct blk_request){
            .op = op, .sector = sector, .segs = d->segs, .done = device_done, .arg = d};
    }
    return d;
}

static void add_part(struct vbd_dev *d, struct vbd_io *io)
{
    if (d->nparts == 0 || d->parts[d->nparts - 1] != io) {
        d->parts[d->nparts++] = io;
        io->left++;
    }
}

void vbddev_submit(struct vbd *v)
{
    struct vbd_dev *d = v->pending;
    int error;

    if (!d) {
        return;
    }
    v->pending = NULL;
    v->flying++;
    v->info.device_requests++;
    error = blkdev_submit(v->dev, &d->req);
    if (error) {
        complete(d, error);
    }
}

static bool fits(const struct vbd_dev *d, const struct vbd_io *io, enum blk_op op,
                 const struct blkplan_run *run)
{
    unsigned most = d->vbd->dev->max_segs < SEGS ? d->vbd->dev->max_segs : SEGS;

    return d->req.op == op && d->end == run->sector && d->req.nsegs + run->npieces <= most &&
           (d->nparts < PARTS || d->parts[d->nparts - 1] == io);
}

void vbddev_add(struct vbd_io *io, const struct blkplan_run *run, const struct blkreq_piece *pieces)
{
    struct vbd *v = io->vbd;
    enum blk_op op = blkreq_is_write(io->operation) ? BLK_WRITE : BLK_READ;
    struct vbd_dev *d = v->pending;

    if (d && fits(d, io, op, run)) {
        v->info.merged++;
    } else {
        vbddev_submit(v);
        d = v->pending = dev_get(v, op, run->sector);
    }
    if (!d) {
        io->status = -XEN_ENOMEM;
        return;
    }
    add_part(d, io);
    for (unsigned i = 0; i < run->npieces; i++) {
        struct blk_segment *seg = &d->segs[d->req.nsegs++];

        seg->maddr = io->pages[pieces[i].page].page.dev_bus_addr + pieces[i].offset;
        seg->len = pieces[i].len;
    }
    d->end += run->bytes / BLKREQ_SECTOR;
    if (iotrace_wanted(v->domid)) {
        d->traces[d->ntraces++] = vbdtrace_run(io, run, &d->segs[d->req.nsegs - run->npieces]);
    }
}

void vbddev_flush_device(struct vbd_io *io)
{
    struct vbd *v = io->vbd;

    vbddev_submit(v);
    v->pending = dev_get(v, BLK_FLUSH, 0);
    if (v->pending) {
        add_part(v->pending, io);
        if (iotrace_wanted(v->domid)) {
            v->pending->traces[v->pending->ntraces++] = vbdtrace_flush(v, false);
        }
        vbddev_submit(v);
    } else {
        io->status = -XEN_ENOMEM;
    }
}

void vbddev_free_spare(struct vbd *v)
{
    while (v->spare) {
        struct vbd_dev *d = v->spare;

        v->spare = d->next;
        free(d);
    }
}
