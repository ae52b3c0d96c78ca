/* SPDX-License-Identifier: MIT */
/* Checks of requests, and their split into what is contiguous on the device. */

#include "dom0/blk/blkreq.h"

#include <xen/errno.h>

#define PAGE_SECTORS 8

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return BLKIF_RSP_ERROR;
}

/* One page of memory. */
static int add_segment(const struct blkif_request_segment *seg, struct blkreq *out, unsigned i)
{
    unsigned first = seg->first_sect, last = seg->last_sect;

    if (first > last || last >= PAGE_SECTORS) {
        return BLKIF_RSP_ERROR;
    }
    out->grefs[i] = seg->gref;
    out->segs[i].page = (uint16_t)i;
    out->segs[i].offset = (uint16_t)(first * BLKREQ_SECTOR);
    out->segs[i].len = (uint16_t)((last - first + 1) * BLKREQ_SECTOR);
    out->bytes += out->segs[i].len;
    return BLKIF_RSP_OKAY;
}

/* The place on the disk. */
static int check_place(uint64_t sector, uint64_t sectors, const struct blkreq_disk *disk,
                       struct blkreq *out, const char **why)
{
    if (sector > disk->sectors || sectors > disk->sectors - sector) {
        return refuse(why, "beyond the end of the disk");
    }
    if (disk->readonly && out->operation != BLKIF_OP_READ) {
        return refuse(why, "write to a read-only disk");
    }
    out->offset = sector * BLKREQ_SECTOR;
    return BLKIF_RSP_OKAY;
}

/* The memory of a read or write, and its place: out->offset is still a sector. */
static int decode_segments(const struct blkif_request_segment *segs, const struct blkreq_disk *disk,
                           struct blkreq *out, const char **why)
{
    for (unsigned i = 0; i < out->nsegs; i++) {
        if (add_segment(&segs[i], out, i) != BLKIF_RSP_OKAY) {
            return refuse(why, "segment not within its page");
        }
    }
    return check_place(out->offset, out->bytes / BLKREQ_SECTOR, disk, out, why);
}

static int decode_io(const struct blkif_request *raw, const struct blkreq_disk *disk,
                     struct blkreq *out, const char **why)
{
    if (raw->nr_segments == 0 || raw->nr_segments > BLKREQ_DIRECT) {
        return refuse(why, "number of segments not 1 to 11");
    }
    out->nsegs = raw->nr_segments;
    out->offset = raw->sector_number;
    return decode_segments(raw->seg, disk, out, why);
}

/* The rest of it needs a page of the guest's. */
static int decode_indirect(const struct blkif_request_indirect *raw, struct blkreq *out,
                           const char **why)
{
    out->operation = raw->indirect_op;
    if (raw->indirect_op != BLKIF_OP_READ && raw->indirect_op != BLKIF_OP_WRITE) {
        return refuse(why, "indirect, and neither read nor write");
    }
    if (raw->nr_segments == 0 || raw->nr_segments > BLKREQ_SEGS) {
        return refuse(why, "number of indirect segments not 1 to 256");
    }
    out->indirect = true;
    out->indirect_gref = raw->indirect_grefs[0];
    out->nsegs = raw->nr_segments;
    out->offset = raw->sector_number;
    return BLKIF_RSP_OKAY;
}

int blkreq_decode_indirect(const struct blkif_request_segment *segs, const struct blkreq_disk *disk,
                           struct blkreq *out, const char **why)
{
    return decode_segments(segs, disk, out, why);
}

static int decode_discard(const struct blkif_request_discard *raw, const struct blkreq_disk *disk,
                          struct blkreq *out, const char **why)
{
    if ((raw->flag & BLKIF_DISCARD_SECURE) || disk->no_discard) {
        return BLKIF_RSP_EOPNOTSUPP; /* nothing in the store offers that */
    }
    int status = check_place(raw->sector_number, raw->nr_sectors, disk, out, why);
    out->bytes = raw->nr_sectors * BLKREQ_SECTOR;
    return status;
}

int blkreq_decode(const struct blkif_request *raw, const struct blkreq_disk *disk,
                  struct blkreq *out, const char **why)
{
    /* All but what the lists of segments, which come with their length, hold. */
    out->indirect = false;
    out->nsegs = 0;
    out->offset = out->bytes = 0;
    *why = NULL;
    out->id = raw->id;
    out->operation = raw->operation;
    switch (raw->operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
        return decode_io(raw, disk, out, why);
    case BLKIF_OP_WRITE_BARRIER: /* one that writes nothing is all order */
        return raw->nr_segments ? decode_io(raw, disk, out, why) : BLKIF_RSP_OKAY;
    case BLKIF_OP_FLUSH_DISKCACHE:
        return raw->nr_segments == 0 ? BLKIF_RSP_OKAY : refuse(why, "flush with segments");
    case BLKIF_OP_DISCARD:
        return decode_discard((const void *)raw, disk, out, why);
    case BLKIF_OP_INDIRECT:
        return decode_indirect((const void *)raw, out, why);
    default:
        /* What nobody knows: nothing in the store offers it. */
        return BLKIF_RSP_EOPNOTSUPP;
    }
}

static bool on_device(uint64_t sector)
{
    return sector != BLKPLAN_HOLE && sector != BLKPLAN_PACKED;
}

/* The run that the next piece belongs to: the last one if it goes on there, else a new one. NULL:
 * there is no room for one. */
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
    run->offset = plan->req->offset + plan->done;
    run->first = plan->npieces;
    run->npieces = 0;
    run->bytes = 0;
    return run;
}

/* The next piece of the request's memory, at most `most` bytes. */
static struct blkreq_piece next_piece(struct blkplan *plan, uint64_t most)
{
    struct blkreq_piece piece = plan->req->segs[plan->seg];

    piece.offset = (uint16_t)(piece.offset + plan->seg_done);
    piece.len = (uint16_t)(piece.len - plan->seg_done);
    if (piece.len > most) {
        piece.len = (uint16_t)most;
        plan->seg_done = (uint16_t)(plan->seg_done + most);
    } else {
        plan->seg++;
        plan->seg_done = 0;
    }
    return piece;
}

/* Lays out one extent of `bytes` at `sector`, piece by piece. False: there is no more room. */
static bool add_extent(struct blkplan *plan, uint64_t sector, uint64_t bytes, unsigned max_pieces)
{
    while (bytes > 0) {
        struct blkplan_run *run;
        struct blkreq_piece piece;

        run = plan->npieces < BLKPLAN_MAX ? run_for(plan, sector, max_pieces) : NULL;
        if (!run) {
            return false;
        }
        piece = next_piece(plan, bytes);
        plan->pieces[plan->npieces++] = piece;
        run->npieces++;
        run->bytes += piece.len;
        plan->done += piece.len;
        bytes -= piece.len;
        if (on_device(sector)) {
            sector += piece.len / BLKREQ_SECTOR;
        }
    }
    return true;
}

void blkplan_begin(struct blkplan *plan, const struct blkreq *req)
{
    plan->req = req;
    plan->done = 0;
    plan->seg = 0;
    plan->seg_done = 0;
    plan->nruns = plan->npieces = 0;
}

int blkplan_next(struct blkplan *plan, unsigned max_pieces, blkplan_map_fn map, void *arg)
{
    const struct blkreq *req = plan->req;
    bool write = blkreq_is_write(req->operation);

    plan->nruns = plan->npieces = 0;
    while (blkplan_more(plan)) {
        uint64_t left = req->bytes - plan->done, sector, bytes;
        int error = map(arg, req->offset + plan->done, left, write, &sector, &bytes);

        if (error) {
            return error;
        }
        if (bytes == 0 || bytes > left || bytes % BLKREQ_SECTOR != 0 ||
            (write && !on_device(sector))) {
            return -XEN_EIO;
        }
        if (!add_extent(plan, sector, bytes, max_pieces)) {
            break;
        }
    }
    return 0;
}
