/* SPDX-License-Identifier: MIT */
/*
 * Requests of one disk: taken from the rings, their pages mapped, laid out on the device and handed
 * to it by machine address; answered in the order of completion.
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

static void respond(struct vbd_ring *r, uint64_t id, uint8_t operation, bool good)
{
    if (!good) {
        r->vbd->info.errors++;
    }
    blkring_put(&r->ring, id, operation, good ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR);
}

void vbdio_part_done(struct vbd_io *io, int status)
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

static struct vbd_io *io_new(struct vbd_ring *r, const struct blkreq *req)
{
    struct vbd_io *io = malloc(sizeof(*io) + req->nsegs * sizeof(io->pages[0]));

    if (io) {
        *io = (struct vbd_io){.vbd = r->vbd,
                              .ring = r,
                              .id = req->id,
                              .operation = req->operation,
                              .left = 1,
                              .npages = req->nsegs};
    }
    return io;
}

/* --- without memory --- */

/*
 * All that was written is on stable storage when it returns 0. Tables of the image that are only in
 * memory have an order of their own to get to the disk; and so has what the file system has only in
 * memory.
 */
static int flush_all(struct vbd *v)
{
    uint64_t trace = iotrace_wanted(v->domid) ? vbdtrace_flush(v, true) : 0;
    int error = vbd_is_dirty(v) ? image_flush(v->image) : vfs_flush();

    iotrace_end(trace, error);
    if (error) {
        vbd_complain(v, "flush of %s: %s", v->info.file, vfs_strerror(error));
    }
    return error;
}

static void start_flush(struct vbd_ring *r, const struct blkreq *req)
{
    struct vbd *v = r->vbd;
    struct vbd_io *io;

    v->info.flushes++;
    if (vbd_is_dirty(v) || !vfs_flush_is_plain()) {
        respond(r, req->id, req->operation, flush_all(v) == 0);
        return;
    }
    io = io_new(r, req);
    if (!io) {
        respond(r, req->id, req->operation, false);
        return;
    }
    v->in_flight++;
    vbddev_flush_device(io);
    vbdio_part_done(io, 0);
}

/* What is discarded may have other owners soon: nothing of this disk may be with the device. */
static void discard(struct vbd_ring *r, const struct blkreq *req)
{
    struct vbd *v = r->vbd;
    uint64_t trace = iotrace_wanted(v->domid) ? vbdtrace_discard(v, req) : 0;
    int error;

    vbdio_settle(v);
    error = v->image ? image_discard(v->image, req->offset, req->bytes) : -XEN_EIO;
    iotrace_end(trace, error);
    if (error) {
        vbd_complain(v, "discard of %s: %s", v->info.file, vfs_strerror(error));
    }
    v->info.discards++;
    respond(r, req->id, req->operation, !error);
}

/* --- reads and writes --- */

/* From the image's file to the device. */
static int map_file(struct vbd_io *io, const struct image_extent *part, bool write,
                    uint64_t *sector, uint64_t *bytes)
{
    struct vfs_extent extent;
    int error;

    if (write && vbdfresh_find(io, part, sector, bytes)) {
        return 0;
    }
    if (write && vbdfresh_overlaps(io, part)) {
        vbdio_settle(io->vbd);
    }
    error = images_map(part, write, &extent);
    if (!error && extent.fresh) {
        error = vbdfresh_add(io, part->file, part->offset, &extent);
    }
    if (!error) {
        *sector = extent.sector == VFS_HOLE ? BLKPLAN_HOLE : extent.sector;
        *bytes = extent.len;
    }
    return error;
}

/* From the disk through the image to its file, and from there to the device. */
static int map_disk(void *arg, uint64_t offset, uint64_t len, bool write, uint64_t *sector,
                    uint64_t *bytes)
{
    struct vbd_io *io = arg;
    struct vbd *v = io->vbd;
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
    return map_file(io, &part, write, sector, bytes);
}

/* What no device can read into the guest's pages: zeros, and what is compressed. */
static int copy_run(struct vbd_io *io, const struct blkplan_run *run,
                    const struct blkreq_piece *piece)
{
    struct vbd *v = io->vbd;
    uint64_t offset = run->offset;
    int error = 0;

    for (unsigned i = 0; i < run->npieces && !error; i++, piece++) {
        char *to = (char *)io->pages[piece->page].page.va + piece->offset;

        if (run->sector == BLKPLAN_HOLE) {
            memset(to, 0, piece->len);
        } else {
            error = image_read(v->image, offset, to, piece->len);
        }
        offset += piece->len;
    }
    v->info.copied_bytes += run->bytes;
    return error;
}

/* Lays the request out, part by part, and starts what of it is on the device. */
static int start_parts(struct vbd_io *io, const struct blkreq *req)
{
    struct vbd *v = io->vbd;
    struct blkplan *plan = &v->plan;
    int error = blkreq_is_write(req->operation) ? image_prepare(v->image) : 0;

    blkplan_begin(plan, req);
    while (!error && blkplan_more(plan)) {
        error = blkplan_next(plan, v->dev->max_segs, map_disk, io);
        for (unsigned i = 0; i < plan->nruns && !error; i++) {
            const struct blkplan_run *run = &plan->runs[i];
            const struct blkreq_piece *pieces = &plan->pieces[run->first];

            if (run->sector == BLKPLAN_HOLE || run->sector == BLKPLAN_PACKED) {
                uint64_t trace = iotrace_wanted(v->domid) ? vbdtrace_run(io, run, NULL) : 0;

                error = copy_run(io, run, pieces);
                iotrace_end(trace, error);
            } else {
                vbddev_add(io, run, pieces);
            }
        }
    }
    return error;
}

/* Returns it with all parts made and one to be ended, by vbdio_part_done(); or NULL: it was
 * answered. */
static struct vbd_io *make_io(struct vbd_ring *r, const struct blkreq *req)
{
    struct vbd *v = r->vbd;
    bool write = blkreq_is_write(req->operation);
    struct vbd_io *io = io_new(r, req);
    int error = io ? vbdpages_map(v, req, io->pages) : -XEN_ENOMEM;

    if (error) {
        vbd_complain(v, "cannot map the pages of a request (error %d); it gets an error", -error);
        respond(r, req->id, req->operation, false);
        free(io);
        return NULL;
    }
    v->in_flight++;
    *(write ? &v->info.writes : &v->info.reads) += 1;
    *(write ? &v->info.written_bytes : &v->info.read_bytes) += req->bytes;
    error = start_parts(io, req);
    if (error) {
        vbd_complain(v, "%s at byte %llu: %s", write ? "write" : "read",
                     (unsigned long long)req->offset, vfs_strerror(error));
        io->status = error;
        io->told = true;
    }
    return io;
}

/* What was written before it is on stable storage first; what comes after it waits for it. */
static void barrier(struct vbd_ring *r, const struct blkreq *req)
{
    struct vbd *v = r->vbd;
    struct vbd_io *io;
    int error;

    vbdio_settle(v);
    v->info.flushes++;
    error = flush_all(v);
    if (error || req->nsegs == 0) {
        respond(r, req->id, req->operation, !error);
        return;
    }
    io = make_io(r, req);
    if (io) {
        vbddev_submit(v);
        wait_event(&v->wake, v->flying == 0);
        error = vbdfresh_end(io); /* what is flushed is to be found */
        vbdio_part_done(io, io->status || error ? error : flush_all(v));
    }
}

/* --- the rings --- */

/* Fetches the segments of an indirect request. BLKIF_RSP_OKAY, or an error with its reason. */
static int fetch_indirect(struct vbd *v, struct blkreq *req, const char **why)
{
    struct blkif_request_segment segs[BLKREQ_SEGS];
    int error = vbdpages_read_indirect(v, req, segs);

    if (error) {
        *why = "its page of segments cannot be mapped";
        return BLKIF_RSP_ERROR;
    }
    return blkreq_decode_indirect(segs, &v->disk, req, why);
}

static void start(struct vbd_ring *r, const struct blkif_request *raw)
{
    struct vbd *v = r->vbd;
    struct blkreq *req = &v->req;
    const char *why;
    int status = blkreq_decode(raw, &v->disk, req, &why);

    if (status == BLKIF_RSP_OKAY && req->indirect) {
        status = fetch_indirect(v, req, &why);
    }
    if (status != BLKIF_RSP_OKAY) {
        /* Whose medium was changed may not have heard of it yet: no mistake of the guest's. */
        if (why && !v->info.cdrom) {
            vbd_complain(v, "bad request: %s", why);
        }
        v->info.errors++;
        blkring_put(&r->ring, req->id, req->operation, (int16_t)status);
    } else if (req->operation == BLKIF_OP_FLUSH_DISKCACHE) {
        start_flush(r, req);
    } else if (req->operation == BLKIF_OP_DISCARD) {
        discard(r, req);
    } else if (req->operation == BLKIF_OP_WRITE_BARRIER) {
        barrier(r, req);
    } else {
        struct vbd_io *io = make_io(r, req);

        if (io) {
            vbdio_part_done(io, 0);
        }
    }
}

static void publish(struct vbd *v)
{
    for (unsigned i = 0; i < v->nrings; i++) {
        if (blkring_publish(&v->rings[i].ring)) {
            event_send((evtchn_port_t)v->rings[i].port);
        }
    }
}

void vbdio_settle(void *arg)
{
    struct vbd *v = arg;

    vbddev_submit(v);
    wait_event(&v->wake, v->flying == 0);
    vbdio_finish_all(v);
}

static bool start_ring(struct vbd_ring *r)
{
    struct blkif_request raw;
    int got = 1;

    r->event = false;
    for (unsigned i = 0; i < BLKRING_SIZE && (got = blkring_take(&r->ring, &raw)) > 0; i++) {
        start(r, &raw);
    }
    if (got < 0) {
        return false;
    }
    if (got > 0 || blkring_rearm(&r->ring)) {
        r->event = true;
    }
    return true;
}

bool vbdio_start_all(struct vbd *v)
{
    bool good = true;

    for (unsigned i = 0; i < v->nrings && good; i++) {
        if (v->rings[i].event) {
            good = start_ring(&v->rings[i]);
        }
    }
    vbddev_submit(v);
    publish(v); /* those that were refused at once */
    return good;
}

void vbdio_finish_all(struct vbd *v)
{
    if (!v->done) {
        return;
    }
    while (v->done) {
        struct vbd_io *io = v->done;
        int error;

        v->done = io->next;
        error = vbdfresh_end(io);
        io->status = io->status ? io->status : error;
        if (io->status && !io->told) {
            vbd_complain(v, "a request failed: %s", vfs_strerror(io->status));
        }
        /* The guest may use its pages again the moment that it sees the response. */
        vbdpages_unmap(io->pages, io->npages);
        respond(io->ring, io->id, io->operation, !io->status);
        v->in_flight--;
        free(io);
    }
    publish(v);
}
