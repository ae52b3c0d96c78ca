/* SPDX-License-Identifier: MIT */
/*
 * The queue of a pCPU is two trees by s: of the entities that may run there only, and of all those
 * that may run on several pCPUs, which knows the affinities (sched/tree.h). Caps and counters are
 * exact in integers: the remainder of the division by the weight is carried, and s never overflows
 * (rebase()).
 */
#include "sched/policy.h"

#include <stddef.h>
#include <xen/domctl.h>

/* s is brought down by this before it can overflow; spreads are far smaller. One quantum adds less
 * than 2^38. */
#define REBASE_AT (1UL << 62)
#define REBASE_BY (1UL << 61)

/* ---- the queue ---- */

static struct sched_entity *entity_of(struct tree_node *n)
{
    return n ? (struct sched_entity *)((char *)n - offsetof(struct sched_entity, wfq.node)) : NULL;
}

static void insert(struct tree *t, struct sched_entity *e)
{
    e->wfq.node.key = e->wfq.service;
    e->wfq.node.mask = e->affinity;
    tree_insert(t, &e->wfq.node);
}

/* Where one of this affinity, which is never empty (sched/pool.c), is queued. */
static struct tree *queue_for(struct sched_queue *q, uint64_t affinity)
{
    bool pinned = !(affinity & (affinity - 1));

    return pinned ? &q->wfq.pcpu[__builtin_ctzl(affinity)].own : &q->wfq.shared;
}

/* Where it waits. */
static struct tree *tree_of(struct sched_queue *q, const struct sched_entity *e)
{
    return e->state == SCHED_PARKED ? &q->wfq.parked : e->wfq.queue;
}

/* The queued entity with the smallest s that may run there. */
static inline struct sched_entity *find_first(const struct sched_queue *q, unsigned pcpu)
{
    struct tree_node *own = q->wfq.pcpu[pcpu].own.first;
    struct tree_node *shared = tree_first(&q->wfq.shared, 1UL << pcpu);

    return entity_of(!own || (shared && shared->key < own->key) ? shared : own);
}

static bool wfq_has_work(const struct sched_queue *q, unsigned pcpu)
{
    return find_first(q, pcpu) != NULL;
}

/* ---- the service counter ---- */

static uint64_t take_down(uint64_t s)
{
    return s > REBASE_BY ? s - REBASE_BY : 0;
}

/* Entities that sleep or are parked are brought down when they come back: they keep the era of
 * their s. */
static void to_present_era(const struct wfq *w, struct wfq_entity *e)
{
    for (; e->era != w->era && e->service; e->era++)
        e->service = take_down(e->service);
    e->era = w->era;
}

static void rebase_node(struct tree_node *n, void *w)
{
    struct sched_entity *e = entity_of(n);

    to_present_era(w, &e->wfq);
    n->key = e->wfq.service;
}

/* All counters in use are lowered alike, which changes no comparison: they are closer together than
 * REBASE_BY. At weight 1 it takes half a year of running to get there; tests begin just before it.
 */
static void rebase(struct sched_queue *q)
{
    q->wfq.era++;
    tree_each(q->wfq.shared.root, rebase_node, &q->wfq);
    for (unsigned p = 0; p < PCPU_MAX; p++) {
        tree_each(q->wfq.pcpu[p].own.root, rebase_node, &q->wfq);
        q->wfq.pcpu[p].floor = take_down(q->wfq.pcpu[p].floor);
        if (q->pcpu[p].running)
            to_present_era(&q->wfq, &q->pcpu[p].running->wfq);
    }
}

static uint64_t service_of(const struct sched_entity *e, uint64_t ns)
{
    return ns * WFQ_SCALE / e->weight;
}

/* For ns of running; but what it ran beyond its quantum is owed until the next time. */
static void charge(struct sched_entity *e, uint64_t ns, uint64_t beyond)
{
    uint64_t scaled = (ns + e->wfq.owed - beyond) * WFQ_SCALE + e->wfq.rest;

    e->wfq.owed = (uint32_t)beyond;
    e->wfq.service += scaled / e->weight;
    e->wfq.rest = (uint32_t)(scaled % e->weight);
}

/* s_min of this pCPU now. Whoever runs there longer than a quantum, because nobody waited, moves it
 * along: one who comes then is at most a quantum behind. Never beyond one who waits, though: until
 * the pCPU looks at him, that is the smallest. */
static uint64_t pcpu_floor(const struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    const struct sched_entity *e = q->pcpu[pcpu].running, *next;
    uint64_t ns = policy_ran(q, pcpu, now), floor = q->wfq.pcpu[pcpu].floor, moved;

    if (q->pcpu[pcpu].slice != SCHED_NO_LIMIT || ns <= WFQ_QUANTUM_NS)
        return floor;
    moved = e->wfq.service + service_of(e, ns) - service_of(e, WFQ_QUANTUM_NS);
    next = find_first(q, pcpu);
    if (next && next->wfq.service < moved)
        moved = next->wfq.service;
    return moved > floor ? moved : floor;
}

/* s_min as one who may run on these pCPUs meets it. */
static uint64_t floor_of(const struct sched_queue *q, uint64_t pcpus, uint64_t now)
{
    uint64_t floor = 0;

    for (pcpus &= q->online; pcpus; pcpus &= pcpus - 1) {
        uint64_t f = pcpu_floor(q, (unsigned)__builtin_ctzl(pcpus), now);
        if (f > floor)
            floor = f;
    }
    return floor;
}

/* ---- budgets ---- */

static int64_t budget_full(uint32_t cap)
{
    return (int64_t)(WFQ_PERIOD_NS / 100 * cap);
}

/* Each period that began adds its share; unused shares do not pile up, a debt is paid off. */
static void refill(struct sched_group *g, uint64_t now)
{
    uint64_t period = now / WFQ_PERIOD_NS;
    int64_t full = budget_full(g->cap), carried = g->wfq.budget;

    if (period <= g->wfq.period)
        return;
    for (uint64_t n = period - g->wfq.period; n > 1 && carried < 0; n--)
        carried += full;
    if (carried > (int64_t)WFQ_SLICE_MIN_NS)
        carried = (int64_t)WFQ_SLICE_MIN_NS;
    g->wfq.budget = carried + full;
    g->wfq.period = period;
}

/* What was reserved of the budget and not used comes back. */
static void settle_budget(struct sched_group *g, uint64_t reserved, uint64_t ns)
{
    int64_t most = budget_full(g->cap) + (int64_t)WFQ_SLICE_MIN_NS;

    g->wfq.budget += (int64_t)reserved - (int64_t)ns;
    if (g->wfq.budget > most)
        g->wfq.budget = most;
}

/* ---- life and parameters ---- */

static void wfq_init(struct sched_queue *q)
{
    q->wfq.stretch = WFQ_QUANTUM_NS;
}

/* The pCPU's s_min is of what it served: nothing of that holds when it comes back. */
static void wfq_pcpu_offline(struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    (void)now;
    q->wfq.pcpu[pcpu].floor = 0;
}

/* s_min as it was noted last on these pCPUs. */
static uint64_t noted_floor(const struct sched_queue *q, uint64_t pcpus)
{
    uint64_t floor = 0;

    for (pcpus &= q->online; pcpus; pcpus &= pcpus - 1) {
        uint64_t f = q->wfq.pcpu[__builtin_ctzl(pcpus)].floor;
        if (f > floor)
            floor = f;
    }
    return floor;
}

static bool waits(const struct sched_entity *e)
{
    return e->state == SCHED_QUEUED || e->state == SCHED_PARKED;
}

static void wfq_add(struct sched_queue *q, struct sched_entity *e)
{
    e->wfq.queue = queue_for(q, e->affinity);
}

/* What it is ahead of s_min stays the same time: a quantum at weight 1 would keep it waiting for
 * minutes at weight 256. */
static void wfq_set_weight(struct sched_queue *q, struct sched_entity *e, uint32_t weight)
{
    uint64_t floor = noted_floor(q, e->affinity), most = service_of(e, SCHED_RAN_MAX), lead;

    if (waits(e))
        tree_remove(tree_of(q, e), &e->wfq.node);
    to_present_era(&q->wfq, &e->wfq);
    if (e->wfq.service > floor) {
        lead = e->wfq.service - floor;
        lead = lead > most ? most : lead; /* far from overflow */
        e->wfq.service = floor + lead * e->weight / weight;
    }
    e->wfq.rest = 0;
    if (waits(e))
        insert(tree_of(q, e), e);
}

/* Where it may run now it counts as newly come, or as having just run there for a quantum. */
static void wfq_set_affinity(struct sched_queue *q, struct sched_entity *e, uint64_t affinity,
                             uint64_t now)
{
    uint64_t floor = floor_of(q, affinity, now), most = floor + service_of(e, WFQ_QUANTUM_NS);

    if (waits(e))
        tree_remove(tree_of(q, e), &e->wfq.node);
    if ((affinity ^ e->affinity) & q->online) {
        to_present_era(&q->wfq, &e->wfq);
        if (e->wfq.service < floor)
            e->wfq.service = floor;
        if (e->wfq.service > most)
            e->wfq.service = most;
    }
    e->affinity = affinity;
    e->wfq.queue = queue_for(q, affinity);
    if (waits(e))
        insert(tree_of(q, e), e);
}

/* Those that are parked for the old cap are looked at again. */
static void wfq_set_cap(struct sched_queue *q, struct sched_group *g, uint32_t cap, uint64_t now)
{
    if (q->wfq.parked.root)
        q->release_due = now;
    g->wfq.period = now / WFQ_PERIOD_NS;
    g->wfq.budget = budget_full(cap);
}

/* ---- waking and sleeping ---- */

static void wfq_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now)
{
    uint64_t floor = floor_of(q, e->affinity, now);

    to_present_era(&q->wfq, &e->wfq);
    if (e->wfq.service < floor)
        e->wfq.service = floor;
    insert(e->wfq.queue, e);
}

static void wfq_sleep(struct sched_queue *q, struct sched_entity *e)
{
    tree_remove(tree_of(q, e), &e->wfq.node);
}

static void wfq_release(struct sched_queue *q, uint64_t now)
{
    struct sched_entity *e;

    if (now < q->release_due)
        return;
    q->release_due = SCHED_NO_LIMIT;
    while ((e = entity_of(q->wfq.parked.first))) {
        tree_remove(&q->wfq.parked, &e->wfq.node);
        wfq_wake(q, e, now);
        policy_enter(q, e, SCHED_QUEUED);
    }
}

/* ---- running ---- */

/* Only then can a weight be more than a pCPU has. */
static bool several_pcpus(const struct sched_queue *q)
{
    return q->online & (q->online - 1);
}

/* Up at once, down slowly. */
static void note_quantum(struct wfq *w, uint64_t ns)
{
    if (ns >= w->stretch)
        w->stretch = ns;
    else
        w->stretch -= (w->stretch - ns) / 16;
    if (w->stretch < WFQ_QUANTUM_NS)
        w->stretch = WFQ_QUANTUM_NS;
}

static void wfq_stop(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how)
{
    struct wfq_pcpu *c = &q->wfq.pcpu[pcpu];
    struct sched_entity *e = q->pcpu[pcpu].running, *next;
    uint64_t ns = policy_ran(q, pcpu, now), slice = q->pcpu[pcpu].slice, beyond = 0;

    if (slice == SCHED_NO_LIMIT)
        c->floor = pcpu_floor(q, pcpu, now);
    else if (several_pcpus(q))
        note_quantum(&q->wfq, ns);
    if (ns > slice && how == SCHED_STOP_QUEUE)
        beyond = ns - slice < WFQ_OWED_MAX_NS ? ns - slice : WFQ_OWED_MAX_NS;
    charge(e, ns, beyond);
    if (c->reserved) {
        settle_budget(e->group, c->reserved, ns);
        c->reserved = 0;
    }
    if (e->wfq.service >= REBASE_AT)
        rebase(q);
    if (how == SCHED_STOP_SLEEP)
        return;
    /* A yield gives away the claim on what the next one gets. */
    next = how == SCHED_STOP_YIELD ? find_first(q, pcpu) : NULL;
    if (next && e->wfq.service <= next->wfq.service)
        e->wfq.service = next->wfq.service + 1;
    insert(e->wfq.queue, e);
}

/* A capped one that was taken off the queue is parked if its group has no budget. */
static __attribute__((noinline)) bool parked(struct sched_queue *q, struct sched_entity *e,
                                             uint64_t now)
{
    refill(e->group, now);
    if (e->group->wfq.budget >= (int64_t)WFQ_SLICE_MIN_NS)
        return false;
    q->release_due = (now / WFQ_PERIOD_NS + 1) * WFQ_PERIOD_NS;
    policy_enter(q, e, SCHED_PARKED);
    insert(&q->wfq.parked, e);
    return true;
}

/* Takes the first one off the queue that is not parked then. */
static inline struct sched_entity *take_first(struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    struct sched_entity *e;

    while ((e = find_first(q, pcpu))) {
        tree_remove(e->wfq.queue, &e->wfq.node);
        if (!e->group->cap || !parked(q, e, now))
            break;
    }
    return e;
}

/* No more than a quantum's worth behind the next one, see the header. */
static void limit_claim(const struct sched_queue *q, struct sched_entity *e,
                        const struct sched_entity *next)
{
    uint64_t claim = service_of(next, q->wfq.stretch), s = next->wfq.service;

    if (s > claim && e->wfq.service < s - claim)
        e->wfq.service = s - claim;
}

/* The slice of a capped one is taken from its group's budget before it runs. */
static uint64_t reserve(struct sched_queue *q, unsigned pcpu, struct sched_group *g)
{
    uint64_t slice = WFQ_QUANTUM_NS;

    if (g->wfq.budget < (int64_t)slice)
        slice = (uint64_t)g->wfq.budget;
    q->wfq.pcpu[pcpu].reserved = slice;
    g->wfq.budget -= (int64_t)slice;
    return slice;
}

static struct sched_entity *wfq_pick(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                     uint64_t *slice)
{
    struct sched_entity *e, *next;

    if (now >= q->release_due)
        wfq_release(q, now);
    e = take_first(q, pcpu, now);
    if (!e)
        return NULL;
    next = find_first(q, pcpu);
    if (next && several_pcpus(q))
        limit_claim(q, e, next);
    if (e->wfq.service > q->wfq.pcpu[pcpu].floor)
        q->wfq.pcpu[pcpu].floor = e->wfq.service;
    *slice = next ? WFQ_QUANTUM_NS - e->wfq.owed : SCHED_NO_LIMIT;
    if (e->group->cap)
        *slice = reserve(q, pcpu, e->group);
    return e;
}

/* ---- whom to disturb ---- */

/* s of what runs there, as it will be when it may be preempted first. */
static uint64_t service_when_preempted(const struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    const struct sched_entity *e = q->pcpu[pcpu].running;
    uint64_t ns = policy_ran(q, pcpu, now);

    return e->wfq.service + service_of(e, ns < WFQ_MIN_RUN_NS ? WFQ_MIN_RUN_NS : ns);
}

/* An idle pCPU; one whose entity a waking e preempts, the one that is furthest ahead; or one that
 * runs without a quantum. Else the quanta see to it. */
static int wfq_place(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                     bool waking)
{
    uint64_t most = e->wfq.service + service_of(e, WFQ_MARGIN_NS);
    int best = policy_idle_for(q, e), unlimited = -1;

    if (best >= 0)
        return best;
    for (uint64_t m = e->affinity & q->online; m; m &= m - 1) {
        int p = __builtin_ctzl(m);
        const struct sched_slot *s = &q->pcpu[p];

        if (!s->running)
            continue;
        if (s->slice == SCHED_NO_LIMIT && unlimited < 0)
            unlimited = p;
        if (waking && service_when_preempted(q, (unsigned)p, now) > most) {
            most = service_when_preempted(q, (unsigned)p, now);
            best = p;
        }
    }
    return best >= 0 ? best : unlimited;
}

const struct sched_policy wfq_policy = {
    .name = "wfq",
    .id = XEN_SCHEDULER_CREDIT2, /* whose form of the parameters it has */
    .weights = true,
    .caps = true,
    .min_run_ns = WFQ_MIN_RUN_NS,
    .quantum_ns = WFQ_QUANTUM_NS,
    .cap_period_ns = WFQ_PERIOD_NS,
    .init = wfq_init,
    .pcpu_offline = wfq_pcpu_offline,
    .add = wfq_add,
    .set_weight = wfq_set_weight,
    .set_affinity = wfq_set_affinity,
    .set_cap = wfq_set_cap,
    .wake = wfq_wake,
    .sleep = wfq_sleep,
    .stop = wfq_stop,
    .pick = wfq_pick,
    .has_work = wfq_has_work,
    .place = wfq_place,
    .release = wfq_release,
};
