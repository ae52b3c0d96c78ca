/* SPDX-License-Identifier: MIT */
/*
 * Inside of the block back end: one virtual disk. Everything in it belongs to its thread, but for
 * the flags that wake that thread and what attach and detach do before and after its life.
 *
 *   blkback.c   attach, detach, list
 *   vbdmedia.c  changes while the guest runs: another medium, another size
 *   vbdnodes.c  nodes of the store
 *   vbd.c       the thread: states, connection
 *   vbdio.c     requests
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
#include "dom0/blk/images.h"

struct store_watch;
struct blkdev;
struct blk_request;
struct vbd_io;
struct vbd;

#define VBD_BACKENDS "/local/domain/0/backend/vbd"

#define VBD_PATH  64
#define VBD_LINES 16 /* about one disk in the log, in all its life */

/* Something to be done on a disk's thread, with no request in flight. One at a time. */
struct vbd_call {
    int (*fn)(struct vbd *v, void *arg);
    void *arg;
    int rc;
    enum { VBD_CALL_NONE, VBD_CALL_WANTED, VBD_CALL_DONE } state;
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
    bool front_changed, event, stop; /* set by others */
    bool unplug;                     /* set by others: the guest is to let go of it */
    bool closing;                    /* and was told so */
    struct vbd_call call;            /* set by others */
    bool gone;                       /* the thread has ended */

    bool leaving;   /* somebody takes the disk away; */
    unsigned users; /* who waits for these */

    /* While connected: */
    bool connected;
    int port;
    struct grant_mapping ring_map;
    struct blkring ring;
    unsigned in_flight;
    struct vbd_io *done; /* completed, to be answered */
    struct blkplan plan; /* of the request being started: too large for a stack */
};

/* The disks, in the order of attachment; and where whoever waits for a change of one waits. */
extern struct vbd *vbd_all;
extern struct waitq vbd_changed;

/* Begins the record of a run for `trace-io`; r: what the device is asked for, NULL if nothing. */
uint64_t vbdtrace_run(struct vbd *v, const struct blkplan_run *run, const struct blk_request *r);
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

/* Starts what the ring holds, at most a ring full; false if the ring is broken. May wait. */
bool vbdio_start_all(struct vbd *v);
/* Waits until no request is in flight, answering them: what images call before they write their
 * tables. */
void vbdio_settle(void *vbd);
/* Answers what has completed. */
void vbdio_finish_all(struct vbd *v);

#endif
