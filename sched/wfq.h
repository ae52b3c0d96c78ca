/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing, the default policy (sched/policy.h says what a policy is).
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
 * ahead. A late quantum interrupt adds its lateness to the quantum, once: it is charged with the
 * next one, which is shorter by that. So all quanta count alike, and vCPUs of equal weight take
 * turns in an order that stays: each is at most (1 - its share) of a quantum from where it was.
 *
 * Caps. A group (a domain) with a cap may use cap percent of WFQ_PERIOD_NS, in pCPU time, in each
 * period; periods begin at multiples of WFQ_PERIOD_NS for all groups. What it will use is taken
 * from the budget before it runs and the rest is given back, so that any number of pCPUs together
 * stay inside. Without budget an entity is parked until the next period. In any window of length W
 * a group gets at most cap * (W / period + 2) periods' worth; what an interrupt came late is taken
 * from the next period's budget.
 *
 * Costs: a pick, wake or sleep is O(log n) in the number of queued entities, whatever their
 * affinities (sched/tree.h); a wake looks at each pCPU that the entity may use.
 */
#ifndef SCHED_WFQ_H
#define SCHED_WFQ_H

#include <stdint.h>
#include "hv/config.h"
#include "sched/tree.h"

#define WFQ_QUANTUM_NS   1000000UL  /* between looks at the queue while somebody waits */
#define WFQ_MIN_RUN_NS   100000UL   /* nobody is preempted earlier */
#define WFQ_MARGIN_NS    50000UL    /* a waking one preempts if so far behind, in its own time */
#define WFQ_PERIOD_NS    10000000UL /* budgets of caps */
#define WFQ_OWED_MAX_NS  500000UL   /* of a quantum that ended later the rest is charged at once */
#define WFQ_SLICE_MIN_NS 50000UL    /* less budget waits for the next period; carried over */
#define WFQ_SCALE        256        /* at this weight, s counts nanoseconds */

struct wfq_entity {
    struct tree_node node; /* while queued or parked */
    struct tree *queue;    /* where it waits: of those that share, or of its only pCPU */
    uint64_t service;      /* the service counter s */
    uint32_t rest;         /* what the division by weight left over */
    uint32_t owed;         /* ns that its last quantum ended late: the next is shorter for it */
    uint32_t era;          /* of `service`, see rebase() in the .c */
};

struct wfq_group {
    int64_t budget;  /* ns left in `period`; below 0: used too much */
    uint64_t period; /* number of the period that the budget is for */
};

struct wfq {
    struct tree shared; /* by s: the queued ones that may run on several pCPUs */
    struct tree parked; /* by s, until release_due, where a period begins */
    uint32_t era;
    uint64_t stretch; /* ns: the longest quantum that really was, of late; >= WFQ_QUANTUM_NS */
    struct wfq_pcpu {
        struct tree own;   /* by s: the queued ones that may run here only */
        uint64_t floor;    /* s_min as this pCPU saw it */
        uint64_t reserved; /* ns of the slice taken from the group's budget */
    } pcpu[PCPU_MAX];
};

#endif
