/* SPDX-License-Identifier: MIT */
/* What the small policies keep per entity, per group and per queue; each one's idea is told at the
 * head of its file. For sched/policy.h only. */
#ifndef SCHED_POLICIES_H
#define SCHED_POLICIES_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/config.h"

/* A list in the order of arrival, linked by the entities' next and prev. */
struct sched_list {
    struct sched_entity *first, *last;
};

/* ---- sched/rr.c ---- */

#define RR_QUANTUM_NS 10000000UL

struct rr {
    struct sched_list queued;
};

/* ---- sched/lottery.c ---- */

#define LOTTERY_QUANTUM_NS 10000000UL
#define LOTTERY_BONUS_MAX  100 /* times its weight at most, for who sleeps early */

struct lottery {
    struct sched_list queued;
    uint64_t random; /* state of the generator, never 0 */
};

struct lottery_entity {
    uint64_t tickets; /* its weight, and compensation for what it left of its quantum */
};

/* ---- sched/credit.c ---- */

#define CREDIT_PERIOD_NS  30000000UL /* accounts, and the longest slice */
#define CREDIT_MIN_RUN_NS 1000000UL

struct credit {
    struct sched_list under, over; /* those with credit left wait in the first, served first */
    struct sched_entity *active;   /* who takes part in the next account, at release_due */
};

struct credit_group {
    uint32_t active; /* entities in the active list */
};

struct credit_entity {
    int64_t credit; /* ns */
    uint64_t burnt; /* ns of the present run that are accounted for already */
    bool over;      /* no credit left at the last account */
    bool active;
    bool limited; /* while an account is made: gets `share` and no more */
    uint64_t share;
    struct sched_entity *active_next;
};

/* ---- sched/null.c ---- */

struct null {
    struct sched_entity *owner[PCPU_MAX]; /* each pCPU has one vCPU or none */
    struct sched_list homeless;           /* those that want to run and have no pCPU */
};

struct null_entity {
    bool housed; /* owns pCPU `home` */
    unsigned home;
};

#endif
