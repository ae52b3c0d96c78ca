/* SPDX-License-Identifier: MIT */
#include "dom0/drivers/blksync.h"

#include <xen/errno.h>

#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/blkdev.h"

#define MAX_SEGS 64u

int blksync_check(const struct blkdev *dev, const struct blk_request *req)
{
    uint64_t bytes = 0;

    for (unsigned int i = 0; i < req->nsegs; i++)
        bytes += req->segs[i].len;
    if (req->op == BLK_FLUSH) {
        if (req->nsegs)
            return -XEN_EINVAL;
    } else if (bytes == 0 || bytes % BLK_SECTOR_SIZE || req->nsegs > dev->max_segs ||
               req->sector > dev->sectors ||
               bytes >> BLK_SECTOR_SHIFT > dev->sectors - req->sector) {
        return -XEN_EINVAL;
    }
    if (req->op == BLK_WRITE && dev->readonly)
        return -XEN_EROFS;
    return 0;
}

void blksync_fail_all(struct blk_request *list, int status)
{
    while (list) {
        struct blk_request *next = list->next;

        list->done(list, status);
        list = next;
    }
}

/* A request that a thread waits for. */
struct sync {
    struct blk_request req;
    struct blk_segment segs[MAX_SEGS];
    struct waitq waitq;
    bool done;
    int status;
};

static void sync_done(struct blk_request *req, int status)
{
    struct sync *sync = req->arg;

    sync->status = status;
    sync->done = true;
    waitq_wake(&sync->waitq);
}

/* The pieces of a buffer, page by page: neighbours in address have unrelated frames. */
static uint32_t sync_segments(struct sync *sync, uint8_t *buf, uint32_t len, unsigned int max)
{
    uint32_t covered = 0;
    unsigned int n = 0;

    while (covered < len && n < max) {
        uintptr_t va = (uintptr_t)(buf + covered);
        uint32_t piece = (uint32_t)(PAGE_SIZE - (va & (PAGE_SIZE - 1)));

        if (piece > len - covered)
            piece = len - covered;
        sync->segs[n].maddr =
            ((uint64_t)virt_to_mfn((void *)va) << PAGE_SHIFT) + (va & (PAGE_SIZE - 1));
        sync->segs[n++].len = piece;
        covered += piece;
    }
    sync->req.nsegs = n;
    return covered;
}

static int sync_run(struct blkdev *dev, struct sync *sync)
{
    int rc;

    sync->req.segs = sync->segs;
    sync->req.done = sync_done;
    sync->req.arg = sync;
    sync->done = false;
    waitq_init(&sync->waitq);
    rc = blkdev_submit(dev, &sync->req);
    if (rc < 0)
        return rc;
    wait_event(&sync->waitq, sync->done);
    return sync->status;
}

static int transfer(struct blkdev *dev, enum blk_op op, uint64_t sector, uint8_t *buf,
                    uint32_t sectors)
{
    /* One page less than there are segments: the buffer may begin anywhere in a page. */
    unsigned int max = dev->max_segs < MAX_SEGS ? dev->max_segs : MAX_SEGS;
    uint32_t most = (max - 1) * (uint32_t)(PAGE_SIZE / BLK_SECTOR_SIZE);

    if (dev->max_bytes && most > dev->max_bytes >> BLK_SECTOR_SHIFT)
        most = dev->max_bytes >> BLK_SECTOR_SHIFT;
    while (sectors > 0) {
        struct sync sync = {.req.op = op, .req.sector = sector};
        uint32_t n = sectors < most ? sectors : most;
        int rc;

        if (sync_segments(&sync, buf, n << BLK_SECTOR_SHIFT, max) != n << BLK_SECTOR_SHIFT)
            return -XEN_EINVAL;
        rc = sync_run(dev, &sync);
        if (rc < 0)
            return rc;
        sector += n;
        buf += n << BLK_SECTOR_SHIFT;
        sectors -= n;
    }
    return 0;
}

int blksync_read(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors)
{
    return transfer(dev, BLK_READ, sector, buf, sectors);
}

int blksync_write(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors)
{
    return transfer(dev, BLK_WRITE, sector, (uint8_t *)(uintptr_t)buf, sectors);
}

int blksync_flush(struct blkdev *dev)
{
    struct sync sync = {.req.op = BLK_FLUSH};

    return sync_run(dev, &sync);
}
