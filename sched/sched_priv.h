/* SPDX-License-Identifier: MIT */
/* What sched/sched.c (states and switches) and sched/pool.c (pools and parameters) share. */
#ifndef SCHED_SCHED_PRIV_H
#define SCHED_SCHED_PRIV_H

#include "sched/sched.h"

/* All of it under the lock. */
struct sched_pool {
    bool exists;
    unsigned id;
    uint64_t pcpus; /* its own; queue.online are those that have joined and not left yet */
    struct domain *domains;
    unsigned domain_count;
    struct sched_queue queue;
    struct timer release_timer; /* queue.release_due */
};

struct sched_vcpu_name {
    bool valid;
    unsigned domain, vcpu;
};

struct sched_pcpu {
    struct vcpu *current;      /* NULL: idle */
    struct sched_pool *pool;   /* the one it shall serve, NULL: none */
    struct sched_pool *joined; /* the one that it serves: itself follows `pool` in sched_run() */
    bool yielded;              /* by `current`, since it was chosen */
    uint64_t idle_ns, idle_since;
    struct sched_vcpu_name unserved; /* to be told of in the log then, too */
    uint64_t told; /* pCPUs that shall pick again: told so once this one has released the lock */
};

extern struct sched_pcpu sched_pcpus[PCPU_MAX];

void sched_lock(void);
/* Releases it, then sends the interrupts that sched_tell() noted: one takes longer than all that is
 * done under the lock; and writes what is to be said. */
void sched_unlock(void);

/* With the lock held: */
void sched_tell(unsigned pcpu);                  /* the pCPU shall pick again */
void sched_tell_all(const struct sched_pool *p); /* all of the pool */
void sched_tell_idle(struct sched_pool *p);      /* the idle ones for which there is work now */
void sched_kick_for(struct vcpu *v, uint64_t now,
                    bool waking); /* whoever should run it, now queued */

/* sched/pool.c; with the lock held */
void sched_pools_init(void);
void sched_pool_join(unsigned pcpu);        /* Pool-0, at boot */
void sched_pool_enter_vcpu(struct vcpu *v); /* a vCPU, asleep, into its domain's pool */

#endif
