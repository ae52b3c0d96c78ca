/* SPDX-License-Identifier: MIT */
/*
 * The queue is a binary heap of entities by s. Which of them may run on a pCPU is looked up in it
 * best first: a subtree whose top is no better than the best found so far is skipped, so that with
 * everything allowed a pick looks at one node.
 *
 * Caps and counters are exact in integers: the remainder of the division by the weight is carried,
 * and s never overflows (wfq_rebase).
 */
#include "sched/wfq.h"

#include <stddef.h>

#define NO_SLOT UINT32_MAX
/* s is brought down by this before it can overflow; spreads are far smaller. One quantum adds less
 * than 2^38. */
#define REBASE_AT (1UL << 62)
#define REBASE_BY (1UL << 61)
/* Longest time charged at once, ns: keeps (time * WFQ_SCALE) far from overflow whatever the clock
 * did. */
#define CHARGE_MAX (1UL << 40)

/* ---- heap ---- */

static void heap_put(struct wfq *q, uint32_t slot, struct wfq_entity *e)
{
    q->heap[slot] = e;
    e->slot = slot;
}

static void heap_up(struct wfq *q, uint32_t slot, struct wfq_entity *e)
{
    while (slot > 0) {
        uint32_t parent = (slot - 1) / 2;
        if (q->heap[parent]->service <= e->service)
            break;
        heap_put(q, slot, q->heap[parent]);
        slot = parent;
    }
    heap_put(q, slot, e);
}

static void heap_down(struct wfq *q, uint32_t slot, struct wfq_entity *e)
{
    for (;;) {
        uint32_t child = 2 * slot + 1;
        if (child >= q->count)
            break;
        if (child + 1 < q->count && q->heap[child + 1]->service < q->heap[child]->service)
            child++;
        if (e->service <= q->heap[child]->service)
            break;
        heap_put(q, slot, q->heap[child]);
        slot = child;
    }
    heap_put(q, slot, e);
}

static void heap_insert(struct wfq *q, struct wfq_entity *e)
{
    uint32_t slot = q->count;

    e->state = WFQ_QUEUED;
    __atomic_store_n(&q->count, slot + 1, __ATOMIC_RELAXED);
    heap_up(q, slot, e);
}

static void heap_remove(struct wfq *q, struct wfq_entity *e)
{
    uint32_t slot = e->slot;
    struct wfq_entity *last = q->heap[q->count - 1];

    __atomic_store_n(&q->count, q->count - 1, __ATOMIC_RELAXED);
    e->slot = NO_SLOT;
    if (last == e)
        return;
    if (slot > 0 && last->service < q->heap[(slot - 1) / 2]->service)
        heap_up(q, slot, last);
    else
        heap_down(q, slot, last);
}

static void find_below(const struct wfq *q, uint32_t slot, uint64_t pcpu, struct wfq_entity **best)
{
    struct wfq_entity *e;

    if (slot >= q->count)
        return;
    e = q->heap[slot];
    if (*best && (*best)->service <= e->service)
        return;
    if (e->affinity & pcpu) {
        *best = e;
        return;
    }
    find_below(q, 2 * slot + 1, pcpu, best);
    find_below(q, 2 * slot + 2, pcpu, best);
}

/* The queued entity with the smallest s that may run there. The depth of the recursion is the
 * heap's height. */
static struct wfq_entity *find_first(const struct wfq *q, unsigned pcpu)
{
    struct wfq_entity *best = NULL;
    find_below(q, 0, 1UL << pcpu, &best);
    return best;
}

/* ---- the service counter ---- */

static uint64_t take_down(uint64_t s)
{
    return s > REBASE_BY ? s - REBASE_BY : 0;
}

/* Entities that sleep or are parked are brought down when they come back: they keep the era of
 * their s. */
static void to_present_era(const struct wfq *q, struct wfq_entity *e)
{
    for (; e->era != q->era && e->service; e->era++)
        e->service = take_down(e->service);
    e->era = q->era;
}

/* All counters in use are lowered alike, which changes no comparison: they are closer together than
 * REBASE_BY. At weight 1 it takes half a year of running to get there; tests begin just before it.
 */
static void wfq_rebase(struct wfq *q)
{
    q->era++;
    for (uint32_t i = 0; i < q->count; i++)
        to_present_era(q, q->heap[i]);
    for (unsigned p = 0; p < PCPU_MAX; p++) {
        q->pcpu[p].floor = take_down(q->pcpu[p].floor);
        if (q->pcpu[p].running)
            to_present_era(q, q->pcpu[p].running);
    }
}

static uint64_t service_of(const struct wfq_entity *e, uint64_t ns)
{
    return ns * WFQ_SCALE / e->weight;
}

static void charge(struct wfq_entity *e, uint64_t ns)
{
    uint64_t scaled = ns * WFQ_SCALE + e->rest;
    e->service += scaled / e->weight;
    e->rest = (uint32_t)(scaled % e->weight);
}

/* s_min of this pCPU now. Whoever runs there longer than a quantum, because nobody waits, moves it
 * along: one who comes then is at most a quantum behind. */
static uint64_t pcpu_floor(const struct wfq_pcpu *c, uint64_t now)
{
    uint64_t ns = now > c->since ? now - c->since : 0, moved;

    if (!c->running || ns <= WFQ_QUANTUM_NS)
        return c->floor;
    ns = ns > CHARGE_MAX ? CHARGE_MAX : ns;
    moved = c->running->service + service_of(c->running, ns - WFQ_QUANTUM_NS);
    return moved > c->floor ? moved : c->floor;
}

/* s_min as one who may run on these pCPUs meets it. */
static uint64_t floor_of(const struct wfq *q, uint64_t pcpus, uint64_t now)
{
    uint64_t floor = 0;

    for (pcpus &= q->online; pcpus; pcpus &= pcpus - 1) {
        uint64_t f = pcpu_floor(&q->pcpu[__builtin_ctzl(pcpus)], now);
        if (f > floor)
            floor = f;
    }
    return floor;
}

/* ---- budgets ---- */

static int64_t budget_full(const struct wfq_group *g)
{
    return (int64_t)(WFQ_PERIOD_NS / 100 * g->cap);
}

/* Each period that began adds its share; unused shares do not pile up, a debt is paid off. */
static void refill(struct wfq_group *g, uint64_t now)
{
    uint64_t period = now / WFQ_PERIOD_NS;
    int64_t full = budget_full(g), carried = g->budget;

    if (period <= g->period)
        return;
    for (uint64_t n = period - g->period; n > 1 && carried < 0; n--)
        carried += full;
    if (carried > (int64_t)WFQ_SLICE_MIN_NS)
        carried = (int64_t)WFQ_SLICE_MIN_NS;
    g->budget = carried + full;
    g->period = period;
}

/* ---- life and parameters ---- */

void wfq_init(struct wfq *q, struct wfq_entity **heap, uint32_t capacity)
{
    *q = (struct wfq){.heap = heap, .capacity = capacity};
    q->stretch = WFQ_QUANTUM_NS;
}

void wfq_pcpu_online(struct wfq *q, unsigned pcpu)
{
    q->online |= 1UL << pcpu;
}

void wfq_entity_init(struct wfq_entity *e, struct wfq_group *group, uint32_t weight)
{
    *e = (struct wfq_entity){.weight = weight,
                             .slot = NO_SLOT,
                             .state = WFQ_ASLEEP,
                             .affinity = ~0UL,
                             .preferred = ~0UL,
                             .group = group};
}

void wfq_set_weight(struct wfq_entity *e, uint32_t weight)
{
    e->weight = weight;
    e->rest = 0;
}

void wfq_set_affinity(struct wfq *q, struct wfq_entity *e, uint64_t affinity, uint64_t preferred,
                      uint64_t now)
{
    bool moved = (affinity ^ e->affinity) & q->online;
    bool queued = e->state == WFQ_QUEUED;

    e->affinity = affinity;
    e->preferred = preferred;
    if (!moved)
        return;
    if (queued)
        heap_remove(q, e);
    to_present_era(q, e);
    e->service = floor_of(q, affinity, now);
    if (queued)
        heap_insert(q, e);
}

void wfq_set_cap(struct wfq *q, struct wfq_group *g, uint32_t cap, uint64_t now)
{
    q->parked_till =
        now / WFQ_PERIOD_NS; /* those that are parked for the old cap are looked at again */
    g->cap = cap;
    g->period = now / WFQ_PERIOD_NS;
    g->budget = budget_full(g);
}

/* ---- waking and sleeping ---- */

void wfq_wake(struct wfq *q, struct wfq_entity *e, uint64_t now)
{
    uint64_t floor = floor_of(q, e->affinity, now);

    to_present_era(q, e);
    if (e->service < floor)
        e->service = floor;
    heap_insert(q, e);
}

static void park(struct wfq *q, struct wfq_entity *e)
{
    e->state = WFQ_PARKED;
    e->parked_next = q->parked;
    q->parked = e;
}

static void unpark(struct wfq *q, struct wfq_entity *e)
{
    struct wfq_entity **link = &q->parked;

    while (*link != e)
        link = &(*link)->parked_next;
    *link = e->parked_next;
}

void wfq_sleep(struct wfq *q, struct wfq_entity *e)
{
    if (e->state == WFQ_QUEUED)
        heap_remove(q, e);
    else if (e->state == WFQ_PARKED)
        unpark(q, e);
    e->state = WFQ_ASLEEP;
}

uint64_t wfq_release_time(const struct wfq *q)
{
    return q->parked ? q->parked_till * WFQ_PERIOD_NS : WFQ_NO_LIMIT;
}

void wfq_release(struct wfq *q, uint64_t now)
{
    if (now / WFQ_PERIOD_NS < q->parked_till)
        return;
    while (q->parked) {
        struct wfq_entity *e = q->parked;
        q->parked = e->parked_next;
        wfq_wake(q, e, now);
    }
}

/* ---- running ---- */

/* Up at once, down slowly. */
static void note_quantum(struct wfq *q, uint64_t ns)
{
    if (ns >= q->stretch)
        q->stretch = ns;
    else
        q->stretch -= (q->stretch - ns) / 16;
    if (q->stretch < WFQ_QUANTUM_NS)
        q->stretch = WFQ_QUANTUM_NS;
}

void wfq_stop(struct wfq *q, unsigned pcpu, uint64_t now, enum wfq_stop how)
{
    struct wfq_pcpu *c = &q->pcpu[pcpu];
    struct wfq_entity *e = c->running, *next;
    uint64_t ns = now > c->since ? now - c->since : 0;

    if (!e)
        return;
    if (ns > CHARGE_MAX)
        ns = CHARGE_MAX;
    c->floor = pcpu_floor(c, now);
    charge(e, ns);
    if (c->slice != WFQ_NO_LIMIT)
        note_quantum(q, ns);
    if (c->reserved) {
        e->group->budget += (int64_t)c->reserved - (int64_t)ns;
        if (e->group->budget > budget_full(e->group) + (int64_t)WFQ_SLICE_MIN_NS)
            e->group->budget = budget_full(e->group) + (int64_t)WFQ_SLICE_MIN_NS;
    }
    c->running = NULL;
    c->reserved = 0;
    if (e->service >= REBASE_AT) {
        wfq_rebase(q);
        to_present_era(q, e);
    }
    if (how == WFQ_STOP_SLEEP) {
        e->state = WFQ_ASLEEP;
        return;
    }
    /* A yield gives away the claim on what the next one gets. */
    next = how == WFQ_STOP_YIELD ? find_first(q, pcpu) : NULL;
    if (next && e->service <= next->service)
        e->service = next->service + 1;
    heap_insert(q, e);
}

/* Takes the first one off the queue whose group has budget; those without are parked. */
static struct wfq_entity *take_first(struct wfq *q, unsigned pcpu, uint64_t now)
{
    struct wfq_entity *e;

    while ((e = find_first(q, pcpu))) {
        heap_remove(q, e);
        if (!e->group->cap)
            return e;
        refill(e->group, now);
        if (e->group->budget >= (int64_t)WFQ_SLICE_MIN_NS)
            return e;
        q->parked_till = now / WFQ_PERIOD_NS + 1;
        park(q, e);
    }
    return NULL;
}

struct wfq_entity *wfq_pick(struct wfq *q, unsigned pcpu, uint64_t now)
{
    struct wfq_pcpu *c = &q->pcpu[pcpu];
    struct wfq_entity *e, *next;

    c->kicked = false;
    wfq_release(q, now);
    e = take_first(q, pcpu, now);
    if (!e)
        return NULL;
    next = find_first(q, pcpu);
    if (next) {
        uint64_t claim = service_of(next, q->stretch);
        if (next->service > claim && e->service < next->service - claim)
            e->service = next->service - claim;
    }
    if (e->service > c->floor)
        c->floor = e->service;
    c->running = e;
    c->since = now;
    c->slice = next ? WFQ_QUANTUM_NS : WFQ_NO_LIMIT;
    if (e->group->cap) {
        c->slice = WFQ_QUANTUM_NS;
        if (e->group->budget < (int64_t)c->slice)
            c->slice = (uint64_t)e->group->budget;
        c->reserved = c->slice;
        e->group->budget -= (int64_t)c->reserved;
    }
    e->state = WFQ_RUNNING;
    e->pcpu = pcpu;
    return e;
}

bool wfq_somebody_waits(const struct wfq *q)
{
    return __atomic_load_n(&q->count, __ATOMIC_RELAXED) > 0;
}

uint64_t wfq_min_run_left(const struct wfq *q, unsigned pcpu, uint64_t now)
{
    const struct wfq_pcpu *c = &q->pcpu[pcpu];
    uint64_t min = c->slice < WFQ_MIN_RUN_NS ? c->slice : WFQ_MIN_RUN_NS;
    return c->running && now < c->since + min ? c->since + min - now : 0;
}

/* ---- whom to disturb ---- */

/* s of what runs there, as it will be when it may be preempted first. */
static uint64_t service_when_preempted(const struct wfq_pcpu *c, uint64_t now)
{
    uint64_t ns = now > c->since ? now - c->since : 0;

    if (ns < WFQ_MIN_RUN_NS)
        ns = WFQ_MIN_RUN_NS;
    if (ns > CHARGE_MAX)
        ns = CHARGE_MAX;
    return c->running->service + service_of(c->running, ns);
}

/* Its last pCPU if idle (its caches are warm), else a preferred one, else any. */
static int idle_for(const struct wfq *q, const struct wfq_entity *e)
{
    uint64_t idle = 0, m;

    for (m = e->affinity & q->online; m; m &= m - 1) {
        unsigned p = (unsigned)__builtin_ctzl(m);
        if (!q->pcpu[p].running && !q->pcpu[p].kicked)
            idle |= 1UL << p;
    }
    if (idle & e->preferred)
        idle &= e->preferred;
    if (idle & (1UL << e->pcpu))
        return (int)e->pcpu;
    return idle ? __builtin_ctzl(idle) : -1;
}

int wfq_place(struct wfq *q, const struct wfq_entity *e, uint64_t now, bool waking)
{
    uint64_t most = e->service + service_of(e, WFQ_MARGIN_NS), m;
    int best = idle_for(q, e), unlimited = -1;

    if (best >= 0) {
        q->pcpu[best].kicked = true;
        return best;
    }
    for (m = e->affinity & q->online; m; m &= m - 1) {
        int p = __builtin_ctzl(m);
        const struct wfq_pcpu *c = &q->pcpu[p];
        if (!c->running)
            continue;
        if (c->slice == WFQ_NO_LIMIT && unlimited < 0)
            unlimited = p;
        if (waking && service_when_preempted(c, now) > most) {
            most = service_when_preempted(c, now);
            best = p;
        }
    }
    return best >= 0 ? best : unlimited;
}

int wfq_idle_with_work(struct wfq *q)
{
    for (uint64_t m = q->count ? q->online : 0; m; m &= m - 1) {
        int p = __builtin_ctzl(m);
        if (!q->pcpu[p].running && !q->pcpu[p].kicked && find_first(q, (unsigned)p)) {
            q->pcpu[p].kicked = true;
            return p;
        }
    }
    return -1;
}
