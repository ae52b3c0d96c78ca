/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing, the policy alone: pure C on entities and virtual time, no locks, no clock
 * of its own, so that unit tests drive it with thousands of random workloads. The caller
 * (sched/sched.c) holds its lock and passes the time. Another policy replaces this one by offering
 * the same functions.
 *
 * The textbook's rule: each entity has a service counter s; running for q adds q / weight; the
 * smallest s that may run on a pCPU runs there next. One queue serves all pCPUs, so none idles
 * while an entity could run on it.
 *
 * s_min is kept per pCPU: the s of the entity that was chosen there last, which was the smallest
 * of those that it can serve. It never goes back, and an empty queue leaves it alone; who runs
 * alone for longer than a quantum moves it along. A waking entity gets s = max(s, the largest s_min
 * of the pCPUs it may use): sleeping earns nothing. On one pCPU this is the textbook's rule; with
 * several it keeps groups of entities pinned apart from being measured against each other.
 *
 * With several pCPUs a weight may be more than one pCPU can serve (1000 against 1 and 1 on two).
 * Such an entity's s would stay behind for ever and be a claim that explodes when others join. So
 * the one chosen is brought up to one quantum's worth behind the next in the queue: a quantum as it
 * really was, for where interrupts come late everybody runs longer than planned, and what a heavy
 * entity is behind for that is no unjust claim. On one pCPU that never happens.
 *
 * Drift bound. Let w be the smallest weight of the entities, n the number of pCPUs, and D =
 * WFQ_QUANTUM_NS * WFQ_SCALE / w. On one pCPU no two runnable entities have counters further apart
 * than D. On n pCPUs one that waits is no further behind any other that may use the same pCPUs than
 * (n + 1) D. As time: of two with equal weight on one pCPU, neither gets more than one quantum
 * ahead. A late quantum interrupt adds its lateness to the quantum.
 *
 * Caps. A group (a domain) with a cap may use cap percent of WFQ_PERIOD_NS, in pCPU time, in each
 * period; periods begin at multiples of WFQ_PERIOD_NS for all groups. What it will use is taken
 * from the budget before it runs and the rest is given back, so that any number of pCPUs together
 * stay inside. Without budget an entity is parked until the next period. In any window of length W
 * a group gets at most cap * (W / period + 2) periods' worth; what an interrupt came late is taken
 * from the next period's budget.
 *
 * Costs: a pick, wake or sleep is O(log n) in the number of queued entities; an entity that may not
 * run on the picking pCPU but is ahead of the one chosen adds one step.
 */
#ifndef SCHED_WFQ_H
#define SCHED_WFQ_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/config.h"

#define WFQ_QUANTUM_NS   1000000UL  /* between looks at the queue while somebody waits */
#define WFQ_MIN_RUN_NS   100000UL   /* nobody is preempted earlier */
#define WFQ_MARGIN_NS    50000UL    /* a waking one preempts if so far behind, in its own time */
#define WFQ_PERIOD_NS    10000000UL /* budgets of caps */
#define WFQ_SLICE_MIN_NS 50000UL    /* less budget waits for the next period; carried over */
#define WFQ_SCALE        256        /* at this weight, s counts nanoseconds */
#define WFQ_NO_LIMIT     UINT64_MAX
#define WFQ_WEIGHT_MAX   65535

enum wfq_state {
    WFQ_ASLEEP,
    WFQ_QUEUED,
    WFQ_PARKED, /* runnable, but its group's budget is used up */
    WFQ_RUNNING,
};

/* A cap, shared by the entities of a domain. All zero: no cap. */
struct wfq_group {
    uint32_t cap;    /* percent of one pCPU, 0: none */
    int64_t budget;  /* ns left in `period`; below 0: used too much */
    uint64_t period; /* number of the period that the budget is for */
};

struct wfq_entity {
    uint64_t service; /* the service counter s */
    uint32_t weight;  /* 1 .. WFQ_WEIGHT_MAX */
    uint32_t rest;    /* what the division by weight left over */
    uint32_t era;     /* of `service`, see wfq_rebase() in the .c */
    uint32_t slot;    /* place in the heap while queued */
    enum wfq_state state;
    unsigned pcpu;      /* runs there or ran there last */
    uint64_t affinity;  /* pCPUs that it may run on, a bit each */
    uint64_t preferred; /* of these, better ones */
    struct wfq_group *group;
    struct wfq_entity *parked_next;
};

struct wfq {
    struct wfq_entity **heap;
    uint32_t count, capacity;
    uint32_t era;
    uint64_t online; /* pCPUs that pick */
    uint64_t
        stretch; /* ns: the longest quantum that really was, of late; at least WFQ_QUANTUM_NS */
    uint64_t parked_till; /* period in which the parked ones are looked at again */
    struct wfq_entity *parked;
    struct wfq_pcpu {
        struct wfq_entity *running; /* NULL: idle */
        uint64_t since;             /* ns: chosen then */
        uint64_t slice;             /* ns from `since`, WFQ_NO_LIMIT: nobody waits */
        uint64_t reserved;          /* ns of it taken from the group's budget */
        uint64_t floor;             /* s_min as this pCPU saw it */
        bool kicked;                /* told to pick, has not yet */
    } pcpu[PCPU_MAX];
};

/* `heap` has room for every entity there may be. */
void wfq_init(struct wfq *q, struct wfq_entity **heap, uint32_t capacity);
void wfq_pcpu_online(struct wfq *q, unsigned pcpu);
/* Asleep; any pCPU. group may have no cap, and is never NULL. */
void wfq_entity_init(struct wfq_entity *e, struct wfq_group *group, uint32_t weight);

/* Parameters, in any state. After a change of affinity the entity counts as newly come where it may
 * run now. If it runs, its pCPU must pick again; after a change of a cap all must. */
void wfq_set_weight(struct wfq_entity *e, uint32_t weight);
void wfq_set_affinity(struct wfq *q, struct wfq_entity *e, uint64_t affinity, uint64_t preferred,
                      uint64_t now);
void wfq_set_cap(struct wfq *q, struct wfq_group *g, uint32_t cap, uint64_t now);

void wfq_wake(struct wfq *q, struct wfq_entity *e, uint64_t now); /* asleep -> queued */
void wfq_sleep(struct wfq *q, struct wfq_entity *e);              /* queued or parked -> asleep */

/* The running one of this pCPU stops: its time is charged, and it is queued again or asleep.
 * WFQ_YIELD: queued behind the next one. Nothing if the pCPU is idle. */
enum wfq_stop { WFQ_STOP_SLEEP, WFQ_STOP_QUEUE, WFQ_STOP_YIELD };
void wfq_stop(struct wfq *q, unsigned pcpu, uint64_t now, enum wfq_stop how);
/* Chooses what the idle pCPU runs now, NULL: nothing. It must pick again when pcpu[].slice is over.
 */
struct wfq_entity *wfq_pick(struct wfq *q, unsigned pcpu, uint64_t now);
/* ns that the running one may still go on undisturbed (WFQ_MIN_RUN_NS); 0: may be preempted. */
uint64_t wfq_min_run_left(const struct wfq *q, unsigned pcpu, uint64_t now);

/* Does anybody wait for a pCPU? Asked without a lock the answer is good for a hint only. */
bool wfq_somebody_waits(const struct wfq *q);
/* Which pCPU should pick again because e was queued: an idle one (marked kicked), one whose entity
 * a waking e preempts, or one that runs without a quantum. -1: none, the quanta see to it. */
int wfq_place(struct wfq *q, const struct wfq_entity *e, uint64_t now, bool waking);
/* An idle pCPU, not yet kicked, that could run something queued (now marked kicked); -1. */
int wfq_idle_with_work(struct wfq *q);

/* When parked entities must be looked at again: ns, WFQ_NO_LIMIT if none is parked. wfq_release()
 * then queues them; pCPUs that are idle must pick. */
uint64_t wfq_release_time(const struct wfq *q);
void wfq_release(struct wfq *q, uint64_t now);

#endif
