/* SPDX-License-Identifier: MIT */
#include "dom0/blk/ioshare.h"

#include <stddef.h>

#include "dom0/drivers/blkdev.h"

#define NS 1000000000ull
/* Tags are cost * 2^16 / weight: exact enough for the heaviest, and 2^63 is 128 TiB of the
 * lightest. */
#define TAG_SHIFT 16

void ioshare_flow_init(struct ioshare_flow *flow)
{
    *flow = (struct ioshare_flow){.weight = IOSHARE_WEIGHT};
    flow->last = &flow->first;
}

uint32_t ioshare_bytes(const struct blk_request *req)
{
    uint32_t bytes = 0;

    for (unsigned i = 0; i < req->nsegs; i++)
        bytes += req->segs[i].len;
    return bytes;
}

void ioshare_add(struct ioshare *s, struct ioshare_flow *flow, struct blk_request *req)
{
    uint64_t cost = IOSHARE_COST + (uint64_t)ioshare_bytes(req);
    uint64_t start = flow->finish > s->virtual ? flow->finish : s->virtual;

    flow->finish = start + (cost << TAG_SHIFT) / flow->weight;
    req->started_ns = start;
    req->next = NULL;
    if (!flow->first) {
        s->busy += flow->flying == 0;
        flow->next = s->waiting;
        s->waiting = flow;
    }
    *flow->last = req;
    flow->last = &req->next;
}

/* When the caps let the flow's next request go: now or before, or later. */
static uint64_t allowed_at(const struct ioshare_flow *flow)
{
    uint64_t at = 0;

    if (flow->iops)
        at = flow->ops_time;
    if (flow->bps && flow->byte_time > at)
        at = flow->byte_time;
    return at > IOSHARE_BURST_NS ? at - IOSHARE_BURST_NS : 0;
}

/* The nanoseconds that `amount` takes at that many a second; no more than an hour. */
static uint64_t time_of(uint64_t amount, uint64_t rate)
{
    uint64_t ns = amount * NS / rate + 1;

    return ns < 3600 * NS ? ns : 3600 * NS;
}

static void charge(struct ioshare_flow *flow, uint32_t bytes, uint64_t now)
{
    flow->requests++;
    flow->bytes += bytes;
    if (flow->iops)
        flow->ops_time = (flow->ops_time > now ? flow->ops_time : now) + time_of(1, flow->iops);
    if (flow->bps && bytes)
        flow->byte_time =
            (flow->byte_time > now ? flow->byte_time : now) + time_of(bytes, flow->bps);
}

static struct blk_request *take(struct ioshare *s, struct ioshare_flow **link)
{
    struct ioshare_flow *flow = *link;
    struct blk_request *req = flow->first;

    flow->first = req->next;
    if (!flow->first) {
        flow->last = &flow->first;
        *link = flow->next;
    }
    s->virtual = req->started_ns > s->virtual ? req->started_ns : s->virtual;
    s->flying++;
    flow->flying++;
    req->next = NULL;
    return req;
}

struct blk_request *ioshare_next(struct ioshare *s, uint64_t now, struct ioshare_flow **flow,
                                 uint64_t *at)
{
    struct ioshare_flow **best = NULL;
    struct blk_request *req;

    *at = UINT64_MAX;
    if (s->flying >= (s->busy > 1 ? s->shared_depth : s->depth))
        return NULL;
    for (struct ioshare_flow **link = &s->waiting; *link; link = &(*link)->next) {
        uint64_t when = allowed_at(*link);

        if (when > now)
            *at = when < *at ? when : *at;
        else if (!best || (*link)->first->started_ns < (*best)->first->started_ns)
            best = link;
    }
    if (!best)
        return NULL;
    *flow = *best;
    req = take(s, best);
    charge(*flow, ioshare_bytes(req), now);
    return req;
}

void ioshare_done(struct ioshare *s, struct ioshare_flow *flow)
{
    s->flying--;
    flow->flying--;
    s->busy -= flow->flying == 0 && !flow->first;
}
