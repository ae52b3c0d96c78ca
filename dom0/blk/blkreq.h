/* SPDX-License-Identifier: MIT */
/*
 * What a guest's block request means: checked, and then laid out on the device. Pure.
 */
#ifndef DOM0_BLK_BLKREQ_H
#define DOM0_BLK_BLKREQ_H

#include <stdbool.h>
#include <stdint.h>
#include "dom0/blk/blkring.h"

#define BLKREQ_DIRECT BLKIF_MAX_SEGMENTS_PER_REQUEST
#define BLKREQ_SEGS   256u /* of an indirect one: 1 MiB, what an image prepares for */
#define BLKREQ_SECTOR 512u

/* The virtual disk. */
struct blkreq_disk {
    uint64_t sectors;
    bool readonly;
    bool no_discard;
};

/* A part of one of the request's pages. */
struct blkreq_piece {
    uint16_t page; /* index of the segment, so of its granted page */
    uint16_t offset, len;
};

struct blkreq {
    uint64_t id;
    uint8_t operation; /* BLKIF_OP_READ, _WRITE, _WRITE_BARRIER, _FLUSH_DISKCACHE or _DISCARD */
    bool indirect;     /* the segments lie in a page of their own: blkreq_decode_indirect() */
    grant_ref_t indirect_gref;
    unsigned nsegs; /* 0 without memory */
    grant_ref_t grefs[BLKREQ_SEGS];
    struct blkreq_piece segs[BLKREQ_SEGS];
    uint64_t offset; /* bytes from the start of the disk */
    uint64_t bytes;
};

static inline bool blkreq_is_write(uint8_t operation)
{
    return operation == BLKIF_OP_WRITE || operation == BLKIF_OP_WRITE_BARRIER;
}

/*
 * Takes the copy of a request apart. BLKIF_RSP_OKAY, or the status to answer with; then *why is a
 * short reason for the log, or NULL where a front end may well just be trying what we can do.
 * out->id and out->operation (what to answer with) are always set.
 */
int blkreq_decode(const struct blkif_request *raw, const struct blkreq_disk *disk,
                  struct blkreq *out, const char **why);
/* The second half for an indirect request: `segs` is a copy of its out->nsegs segments. */
int blkreq_decode_indirect(const struct blkif_request_segment *segs, const struct blkreq_disk *disk,
                           struct blkreq *out, const char **why);

/*
 * A request laid out, part by part: runs of sectors, each with its pieces of memory in order.
 */
#define BLKPLAN_MAX    64
#define BLKPLAN_HOLE   UINT64_MAX       /* reads as zeros */
#define BLKPLAN_PACKED (UINT64_MAX - 1) /* has to be unpacked, nothing to write to */

struct blkplan_run {
    uint64_t sector; /* on the device, or one of the above */
    uint64_t offset; /* on the disk, bytes */
    unsigned first, npieces;
    uint32_t bytes;
};

struct blkplan {
    const struct blkreq *req;
    uint64_t done; /* bytes of it that were laid out so far */
    unsigned seg;  /* where in its memory that is */
    uint16_t seg_done;

    unsigned nruns, npieces; /* of this part */
    struct blkplan_run runs[BLKPLAN_MAX];
    struct blkreq_piece pieces[BLKPLAN_MAX];
};

/*
 * Where a part of the file lies: at least one sector of it, at most len bytes; writing allocates.
 * 0, or a negative Xen errno.
 */
typedef int (*blkplan_map_fn)(void *arg, uint64_t offset, uint64_t len, bool write,
                              uint64_t *sector, uint64_t *bytes);

/* req must stay until the plan is done. */
void blkplan_begin(struct blkplan *plan, const struct blkreq *req);
static inline bool blkplan_more(const struct blkplan *plan)
{
    return plan->done < plan->req->bytes;
}
/*
 * Lays out the next part of a read or write, as much as there is room for; a run has at most
 * max_pieces. 0, what `map` returned, or -XEN_EIO when it returned nonsense (a hole to write to).
 */
int blkplan_next(struct blkplan *plan, unsigned max_pieces, blkplan_map_fn map, void *arg);

#endif
