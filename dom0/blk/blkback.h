/* SPDX-License-Identifier: MIT */
/*
 * Virtual disks: the block back end on images (dom0/image/) on dom0's disk. A guest's sector
 * becomes an offset in a file, that a place on the device, and the device gets the guest's own
 * page: nothing is copied, but for what is compressed in the image. Front ends speak
 * <xen/io/blkif.h>, x86_64 layout, up to four rings of one page; READ, WRITE, FLUSH_DISKCACHE,
 * DISCARD, INDIRECT up to 1 MiB, persistent grants.
 *
 * For threads; all of it may wait, also for the guest where that is said. The domain's nodes
 * (/local/domain/N) must exist before a disk is attached, and are to be removed after the last one
 * was detached.
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

/* Once, after the store's start and the mount of dom0's disk; brings up the shares of it, too. */
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
 * Takes a disk away. The guest is asked, and has ten seconds to close its end; `force`: it is not
 * asked. Either way no request is in flight any more afterwards. -XEN_ENOENT: no such disk;
 * -XEN_EBUSY: the guest does not let go of it, and keeps it until the next call.
 */
int blkback_detach(domid_t domid, unsigned vdev_number, bool force);
/* Takes all of a domain's disks away, which is gone or about to go. */
void blkback_detach_all(domid_t domid);

/*
 * Another medium for a CD-like drive (disk->target, disk->format), or none (NULL). The guest may
 * have its drive open: reads beyond a shorter medium, or of none, are errors for it. -XEN_ENOENT no
 * such disk, -XEN_EINVAL it is no drive with a medium to change, and what image_open() returns;
 * `why` gets a line, and the drive keeps what it had.
 */
int blkback_insert(domid_t domid, unsigned vdev_number, const struct diskspec *disk, char *why,
                   size_t size);

/*
 * Makes the image of a running guest's disk larger, and tells the guest. *rc is the outcome, with a
 * line in `why`; false: no guest has that file for writing.
 */
bool blkback_resize(const char *file, uint64_t bytes, int *rc, char *why, size_t size);

struct blkback_info {
    unsigned vdev_number;
    char vdev[12];
    char file[256];
    char backend_path[64];
    bool readonly;
    bool cdrom;
    enum image_format format;
    unsigned front_state, back_state; /* enum xenbus_state of <xen/io/xenbus.h> */
    evtchn_port_t event_channel;      /* the guest's end; 0 while not connected */
    grant_ref_t ring_ref;
    uint64_t sectors;
    uint64_t reads, writes, flushes, discards, errors; /* requests */
    uint64_t read_bytes, written_bytes;
    uint64_t copied_bytes;    /* of those read: zeros, and what was compressed */
    uint64_t device_requests; /* what became of them */
    uint64_t merged;          /* parts that joined another's request to the device */
};

/* The disk for which a guest has that file open, the first of several; false: there is none. */
bool blkback_of_file(const char *file, struct blkback_info *out);

/* The domain's disks, at most max of them, in the order of attachment; returns how many. */
unsigned blkback_list(domid_t domid, struct blkback_info *out, unsigned max);

#endif
