/* SPDX-License-Identifier: MIT */
/*
 * Spin locks, and the one documented order in which they are taken: the order of enum lock_rank. A
 * pCPU may take a lock only if it holds none of the same or a later rank, except two of one kind by
 * domain number (spin_lock_pair). Debug builds keep the ranks held per pCPU and panic with both
 * names on a wrong order.
 *
 * Interrupts are off inside the hypervisor, so no lock needs to disable them. While a pCPU waits it
 * serves TLB-flush requests of others (arch_cpu_relax), so a holder may wait for a remote flush.
 */
#ifndef HV_LOCK_H
#define HV_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/config.h"

/* Outermost first. Each line: what the lock covers. */
enum lock_rank {
    LOCK_DOMCTL, /* one control operation (domctl, sysctl) at a time; domain list changes */
    LOCK_DOMAIN, /* domain.lock: life cycle state, vCPU bring-up, memory limits */
    LOCK_GRANT,  /* grant_table.lock: entries, maptrack, table frames; granter's before mapper's
                    paging lock */
    LOCK_EVTCHN, /* domain.event_lock: port table of one domain; two by domain number */
    LOCK_PAGING, /* paging.lock: p2m, shadows, reverse map, guest's entries; two by domain number */
    LOCK_SCHED,  /* the run queue and every vCPU's scheduling state */
    LOCK_TIMER,  /* one pCPU's timer heap */
    LOCK_IRQ,    /* interrupt routing, MSI-X tables, PCI configuration access */
    LOCK_DOMAINS, /* the table of domains: look-ups only */
    LOCK_HEAP,    /* small-object heap */
    LOCK_FRAME,   /* free lists of machine frames */
    LOCK_LOG,     /* log ring and serial port */
    LOCK_RANKS
};

struct spinlock {
    uint16_t next, owner; /* ticket lock: next ticket to give, ticket being served */
    uint16_t rank;        /* enum lock_rank */
    uint16_t pcpu;        /* debug builds: holder + 1, 0 if free */
};

#define SPINLOCK_INIT(r) ((struct spinlock){.rank = (r)})

static inline void spin_lock_init(struct spinlock *l, enum lock_rank rank)
{
    *l = SPINLOCK_INIT(rank);
}

void spin_wait(struct spinlock *l, uint16_t ticket); /* until it is served */
void spin_lock_checked(struct spinlock *l);
void spin_unlock_checked(struct spinlock *l);

/* Tickets are served in order. The acquire pairs with the release in spin_unlock. */
static inline void spin_lock(struct spinlock *l)
{
    uint16_t ticket;

    if (CONFIG_DEBUG) {
        spin_lock_checked(l);
        return;
    }
    ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
        spin_wait(l, ticket);
}

static inline void spin_unlock(struct spinlock *l)
{
    if (CONFIG_DEBUG)
        spin_unlock_checked(l);
    else /* nobody but the holder writes it */
        __atomic_store_n(&l->owner, (uint16_t)(l->owner + 1), __ATOMIC_RELEASE);
}

bool spin_trylock(struct spinlock *l);
bool spin_held(const struct spinlock *l); /* by this pCPU; known to debug builds only */

/* Two locks of one rank; the caller passes them in the order of their domains' numbers, b may be a
 * or NULL. */
void spin_lock_pair(struct spinlock *a, struct spinlock *b);
void spin_unlock_pair(struct spinlock *a, struct spinlock *b);

#endif
