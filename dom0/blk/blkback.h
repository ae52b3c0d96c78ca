/* SPDX-License-Identifier: MIT */
/*
 * Virtual disks: the block back end on images (dom0/image/) on dom0's disk. A guest's sector
 * becomes an offset in a file, that a place on the device, and the device gets the guest's own
 * page: nothing is copied, but for what is compressed in the image. Front ends speak
 * <xen/io/blkif.h>, x86_64 layout, one ring page; READ, WRITE, FLUSH_DISKCACHE.
 *
 * For threads; all of it may wait. The domain's nodes (/local/domain/N) must exist before a disk is
 * attached, and are to be removed after the last one was detached.
 */
#ifndef DOM0_BLK_BLKBACK_H
#define DOM0_BLK_BLKBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include "dom0/image/format.h"

struct diskspec;

/* Once, after the store's start and the mount of dom0's disk. */
int blkback_start(void);

/*
 * Gives the domain a disk: opens the image (for itself alone, unless read-only) and its bases,
 * makes the nodes of both ends and waits for the front end, all on a thread of its own. `who` is
 * for messages about the file ("domain web1"). On error nothing is left, and `why` (size bytes) is
 * one line about it: -XEN_EEXIST the domain has that vdev, -XEN_EBUSY the file is in use or the
 * base of others, -XEN_ENOENT, -XEN_ENOMEM, and what image_open() returns.
 */
int blkback_attach(domid_t domid, const struct diskspec *disk, const char *who, char *why,
                   size_t size);

/*
 * Takes it away, once no request is in flight any more. The guest is not asked, it is to be gone or
 * about to go. No error if there is no such disk.
 */
void blkback_detach(domid_t domid, unsigned vdev_number);
void blkback_detach_all(domid_t domid);

struct blkback_info {
    unsigned vdev_number;
    char vdev[12];
    char file[256];
    char backend_path[64];
    bool readonly;
    enum image_format format;
    unsigned front_state, back_state; /* enum xenbus_state of <xen/io/xenbus.h> */
    evtchn_port_t event_channel;      /* the guest's end; 0 while not connected */
    grant_ref_t ring_ref;
    uint64_t sectors;
    uint64_t reads, writes, flushes, errors; /* requests */
    uint64_t read_bytes, written_bytes;
};

/* The domain's disks, at most max of them, in the order of attachment; returns how many. */
unsigned blkback_list(domid_t domid, struct blkback_info *out, unsigned max);

#endif
