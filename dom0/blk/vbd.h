/* SPDX-License-Identifier: MIT */
/*
 * Inside of the block back end: one virtual disk. Everything in it belongs to its thread, but for
 * the flags that wake that thread and what attach and detach do before and after its life.
 *
 *   blkback.c  attach, detach, list; nodes of the store
 *   vbd.c      the thread: states, connection
 *   vbdio.c    requests
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
struct vbd_io;

#define VBD_PATH  64
#define VBD_LINES 16 /* about one disk in the log, in all its life */

struct vbd {
    struct vbd *next;
    domid_t domid;
    char front[VBD_PATH], back[VBD_PATH]; /* nodes */
    struct blkback_info info;
    char who[VBD_PATH]; /* that has the files open */
    struct image_env env;
    struct image *image;
    struct blkdev *dev;
    struct blkreq_disk disk;
    struct store_watch *watch;
    unsigned lines;

    struct waitq wake;
    bool front_changed, event, stop; /* set by others */
    bool gone;                       /* the thread has ended */

    /* While connected: */
    bool connected;
    int port;
    struct grant_mapping ring_map;
    struct blkring ring;
    unsigned in_flight;
    struct vbd_io *done; /* completed, to be answered */
    struct blkplan plan; /* of the request being started: too large for a stack */
};

/* The thread's body. */
void vbd_run(void *vbd);

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
