/* SPDX-License-Identifier: MIT */
/*
 * Spin locks, and the one documented order in which they are taken: the order of enum lock_rank. A
 * pCPU may take a lock only if it holds none of the same or a later rank, except two of one kind by
 * domain number (spin_lock_pair). Debug builds keep the ranks held per pCPU and panic with both
 * names on a wrong order.
 *
 * Interrupts are off inside the hypervisor, so no lock needs to disable them. A pCPU that waits
 * serves TLB-flush requests of others and need not be waited for (mm/tlb.h), so a holder may wait
 * for a remote flush.
 *
 * A lock that is released is anybody's: whoever looks at it first. To hand it on in order, as
 * tickets do, leaves it idle until that one looks; and where somebody else runs the processors, as
 * an emulator with fewer threads than they are, that one may not be running: each release costs a
 * time slice of the host then, and the more wait the surer (4 pCPUs of QEMU on 2 processors that
 * run fork and exec in Linux: 4 to 20 times the processor time, and more when the host is busy).
 *
 * Nobody starves: who has looked LOCK_PATIENCE times, some milliseconds of bad luck, queues. While
 * somebody does, the lock is closed to all who do not, and the queue is served in order. So at most
 * PCPU_MAX - 1 come before.
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
    union {
        uint32_t state; /* 0: free, and nobody queues. Atomic; a little-endian machine's: */
        struct {
            uint8_t taken;
            uint8_t unused;
            uint16_t queued; /* pCPUs in the queue */
        };
    };
    uint16_t next, head; /* the queue: next ticket to give, the first one's ticket */
    uint16_t rank;       /* enum lock_rank */
    uint16_t pcpu;       /* debug builds: holder + 1, 0 if free */
};

#define SPINLOCK_INIT(r) ((struct spinlock){.rank = (r)})

static inline void spin_lock_init(struct spinlock *l, enum lock_rank rank)
{
    *l = SPINLOCK_INIT(rank);
}

void spin_wait(struct spinlock *l); /* until this pCPU has it */
void spin_lock_checked(struct spinlock *l);
void spin_unlock_checked(struct spinlock *l);

/* If nobody has it or queues for it. The acquire pairs with the release in spin_unlock. */
static inline bool spin_take(struct spinlock *l)
{
    uint32_t free = 0;
    return __atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void spin_lock(struct spinlock *l)
{
    if (CONFIG_DEBUG)
        spin_lock_checked(l);
    else if (!spin_take(l))
        spin_wait(l);
}

static inline void spin_unlock(struct spinlock *l)
{
    if (CONFIG_DEBUG)
        spin_unlock_checked(l);
    else /* the holder's byte alone: others may enter the queue */
        __atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}

bool spin_trylock(struct spinlock *l);
bool spin_held(const struct spinlock *l); /* by this pCPU; known to debug builds only */

/* Two locks of one rank; the caller passes them in the order of their domains' numbers, b may be a
 * or NULL. */
void spin_lock_pair(struct spinlock *a, struct spinlock *b);
void spin_unlock_pair(struct spinlock *a, struct spinlock *b);

#endif
