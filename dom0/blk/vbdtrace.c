/* SPDX-License-Identifier: MIT */
/* A disk's requests for `trace-io`. */
#include "dom0/blk/vbd.h"

#include <stdio.h>

#include "dom0/blk/iotrace.h"
#include "dom0/drivers/blkdev.h"

uint64_t vbdtrace_run(struct vbd_io *io, const struct blkplan_run *run,
                      const struct blk_segment *first)
{
    struct vbd *v = io->vbd;
    struct iotrace_record t = {.sector = run->offset / BLKREQ_SECTOR,
                               .bytes = run->bytes,
                               .offset = IOTRACE_NOWHERE,
                               .device = IOTRACE_NOWHERE};
    struct image_extent part;

    snprintf(t.vdev, sizeof(t.vdev), "%s", v->info.vdev);
    if (first) {
        t.op = blkreq_is_write(io->operation) ? IOTRACE_WRITE : IOTRACE_READ;
        t.device = run->sector;
        t.maddr = first->maddr;
        t.pieces = run->npieces;
        /* The plan has only the device's side of it; what is mapped now is not mapped elsewhere. */
        if (image_map(v->image, run->offset, BLKREQ_SECTOR, &part) == 0 && part.kind == IMAGE_DATA)
            t.offset = part.offset;
    } else {
        t.op = run->sector == BLKPLAN_HOLE ? IOTRACE_ZEROS : IOTRACE_UNPACK;
    }
    return iotrace_begin(&t);
}

uint64_t vbdtrace_discard(struct vbd *v, const struct blkreq *req)
{
    struct iotrace_record t = {.op = IOTRACE_DISCARD,
                               .sector = req->offset / BLKREQ_SECTOR,
                               .bytes = req->bytes,
                               .offset = IOTRACE_NOWHERE,
                               .device = IOTRACE_NOWHERE};

    snprintf(t.vdev, sizeof(t.vdev), "%s", v->info.vdev);
    return iotrace_begin(&t);
}

uint64_t vbdtrace_flush(struct vbd *v, bool tables)
{
    struct iotrace_record t = {.op = tables ? IOTRACE_TABLES : IOTRACE_FLUSH,
                               .sector = IOTRACE_NOWHERE,
                               .offset = IOTRACE_NOWHERE,
                               .device = IOTRACE_NOWHERE};

    snprintf(t.vdev, sizeof(t.vdev), "%s", v->info.vdev);
    return iotrace_begin(&t);
}
