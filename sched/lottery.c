/* SPDX-License-Identifier: MIT */
/*
 * Lottery: each vCPU holds as many tickets as its weight says; for each quantum one ticket of those
 * that wait is drawn. C. A. Waldspurger, W. E. Weihl, "Lottery scheduling: flexible
 * proportional-share resource management", OSDI 1994.
 *
 * Who used only a part f of its last quantum, because it slept or yielded, holds 1/f times its
 * tickets until it is drawn again (the paper's compensation tickets), LOTTERY_BONUS_MAX times at
 * most: so it gets its share of the time, not only of the quanta, as far as it is there when one is
 * drawn.
 *
 * Promise: in n draws that it took part in, a vCPU with the part p of the tickets wins n p times on
 * average. Nobody starves for certain, but everybody for a while.
 *
 * Weaknesses. Chance is fair in the long run only: after n draws the standard deviation is
 * sqrt(n p (1 - p)) quanta, which grows without bound, where weighted fair queueing stays within
 * one. On several pCPUs the tickets of those that run take no part in a draw, so shares bend
 * towards equal ones. Caps would need an account beside it; there are none. A draw walks the queue:
 * O(n).
 */
#include "sched/policy.h"

#include "hv/public/penumbra.h"

#define SEED 0x9e3779b97f4a7c15UL

static void lottery_init(struct sched_queue *q)
{
    q->lottery.random = SEED;
}

/* G. Marsaglia, "Xorshift RNGs", 2003. A guest that knew the state could sleep when it is to lose;
 * it cannot see it. */
static uint64_t draw(struct lottery *l, uint64_t limit)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return l->random % limit;
}

static void lottery_add(struct sched_queue *q, struct sched_entity *e)
{
    (void)q;
    e->lottery.tickets = e->weight;
}

static void lottery_set_weight(struct sched_queue *q, struct sched_entity *e, uint32_t weight)
{
    (void)q;
    e->lottery.tickets = weight;
}

static void lottery_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    (void)now;
    policy_append(&q->lottery.queued, e);
}

static void lottery_sleep(struct sched_queue *q, struct sched_entity *e)
{
    policy_unlink(&q->lottery.queued, e);
}

static void lottery_stop(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how)
{
    struct sched_entity *e = q->pcpu[pcpu].running;
    uint64_t ran = policy_ran(q, pcpu, now), least = LOTTERY_QUANTUM_NS / LOTTERY_BONUS_MAX;

    e->lottery.tickets = e->weight;
    if (how == SCHED_STOP_QUEUE) {
        policy_append(&q->lottery.queued, e);
        return;
    }
    if (ran < LOTTERY_QUANTUM_NS)
        e->lottery.tickets = e->weight * LOTTERY_QUANTUM_NS / (ran > least ? ran : least);
    if (how == SCHED_STOP_YIELD)
        policy_append(&q->lottery.queued, e);
}

static bool lottery_has_work(const struct sched_queue *q, unsigned pcpu)
{
    return policy_first(&q->lottery.queued, pcpu) != NULL;
}

/* Whose is the ticket number `winner`, counted over those that may run there? Without a winner in
 * mind (UINT64_MAX): how many tickets are there? */
static struct sched_entity *count(const struct sched_queue *q, unsigned pcpu, uint64_t winner,
                                  uint64_t *tickets)
{
    *tickets = 0;
    for (struct sched_entity *e = q->lottery.queued.first; e; e = e->next) {
        if (!(e->affinity >> pcpu & 1))
            continue;
        *tickets += e->lottery.tickets;
        if (winner < *tickets)
            return e;
    }
    return NULL;
}

static struct sched_entity *lottery_pick(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                         uint64_t *slice)
{
    struct sched_entity *e;
    uint64_t tickets;

    (void)now;
    count(q, pcpu, UINT64_MAX, &tickets);
    if (!tickets)
        return NULL;
    e = count(q, pcpu, draw(&q->lottery, tickets), &tickets);
    policy_unlink(&q->lottery.queued, e);
    *slice = lottery_has_work(q, pcpu) ? LOTTERY_QUANTUM_NS : SCHED_NO_LIMIT;
    return e;
}

const struct sched_policy lottery_policy = {
    .name = "lottery",
    .id = PENUMBRA_SCHEDULER_LOTTERY,
    .weights = true,
    .min_run_ns = LOTTERY_QUANTUM_NS,
    .quantum_ns = LOTTERY_QUANTUM_NS,
    .init = lottery_init,
    .add = lottery_add,
    .set_weight = lottery_set_weight,
    .wake = lottery_wake,
    .sleep = lottery_sleep,
    .stop = lottery_stop,
    .pick = lottery_pick,
    .has_work = lottery_has_work,
    .place = policy_place_quietly,
};
