/* SPDX-License-Identifier: MIT */
/*
 * Thousands of random workloads under each policy, in virtual time: weights, caps, sleeps, late
 * interrupts, arrivals, departures, affinities, pools that change, 1 to 64 pCPUs, up to 1,000
 * vCPUs. What holds under any policy is checked by the machine (tests/unit/sched_machine.h), what
 * weighted fair queueing promises (docs/scheduling.md) here. The seed of a failing run is printed;
 * `build/unit/sched_random SEED` repeats it, and SEEDS=N in the environment makes N from there on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/sched_machine.h"

#define SEEDS       10000
#define OTHER_SEEDS 300 /* of each of the other policies */

static struct machine *const m = &machine;
static uint64_t first_seed = 1, seeds = SEEDS;

/* ---- workloads ---- */

enum { PINNED = 1, CAPPED = 2, LATE = 4, YIELDS = 8, CHANGING = 16, KINDS = 32 };

static uint32_t random_weight(void)
{
    static const uint32_t some[] = {1, 16, 64, 128, 256, 256, 256, 512, 1024, SCHED_WEIGHT_MAX};
    return machine_rnd(3) ? some[machine_rnd(10)] : 1 + (uint32_t)machine_rnd(SCHED_WEIGHT_MAX);
}

static uint64_t random_pcpus(void)
{
    uint64_t all = m->pcpus == 64 ? ~0UL : (1UL << m->pcpus) - 1, some = machine_rnd(all) + 1;

    return machine_rnd(2) ? 1UL << machine_rnd(m->pcpus) : some & all ? some & all : all;
}

static void add_task(unsigned kind)
{
    bool hog = machine_rnd(2);
    struct task *t = machine_add(random_weight(), hog ? 0 : 10000 + machine_spread(8 * MS),
                                 10000 + machine_spread(20 * MS), (unsigned)machine_rnd(GROUPS));

    if (!machine_rnd(3))
        t->arrives = machine_rnd(50 * MS);
    if (!machine_rnd(3))
        t->leaves = t->arrives + machine_spread(100 * MS);
    if ((kind & PINNED) && machine_rnd(2))
        machine_pin(t, random_pcpus());
}

static void make(const struct sched_policy *policy, uint64_t seed)
{
    unsigned kind = (unsigned)(seed % KINDS), tasks;

    machine_start(policy, 1, seed); /* for its chance */
    /* Every third has one pCPU: the strictest bounds are for that. */
    machine_start(policy, seed % 3 ? (unsigned)machine_spread(PCPU_MAX) : 1, seed);
    m->conserves = policy != &null_policy;
    m->yields = kind & YIELDS;
    m->late = kind & LATE ? machine_rnd(300000) : 0;
    for (unsigned g = 1; (kind & CAPPED) && policy->caps && g < GROUPS; g++)
        policy_set_cap(&m->q, &m->group[g], 1 + (uint32_t)machine_rnd(g < 4 ? 80 : 300), 0);
    tasks = (unsigned)machine_spread(TASKS);
    while (tasks--)
        add_task(kind);
}

static void change_something(void)
{
    struct task *t = &m->task[machine_rnd(m->tasks)];
    uint64_t all = m->pcpus == 64 ? ~0UL : (1UL << m->pcpus) - 1;

    switch (machine_rnd(4)) {
    case 0:
        machine_pin(t, random_pcpus());
        break;
    case 1:
        policy_set_weight(&m->q, &t->e, random_weight());
        break;
    case 2:
        if (m->q.policy->caps)
            policy_set_cap(&m->q, t->e.group, (uint32_t)machine_rnd(3) * 50, m->now);
        break;
    default:
        machine_set_online(machine_rnd(3) ? random_pcpus() : all);
    }
    machine_resched_all();
}

/* ---- what weighted fair queueing promises ---- */

static bool runnable(const struct task *t)
{
    return t->e.state == SCHED_QUEUED || t->e.state == SCHED_RUNNING;
}

static uint64_t service_of(uint64_t ns, uint32_t weight)
{
    return ns * WFQ_SCALE / weight;
}

static uint64_t service_now(const struct task *t)
{
    uint64_t ns = t->e.state == SCHED_RUNNING ? policy_ran(&m->q, t->e.pcpu, m->now) : 0;
    return t->e.wfq.service + (ns * WFQ_SCALE + t->e.wfq.rest) / t->e.weight;
}

/* One pCPU: s_min <= s <= s_min + quantum / weight, for all that want to run; from it follow all
 * bounds of docs/scheduling.md. s_min is what the last one chosen had. */
static void check_band(void)
{
    const struct sched_slot *c = &m->q.pcpu[0];
    uint64_t floor = m->q.wfq.pcpu[0].floor, quantum = WFQ_QUANTUM_NS + m->late;

    if (c->running && policy_ran(&m->q, 0, m->now) > quantum)
        return; /* alone: s_min moves along when it is asked for */
    for (unsigned i = 0; i < m->tasks; i++) {
        const struct task *t = &m->task[i];

        if (!runnable(t) || m->yields)
            continue;
        if (t->e.wfq.service < floor)
            machine_fail("task %u: s %lu is below s_min %lu", i, t->e.wfq.service, floor);
        if (service_now(t) > floor + service_of(quantum, t->e.weight) + 1)
            machine_fail("task %u of weight %u is %lu ahead of s_min", i, t->e.weight,
                         service_now(t) - floor);
    }
}

/* Several pCPUs, nobody pinned: who waits is no further behind anybody than (n + 1) D. */
static void check_drift(void)
{
    uint64_t most = 0, waiting = NEVER, bound;
    uint32_t weight = SCHED_WEIGHT_MAX;

    for (unsigned i = 0; i < m->tasks; i++) {
        const struct task *t = &m->task[i];
        uint64_t s = service_now(t);

        weight = t->e.weight < weight ? t->e.weight : weight;
        if (runnable(t) && s > most)
            most = s;
        if (t->e.state == SCHED_QUEUED && s < waiting)
            waiting = s;
    }
    bound = (m->pcpus + 1) * (service_of(WFQ_QUANTUM_NS + m->late, weight) + 1);
    if (waiting != NEVER && most > waiting + bound)
        machine_fail("one that waits is %lu behind, %lu is the bound", most - waiting, bound);
}

/* A waiting one is served before the others get more than its bound allows: on one pCPU, from the
 * band, sum of (w_j / w_i + 1) quanta. */
static void check_waits(void)
{
    double quantum = (double)(WFQ_QUANTUM_NS + m->late), weights = 0;

    for (unsigned i = 0; i < m->tasks; i++)
        weights += m->task[i].e.weight;
    for (unsigned i = 0; i < m->tasks; i++) {
        const struct task *t = &m->task[i];
        uint64_t now = t->queued_at == NEVER ? 0 : m->now - t->queued_at;
        uint64_t waited = t->longest_wait > now ? t->longest_wait : now;

        if ((double)waited > (weights / t->e.weight + m->tasks) * quantum)
            machine_fail("task %u of weight %u waited %lu ns", i, t->e.weight, waited);
    }
}

static void check_caps(void)
{
    for (unsigned g = 1; g < GROUPS; g++) {
        int64_t share = (int64_t)(WFQ_PERIOD_NS / 100 * m->group[g].cap);
        int64_t slack = (int64_t)(WFQ_SLICE_MIN_NS + m->pcpus * m->late + 1000);

        if (m->group[g].cap && m->worst[g] > 2 * share + slack)
            machine_fail("group %u with cap %u got %ld ns more", g, m->group[g].cap,
                         m->worst[g] - 2 * share);
    }
}

static void check_wfq(void)
{
    unsigned kind = (unsigned)(m->seed % KINDS);

    if (kind & CHANGING)
        return;
    if (m->pcpus == 1 && !(kind & CAPPED))
        check_band();
    else if (!(kind & (PINNED | YIELDS | CAPPED)))
        check_drift();
}

static void run_one(const struct sched_policy *policy, uint64_t seed, unsigned events)
{
    unsigned kind = (unsigned)(seed % KINDS);

    make(policy, seed);
    machine_wake_all();
    for (unsigned i = 0; i < events && m->now < 1000 * MS; i++) {
        machine_step(1000 * MS);
        if (policy == &wfq_policy)
            check_wfq();
        if ((kind & CHANGING) && i % 16 == 0)
            change_something();
    }
    if (policy != &wfq_policy || (kind & CHANGING))
        return;
    check_caps();
    if (m->pcpus == 1 && !(kind & (YIELDS | CAPPED)))
        check_waits();
}

static void test_wfq(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++)
        run_one(&wfq_policy, seed, 100 + (unsigned)(seed % 7) * 50);
}

static void test_others(void **state)
{
    const struct sched_policy *policy;
    uint64_t count =
        seeds < OTHER_SEEDS ? seeds : OTHER_SEEDS * (seeds > SEEDS ? seeds / SEEDS : 1);

    (void)state;
    for (unsigned i = 1; (policy = policy_list(i)); i++)
        for (uint64_t seed = first_seed; seed < first_seed + count; seed++)
            run_one(policy, seed, 300);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wfq),
        cmocka_unit_test(test_others),
    };

    if (argc > 1) {
        first_seed = strtoul(argv[1], NULL, 10);
        seeds = 1;
    }
    if (getenv("SEEDS"))
        seeds = strtoul(getenv("SEEDS"), NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
