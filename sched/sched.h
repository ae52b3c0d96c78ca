/* SPDX-License-Identifier: MIT */
/*
 * The vCPU-to-pCPU map: which vCPU runs where, and when. The policy is weighted fair queueing
 * (sched/wfq.c, pure); this module owns the run queue, its lock, vCPU states, affinity, run-state
 * accounting and the context switch's order.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/lock.h"
#include "sched/timer.h"
#include "sched/wfq.h"

struct vcpu;
struct domain;

#define SCHED_WEIGHT_DEFAULT 256

/* Parameters of a domain, shared by its vCPUs; all zero is the default. Each vCPU has the domain's
 * weight; the cap is the whole domain's. The sched lock covers it. */
struct sched_domain {
    unsigned weight; /* 0: SCHED_WEIGHT_DEFAULT */
    struct wfq_group group;
};

/* Scheduling state of a vCPU; the sched lock covers it. It may run if it is up, not blocked and not
 * paused. */
struct sched_vcpu {
    struct wfq_entity wfq; /* weight, service counter, place in the queue */
    bool up;               /* VCPUOP_up or created running */
    bool blocked;          /* written under the lock; sched_wake() looks without */
    unsigned pause_count;  /* > 0: may not run */
    bool on_pcpu;  /* its registers are live on `pcpu`; cleared with release after the save */
    unsigned pcpu; /* where it runs or ran last */
    uint64_t hard_affinity, soft_affinity;
    int run_state; /* RUNSTATE_* */
    uint64_t state_since_ns;
    uint64_t state_time_ns[4];
};

void sched_init(void);                  /* once, before the first vCPU */
void sched_pcpu_init(void);             /* on each pCPU */
void sched_vcpu_init(struct vcpu *v);   /* down, default weight, all pCPUs */
void sched_vcpu_remove(struct vcpu *v); /* after it stopped for good */

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

/* Parameters: weight 1..65535, cap in percent of one pCPU (0: none); per domain. -EINVAL. */
long sched_set_params(struct domain *d, unsigned weight, unsigned cap);
void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap);
long sched_set_affinity(
    struct vcpu *v, const uint64_t *hard,
    const uint64_t *soft); /* NULL: unchanged; -EINVAL if no online pCPU remains */

/* Time that the vCPU has run, ns; and its run-state figures, consistent. */
uint64_t sched_cpu_time(struct vcpu *v);
struct vcpu_runstate_info;
void sched_runstate(struct vcpu *v, struct vcpu_runstate_info *out);
uint64_t sched_idle_time(unsigned pcpu);

#endif
