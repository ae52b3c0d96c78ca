/* SPDX-License-Identifier: MIT */
/*
 * What each policy promises, in figures: weighted fair queueing against ideal generalised processor
 * sharing and weighted water-filling, and what a pick costs; round robin's equality, lottery's
 * expectation, credit's weights and caps, null's stillness. docs/scheduling.md argues the bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/sched_machine.h"

static struct machine *const m = &machine;

/* ---- weighted fair queueing ---- */

static double total_weight;

/* n that always want one pCPU, against the ideal: nobody is ahead of it by more than a quantum, nor
 * behind by more than its share of n - 1 quanta. */
static void check_against_ideal(void)
{
    double q = (double)WFQ_QUANTUM_NS;

    for (unsigned i = 0; i < m->tasks; i++) {
        double share = m->task[i].e.weight / total_weight;
        double lead = (double)m->task[i].cpu - (double)m->now * share, others = m->tasks - 1;

        if (lead > q + 1000 || -lead > others * q * share + 1000)
            machine_fail("task %u, weight %u: %.0f ns ahead", i, m->task[i].e.weight, lead);
    }
}

static void test_wfq_against_ideal_sharing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        machine_start(&wfq_policy, 1, seed);
        total_weight = 0;
        for (uint64_t n = 1 + machine_spread(60); n; n--)
            total_weight += machine_add((uint32_t)machine_spread(5000), 0, 0, 0)->e.weight;
        machine_wake_all();
        machine_run(200 * MS, check_against_ideal);
    }
}

static double weight_of(unsigned i)
{
    return m->task[i].e.weight;
}

/* Weighted water-filling over tasks from .. to - 1 on n pCPUs: who would get more than one pCPU
 * gets one, the others share the rest by weight. Shares in pCPUs. */
static void fill(unsigned from, unsigned to, double n, double share[])
{
    bool full[TASKS] = {false}, again = true;

    while (again) {
        double weights = 0;
        again = false;
        for (unsigned i = from; i < to; i++)
            weights += full[i] ? 0 : weight_of(i);
        for (unsigned i = from; i < to; i++)
            if (!full[i])
                share[i] = n * weight_of(i) / weights < 1 ? n * weight_of(i) / weights : 1;
        for (unsigned i = from; i < to; i++)
            if (!full[i] && share[i] >= 1) {
                full[i] = again = true;
                n -= 1;
            }
    }
}

/* Two halves of the machine, each with tasks pinned to it, or the whole with all. */
static void test_wfq_fills_like_water(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        double share[TASKS];
        unsigned pcpus, half, tasks, cut;

        machine_start(&wfq_policy, 1, seed);
        pcpus = 2 + (unsigned)machine_rnd(7);
        tasks = pcpus + (unsigned)machine_spread(3 * pcpus);
        machine_start(&wfq_policy, pcpus, seed);
        half = seed % 3 ? 0 : pcpus / 2;
        cut = half * tasks / pcpus;
        for (unsigned i = 0; i < tasks; i++)
            machine_pin(machine_add(64 + (uint32_t)machine_spread(4000), 0, 0, 0),
                        i < cut ? (1UL << half) - 1 : ~0UL << half);
        fill(0, cut, half, share);
        fill(cut, tasks, pcpus - half, share);
        machine_wake_all();
        machine_run(500 * MS, NULL);
        for (unsigned i = 0; i < tasks; i++) {
            double got = (double)m->task[i].cpu / (double)m->now, off = got - share[i];

            if (off > 0.01 + share[i] / 50 || -off > 0.01 + share[i] / 50)
                machine_fail("task %u of weight %u: %.4f pCPUs instead of %.4f", i,
                             m->task[i].e.weight, got, share[i]);
        }
    }
}

/* Steps down the tree from the root: what finding, taking out and putting in cost. */
static unsigned depth(const struct tree_node *n)
{
    unsigned d = 0;

    for (; n; n = n->parent)
        d++;
    return d;
}

/* Each may run on that many neighbours of 8 pCPUs. */
static double steps_of_a_pick(unsigned tasks, unsigned width)
{
    unsigned steps = 0, picks = 0;

    machine_start(&wfq_policy, 8, tasks);
    for (unsigned i = 0; i < tasks; i++)
        machine_pin(machine_add(1 + (uint32_t)machine_rnd(1000), 0, 0, 0),
                    ((1UL << width) - 1) << machine_rnd(9 - width));
    machine_wake_all();
    while (m->now < 50 * MS) {
        uint32_t pcpu = machine_rnd(8);
        const struct tree_node *n =
            width == 1 ? m->q.wfq.pcpu[pcpu].own.first : tree_first(&m->q.wfq.shared, 1UL << pcpu);

        steps += depth(n);
        picks += n != NULL;
        machine_step(50 * MS);
    }
    return (double)steps / picks;
}

static void test_wfq_pick_is_logarithmic(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= 8; width++) {
        /* 2 ln n is 4.6, 9.2 and 13.8: so deep is a node in the middle, the first less. */
        assert_true(steps_of_a_pick(10, width) < 6);
        assert_true(steps_of_a_pick(100, width) < 11);
        assert_true(steps_of_a_pick(1000, width) < 15);
    }
}

/* ---- round robin ---- */

static void check_equal(void)
{
    for (unsigned i = 0; i < m->tasks; i++)
        for (unsigned j = 0; j < i; j++)
            if (m->task[i].cpu > m->task[j].cpu + RR_QUANTUM_NS ||
                m->task[j].cpu > m->task[i].cpu + RR_QUANTUM_NS)
                machine_fail("%lu and %lu ns", m->task[i].cpu, m->task[j].cpu);
}

static void test_rr_is_equal(void **state)
{
    (void)state;
    for (unsigned n = 2; n < 12; n++) {
        machine_start(&rr_policy, 1, n);
        for (unsigned i = 0; i < n; i++)
            machine_add(1 + i * 100, 0, 0, 0);
        machine_wake_all();
        machine_run(1000 * MS, check_equal);
        for (unsigned i = 0; i < n; i++)
            assert_true(m->task[i].longest_wait <= (n - 1) * RR_QUANTUM_NS);
    }
}

static void test_rr_waits_a_round_at_most(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        machine_start(&rr_policy, 1, seed);
        for (uint64_t n = 2 + machine_rnd(20); n; n--)
            machine_add(256, machine_rnd(2) * (MS / 5 + machine_spread(30 * MS)),
                        machine_spread(30 * MS), 0);
        machine_wake_all();
        machine_run(2000 * MS, NULL);
        for (unsigned i = 0; i < m->tasks; i++)
            assert_true(m->task[i].longest_wait <= m->tasks * RR_QUANTUM_NS);
    }
}

/* ---- lottery ---- */

/* |got - want| within z standard deviations of n draws. */
static bool within(double got, double n, double p, double z)
{
    double off = got - n * p;
    return off * off <= z * z * n * p * (1 - p) + 1;
}

static void test_lottery_expectation(void **state)
{
    static const uint32_t weights[] = {100, 200, 300, 400, 1000};
    const double draws = 10000;
    (void)state;
    machine_start(&lottery_policy, 1, 1);
    for (unsigned i = 0; i < 5; i++)
        machine_add(weights[i], 0, 0, 0);
    machine_wake_all();
    machine_run((uint64_t)draws * LOTTERY_QUANTUM_NS, NULL);
    for (unsigned i = 0; i < 5; i++)
        if (!within((double)(m->task[i].cpu / LOTTERY_QUANTUM_NS), draws, weights[i] / 2000.0, 4))
            machine_fail("weight %u won %lu of %.0f", weights[i],
                         m->task[i].cpu / LOTTERY_QUANTUM_NS, draws);
}

/* One that sleeps for a moment after a tenth of a quantum, beside ten hogs: every second draw is
 * its own (10 tickets of 20) instead of every eleventh. */
static void test_lottery_compensates(void **state)
{
    struct task *t;
    (void)state;
    machine_start(&lottery_policy, 1, 2);
    for (unsigned i = 0; i < 10; i++)
        machine_add(256, 0, 0, 0);
    t = machine_add(256, LOTTERY_QUANTUM_NS / 10, 1, 0);
    machine_wake_all();
    machine_run(20000 * MS, NULL);
    assert_in_range(t->cpu * 1000 / m->now, 35, 91); /* 9 without */
}

/* ---- credit ---- */

static void test_credit_weights(void **state)
{
    static const uint32_t weights[2][4] = {{256, 512, 1024, 2048}, {256, 256, 512, 512}};
    (void)state;
    for (unsigned pcpus = 1; pcpus <= 2; pcpus++) {
        double share[TASKS];

        machine_start(&credit_policy, pcpus, pcpus);
        for (unsigned i = 0; i < 4; i++)
            machine_add(weights[pcpus - 1][i], 0, 0, i);
        fill(0, 4, pcpus, share);
        machine_wake_all();
        machine_run(20000 * MS, NULL);
        for (unsigned i = 0; i < 4; i++) {
            double got = (double)m->task[i].cpu / (double)m->now;

            if (got > share[i] + 0.05 || got < share[i] - 0.05)
                machine_fail("weight %u: %.3f pCPUs instead of %.3f", m->task[i].e.weight, got,
                             share[i]);
        }
    }
}

/* One that hardly runs leaves its share to the others, by weight. */
static void test_credit_of_a_sleeper(void **state)
{
    static const uint32_t weights[] = {256, 512, 1024};
    (void)state;
    for (unsigned pcpus = 1; pcpus <= 2; pcpus++) {
        double rest, share[TASKS];

        machine_start(&credit_policy, pcpus, pcpus);
        for (unsigned i = 0; i < 3 * pcpus; i++)
            machine_add(weights[i / pcpus], 0, 0, i);
        machine_add(256, MS / 2, 50 * MS, 7);
        machine_wake_all();
        machine_run(20000 * MS, NULL);
        rest = pcpus - (double)m->task[3 * pcpus].cpu / (double)m->now;
        fill(0, 3 * pcpus, rest, share);
        for (unsigned i = 0; i < 3 * pcpus; i++) {
            double got = (double)m->task[i].cpu / (double)m->now;

            if (got > share[i] * 1.1 || got < share[i] * 0.9)
                machine_fail("weight %u: %.3f pCPUs instead of %.3f", m->task[i].e.weight, got,
                             share[i]);
        }
    }
}

/* Roughly, says sched/credit.c: who is due a whole pCPU has most of it, and nobody starves for it.
 */
static void test_credit_heavy_weights(void **state)
{
    static const uint32_t weights[] = {2048, 1024, 512, 256};
    double share[TASKS];
    (void)state;
    machine_start(&credit_policy, 2, 1);
    for (unsigned i = 0; i < 4; i++)
        machine_add(weights[i], 0, 0, i);
    fill(0, 4, 2, share);
    machine_wake_all();
    machine_run(20000 * MS, NULL);
    for (unsigned i = 0; i < 4; i++) {
        double got = (double)m->task[i].cpu / (double)m->now;

        if (got > share[i] + 0.2 || got < share[i] - 0.2 || got < share[i] * 0.8)
            machine_fail("weight %u: %.3f pCPUs instead of %.3f", weights[i], got, share[i]);
    }
}

static void test_credit_caps(void **state)
{
    static const uint32_t caps[] = {10, 25, 50, 150};
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        uint64_t got;

        machine_start(&credit_policy, 2, k);
        policy_set_cap(&m->q, &m->group[1], caps[k], 0);
        machine_add(256, 0, 0, 1);
        machine_add(256, 0, 0, 1);
        machine_wake_all();
        machine_run(20000 * MS, NULL);
        got = (m->task[0].cpu + m->task[1].cpu) * 1000 / m->now;
        if (got > caps[k] * 11 || got < caps[k] * 9)
            machine_fail("cap %u: %lu permille", caps[k], got);
    }
}

/* Beside hogs one that wakes is served within a slice of each. */
static void test_credit_serves_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        machine_start(&credit_policy, 1 + (unsigned)machine_rnd(2), seed);
        for (uint64_t n = 2 + machine_rnd(8); n; n--)
            machine_add(256, machine_rnd(2) * (MS / 5 + machine_spread(30 * MS)),
                        machine_spread(60 * MS), 0);
        machine_wake_all();
        machine_run(3000 * MS, NULL);
        for (unsigned i = 0; i < m->tasks; i++)
            if (m->task[i].longest_wait > 3 * m->tasks * CREDIT_PERIOD_NS)
                machine_fail("task %u waited %lu ns", i, m->task[i].longest_wait);
    }
}

/* ---- null ---- */

static void test_null_is_still(void **state)
{
    struct task *late[2];
    (void)state;
    machine_start(&null_policy, 4, 1);
    m->conserves = false;
    for (unsigned i = 0; i < 4; i++)
        machine_add(256, i % 2 ? 3 * MS : 0, 2 * MS, 0)->leaves = i == 2 ? 600 * MS : NEVER;
    late[0] = machine_add(256, 0, 0, 0);
    late[1] = machine_add(256, 0, 0, 0);
    late[0]->arrives = late[1]->arrives = MS;
    machine_wake_all();
    machine_run(500 * MS, NULL);
    assert_int_equal(m->task[0].cpu, 500 * MS);
    assert_int_equal(late[0]->cpu + late[1]->cpu, 0);
    assert_false(policy_served(&m->q, &late[0]->e));
    assert_true(policy_served(&m->q, &m->task[1].e));
    /* One goes: the first that waits has its pCPU from then on. */
    machine_run(1000 * MS, NULL);
    assert_int_equal(late[0]->cpu, 400 * MS);
    assert_int_equal(late[1]->cpu, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(m->task[i].longest_wait, 0);
        assert_int_equal(m->task[i].moves, 0);
    }
    /* A pCPU goes: its vCPU waits, for there is no other; it comes back: it runs again. */
    machine_set_online(0xe);
    assert_false(m->task[0].e.state == SCHED_RUNNING);
    machine_set_online(0xf);
    machine_run(1010 * MS, NULL);
    assert_int_equal(m->q.idle & ~0xaUL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wfq_against_ideal_sharing),
        cmocka_unit_test(test_wfq_fills_like_water),
        cmocka_unit_test(test_wfq_pick_is_logarithmic),
        cmocka_unit_test(test_rr_is_equal),
        cmocka_unit_test(test_rr_waits_a_round_at_most),
        cmocka_unit_test(test_lottery_expectation),
        cmocka_unit_test(test_lottery_compensates),
        cmocka_unit_test(test_credit_weights),
        cmocka_unit_test(test_credit_of_a_sleeper),
        cmocka_unit_test(test_credit_heavy_weights),
        cmocka_unit_test(test_credit_caps),
        cmocka_unit_test(test_credit_serves_all),
        cmocka_unit_test(test_null_is_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
