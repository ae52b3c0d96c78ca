/* SPDX-License-Identifier: MIT */
/* Between blkfront.c and blkfront_connect.c only. */
#ifndef RT_BLKFRONT_INTERNAL_H
#define RT_BLKFRONT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

/* What <xen/io/ring.h> wants; x86 keeps loads in order with loads and stores with stores. */
#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>

#include "thread.h"

#define BLKFRONT_SLOTS 32 /* requests that fit a ring of one page */

#define BLKFRONT_SEGS 64 /* pages of an indirect request */

struct transfer;

struct blkfront_slot {
    struct transfer *transfer; /* NULL: free */
    unsigned refs_count;
    grant_ref_t refs[BLKFRONT_SEGS];
    struct blkif_request_segment *indirect; /* a page, lent for good; NULL: not needed so far */
    grant_ref_t indirect_ref;
};

struct blkfront {
    struct blkfront *next; /* of all open disks */
    char dir[40];          /* device/vbd/N */
    char *backend_dir;
    domid_t backend;
    blkif_vdev_t handle;
    uint64_t sectors;
    bool readonly, can_flush, can_barrier, can_discard, broken;
    unsigned max_segs; /* in one request */
    bool leaving;      /* the back end wants it back */
    bool gone;         /* and has taken it: nothing is answered any more */

    blkif_front_ring_t ring;
    grant_ref_t ring_ref;
    evtchn_port_t port;

    struct waitq wait; /* slots and answers */
    unsigned free_slots;
    struct blkfront_slot slots[BLKFRONT_SLOTS];
};

#endif
