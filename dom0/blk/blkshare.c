/* SPDX-License-Identifier: MIT */
#include "dom0/blk/blkshare.h"

#include <stdlib.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/thread.h>

#include "dom0/blk/ioshare.h"
#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/blksync.h"

/* Enough for a device to work at: of one domain; and of several, where what waits in the device is
 * what weights have no say in. */
#define DEPTH        16u
#define SHARED_DEPTH 4u

/* A domain's place in the queue. */
struct share {
    struct share *next;
    domid_t domid;
    unsigned users;
    struct ioshare_flow flow;
    struct blkdev dev;
};

/* A request in the device: what it got, and whose it is. */
struct slot {
    struct blk_request below;
    struct blk_request *req; /* NULL: free */
    struct ioshare_flow *flow;
};

static struct {
    struct blkdev *disk;
    struct ioshare queue;
    struct share *shares;
    struct slot slots[DEPTH];
    struct waitq timer;
    uint64_t wake_at; /* when caps let the next request go */
    bool sending;     /* the device may call done() while it takes a request */
} bs = {.queue.depth = DEPTH, .queue.shared_depth = SHARED_DEPTH};

static struct share *find(domid_t domid)
{
    struct share *s = bs.shares;

    while (s && s->domid != domid)
        s = s->next;
    return s;
}

static void below_done(struct blk_request *below, int status);

/* All that may go now to the device. */
static void send(void)
{
    struct ioshare_flow *flow;
    struct blk_request *req;
    uint64_t at = UINT64_MAX;

    if (bs.sending)
        return;
    bs.sending = true;
    while ((req = ioshare_next(&bs.queue, clock_ns(), &flow, &at))) {
        struct slot *slot = bs.slots;
        int rc;

        while (slot->req) /* there are as many as the queue lets out */
            slot++;
        slot->req = req;
        slot->flow = flow;
        slot->below = *req;
        slot->below.done = below_done;
        slot->below.arg = slot;
        rc = blkdev_submit(bs.disk, &slot->below);
        if (rc < 0)
            below_done(&slot->below, rc);
    }
    bs.sending = false;
    if (at != bs.wake_at) {
        bs.wake_at = at;
        waitq_wake(&bs.timer);
    }
}

static void below_done(struct blk_request *below, int status)
{
    struct slot *slot = below->arg;
    struct blk_request *req = slot->req;

    slot->req = NULL;
    ioshare_done(&bs.queue, slot->flow);
    req->done(req, status);
    send();
}

static int share_submit(struct blkdev *dev, struct blk_request *req)
{
    struct share *share = dev->priv;

    /* What the disk would refuse is refused when its turn comes, by done(). */
    ioshare_add(&bs.queue, &share->flow, req);
    send();
    return 0;
}

static const struct blkdev_ops share_ops = {blksync_read, blksync_write, blksync_flush,
                                            share_submit};

static void timer_thread(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t at = bs.wake_at, now = clock_ns();

        if (at == UINT64_MAX) {
            wait_event(&bs.timer, bs.wake_at != at);
        } else if (now >= at) {
            bs.wake_at = UINT64_MAX;
            send();
        } else {
            wait_event_timeout(&bs.timer, bs.wake_at != at, at - now);
        }
    }
}

int blkshare_start(struct blkdev *disk)
{
    bs.disk = disk;
    bs.wake_at = UINT64_MAX;
    waitq_init(&bs.timer);
    return thread_create("blkshare", timer_thread, NULL) ? 0 : -XEN_ENOMEM;
}

struct blkdev *blkshare_get(domid_t domid)
{
    struct share *s = find(domid);

    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s)
            return NULL;
        s->domid = domid;
        s->dev = *bs.disk;
        s->dev.ops = &share_ops;
        s->dev.priv = s;
        ioshare_flow_init(&s->flow);
        s->next = bs.shares;
        bs.shares = s;
    }
    s->users++;
    return &s->dev;
}

void blkshare_put(domid_t domid)
{
    struct share **link = &bs.shares;

    while (*link && (*link)->domid != domid)
        link = &(*link)->next;
    if (*link && --(*link)->users == 0) {
        struct share *s = *link;

        *link = s->next;
        free(s); /* its disks have nothing in flight any more */
    }
}

static void set_cap(uint64_t *cap, uint64_t *time, uint64_t value)
{
    if (!value)
        return;
    *cap = value == BLKSHARE_NO_CAP ? 0 : value;
    *time = 0; /* a new rate owes nothing to the old one */
}

int blkshare_set(domid_t domid, const struct blkshare *change)
{
    struct share *s = find(domid);

    if (!s)
        return -XEN_ENOENT;
    if (change->weight)
        s->flow.weight = change->weight;
    set_cap(&s->flow.iops, &s->flow.ops_time, change->iops);
    set_cap(&s->flow.bps, &s->flow.byte_time, change->bps);
    send();
    return 0;
}

int blkshare_state(domid_t domid, struct blkshare *state)
{
    const struct share *s = find(domid);

    if (!s)
        return -XEN_ENOENT;
    *state = (struct blkshare){.weight = s->flow.weight,
                               .iops = s->flow.iops,
                               .bps = s->flow.bps,
                               .requests = s->flow.requests,
                               .bytes = s->flow.bytes};
    return 0;
}

void blkshare_hurry(domid_t domid)
{
    const struct blkshare none = {.iops = BLKSHARE_NO_CAP, .bps = BLKSHARE_NO_CAP};

    blkshare_set(domid, &none);
}
