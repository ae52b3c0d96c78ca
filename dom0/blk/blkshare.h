/* SPDX-License-Identifier: MIT */
/*
 * The real disk as domains see it: each domain with virtual disks has a block device of its own in
 * front of it, whose requests wait their turn as ioshare.h says, by the domain's weight and caps.
 * All disks of a domain share them.
 */
#ifndef DOM0_BLK_BLKSHARE_H
#define DOM0_BLK_BLKSHARE_H

#include <stdint.h>
#include <xen/xen.h>

struct blkdev;
struct diskspec;

/* 0 in a member of a change: leave it as it is. BLKSHARE_NO_CAP ends a cap. */
#define BLKSHARE_NO_CAP UINT64_MAX
struct blkshare {
    unsigned weight;
    uint64_t iops, bps;       /* as a state: 0 is no cap */
    uint64_t requests, bytes; /* of a state: what went to the device */
};

/* Once, with the real disk; before the others. */
int blkshare_start(struct blkdev *disk);

/* The domain's device, counted; NULL: no memory. */
struct blkdev *blkshare_get(domid_t domid);
void blkshare_put(domid_t domid);

/* Changes the domain's shares at once, or tells them. -ENOENT: it has no virtual disk. */
int blkshare_set(domid_t domid, const struct blkshare *change);
int blkshare_state(domid_t domid, struct blkshare *state);
/* No caps from now on: the domain ends, and is not to be waited for. */
void blkshare_hurry(domid_t domid);

#endif
