/* SPDX-License-Identifier: MIT */
/*
 * Round robin: one queue in the order of arrival; the first runs for a quantum and goes to the end.
 * The oldest way to share a processor: L. Kleinrock, "Analysis of a time-shared processor", 1964.
 *
 * Promise: of n vCPUs that always want one pCPU none waits longer than (n - 1) quanta, and each
 * gets 1/n of it.
 *
 * Weaknesses. Whoever sleeps before its quantum is over gives the rest away: those that wait for
 * devices get less than those that compute. Who wakes is last, whatever it missed. The wait grows
 * with the number of others, the quantum is a compromise between that and the cost of switching. No
 * weights, no caps: a domain with twice the vCPUs gets twice the time. A pick passes all those in
 * the queue that are pinned elsewhere: O(n).
 */
#include "sched/policy.h"

#include "hv/public/penumbra.h"

static void rr_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    (void)now;
    policy_append(&q->rr.queued, e);
}

static void rr_sleep(struct sched_queue *q, struct sched_entity *e)
{
    policy_unlink(&q->rr.queued, e);
}

static void rr_stop(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how)
{
    (void)now;
    if (how != SCHED_STOP_SLEEP)
        policy_append(&q->rr.queued, q->pcpu[pcpu].running);
}

static bool rr_has_work(const struct sched_queue *q, unsigned pcpu)
{
    return policy_first(&q->rr.queued, pcpu) != NULL;
}

static struct sched_entity *rr_pick(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                    uint64_t *slice)
{
    struct sched_entity *e = policy_first(&q->rr.queued, pcpu);

    (void)now;
    if (e) {
        policy_unlink(&q->rr.queued, e);
        *slice = rr_has_work(q, pcpu) ? RR_QUANTUM_NS : SCHED_NO_LIMIT;
    }
    return e;
}

const struct sched_policy rr_policy = {
    .name = "rr",
    .id = PENUMBRA_SCHEDULER_RR,
    .min_run_ns = RR_QUANTUM_NS,
    .quantum_ns = RR_QUANTUM_NS,
    .wake = rr_wake,
    .sleep = rr_sleep,
    .stop = rr_stop,
    .pick = rr_pick,
    .has_work = rr_has_work,
    .place = policy_place_quietly,
};
