/* SPDX-License-Identifier: MIT */
/*
 * Inside of the block back end: one virtual disk. Everything in it belongs to its thread, but for
 * the flags that wake that thread and what attach and detach do before and after its life.
 *
 *   blkback.c   attach, detach, list
 *   vbdmedia.c  changes while the guest runs: another medium, another size
 *   vbdnodes.c  nodes of the store
 *   vbd.c       the thread: states
 *   vbdconn.c   connection: rings and events
 *   vbdio.c     requests
 *   vbdpages.c  the guest's pages: mapped for a request, or kept mapped
 *   vbddev.c    requests to the device, which serve one of the guest's or several
 *   vbdfresh.c  blocks for writes into holes
 *   vbdtrace.c  records of them
 */
#ifndef DOM0_BLK_VBD_H
#define DOM0_BLK_VBD_H

#include <stdbool.h>
#include <stdint.h>
#include <rt/grant.h>
#include <rt/thread.h>
#include <xen/io/xenbus.h>
#include "dom0/blk/blkback.h"
#include "dom0/blk/blkreq.h"
#include "dom0/blk/blkring.h"
#include "dom0/blk/grantcache.h"
#include "dom0/blk/images.h"

struct store_watch;
struct blkdev;
struct blk_segment;
struct vbd;
struct vbd_dev;
struct vbd_fresh;
struct vfs_extent;

#define VBD_BACKENDS "/local/domain/0/backend/vbd"

#define VBD_PATH  64
#define VBD_LINES 16 /* about one disk in the log, in all its life */
#define VBD_RINGS 4  /* a guest has one for each of its processors, up to this */

/* Something to be done on a disk's thread, with no request in flight. One at a time. */
struct vbd_call {
    int (*fn)(struct vbd *v, void *arg);
    void *arg;
    int rc;
    enum { VBD_CALL_NONE, VBD_CALL_WANTED, VBD_CALL_DONE } state;
};

struct vbd_ring {
    struct vbd *vbd;
    struct blkring ring;
    struct grant_mapping map;
    int port;
    bool event; /* set by its handler */
};

/* A page of a request: mapped for it alone, or kept in the cache. */
struct vbd_page {
    struct grant_page page;
    struct grantcache_entry *kept;
};

/* A request in flight: parts of it are with the device, `left` of them. */
struct vbd_io {
    struct vbd_io *next;
    struct vbd *vbd;
    struct vbd_ring *ring;
    uint64_t id;
    uint8_t operation;
    int status;    /* 0 or the first error */
    bool told;     /* the log has it */
    unsigned left; /* and one while parts are being made */
    unsigned npages;
    struct vbd_page pages[];
};

struct vbd {
    struct vbd *next;
    domid_t domid;
    char front[VBD_PATH], back[VBD_PATH]; /* nodes */
    struct blkback_info info;
    char who[VBD_PATH]; /* that has the files open */
    struct image_env env;
    struct image *image; /* NULL: a drive without a medium */
    struct blkdev *dev;
    struct blkreq_disk disk;
    struct store_watch *watch;
    unsigned lines;

    struct waitq wake;
    bool front_changed, stop; /* set by others */
    bool unplug;              /* set by others: the guest is to let go of it */
    bool closing;             /* and was told so */
    struct vbd_call call;     /* set by others */
    bool gone;                /* the thread has ended */

    bool leaving;   /* somebody takes the disk away; */
    unsigned users; /* who waits for these */

    /* While connected: */
    bool connected;
    unsigned nrings;
    struct vbd_ring rings[VBD_RINGS];
    struct grantcache *kept; /* NULL: pages are mapped for each request */
    unsigned in_flight;      /* of the guest's requests */
    unsigned flying;         /* of the device's */
    struct vbd_dev *pending; /* for the device, may still become larger */
    struct vbd_dev *spare;
    struct vbd_io *done; /* completed, to be answered */
    struct vbd_fresh *fresh;
    struct blkreq req; /* the one being started: too large for a stack, as is its plan */
    struct blkplan plan;
};

/* The disks, in the order of attachment; and where whoever waits for a change of one waits. */
extern struct vbd *vbd_all;
extern struct waitq vbd_changed;

/* vbdtrace.c. Begins the record of a run for `trace-io`; first: its memory, NULL if the device is
 * not asked. */
uint64_t vbdtrace_run(struct vbd_io *io, const struct blkplan_run *run,
                      const struct blk_segment *first);
/* Of a discard. */
uint64_t vbdtrace_discard(struct vbd *v, const struct blkreq *req);
/* And of a flush, which may have tables to write first. */
uint64_t vbdtrace_flush(struct vbd *v, bool tables);

/* The thread's body. */
void vbd_run(void *vbd);
/* Does fn(v, arg) on the disk's thread, and returns what it returned. */
int vbd_call(struct vbd *v, int (*fn)(struct vbd *v, void *arg), void *arg);
/* True if the image has tables to be written. */
bool vbd_is_dirty(const struct vbd *v);
/* Takes over the size of the image, or of no image. */
void vbd_take_size(struct vbd *v);

/* The disk of a domain, or NULL; one that is being taken away is none. */
struct vbd *blkback_find(domid_t domid, unsigned vdev_number);
/* Opens the image of a disk in the name of v. On error, a line in `why`. */
int blkback_open(struct vbd *v, const struct diskspec *disk, struct image **image, char *why,
                 size_t size);
/* Puts a line into `why`; returns error. */
int blkback_fail(int error, char *why, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Makes the nodes of both ends; removes them. */
int vbdnodes_make(struct vbd *v);
void vbdnodes_remove(struct vbd *v);
void vbdnodes_set_state(struct vbd *v, unsigned state);
/* The disk goes: its driver shall not begin again. */
void vbdnodes_set_offline(struct vbd *v);
/* Another medium, or a size that has changed: a state written again makes front ends look. */
int vbdnodes_set_medium(struct vbd *v);

/* One line in the log, while the disk has not had too many. */
void vbd_complain(struct vbd *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* vbdconn.c. A node of the front end as a decimal number; false if it is missing or none. */
bool vbd_read_number(const struct vbd *v, const char *name, uint32_t *value);
/* Maps the rings that the front end offers; if it cannot be, says why and closes. */
void vbd_connect(struct vbd *v);
/* Ends the connection when all that the device has of it is back. */
void vbd_disconnect(struct vbd *v);
/* Brings the image's tables to the disk. */
void vbd_flush_tables(struct vbd *v);
bool vbd_has_event(const struct vbd *v);

/* vbdio.c. Starts what the rings hold, at most one ring full each; false if one is broken. May
 * wait. */
bool vbdio_start_all(struct vbd *v);
/* Waits until the device has no request of this disk: what images call before they write their
 * tables. Answers what has completed. */
void vbdio_settle(void *vbd);
/* Answers what has completed. */
void vbdio_finish_all(struct vbd *v);
/* A part of a request is done; the last one hands it to the disk's thread. */
void vbdio_part_done(struct vbd_io *io, int status);

/* vbdfresh.c. Blocks that a request has for a hole of a file: vfs_map_new(). On error they are
 * given back. */
int vbdfresh_add(const struct vbd_io *io, struct image_file *file, uint64_t offset,
                 const struct vfs_extent *extent);
/* Where the begin of a part of a file lies, if this request has got blocks for it already. */
bool vbdfresh_find(const struct vbd_io *io, const struct image_extent *e, uint64_t *sector,
                   uint64_t *bytes);
/* Another request has got some there, and has not ended. */
bool vbdfresh_overlaps(const struct vbd_io *io, const struct image_extent *e);
/* All parts of a request are done: its blocks are the file's, or, if it has failed, given back. */
int vbdfresh_end(const struct vbd_io *io);

/* vbdpages.c. All of a request's pages, or none and a negative errno. */
int vbdpages_map(struct vbd *v, const struct blkreq *req, struct vbd_page *pages);
void vbdpages_unmap(const struct vbd_page *pages, unsigned n);
/* The segments of an indirect request, copied. */
int vbdpages_read_indirect(struct vbd *v, const struct blkreq *req,
                           struct blkif_request_segment *segs);
/* Ends what is kept mapped. */
void vbdpages_drop(struct vbd *v);

/* vbddev.c. A run of a request goes to the device, together with others that lie beside it. */
void vbddev_add(struct vbd_io *io, const struct blkplan_run *run,
                const struct blkreq_piece *pieces);
void vbddev_flush_device(struct vbd_io *io);
/* What was added so far goes out. */
void vbddev_submit(struct vbd *v);
void vbddev_free_spare(struct vbd *v);

#endif
