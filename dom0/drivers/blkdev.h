/* SPDX-License-Identifier: MIT */
/*
 * A block device as dom0 sees it: the file system reads and writes through it, the block back end
 * hands it guests' own pages by machine address. Drivers fill in the operations; on the host a unit
 * test puts a file or plain memory behind them.
 *
 * Sectors are 512 bytes everywhere, whatever the medium's own block size.
 */
#ifndef DOM0_DRIVERS_BLKDEV_H
#define DOM0_DRIVERS_BLKDEV_H

#include <stdbool.h>
#include <stdint.h>

#define BLK_SECTOR_SHIFT 9
#define BLK_SECTOR_SIZE  (1u << BLK_SECTOR_SHIFT)

enum blk_op {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH, /* no segments; done when everything completed before it is on stable storage */
};

/* One piece of memory by machine address. It does not cross a page unless the frames are
 * contiguous. */
struct blk_segment {
    uint64_t maddr;
    uint32_t len; /* bytes, not 0; any alignment, but the sum over a request is whole sectors */
};

struct blk_request {
    enum blk_op op;
    uint64_t sector;
    const struct blk_segment *segs; /* must stay valid until done() */
    unsigned int nsegs;             /* at most the device's max_segs */
    /*
     * Called exactly once for each request that submit() took, with 0 or a negative Xen errno, on
     * the driver's own thread: it may make hypercalls, wake others and submit further requests, but
     * must not wait, and so must not use the device's synchronous calls. The request may be
     * freed or reused in it.
     */
    void (*done)(struct blk_request *req, int status);
    void *arg; /* the submitter's */

    struct blk_request *next; /* the driver's, while the request is with it */
    uint64_t started_ns;      /* the driver's */
    unsigned int parts;       /* the driver's: commands in flight that it became */
    int status;               /* the driver's: the first error of one of them */
};

struct blkdev;

struct blkdev_ops {
    /* Synchronous: the calling thread sleeps. buf is dom0's own memory (malloc, pages,
     * statics, stack), not a window of map_frames(). Any length and alignment. */
    int (*read)(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors);
    int (*write)(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors);
    int (*flush)(struct blkdev *dev);
    /*
     * Asynchronous; never sleeps. 0: the device has the request and will call done(). Otherwise a
     * negative Xen errno, and done() is not called: -EINVAL (out of range, too many segments, no
     * whole sectors), -EROFS, -EIO (the device is gone). Requests that do not fit the ring wait
     * inside the driver. No order is promised between requests in flight.
     */
    int (*submit)(struct blkdev *dev, struct blk_request *req);
};

struct blkdev {
    const char *name;
    uint64_t sectors;
    bool readonly;
    unsigned int max_segs; /* segments in one request, >= 1 */
    /* A command's limit, 0: none. Requests may have more, if they can be cut between segments, at
     * whole sectors. */
    uint32_t max_bytes;
    const struct blkdev_ops *ops;
    void *priv; /* the driver's */
};

static inline int blkdev_read(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors)
{
    return dev->ops->read(dev, sector, buf, sectors);
}

static inline int blkdev_write(struct blkdev *dev, uint64_t sector, const void *buf,
                               uint32_t sectors)
{
    return dev->ops->write(dev, sector, buf, sectors);
}

static inline int blkdev_flush(struct blkdev *dev)
{
    return dev->ops->flush(dev);
}

static inline int blkdev_submit(struct blkdev *dev, struct blk_request *req)
{
    return dev->ops->submit(dev, req);
}

#endif
