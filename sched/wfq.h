/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing, the policy alone: pure C on entities and virtual time, no locks, no clock of its own, so that
 * unit tests drive it with thousands of random workloads. The caller (sched/sched.c) holds its lock.
 */
#ifndef SCHED_WFQ_H
#define SCHED_WFQ_H

#include <stdbool.h>
#include <stdint.h>

struct wfq_entity {
    uint64_t service; /* the service counter s_i: virtual time, grows by q * scale / weight */
    uint32_t weight;
    uint32_t slot;    /* place in the heap */
    bool queued;
};

#endif
