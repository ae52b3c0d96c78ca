/* SPDX-License-Identifier: MIT */
#include "hv/lock.h"

#include "hv/arch.h"
#include "hv/config.h"
#include "hv/log.h"
#include "mm/tlb.h"

/* Debug builds: how many locks of each rank each pCPU holds. Written by that pCPU alone. */
static uint8_t held[PCPU_MAX][LOCK_RANKS];

static const char *const rank_names[LOCK_RANKS] = {
    [LOCK_DOMCTL] = "domctl", [LOCK_DOMAIN] = "domain", [LOCK_GRANT] = "grant",
    [LOCK_EVTCHN] = "event",  [LOCK_PAGING] = "paging", [LOCK_SCHED] = "sched",
    [LOCK_TIMER] = "timer",   [LOCK_IRQ] = "irq",       [LOCK_HEAP] = "heap",
    [LOCK_FRAME] = "frame",   [LOCK_LOG] = "log",
};

/* `first`: the lowest rank that may not be held. */
static void check_order(const struct spinlock *l, unsigned first)
{
    const uint8_t *mine = held[arch_pcpu_id()];

    for (unsigned r = first; r < LOCK_RANKS; r++) {
        if (mine[r])
            panic("lock order: %s lock wanted while a %s lock is held", rank_names[l->rank],
                  rank_names[r]);
    }
}

/*
 * Most locks are held for less than a microsecond, which is about what relaxing costs: an emulator
 * leaves its fast loop at a `pause`. So the first looks are plain ones.
 */
#define SPINS 256

/* The count comes first: from then on the lock is closed to the others, but for those who have
 * found it free already, each once. */
static void wait_in_queue(struct spinlock *l)
{
    uint16_t ticket;

    __atomic_fetch_add(&l->queued, 1, __ATOMIC_RELAXED);
    ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&l->head, __ATOMIC_ACQUIRE) != ticket)
        arch_cpu_relax();
    while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
        arch_cpu_relax();
    __atomic_store_n(&l->head, (uint16_t)(ticket + 1), __ATOMIC_RELEASE);
    __atomic_fetch_sub(&l->queued, 1, __ATOMIC_RELAXED);
}

void spin_wait(struct spinlock *l)
{
    unsigned looks = 0;

    tlb_wait_begin();
    while (__atomic_load_n(&l->state, __ATOMIC_RELAXED) || !spin_take(l)) {
        if (looks++ >= SPINS)
            arch_cpu_relax();
        if (looks == LOCK_PATIENCE) {
            wait_in_queue(l);
            break;
        }
    }
    tlb_wait_end();
}

static void note_taken(struct spinlock *l)
{
    if (!CONFIG_DEBUG)
        return;
    l->pcpu = (uint16_t)(arch_pcpu_id() + 1);
    held[arch_pcpu_id()][l->rank]++;
}

static void take_checked(struct spinlock *l, unsigned first)
{
    check_order(l, first);
    if (!spin_take(l))
        spin_wait(l);
    note_taken(l);
}

void spin_lock_checked(struct spinlock *l)
{
    take_checked(l, l->rank);
}

void spin_unlock_checked(struct spinlock *l)
{
    if (!spin_held(l))
        panic("%s lock released by a pCPU that does not hold it", rank_names[l->rank]);
    held[arch_pcpu_id()][l->rank]--;
    l->pcpu = 0;
    __atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}

bool spin_trylock(struct spinlock *l)
{
    if (!spin_take(l))
        return false;
    note_taken(l);
    return true;
}

bool spin_held(const struct spinlock *l)
{
    return l->pcpu == arch_pcpu_id() + 1;
}

void spin_lock_pair(struct spinlock *a, struct spinlock *b)
{
    spin_lock(a);
    if (!b || b == a)
        return;
    if (!CONFIG_DEBUG) {
        spin_lock(b);
        return;
    }
    if (a->rank != b->rank)
        panic("lock pair of two ranks, %s and %s", rank_names[a->rank], rank_names[b->rank]);
    take_checked(b, b->rank + 1U);
}

void spin_unlock_pair(struct spinlock *a, struct spinlock *b)
{
    if (b && b != a)
        spin_unlock(b);
    spin_unlock(a);
}
