/* SPDX-License-Identifier: MIT */
/*
 * Null: no scheduling. A vCPU gets a pCPU for itself when it first wants to run, and keeps it,
 * awake or asleep, until it goes away or is pinned elsewhere. After Xen's scheduler of this name
 * (D. Faggioli, 2017); partitioning hypervisors know nothing else (R. Ramsauer et al., "Look Mum,
 * no VM exits!", OSPERT 2017).
 *
 * Promise: a vCPU that has a pCPU never waits, and never moves. No decision, no interrupt, no cache
 * of another's: as still as bare metal.
 *
 * Weaknesses. A vCPU beyond the number of pCPUs does not run at all, until another one goes; the
 * log says so. A pCPU whose vCPU sleeps is lost to all others. No weights, no caps.
 */
#include "sched/policy.h"

#include <xen/domctl.h>

static void settle_in(struct sched_queue *q, struct sched_entity *e, unsigned pcpu)
{
    e->null.housed = true;
    e->null.home = pcpu;
    q->null.owner[pcpu] = e;
}

/* Gives e a pCPU that is nobody's, if there is one for it. */
static bool find_home(struct sched_queue *q, struct sched_entity *e)
{
    uint64_t vacant = 0;

    for (uint64_t m = e->affinity & q->online; m; m &= m - 1)
        if (!q->null.owner[__builtin_ctzl(m)])
            vacant |= m & -m;
    if (vacant & e->preferred)
        vacant &= e->preferred;
    if (vacant)
        settle_in(q, e, (unsigned)__builtin_ctzl(vacant));
    return vacant != 0;
}

/* The first that waits for such a one gets a pCPU that became vacant. */
static void let_out(struct sched_queue *q, unsigned pcpu)
{
    struct sched_entity *e = policy_first(&q->null.homeless, pcpu);

    if (e && (q->online >> pcpu & 1)) {
        policy_unlink(&q->null.homeless, e);
        settle_in(q, e, pcpu);
    }
}

static void move_out(struct sched_queue *q, struct sched_entity *e)
{
    if (!e->null.housed)
        return;
    e->null.housed = false;
    q->null.owner[e->null.home] = NULL;
    let_out(q, e->null.home);
}

static void null_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    (void)now;
    if (!e->null.housed && !find_home(q, e))
        policy_append(&q->null.homeless, e);
}

static void null_sleep(struct sched_queue *q, struct sched_entity *e)
{
    if (!e->null.housed)
        policy_unlink(&q->null.homeless, e);
}

static void null_stop(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how)
{
    struct sched_entity *e = q->pcpu[pcpu].running;

    if (how != SCHED_STOP_SLEEP && !e->null.housed)
        null_wake(q, e, now); /* it lost its home while it ran */
}

static void null_pcpu_online(struct sched_queue *q, unsigned pcpu)
{
    let_out(q, pcpu);
}

static void null_pcpu_offline(struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    struct sched_entity *e = q->null.owner[pcpu];

    if (!e)
        return;
    move_out(q, e);
    if (e->state == SCHED_QUEUED)
        null_wake(q, e, now);
}

static void null_set_affinity(struct sched_queue *q, struct sched_entity *e, uint64_t affinity,
                              uint64_t now)
{
    bool waits = e->state == SCHED_QUEUED;

    if (e->null.housed && (affinity >> e->null.home & 1))
        return;
    if (waits)
        null_sleep(q, e);
    move_out(q, e);
    e->affinity = affinity;
    if (waits)
        null_wake(q, e, now);
}

static bool null_has_work(const struct sched_queue *q, unsigned pcpu)
{
    const struct sched_entity *e = q->null.owner[pcpu];
    return e && e->state == SCHED_QUEUED;
}

static struct sched_entity *null_pick(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                      uint64_t *slice)
{
    (void)now;
    *slice = SCHED_NO_LIMIT;
    return null_has_work(q, pcpu) ? q->null.owner[pcpu] : NULL;
}

static bool null_served(const struct sched_queue *q, const struct sched_entity *e)
{
    (void)q;
    return e->null.housed;
}

static int null_place(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                      bool waking)
{
    (void)q;
    (void)now;
    (void)waking;
    return e->null.housed ? (int)e->null.home : -1;
}

const struct sched_policy null_policy = {
    .name = "null",
    .id = XEN_SCHEDULER_NULL,
    .pcpu_online = null_pcpu_online,
    .pcpu_offline = null_pcpu_offline,
    .remove = move_out,
    .set_affinity = null_set_affinity,
    .wake = null_wake,
    .sleep = null_sleep,
    .stop = null_stop,
    .pick = null_pick,
    .has_work = null_has_work,
    .place = null_place,
    .served = null_served,
};
