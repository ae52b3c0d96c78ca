/* SPDX-License-Identifier: MIT */
/*
 * The vCPU-to-pCPU map: which vCPU runs where, and when. The mechanism around the policies of
 * sched/policy.h: it owns the queues, their lock, vCPU states, affinity, run-state accounting and
 * the context switch's order; and the pools, each of some pCPUs with a policy of its own.
 *
 * One lock (LOCK_SCHED) covers all of it, pools included. Every function takes it; none may be
 * called with a later lock held.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/lock.h"
#include "sched/policy.h"
#include "sched/timer.h"

struct vcpu;
struct domain;

#define SCHED_WEIGHT_DEFAULT 256

struct sched_pool;

/* A domain's part; the sched lock covers it. Each vCPU has the domain's weight; the cap is the
 * whole domain's. */
struct sched_domain {
    struct sched_pool *pool; /* never NULL after sched_domain_init() */
    struct domain *next;     /* in the pool */
    unsigned weight;         /* 0: SCHED_WEIGHT_DEFAULT */
    unsigned cap;            /* as wished; the policy of the pool may know no caps */
    struct sched_group group;
};

/* Scheduling state of a vCPU; the sched lock covers it. It may run if it is up, not blocked and not
 * paused. */
struct sched_vcpu {
    struct sched_entity entity; /* what the policy knows of it */
    bool up;                    /* VCPUOP_up or created running */
    bool blocked;               /* written under the lock; sched_wake() looks without */
    unsigned pause_count;       /* > 0: may not run */
    bool unserved_said;         /* that its policy has no pCPU for it is in the log */
    bool on_pcpu;  /* its registers are live on `pcpu`; cleared with release after the save */
    unsigned pcpu; /* where it runs or ran last */
    uint64_t hard_affinity, soft_affinity; /* as wished; entity.affinity is what holds */
    int run_state;                         /* RUNSTATE_* */
    uint64_t state_since_ns;
    uint64_t state_time_ns[4];
};

void sched_init(void);      /* once, before the first domain: reads sched=POLICY of the boot line */
void sched_pcpu_init(void); /* on each pCPU: joins Pool-0 */
/* A new domain, with default parameters, joins a pool: -ESRCH there is no such pool, -ENODEV it has
 * no pCPU. Before its first vCPU. */
long sched_domain_init(struct domain *d, unsigned pool);
void sched_domain_remove(struct domain *d); /* after its vCPUs were removed */
void sched_vcpu_init(struct vcpu *v);       /* down, default weight, all pCPUs */
void sched_vcpu_remove(struct vcpu *v);     /* after it stopped for good */

/* State changes; all take the sched lock and kick pCPUs as needed. Any pCPU may call them. */
void sched_vcpu_up(struct vcpu *v);
void sched_vcpu_down(struct vcpu *v);
/* Marks the current vCPU blocked, then looks again for pending events (wake-ups that came between
 * are not lost). */
void sched_block_current(void);
/* The same without the look: the caller looks itself, at the ports that it polls. */
void sched_poll_current(void);
void sched_wake(struct vcpu *v);
/* Something for v was written to memory (an event, a pending upcall): wakes it if blocked,
 * interrupts it if it runs on another pCPU, so that it passes the way out to the guest soon. Takes
 * no lock unless v is blocked. */
void sched_kick(struct vcpu *v);
void sched_yield_current(void);
void sched_pause(struct vcpu *v); /* counted; asynchronous: kicks the pCPU */
void sched_unpause(struct vcpu *v);
void sched_wait_off_pcpu(
    struct vcpu *v); /* until its registers are saved; not for the current vCPU */

/* Picks what this pCPU runs next and switches (arch_vcpu_save/load). Called by arch on the way out
 * to a guest when a resched was requested, and from the idle loop. Returns the vCPU to run, NULL:
 * idle. */
struct vcpu *sched_run(void);

/* Parameters: weight 1..65535, cap in percent of one pCPU (0: none); per domain. -EINVAL out of
 * range; -EOPNOTSUPP the policy of its pool does not know what is asked to change. */
long sched_set_params(struct domain *d, unsigned weight, unsigned cap);
void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap);
/* NULL: unchanged; -EINVAL if no pCPU of the domain's pool remains. The wish is kept: while a pool
 * has none of the wished pCPUs (they were removed), any of the pool will do. */
long sched_set_affinity(struct vcpu *v, const uint64_t *hard, const uint64_t *soft);

/*
 * Pools, for XEN_SYSCTL_cpupool_op and with its error numbers (<xen/sysctl.h>). Each has a number,
 * some pCPUs, one policy at work, and domains. Pool-0 has everything at boot and never goes. Names
 * are domain 0's affair. Control operations exclude each other (LOCK_DOMCTL).
 */
#define SCHED_ANY UINT32_MAX /* XEN_SYSCTL_CPUPOOL_PAR_ANY */

struct sched_pool_info {
    unsigned id;
    const struct sched_policy *policy;
    uint64_t pcpus; /* a bit each */
    unsigned domain_count;
    uint64_t min_run_ns; /* nobody in it is preempted earlier */
};

/* A pool without pCPUs and domains; *id SCHED_ANY takes the lowest free number and is set to it.
 * policy_id: XEN_SCHEDULER_*, PENUMBRA_SCHEDULER_*. -EEXIST the number is taken, -EINVAL no such
 * policy, -ENOSPC there are CPUPOOL_MAX pools. */
long sched_pool_create(unsigned *id, uint32_t policy_id);
/* -ENOENT no such pool, -EBUSY it has domains or pCPUs, or is Pool-0. */
long sched_pool_destroy(unsigned id);
/* A free pCPU joins; SCHED_ANY: any. -ENOENT no such pool, -EINVAL no such pCPU, -ENODEV it is not
 * free, or none is. */
long sched_pool_add_pcpu(unsigned id, unsigned pcpu);
/* A pCPU leaves and is free; SCHED_ANY: the last. What it runs goes to the others of the pool, and
 * it has left on return (the caller's own one: before the caller runs on). -ENOENT no such pool,
 * -EINVAL no such pCPU, -ENODEV not in the pool, -EBUSY it is the last and there are domains. */
long sched_pool_remove_pcpu(unsigned id, unsigned pcpu);
/* Moves a domain with its weight; affinities become those of a new domain, a cap counts if the
 * policy knows caps. Waits until its vCPUs are off their pCPUs: not the caller's own domain, which
 * is -EPERM. -ENOENT no such pool, or one without pCPUs. */
long sched_pool_move(struct domain *d, unsigned id);
/* The time that whoever is chosen runs undisturbed: -ENOENT no such pool, -EINVAL more than the
 * policy's quantum, which would no longer be one then. */
long sched_pool_set_min_run(unsigned id, uint64_t ns);
/* The pool with the lowest number that is >= id; -ENOENT: there is none. */
long sched_pool_info(unsigned id, struct sched_pool_info *out);
uint64_t sched_pool_free_pcpus(void);
unsigned sched_pool_of(const struct domain *d); /* its number */

/* Time that the vCPU has run, ns; and its run-state figures, consistent. */
uint64_t sched_cpu_time(struct vcpu *v);
struct vcpu_runstate_info;
void sched_runstate(struct vcpu *v, struct vcpu_runstate_info *out);
uint64_t sched_idle_time(unsigned pcpu);

#endif
