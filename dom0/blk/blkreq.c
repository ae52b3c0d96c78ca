/* SPDX-License-Identifier: MIT */
/* Checks of requests, and their split into what is contiguous on the device. */

#include "dom0/blk/blkreq.h"

#include <string.h>
#include <xen/errno.h>

#define PAGE_SECTORS 8

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return BLKIF_RSP_ERROR;
}

/* The memory of a read or write. */
static int decode_segments(const struct blkif_request *raw, struct blkreq *out, const char **why)
{
    if (raw->nr_segments == 0 || raw->nr_segments > BLKREQ_SEGS) {
        return refuse(why, "number of segments not 1 to 11");
    }
    for (unsigned i = 0; i < raw->nr_segments; i++) {
        unsigned first = raw->seg[i].first_sect, last = raw->seg[i].last_sect;

        if (first > last || last >= PAGE_SECTORS) {
            return refuse(why, "segment not within its page");
        }
        out->grefs[i] = raw->seg[i].gref;
        out->segs[i].page = (uint16_t)i;
        out->segs[i].offset = (uint16_t)(first * BLKREQ_SECTOR);
        out->segs[i].len = (uint16_t)((last - first + 1) * BLKREQ_SECTOR);
        out->bytes += out->segs[i].len;
    }
    out->nsegs = raw->nr_segments;
    return BLKIF_RSP_OKAY;
}

static int decode_io(const struct blkif_request *raw, const struct blkreq_disk *disk,
                     struct blkreq *out, const char **why)
{
    int status = decode_segments(raw, out, why);

    if (status != BLKIF_RSP_OKAY) {
        return status;
    }
    uint64_t sectors = out->bytes / BLKREQ_SECTOR;
    if (raw->sector_number > disk->sectors || sectors > disk->sectors - raw->sector_number) {
        return refuse(why, "beyond the end of the disk");
    }
    if (raw->operation == BLKIF_OP_WRITE && disk->readonly) {
        return refuse(why, "write to a read-only disk");
    }
    out->offset = raw->sector_number * BLKREQ_SECTOR;
    return BLKIF_RSP_OKAY;
}

int blkreq_decode(const struct blkif_request *raw, const struct blkreq_disk *disk,
                  struct blkreq *out, const char **why)
{
    memset(out, 0, sizeof(*out));
    *why = NULL;
    out->id = raw->id;
    out->operation = raw->operation;
    switch (raw->operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
        return decode_io(raw, disk, out, why);
    case BLKIF_OP_FLUSH_DISKCACHE:
        return raw->nr_segments == 0 ? BLKIF_RSP_OKAY : refuse(why, "flush with segments");
    default:
        /* Barrier, discard, indirect: nothing in the store offers them. */
        return BLKIF_RSP_EOPNOTSUPP;
    }
}

static bool on_device(uint64_t sector)
{
    return sector != BLKPLAN_HOLE && sector != BLKPLAN_PACKED;
}

/* The run that the next piece belongs to: the last one if it goes on there, else a new one. */
static struct blkplan_run *run_for(struct blkplan *plan, uint64_t sector, unsigned max_pieces)
{
    if (plan->nruns > 0) {
        struct blkplan_run *last = &plan->runs[plan->nruns - 1];
        uint64_t next =
            on_device(last->sector) ? last->sector + last->bytes / BLKREQ_SECTOR : last->sector;

        if (sector == next && last->npieces < max_pieces) {
            return last;
        }
    }
    if (plan->nruns == BLKPLAN_MAX) {
        return NULL;
    }
    struct blkplan_run *run = &plan->runs[plan->nruns++];
    run->sector = sector;
    run->offset = plan->end;
    run->first = plan->npieces;
    run->npieces = 0;
    run->bytes = 0;
    return run;
}

/* Adds one piece, which lies in one extent and one page. */
static int add_piece(struct blkplan *plan, struct blkreq_piece piece, uint64_t sector,
                     unsigned max_pieces)
{
    struct blkplan_run *run = run_for(plan, sector, max_pieces);

    if (!run || plan->npieces == BLKPLAN_MAX) {
        return -XEN_EIO;
    }
    plan->pieces[plan->npieces++] = piece;
    run->npieces++;
    run->bytes += piece.len;
    plan->end += piece.len;
    return 0;
}

/* A cursor over the request's memory. */
struct cursor {
    const struct blkreq *req;
    unsigned seg;
    uint16_t done; /* of that segment */
};

/* The next piece, at most `most` bytes. */
static struct blkreq_piece next_piece(struct cursor *c, uint64_t most)
{
    struct blkreq_piece piece = c->req->segs[c->seg];

    piece.offset = (uint16_t)(piece.offset + c->done);
    piece.len = (uint16_t)(piece.len - c->done);
    if (piece.len > most) {
        piece.len = (uint16_t)most;
        c->done = (uint16_t)(c->done + most);
    } else {
        c->seg++;
        c->done = 0;
    }
    return piece;
}

/* Lays out one extent of `bytes` at `sector`. */
static int add_extent(struct blkplan *plan, struct cursor *c, uint64_t sector, uint64_t bytes,
                      unsigned max_pieces)
{
    while (bytes > 0) {
        struct blkreq_piece piece = next_piece(c, bytes);
        int error = add_piece(plan, piece, sector, max_pieces);

        if (error) {
            return error;
        }
        bytes -= piece.len;
        if (on_device(sector)) {
            sector += piece.len / BLKREQ_SECTOR;
        }
    }
    return 0;
}

int blkplan_make(struct blkplan *plan, const struct blkreq *req, unsigned max_pieces,
                 blkplan_map_fn map, void *arg)
{
    struct cursor cursor = {.req = req};
    bool write = req->operation == BLKIF_OP_WRITE;
    uint64_t done = 0;

    plan->nruns = plan->npieces = 0;
    plan->end = req->offset;
    while (done < req->bytes) {
        uint64_t left = req->bytes - done, sector, bytes;
        int error = map(arg, req->offset + done, left, write, &sector, &bytes);

        if (error) {
            return error;
        }
        if (bytes == 0 || bytes > left || bytes % BLKREQ_SECTOR != 0 ||
            (write && !on_device(sector))) {
            return -XEN_EIO;
        }
        error = add_extent(plan, &cursor, sector, bytes, max_pieces);
        if (error) {
            return error;
        }
        done += bytes;
    }
    return 0;
}
