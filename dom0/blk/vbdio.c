/* SPDX-License-Identifier: MIT */
/*
 * Requests of one disk: taken from the ring, their pages mapped, laid out on the device and
 * submitted by machine address; answered in the order of completion.
 */

#include "dom0/blk/vbd.h"

#include <stdlib.h>
#include <string.h>
#include <rt/event.h>
#include <rt/mm.h>
#include <xen/errno.h>
#include "dom0/blk/iotrace.h"
#include "dom0/drivers/blkdev.h"
#include "dom0/fs/vfs.h"

/* A request in flight, with the device's requests that it became. */
struct vbd_io {
    struct vbd_io *next;
    struct vbd *vbd;
    uint64_t id;
    uint8_t operation;
    int status;    /* 0 or the first error */
    unsigned left; /* of the device's requests, and one while they are being submitted */
    struct grant_mapping map;
    struct blk_segment *segs;
    struct blk_request reqs[];
};

static void respond(struct vbd *v, uint64_t id, uint8_t operation, int16_t status)
{
    if (status != BLKIF_RSP_OKAY) {
        v->info.errors++;
    }
    blkring_put(&v->ring, id, operation, status);
}

/* One part less; the last one hands the whole to the disk's thread. */
static void part_done(struct vbd_io *io, int status)
{
    if (status && !io->status) {
        io->status = status;
    }
    if (--io->left == 0) {
        io->next = io->vbd->done;
        io->vbd->done = io;
        waitq_wake(&io->vbd->wake);
    }
}

/* Called by the driver, on its thread. */
static void device_done(struct blk_request *req, int status)
{
    iotrace_end(req->trace, status);
    part_done(req->arg, status);
}

static struct vbd_io *io_new(struct vbd *v, const struct blkreq *req, unsigned nruns,
                             unsigned npieces)
{
    size_t head = sizeof(struct vbd_io) + nruns * sizeof(struct blk_request);
    struct vbd_io *io = calloc(1, head + npieces * sizeof(struct blk_segment));

    if (io) {
        io->vbd = v;
        io->id = req->id;
        io->operation = req->operation;
        io->left = 1;
        io->segs = (struct blk_segment *)((char *)io + head);
    }
    return io;
}

static void submit(struct vbd *v, struct vbd_io *io, struct blk_request *r)
{
    int error;

    r->done = device_done;
    r->arg = io;
    io->left++;
    error = blkdev_submit(v->dev, r);
    if (error) {
        iotrace_end(r->trace, error);
        part_done(io, error);
    }
}

/*
 * Tables of the image that are only in memory have an order of their own to get to the disk; and so
 * has what the file system has only in memory.
 */
static void flush_tables(struct vbd *v, const struct blkreq *req)
{
    uint64_t trace = iotrace_wanted(v->domid) ? vbdtrace_flush(v, true) : 0;
    int error = vbd_is_dirty(v) ? image_flush(v->image) : vfs_flush();

    iotrace_end(trace, error);
    if (error) {
        vbd_complain(v, "flush of %s: %s", v->info.file, vfs_strerror(error));
    }
    v->info.flushes++;
    respond(v, req->id, req->operation, error ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
}

static void start_flush(struct vbd *v, const struct blkreq *req)
{
    struct vbd_io *io;

    if (vbd_is_dirty(v) || !vfs_flush_is_plain()) {
        flush_tables(v, req);
        return;
    }
    io = io_new(v, req, 1, 0);
    if (!io) {
        respond(v, req->id, req->operation, BLKIF_RSP_ERROR);
        return;
    }
    v->info.flushes++;
    v->in_flight++;
    io->reqs[0].op = BLK_FLUSH;
    io->reqs[0].trace = iotrace_wanted(v->domid) ? vbdtrace_flush(v, false) : 0;
    submit(v, io, &io->reqs[0]);
    part_done(io, 0);
}

/* From the disk through the image to its file, and from there to the device. */
static int map_disk(void *arg, uint64_t offset, uint64_t len, bool write, uint64_t *sector,
                    uint64_t *bytes)
{
    struct vbd *v = arg;
    struct vfs_extent extent;
    struct image_extent part;
    int error = write ? image_map_write(v->image, offset, len, &part)
                      : image_map(v->image, offset, len, &part);

    if (error) {
        return error;
    }
    *bytes = part.len;
    *sector = part.kind == IMAGE_PACKED ? BLKPLAN_PACKED : BLKPLAN_HOLE;
    if (part.kind != IMAGE_DATA) {
        return 0;
    }
    error = images_map(&part, write, &extent);
    if (!error) {
        *sector = extent.sector == VFS_HOLE ? BLKPLAN_HOLE : extent.sector;
        *bytes = extent.len;
    }
    return error;
}

/* What no device can read into the guest's pages: zeros, and what is compressed. */
static int copy_run(struct vbd *v, struct vbd_io *io, const struct blkplan_run *run)
{
    const struct blkreq_piece *piece = &v->plan.pieces[run->first];
    uint64_t offset = run->offset;
    int error = 0;

    for (unsigned i = 0; i < run->npieces && !error; i++, piece++) {
        char *to = (char *)io->map.va + piece->page * PAGE_SIZE + piece->offset;

        if (run->sector == BLKPLAN_HOLE) {
            memset(to, 0, piece->len);
        } else {
            error = image_read(v->image, offset, to, piece->len);
        }
        offset += piece->len;
    }
    return error;
}

/* One run of the plan: to the device, where it has a place there. */
static void start_run(struct vbd *v, struct vbd_io *io, const struct blkplan_run *run,
                      struct blk_request *r)
{
    const struct blkreq_piece *piece = &v->plan.pieces[run->first];

    if (run->sector == BLKPLAN_HOLE || run->sector == BLKPLAN_PACKED) {
        uint64_t trace = iotrace_wanted(v->domid) ? vbdtrace_run(v, run, NULL) : 0;
        int error = copy_run(v, io, run);

        iotrace_end(trace, error);
        if (error) {
            io->status = error;
        }
        return;
    }
    struct blk_segment *segs = &io->segs[run->first];
    for (unsigned i = 0; i < run->npieces; i++, piece++) {
        segs[i].maddr = io->map.dev_bus_addr[piece->page] + piece->offset;
        segs[i].len = piece->len;
    }
    r->op = io->operation == BLKIF_OP_WRITE ? BLK_WRITE : BLK_READ;
    r->sector = run->sector;
    r->segs = segs;
    r->nsegs = run->npieces;
    r->trace = iotrace_wanted(v->domid) ? vbdtrace_run(v, run, r) : 0;
    submit(v, io, r);
}

/* With the pages mapped and the plan made. */
static int start_planned(struct vbd *v, const struct blkreq *req, const struct grant_mapping *map)
{
    struct vbd_io *io = io_new(v, req, v->plan.nruns, v->plan.npieces);

    if (!io) {
        return -XEN_ENOMEM;
    }
    io->map = *map;
    v->in_flight++;
    for (unsigned i = 0; i < v->plan.nruns; i++) {
        start_run(v, io, &v->plan.runs[i], &io->reqs[i]);
    }
    part_done(io, 0);
    return 0;
}

static int start_io(struct vbd *v, const struct blkreq *req)
{
    bool write = req->operation == BLKIF_OP_WRITE;
    struct grant_mapping map;
    unsigned most = v->dev->max_segs;
    int error = grant_map(v->domid, req->grefs, req->nsegs, write, &map);

    if (error) {
        vbd_complain(v, "cannot map the pages of a request (error %d); it gets an error", -error);
        return error;
    }
    error = write ? image_prepare(v->image) : 0;
    error = error ? error : blkplan_make(&v->plan, req, most, map_disk, v);
    if (error) {
        vbd_complain(v, "%s at byte %llu: %s", write ? "write" : "read",
                     (unsigned long long)req->offset, vfs_strerror(error));
    }
    error = error ? error : start_planned(v, req, &map);
    if (error) {
        grant_unmap(&map);
        return error;
    }
    *(write ? &v->info.writes : &v->info.reads) += 1;
    *(write ? &v->info.written_bytes : &v->info.read_bytes) += req->bytes;
    return 0;
}

static void start(struct vbd *v, const struct blkif_request *raw)
{
    struct blkreq req;
    const char *why;
    int status = blkreq_decode(raw, &v->disk, &req, &why);

    if (status != BLKIF_RSP_OKAY) {
        if (why) {
            vbd_complain(v, "bad request: %s", why);
        }
        respond(v, req.id, req.operation, (int16_t)status);
    } else if (req.operation == BLKIF_OP_FLUSH_DISKCACHE) {
        start_flush(v, &req);
    } else if (start_io(v, &req)) {
        respond(v, req.id, req.operation, BLKIF_RSP_ERROR);
    }
}

void vbdio_settle(void *arg)
{
    struct vbd *v = arg;

    while (v->in_flight > 0) {
        wait_event(&v->wake, v->done);
        vbdio_finish_all(v);
    }
}

static void publish(struct vbd *v)
{
    if (blkring_publish(&v->ring)) {
        event_send((evtchn_port_t)v->port);
    }
}

bool vbdio_start_all(struct vbd *v)
{
    struct blkif_request raw;
    int got = 1;

    v->event = false;
    for (unsigned i = 0; i < BLKRING_SIZE && (got = blkring_take(&v->ring, &raw)) > 0; i++) {
        start(v, &raw);
    }
    publish(v); /* those that were refused at once */
    if (got < 0) {
        return false;
    }
    if (got > 0 || blkring_rearm(&v->ring)) {
        v->event = true;
    }
    return true;
}

void vbdio_finish_all(struct vbd *v)
{
    if (!v->done) {
        return;
    }
    while (v->done) {
        struct vbd_io *io = v->done;

        v->done = io->next;
        if (io->status) {
            vbd_complain(v, "the device failed: %s", vfs_strerror(io->status));
        }
        /* The guest may use its pages again the moment that it sees the response. */
        if (io->map.va) {
            grant_unmap(&io->map);
        }
        respond(v, io->id, io->operation, io->status ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
        v->in_flight--;
        free(io);
    }
    publish(v);
}
