/* SPDX-License-Identifier: MIT */
#include "sched/policy.h"

#include <stddef.h>
#include <string.h>

/* ---- which there are ---- */

static const struct sched_policy *const policies[] = {&wfq_policy, &rr_policy, &lottery_policy,
                                                      &credit_policy, &null_policy};

const struct sched_policy *policy_list(unsigned n)
{
    return n < sizeof policies / sizeof policies[0] ? policies[n] : NULL;
}

const struct sched_policy *policy_find(const char *name)
{
    const struct sched_policy *p;

    for (unsigned i = 0; (p = policy_list(i)); i++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

const struct sched_policy *policy_find_id(uint32_t id)
{
    const struct sched_policy *p;

    for (unsigned i = 0; (p = policy_list(i)); i++)
        if (p->id == id)
            return p;
    return NULL;
}

/* ---- for policies ---- */

int policy_idle_for(const struct sched_queue *q, const struct sched_entity *e)
{
    uint64_t idle = q->idle & e->affinity;

    if (idle & e->preferred)
        idle &= e->preferred;
    if (idle & (1UL << e->pcpu))
        return (int)e->pcpu;
    return idle ? __builtin_ctzl(idle) : -1;
}

int policy_place_quietly(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                         bool waking)
{
    int idle = policy_idle_for(q, e);

    (void)now;
    (void)waking;
    for (uint64_t m = e->affinity & q->online; idle < 0 && m; m &= m - 1) {
        const struct sched_slot *s = &q->pcpu[__builtin_ctzl(m)];
        if (s->running && s->slice == SCHED_NO_LIMIT)
            return __builtin_ctzl(m);
    }
    return idle;
}

void policy_append(struct sched_list *l, struct sched_entity *e)
{
    e->next = NULL;
    e->prev = l->last;
    if (l->last)
        l->last->next = e;
    else
        l->first = e;
    l->last = e;
}

void policy_unlink(struct sched_list *l, struct sched_entity *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        l->first = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        l->last = e->prev;
}

struct sched_entity *policy_first(const struct sched_list *l, unsigned pcpu)
{
    struct sched_entity *e = l->first;

    while (e && !(e->affinity >> pcpu & 1))
        e = e->next;
    return e;
}

/* ---- queues and their pCPUs ---- */

void policy_queue_init(struct sched_queue *q, const struct sched_policy *policy)
{
    *q = (struct sched_queue){
        .policy = policy, .min_run_ns = policy->min_run_ns, .release_due = SCHED_NO_LIMIT};
    if (policy->init)
        policy->init(q);
}

void policy_pcpu_online(struct sched_queue *q, unsigned pcpu)
{
    q->online |= 1UL << pcpu;
    q->idle |= 1UL << pcpu;
    if (q->policy->pcpu_online)
        q->policy->pcpu_online(q, pcpu);
}

void policy_pcpu_offline(struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    q->online &= ~(1UL << pcpu);
    q->idle &= ~(1UL << pcpu);
    if (q->policy->pcpu_offline)
        q->policy->pcpu_offline(q, pcpu, now);
}

/* ---- entities ---- */

void policy_add(struct sched_queue *q, struct sched_entity *e, struct sched_group *group,
                uint32_t weight)
{
    *e = (struct sched_entity){
        .weight = weight, .affinity = ~0UL, .preferred = ~0UL, .group = group};
    if (q->policy->add)
        q->policy->add(q, e);
}

void policy_remove(struct sched_queue *q, struct sched_entity *e)
{
    if (q->policy->remove)
        q->policy->remove(q, e);
}

void policy_set_weight(struct sched_queue *q, struct sched_entity *e, uint32_t weight)
{
    if (q->policy->set_weight)
        q->policy->set_weight(q, e, weight);
    e->weight = weight;
}

void policy_set_affinity(struct sched_queue *q, struct sched_entity *e, uint64_t affinity,
                         uint64_t preferred, uint64_t now)
{
    if (q->policy->set_affinity && affinity != e->affinity)
        q->policy->set_affinity(q, e, affinity, now);
    e->affinity = affinity;
    e->preferred = preferred;
}

void policy_set_cap(struct sched_queue *q, struct sched_group *g, uint32_t cap, uint64_t now)
{
    if (q->policy->set_cap)
        q->policy->set_cap(q, g, cap, now);
    g->cap = cap;
}

void policy_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    q->policy->wake(q, e, now);
    policy_enter(q, e, SCHED_QUEUED);
}

void policy_sleep(struct sched_queue *q, struct sched_entity *e)
{
    if (e->state == SCHED_ASLEEP)
        return;
    q->policy->sleep(q, e);
    policy_enter(q, e, SCHED_ASLEEP);
}

/* ---- placing ---- */

int policy_place(struct sched_queue *q, const struct sched_entity *e, uint64_t now, bool waking)
{
    int pcpu = q->policy->place(q, e, now, waking);

    if (pcpu >= 0)
        q->idle &= ~(1UL << pcpu);
    return pcpu;
}

int policy_find_idle_with_work(struct sched_queue *q)
{
    for (uint64_t m = q->idle; m; m &= m - 1) {
        int p = __builtin_ctzl(m);
        if (q->policy->has_work(q, (unsigned)p)) {
            q->idle &= ~(1UL << p);
            return p;
        }
    }
    return -1;
}

bool policy_served(const struct sched_queue *q, const struct sched_entity *e)
{
    return !q->policy->served || e->state != SCHED_QUEUED || q->policy->served(q, e);
}

void policy_release(struct sched_queue *q, uint64_t now)
{
    if (q->policy->release)
        q->policy->release(q, now);
}
