/* SPDX-License-Identifier: MIT */
/*
 * The disk of dom0: the first virtio block device on the PCI bus, as a struct blkdev. Started once
 * by dom0's main(); everybody else uses blkdev.h.
 */
#ifndef DOM0_DRIVERS_VIRTIO_BLK_H
#define DOM0_DRIVERS_VIRTIO_BLK_H

struct blkdev;

/*
 * Finds and starts it, with the driver's thread. On a negative errno (-ENODEV: there is none),
 * virtio_blk_problem() says in one line what is wrong and what to do.
 */
int virtio_blk_start(struct blkdev **out);
const char *virtio_blk_problem(void);

#endif
