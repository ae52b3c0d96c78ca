/* SPDX-License-Identifier: MIT */
#include "dom0/drivers/nvme_prp.h"

#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"

#define IN_PAGE(addr) ((addr) & (NVME_PAGE - 1))

/* Pages that a segment touches. */
static uint32_t pages_of(const struct blk_segment *seg)
{
    return (uint32_t)((IN_PAGE(seg->maddr) + seg->len + NVME_PAGE - 1) / NVME_PAGE);
}

/* A segment can follow: what is before it ends where a page does, and it begins where one does. */
static bool joins(const struct nvme_part *part, const struct blk_segment *before,
                  const struct blk_segment *seg)
{
    return part->segs > 0 && IN_PAGE(before->maddr + before->len) == 0 && IN_PAGE(seg->maddr) == 0;
}

static void append(struct nvme_part *part, const struct blk_segment *seg)
{
    uint64_t page = seg->maddr;

    for (uint32_t n = pages_of(seg); n > 0; n--) {
        part->prp[part->prps++] = page;
        page = page - IN_PAGE(page) + NVME_PAGE;
    }
    part->segs++;
    part->bytes += seg->len;
}

int nvme_prp_part(const struct blk_segment *segs, unsigned int count, uint32_t max_bytes,
                  struct nvme_part *part)
{
    part->segs = part->bytes = part->prps = 0;
    if (segs[0].maddr % 4)
        return -XEN_EINVAL;
    for (unsigned int i = 0; i < count; i++) {
        const struct blk_segment *seg = &segs[i];

        if (i > 0 && !joins(part, seg - 1, seg))
            break;
        if (seg->len > max_bytes - part->bytes || pages_of(seg) > NVME_PRPS_MAX - part->prps)
            break;
        append(part, seg);
    }
    return part->segs == 0 || part->bytes % BLK_SECTOR_SIZE ? -XEN_EINVAL : 0;
}
