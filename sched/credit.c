/* SPDX-License-Identifier: MIT */
/*
 * Credit, after Xen's first scheduler of its own (E. Ackaouy, 2006; L. Cherkasova, D. Gupta, A.
 * Vahdat, "Comparison of the three CPU schedulers in Xen", 2007). Every 30 ms an account is made:
 * the time of all pCPUs is handed out as credit to those that ran or waited lately, by weight;
 * running burns it. Who has some left is UNDER, who has overdrawn is OVER; the UNDER wait in a
 * queue of their own, which is served first, each in the order of arrival. Nobody is given more
 * than one pCPU can serve, nor more than it can keep, nor more than its part of the domain's cap:
 * what that leaves over goes to the others. A capped vCPU in debt by more than one share is parked
 * until it is out of it.
 *
 * Promise: shares by weight, and caps, over many accounts; on one pCPU, and on several where no
 * vCPU is due a whole one. Where one is, what is handed out is right, but not what is served: a
 * slice is a whole period, and it waits for those of others now and then. Of the weights 2048,
 * 1024, 512 and 256 on two pCPUs the first has 0.82 of the pCPU that is its due, and the others the
 * rest by weight. With 1000, 1 and 1 there is always a pCPU for the first.
 *
 * BOOST is left out: in Xen, who wakes while UNDER is served before all others. It is what lets a
 * vCPU take nearly all of a pCPU by sleeping at the right moments (F. Zhou et al., "Scheduler
 * vulnerabilities and coordinated attacks in cloud computing", 2011). Without it a waking UNDER
 * preempts an OVER only, so the latency beside others that are UNDER is up to 30 ms each: the
 * weakness that BOOST hides. Within one period the time goes to whoever came first; a cap lets a
 * full period through before it parks; and the account takes O(n) at one go.
 */
#include "sched/policy.h"

#include <xen/domctl.h>

#define PERIOD     ((int64_t)CREDIT_PERIOD_NS)
#define KEEPS      (2 * PERIOD) /* the most credit one has: of a period, and for a wait as long */
#define PASSES_MAX 8

/* ---- the queues ---- */

static void enqueue(struct sched_queue *q, struct sched_entity *e)
{
    e->credit.over = e->credit.credit < 0;
    policy_append(e->credit.over ? &q->credit.over : &q->credit.under, e);
}

static void dequeue(struct sched_queue *q, struct sched_entity *e)
{
    policy_unlink(e->credit.over ? &q->credit.over : &q->credit.under, e);
}

static struct sched_entity *find_first(const struct sched_queue *q, unsigned pcpu)
{
    struct sched_entity *e = policy_first(&q->credit.under, pcpu);
    return e ? e : policy_first(&q->credit.over, pcpu);
}

static bool credit_has_work(const struct sched_queue *q, unsigned pcpu)
{
    return find_first(q, pcpu) != NULL;
}

/* ---- who takes part in accounts ---- */

static uint64_t next_account(uint64_t now)
{
    return now - now % CREDIT_PERIOD_NS + CREDIT_PERIOD_NS;
}

static void activate(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    if (e->credit.active)
        return;
    if (!q->credit.active)
        q->release_due = next_account(now);
    e->credit.active = true;
    e->credit.active_next = q->credit.active;
    q->credit.active = e;
    e->group->credit.active++;
}

static void credit_remove(struct sched_queue *q, struct sched_entity *e)
{
    struct sched_entity **link = &q->credit.active;

    if (!e->credit.active)
        return;
    while (*link != e)
        link = &(*link)->credit.active_next;
    *link = e->credit.active_next;
    e->credit.active = false;
    e->group->credit.active--;
    if (!q->credit.active)
        q->release_due = SCHED_NO_LIMIT;
}

/* ---- the account ---- */

static void burn(const struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    uint64_t ran = policy_ran(q, e->pcpu, now);

    e->credit.credit -= (int64_t)(ran - e->credit.burnt);
    e->credit.burnt = ran;
}

/* ns that it can be given per period. */
static uint64_t most(const struct sched_entity *e)
{
    const struct sched_group *g = e->group;
    uint64_t cap = CREDIT_PERIOD_NS / 100 * g->cap;

    if (g->cap && cap / g->credit.active < CREDIT_PERIOD_NS)
        return cap / g->credit.active;
    return CREDIT_PERIOD_NS;
}

/* ns that it has use for: credit does not pile up (settle()), so a sleeper's share would be lost.
 */
static uint64_t wants(const struct sched_entity *e)
{
    int64_t room = KEEPS - e->credit.credit;
    uint64_t limit = most(e);

    return (uint64_t)room < limit ? (uint64_t)room : limit;
}

/* One more look for those whose share by weight is more than they can use: they get what they can,
 * the others the rest. Is there any? */
static bool limit_some(struct sched_queue *q, uint64_t *rest, uint64_t *weights)
{
    uint64_t total = *rest, sum = *weights;

    for (struct sched_entity *e = q->credit.active; e; e = e->credit.active_next) {
        if (e->credit.limited)
            continue;
        e->credit.share = total * e->weight / sum;
        if (e->credit.share <= wants(e))
            continue;
        e->credit.share = wants(e);
        e->credit.limited = true;
        *rest -= e->credit.share < *rest ? e->credit.share : *rest;
        *weights -= e->weight;
    }
    return *weights != sum;
}

static void share_out(struct sched_queue *q)
{
    uint64_t rest = 0, weights = 0;

    for (uint64_t m = q->online; m; m &= m - 1)
        rest += CREDIT_PERIOD_NS;
    for (struct sched_entity *e = q->credit.active; e; e = e->credit.active_next) {
        e->credit.limited = false;
        weights += e->weight;
    }
    for (unsigned pass = 0; pass < PASSES_MAX && weights && limit_some(q, &rest, &weights); pass++)
        continue;
}

static bool shall_park(const struct sched_entity *e)
{
    return e->group->cap && e->credit.credit < -(int64_t)most(e);
}

/* After a share has come: credit does not pile up, debts are forgiven beyond a period, and the
 * priority follows. */
static void settle(struct sched_queue *q, struct sched_entity *e)
{
    bool queued = e->state == SCHED_QUEUED;

    e->credit.credit += (int64_t)e->credit.share;
    if (e->credit.credit > KEEPS)
        e->credit.credit = KEEPS;
    if (e->credit.credit < -PERIOD)
        e->credit.credit = -PERIOD;
    if (queued && e->credit.over != (e->credit.credit < 0)) {
        dequeue(q, e);
        enqueue(q, e);
    } else if (e->state == SCHED_PARKED && e->credit.credit >= 0) {
        enqueue(q, e);
        policy_enter(q, e, SCHED_QUEUED);
    } else if (!queued) {
        e->credit.over = e->credit.credit < 0;
    }
}

static void credit_release(struct sched_queue *q, uint64_t now)
{
    struct sched_entity *e, *next;

    if (now < q->release_due)
        return;
    q->release_due = next_account(now);
    for (e = q->credit.active; e; e = e->credit.active_next)
        if (e->state == SCHED_RUNNING)
            burn(q, e, now);
    share_out(q);
    for (e = q->credit.active; e; e = next) {
        next = e->credit.active_next;
        settle(q, e);
        if (e->state == SCHED_ASLEEP && e->credit.credit == KEEPS)
            credit_remove(q, e);
    }
}

/* ---- running ---- */

static void credit_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    activate(q, e, now);
    enqueue(q, e);
}

static void credit_sleep(struct sched_queue *q, struct sched_entity *e)
{
    if (e->state == SCHED_QUEUED)
        dequeue(q, e);
}

static void credit_stop(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how)
{
    struct sched_entity *e = q->pcpu[pcpu].running;

    burn(q, e, now);
    e->credit.burnt = 0;
    if (how != SCHED_STOP_SLEEP)
        enqueue(q, e);
}

static struct sched_entity *credit_pick(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                        uint64_t *slice)
{
    struct sched_entity *e;

    (void)now;
    while ((e = find_first(q, pcpu))) {
        dequeue(q, e);
        if (!shall_park(e))
            break;
        policy_enter(q, e, SCHED_PARKED);
    }
    *slice = e && credit_has_work(q, pcpu) ? CREDIT_PERIOD_NS : SCHED_NO_LIMIT;
    return e;
}

static int credit_place(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                        bool waking)
{
    int best = policy_place_quietly(q, e, now, waking);

    for (uint64_t m = e->affinity & q->online; best < 0 && waking && !e->credit.over && m;
         m &= m - 1) {
        const struct sched_entity *running = q->pcpu[__builtin_ctzl(m)].running;
        if (running && running->credit.over)
            best = __builtin_ctzl(m);
    }
    return best;
}

const struct sched_policy credit_policy = {
    .name = "credit",
    .id = XEN_SCHEDULER_CREDIT,
    .weights = true,
    .caps = true,
    .min_run_ns = CREDIT_MIN_RUN_NS,
    .quantum_ns = CREDIT_PERIOD_NS,
    .cap_period_ns = CREDIT_PERIOD_NS,
    .remove = credit_remove,
    .wake = credit_wake,
    .sleep = credit_sleep,
    .stop = credit_stop,
    .pick = credit_pick,
    .has_work = credit_has_work,
    .place = credit_place,
    .release = credit_release,
};
