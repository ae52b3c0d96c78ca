/* SPDX-License-Identifier: MIT */
/*
 * What drivers of block devices share: requests checked, and calls that wait made of submit().
 */
#ifndef DOM0_DRIVERS_BLKSYNC_H
#define DOM0_DRIVERS_BLKSYNC_H

#include <stdint.h>

struct blkdev;
struct blk_request;

/* What submit() is to refuse: 0, -EINVAL or -EROFS. */
int blksync_check(const struct blkdev *dev, const struct blk_request *req);

/* Fails a list of requests, which are nobody's any more: done() may submit new ones. */
void blksync_fail_all(struct blk_request *list, int status);

/*
 * The operations of struct blkdev_ops that wait; for threads. The device's max_segs is 2 at least,
 * and it takes memory at any alignment.
 */
int blksync_read(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors);
int blksync_write(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors);
int blksync_flush(struct blkdev *dev);

#endif
