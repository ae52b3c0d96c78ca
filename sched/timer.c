/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap per pCPU: the root is the earliest timer, each timer's children are later than it.
 * A child knows its left neighbour, the first one its parent, so that any timer can be taken out.
 *
 * t->pcpu is the claim on a timer: it goes from -1 to a pCPU by compare-and-exchange under that
 * heap's lock, and back under the same lock. So two pCPUs that set one timer at once never link it
 * twice.
 *
 * Beside the heap each pCPU has the time at which its scheduler wants to choose again. It changes
 * at every switch, and nobody else touches it: so it needs no lock and no place in the heap.
 */
#include "sched/timer.h"

#include <stddef.h>
#include "hv/arch.h"
#include "hv/config.h"
#include "hv/lock.h"

/* Callbacks of one interrupt: one that sets itself to the past must not keep the pCPU here. */
#define FIRE_MAX 64

static struct timer_heap {
    struct spinlock lock;
    struct timer *root;
    struct timer *firing; /* its callback runs now */
    uint64_t first;   /* the root's deadline. Its pCPU, which alone adds timers, reads it without
                       * the lock: at worst it is earlier than what is left */
    uint64_t quantum; /* its pCPU's alone */
} heaps[PCPU_MAX];

/* ---- the heap ---- */

/* Joins two heaps; either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline < a->deadline) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* The children of a root that goes, joined in two passes: neighbours pairwise, then the pairs from
 * the right. */
static struct timer *meld_children(struct timer *first)
{
    struct timer *pairs = NULL, *all = NULL;

    while (first) {
        struct timer *a = first, *b = first->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        all = meld(all, a);
    }
    return all;
}

/* After a change of the root. */
static void note_first(struct timer_heap *h)
{
    __atomic_store_n(&h->first, h->root ? h->root->deadline : UINT64_MAX, __ATOMIC_RELAXED);
}

static void heap_take(struct timer_heap *h, struct timer *t)
{
    struct timer *rest = meld_children(t->child);

    if (h->root == t) {
        h->root = rest;
        note_first(h);
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        h->root = meld(h->root, rest);
    }
    t->child = t->next = t->prev = NULL;
    __atomic_store_n(&t->pcpu, -1, __ATOMIC_RELEASE);
}

/* ---- the interface ---- */

void timer_init(struct timer *t, void (*fn)(void *), void *arg)
{
    *t = (struct timer){.fn = fn, .arg = arg, .pcpu = -1};
}

/* Out of whatever heap holds it. The hardware stays as it is: at worst one interrupt finds nothing
 * to do. */
static void withdraw(struct timer *t)
{
    int32_t pcpu;

    while ((pcpu = __atomic_load_n(&t->pcpu, __ATOMIC_ACQUIRE)) >= 0) {
        struct timer_heap *h = &heaps[pcpu];
        spin_lock(&h->lock);
        if (t->pcpu == pcpu)
            heap_take(h, t);
        spin_unlock(&h->lock);
    }
}

/* On the heap's own pCPU, without the lock: it takes long, and an emulator that runs one pCPU at a
 * time changes over here. One that wants the lock would find it taken whenever its turn comes. */
static void program(const struct timer_heap *h, uint64_t first)
{
    arch_timer_program(first < h->quantum ? first : h->quantum);
}

static uint64_t first_of(const struct timer_heap *h)
{
    return __atomic_load_n(&h->first, __ATOMIC_RELAXED);
}

/* Into the heap of this pCPU, `me`. Is it the first now? */
static inline __attribute__((always_inline)) bool enter(struct timer_heap *h, int32_t me,
                                                        struct timer *t, uint64_t deadline)
{
    int32_t unset;
    bool first;

    for (;;) {
        withdraw(t);
        if (deadline >= INT64_MAX)
            return false;
        spin_lock(&h->lock);
        unset = -1;
        if (__atomic_compare_exchange_n(&t->pcpu, &unset, me, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            break;
        spin_unlock(&h->lock); /* another pCPU was faster: take it from there */
    }
    t->deadline = deadline;
    h->root = meld(h->root, t);
    first = h->root == t;
    if (first)
        __atomic_store_n(&h->first, deadline, __ATOMIC_RELAXED);
    spin_unlock(&h->lock);
    return first;
}

void timer_set(struct timer *t, uint64_t deadline)
{
    unsigned me = arch_pcpu_id();

    if (enter(&heaps[me], (int32_t)me, t, deadline))
        program(&heaps[me], deadline);
}

void timer_set_before_quantum(struct timer *t, uint64_t deadline)
{
    unsigned me = arch_pcpu_id();

    enter(&heaps[me], (int32_t)me, t, deadline);
}

void timer_stop(struct timer *t)
{
    unsigned me = arch_pcpu_id(), count = arch_pcpu_count();

    withdraw(t);
    for (unsigned p = 0; p < count; p++)
        while (p != me && __atomic_load_n(&heaps[p].firing, __ATOMIC_ACQUIRE) == t)
            arch_cpu_relax();
    withdraw(t); /* the callback may have set it again */
}

bool timer_is_set(const struct timer *t)
{
    return __atomic_load_n(&t->pcpu, __ATOMIC_ACQUIRE) >= 0;
}

void timer_pcpu_init(unsigned pcpu)
{
    heaps[pcpu] = (struct timer_heap){
        .lock = SPINLOCK_INIT(LOCK_TIMER), .first = UINT64_MAX, .quantum = UINT64_MAX};
}

void timer_set_quantum(unsigned me, uint64_t deadline)
{
    struct timer_heap *h = &heaps[me];

    h->quantum = deadline;
    program(h, first_of(h));
}

static void fire(struct timer_heap *h, uint64_t now)
{
    spin_lock(&h->lock);
    for (unsigned fired = 0; fired < FIRE_MAX; fired++) {
        struct timer *t = h->root;
        if (!t || t->deadline > now)
            break;
        /* Announced before it is off the heap: timer_stop() sees it in one place or the other. */
        __atomic_store_n(&h->firing, t, __ATOMIC_SEQ_CST);
        heap_take(h, t);
        spin_unlock(&h->lock);
        t->fn(t->arg);
        __atomic_store_n(&h->firing, NULL, __ATOMIC_RELEASE);
        spin_lock(&h->lock);
    }
    spin_unlock(&h->lock);
}

/* After what is due was fired. */
static inline void go_on(struct timer_heap *h, unsigned pcpu, uint64_t now)
{
    if (h->quantum <= now) {
        h->quantum = UINT64_MAX;
        arch_request_resched(pcpu); /* sets the next one, and the hardware for both */
    } else {
        program(h, first_of(h));
    }
}

static __attribute__((noinline)) void fire_and_go_on(struct timer_heap *h, unsigned pcpu,
                                                     uint64_t now)
{
    fire(h, now);
    go_on(h, pcpu, now);
}

void timer_interrupt(uint64_t now)
{
    unsigned pcpu = arch_pcpu_id();
    struct timer_heap *h = &heaps[pcpu];

    if (first_of(h) <= now)
        fire_and_go_on(h, pcpu, now);
    else
        go_on(h, pcpu, now);
}
