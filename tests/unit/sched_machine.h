/* SPDX-License-Identifier: MIT */
/*
 * A machine in virtual time for tests of scheduling policies: up to 64 pCPUs and 1,000 vCPUs
 * (tasks), moved from event to event, with the same calls in the same order as sched/sched.c makes
 * them. At every event it checks what holds under any policy: nobody runs where it may not, what a
 * policy says of its queue is so, and no pCPU idles while somebody who could run there waits.
 */
#ifndef TESTS_UNIT_SCHED_MACHINE_H
#define TESTS_UNIT_SCHED_MACHINE_H

#include "sched/policy.h"

#define TASKS  1000
#define GROUPS 8
#define MS     1000000UL
#define NEVER  UINT64_MAX

struct task {
    struct sched_entity e;
    uint64_t hard;            /* pCPUs that it wishes */
    uint64_t burst, pause;    /* mean ns of running between sleeps, 0: never sleeps; of a sleep */
    uint64_t arrives, leaves; /* ns */
    uint64_t left, wake_at;   /* ns of this burst; NEVER: awake, or gone */
    uint64_t cpu;             /* ns it ran */
    uint64_t queued_at;       /* NEVER if not waiting */
    uint64_t longest_wait;
    unsigned last;  /* ran there last */
    unsigned moves; /* runs that began on another pCPU than the last one */
    bool present, ran;
};

struct machine {
    struct sched_queue q;
    struct sched_group group[GROUPS];
    struct task task[TASKS];
    unsigned tasks, pcpus;
    uint64_t now, end;
    uint64_t timer[PCPU_MAX]; /* quantum or the end of the minimal run time */
    uint64_t resched;         /* a bit each */
    uint64_t late;            /* interrupts come up to this late */
    bool yields;
    bool conserves; /* the policy leaves no pCPU idle that has work */
    /* for the caps: use(t) - cap * t, its least value so far, and the most that it rose above */
    int64_t ahead[GROUPS], least_ahead[GROUPS], worst[GROUPS];
    uint64_t random, seed;
};

extern struct machine machine;

/* An empty machine; every random number that it uses follows from the seed. */
void machine_start(const struct sched_policy *policy, unsigned pcpus, uint64_t seed);
struct task *machine_add(uint32_t weight, uint64_t burst, uint64_t pause, unsigned group);
void machine_wake_all(void);       /* those that arrive at 0 begin, the others are waited for */
void machine_step(uint64_t limit); /* to the next event, not beyond limit (ns) */
void machine_run(uint64_t until, void (*check)(void)); /* check: NULL or called after each event */

/* The pool changes: pCPU p leaves or comes back. */
void machine_set_online(uint64_t pcpus);
void machine_pin(struct task *t, uint64_t pcpus);
void machine_resched_all(void);

uint64_t machine_rnd(uint64_t limit);    /* 0 .. limit - 1 */
uint64_t machine_spread(uint64_t limit); /* 1 .. limit, each size as likely as another */
/* Prints the seed and what went wrong, and fails the test. */
void machine_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
