/* SPDX-License-Identifier: MIT */
/*
 * What a scheduling policy is, and what all policies share. A policy chooses which entity (a vCPU)
 * runs next on a pCPU, and how long it may; it is one file of pure C without locks, clock or
 * allocation: a `const struct sched_policy` of functions. The mechanism (sched/sched.c) holds its
 * lock, passes the time, and calls the policy through the functions policy_*() below, which keep
 * the books that every policy would keep alike: who runs where since when, who is idle, how many
 * wait. Unit tests drive policies through the same functions in virtual time.
 *
 * A pool of pCPUs (sched/sched.h) is one struct sched_queue, with one policy. Two pools share
 * nothing. docs/scheduling.md shows how to write a policy.
 */
#ifndef SCHED_POLICY_H
#define SCHED_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/config.h"
#include "sched/policies.h"
#include "sched/wfq.h"

#define SCHED_NO_LIMIT   UINT64_MAX
#define SCHED_WEIGHT_MAX 65535
#define SCHED_RAN_MAX    (1UL << 40) /* ns, 18 minutes */

enum sched_state {
    SCHED_ASLEEP,  /* does not want to run */
    SCHED_QUEUED,  /* waits for a pCPU */
    SCHED_PARKED,  /* wants to run, but may not now: its group's cap */
    SCHED_RUNNING, /* on `pcpu` */
};

/* What the entities of a domain share. All zero: no cap. */
struct sched_group {
    uint32_t cap; /* percent of one pCPU, 0: none */
    union {
        struct wfq_group wfq;
        struct credit_group credit;
    };
};

struct sched_entity {
    enum sched_state state; /* changed by policy_enter() only */
    uint32_t weight;        /* 1 .. SCHED_WEIGHT_MAX */
    unsigned pcpu;          /* runs there or ran there last */
    uint64_t affinity;      /* pCPUs that it may run on, a bit each; those of its pool */
    uint64_t preferred;     /* of these, better ones */
    struct sched_group *group;
    struct sched_entity *next, *prev; /* for lists of the policy */
    union {
        struct wfq_entity wfq;
        struct lottery_entity lottery;
        struct credit_entity credit;
        struct null_entity null;
    };
};

struct sched_queue {
    const struct sched_policy *policy;
    uint64_t online;      /* pCPUs that pick from this queue */
    uint64_t idle;        /* of these, the ones that run nothing and were not told to pick since */
    uint64_t min_run_ns;  /* as policy->min_run_ns, unless a person set it */
    uint64_t release_due; /* ns, for the policy to set: when release() shall be called next */
    uint32_t waiting;     /* entities in state SCHED_QUEUED; read without a lock as a hint */
    struct sched_slot {
        struct sched_entity *running; /* NULL: idle */
        uint64_t since;               /* ns: chosen then */
        uint64_t slice;               /* ns from `since`, SCHED_NO_LIMIT: until told */
    } pcpu[PCPU_MAX];
    union {
        struct wfq wfq;
        struct rr rr;
        struct lottery lottery;
        struct credit credit;
        struct null null;
    };
};

enum sched_stop { SCHED_STOP_SLEEP, SCHED_STOP_QUEUE, SCHED_STOP_YIELD };

/*
 * The policy's part. `now` is in ns and never goes back. Functions marked (optional) may be NULL.
 * State of its own is in the unions above, by the policy's name.
 */
struct sched_policy {
    const char *name;    /* as on the boot line, sched=NAME */
    uint32_t id;         /* XEN_SCHEDULER_* or PENUMBRA_SCHEDULER_* */
    bool weights, caps;  /* what it heeds of the parameters */
    uint64_t min_run_ns; /* nobody is preempted earlier; where a queue's begins */
    /* For people to see; 0: there is no such thing. How long one runs while others wait; how often
     * caps are settled. */
    uint64_t quantum_ns, cap_period_ns;

    void (*init)(struct sched_queue *q);                                      /* (optional) */
    void (*pcpu_online)(struct sched_queue *q, unsigned pcpu);                /* (optional) */
    void (*pcpu_offline)(struct sched_queue *q, unsigned pcpu, uint64_t now); /* (optional) */
    /* A new entity, asleep; one that leaves, asleep again. */
    void (*add)(struct sched_queue *q, struct sched_entity *e);    /* (optional) */
    void (*remove)(struct sched_queue *q, struct sched_entity *e); /* (optional) */
    /* Parameters, in any state. These are called before the field changes. */
    void (*set_weight)(struct sched_queue *q, struct sched_entity *e, uint32_t weight);
    void (*set_affinity)(struct sched_queue *q, struct sched_entity *e, uint64_t affinity,
                         uint64_t now);
    void (*set_cap)(struct sched_queue *q, struct sched_group *g, uint32_t cap, uint64_t now);

    /* e wants to run from now on: into the queue. */
    void (*wake)(struct sched_queue *q, struct sched_entity *e, uint64_t now);
    /* e, queued or parked, does not want to any more: out of it. */
    void (*sleep)(struct sched_queue *q, struct sched_entity *e);
    /* The running one of the pCPU has run from q->pcpu[pcpu].since until now: it is charged for
     * that, and goes back into the queue unless it sleeps; with a yield, behind another. */
    void (*stop)(struct sched_queue *q, unsigned pcpu, uint64_t now, enum sched_stop how);
    /* Takes out of the queue what the pCPU runs now, NULL: nothing. *slice: how long at most. */
    struct sched_entity *(*pick)(struct sched_queue *q, unsigned pcpu, uint64_t now,
                                 uint64_t *slice);
    /* Is something queued that this pCPU could run? */
    bool (*has_work)(const struct sched_queue *q, unsigned pcpu);
    /* e was queued, because it woke or was displaced: which pCPU should pick again? -1: none.
     * policy_place_quietly() is an answer that serves many. */
    int (*place)(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                 bool waking);
    /* Does e, which is queued, get a pCPU some time? Said in the log if not. (optional) */
    bool (*served)(const struct sched_queue *q, const struct sched_entity *e);
    /* Unparks entities or keeps accounts: called at q->release_due, if that is not SCHED_NO_LIMIT.
     * After it all pCPUs pick. (optional) */
    void (*release)(struct sched_queue *q, uint64_t now);
};

extern const struct sched_policy wfq_policy, rr_policy, lottery_policy, credit_policy, null_policy;

/* By name, NULL: there is none; by number of Xen's interface; and all of them, n from 0, NULL after
 * the last. The first is the default. */
const struct sched_policy *policy_find(const char *name);
const struct sched_policy *policy_find_id(uint32_t id);
const struct sched_policy *policy_list(unsigned n);

/* ---- for the mechanism: the policy's functions, and the books around them ---- */

void policy_queue_init(struct sched_queue *q, const struct sched_policy *policy);
void policy_pcpu_online(struct sched_queue *q, unsigned pcpu);
void policy_pcpu_offline(struct sched_queue *q, unsigned pcpu, uint64_t now); /* runs nothing */
/* e joins, asleep, with nothing but these parameters; and leaves, asleep. group is never NULL. */
void policy_add(struct sched_queue *q, struct sched_entity *e, struct sched_group *group,
                uint32_t weight);
void policy_remove(struct sched_queue *q, struct sched_entity *e);
void policy_set_weight(struct sched_queue *q, struct sched_entity *e, uint32_t weight);
/* If it runs, its pCPU must pick again; after a change of a cap all must. */
void policy_set_affinity(struct sched_queue *q, struct sched_entity *e, uint64_t affinity,
                         uint64_t preferred, uint64_t now);
void policy_set_cap(struct sched_queue *q, struct sched_group *g, uint32_t cap, uint64_t now);
void policy_wake(struct sched_queue *q, struct sched_entity *e, uint64_t now);
void policy_sleep(struct sched_queue *q, struct sched_entity *e); /* not a running one */
/* Which pCPU to tell; an idle one is not proposed again until it picked. -1: none. */
int policy_place(struct sched_queue *q, const struct sched_entity *e, uint64_t now, bool waking);
bool policy_served(const struct sched_queue *q, const struct sched_entity *e);
void policy_release(struct sched_queue *q, uint64_t now);
int policy_find_idle_with_work(struct sched_queue *q); /* below */

static inline void policy_enter_from(struct sched_queue *q, struct sched_entity *e,
                                     enum sched_state before, enum sched_state state)
{
    uint32_t waiting = q->waiting + (state == SCHED_QUEUED) - (before == SCHED_QUEUED);

    __atomic_store_n(&q->waiting, waiting, __ATOMIC_RELAXED);
    /* Who waits for it to stop looks without the lock (sched_wait_off_pcpu()). */
    __atomic_store_n(&e->state, state, __ATOMIC_RELAXED);
}
/* The state changes and the number of those that wait with it. A policy's wake, stop and pick need
 * not: it is done for them. */
static inline void policy_enter(struct sched_queue *q, struct sched_entity *e,
                                enum sched_state state)
{
    policy_enter_from(q, e, e->state, state);
}

/* Done and asked at every switch: */

/* What the pCPU runs, which is something, stops. */
static inline void policy_stop(struct sched_queue *q, unsigned pcpu, uint64_t now,
                               enum sched_stop how)
{
    struct sched_slot *s = &q->pcpu[pcpu];
    struct sched_entity *e = s->running;

    q->policy->stop(q, pcpu, now, how);
    s->running = NULL;
    policy_enter_from(q, e, SCHED_RUNNING, how == SCHED_STOP_SLEEP ? SCHED_ASLEEP : SCHED_QUEUED);
}
/* What it runs from now on; NULL: it idles. */
static inline struct sched_entity *policy_pick(struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    struct sched_slot *s = &q->pcpu[pcpu];
    struct sched_entity *e = q->policy->pick(q, pcpu, now, &s->slice);

    if (!e) {
        q->idle |= 1UL << pcpu;
        s->slice = SCHED_NO_LIMIT;
        return NULL;
    }
    if (q->idle)
        q->idle &= ~(1UL << pcpu);
    s->running = e;
    s->since = now;
    policy_enter_from(q, e, SCHED_QUEUED, SCHED_RUNNING);
    e->pcpu = pcpu;
    return e;
}

/* An idle pCPU that could run something that is queued and was not told yet; -1. */
static inline int policy_idle_with_work(struct sched_queue *q)
{
    return q->waiting && q->idle ? policy_find_idle_with_work(q) : -1;
}
/* ns that the one that runs there may still go on undisturbed; 0: may be preempted. */
static inline uint64_t policy_min_run_left(const struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    const struct sched_slot *s = &q->pcpu[pcpu];
    uint64_t min = s->slice < q->min_run_ns ? s->slice : q->min_run_ns;

    return now < s->since + min ? s->since + min - now : 0;
}

/* Does anybody wait for a pCPU? Asked without the lock the answer is a hint. */
static inline bool policy_somebody_waits(const struct sched_queue *q)
{
    return __atomic_load_n(&q->waiting, __ATOMIC_RELAXED) > 0;
}

/* ---- for policies ---- */

/* ns that the running one of the pCPU has run, if there is one; not so many that arithmetic on them
 * could overflow, whatever the clock did. */
static inline uint64_t policy_ran(const struct sched_queue *q, unsigned pcpu, uint64_t now)
{
    const struct sched_slot *s = &q->pcpu[pcpu];
    uint64_t ns = s->running && now > s->since ? now - s->since : 0;

    return ns < SCHED_RAN_MAX ? ns : SCHED_RAN_MAX;
}
/* Its last pCPU if idle (its caches are warm), else a preferred one, else any idle; -1. */
int policy_idle_for(const struct sched_queue *q, const struct sched_entity *e);
/* An idle pCPU, or one whose vCPU has no limit and must get one; nobody is preempted. */
int policy_place_quietly(const struct sched_queue *q, const struct sched_entity *e, uint64_t now,
                         bool waking);
void policy_append(struct sched_list *l, struct sched_entity *e);
void policy_unlink(struct sched_list *l, struct sched_entity *e);
/* The first of the list that may run there. */
struct sched_entity *policy_first(const struct sched_list *l, unsigned pcpu);

#endif
