/* SPDX-License-Identifier: MIT */
/*
 * Shares of the real disk: start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) of block
 * requests between flows by weight, and caps in requests and bytes per second. In the device, where
 * no order is ours, are at most `depth` of them, and no more than `shared_depth` are sent there
 * while several flows are at work. Pure: time comes in as nanoseconds, requests are only moved.
 *
 * A request costs its bytes and a fixed amount. It gets a start tag, S = max(v, F), when it
 * arrives, where v is the start tag of the request that went to the device last and F the finish
 * tag of its flow's request before, F = S + cost / weight. The smallest S goes next. So over any
 * time in which two flows always have something waiting, the costs served of both, divided by their
 * weights, differ by no more than their largest requests' costs divided by the weights, and what is
 * in the device; who was idle gets no credit for it; and the device never idles while a request
 * waits that its flow's caps allow.
 *
 * A cap is a theoretical arrival time (the cell rate algorithm of ATM): each request moves it ahead
 * by what it takes at the capped rate, and may go while it is not more than IOSHARE_BURST_NS ahead.
 * So in any time t a flow gets at most rate * (t + IOSHARE_BURST_NS), and one request.
 */
#ifndef DOM0_BLK_IOSHARE_H
#define DOM0_BLK_IOSHARE_H

#include <stdbool.h>
#include <stdint.h>

struct blk_request;

#define IOSHARE_WEIGHT     256u /* of a flow that nobody gave one */
#define IOSHARE_WEIGHT_MAX 65535u
#define IOSHARE_COST       8192u /* of a request, beside its bytes */
#define IOSHARE_BURST_NS   20000000ull

struct ioshare_flow {
    struct ioshare_flow *next; /* of those with requests waiting */
    unsigned weight;           /* 1 to IOSHARE_WEIGHT_MAX */
    uint64_t iops, bps;        /* caps: requests and bytes a second; 0: none */
    /* ioshare.c's: */
    uint64_t finish;                   /* tag of the latest request */
    uint64_t ops_time, byte_time;      /* when the caps are used up to, nanoseconds */
    struct blk_request *first, **last; /* waiting, in their order; started_ns is the start tag */
    unsigned flying;                   /* in the device */
    uint64_t requests, bytes;          /* that went there */
};

struct ioshare {
    struct ioshare_flow *waiting;
    uint64_t virtual;             /* v */
    unsigned depth, shared_depth; /* most requests in the device: of one flow, of several */
    unsigned flying;              /* in the device */
    unsigned busy;                /* flows with requests waiting or in the device */
};

void ioshare_flow_init(struct ioshare_flow *flow);

/* Bytes of a request: 0 for a flush. */
uint32_t ioshare_bytes(const struct blk_request *req);

/* A request arrives. It is the scheduler's until ioshare_next() returns it. */
void ioshare_add(struct ioshare *s, struct ioshare_flow *flow, struct blk_request *req);

/*
 * The request, and its flow, that is to go to the device now, and is counted as there until
 * ioshare_done(); or
 * NULL: nothing waits, the device has enough, or caps hold all back. Then *at is when to ask again,
 * UINT64_MAX: not before something arrives or is done.
 */
struct blk_request *ioshare_next(struct ioshare *s, uint64_t now, struct ioshare_flow **flow,
                                 uint64_t *at);
void ioshare_done(struct ioshare *s, struct ioshare_flow *flow);

#endif
