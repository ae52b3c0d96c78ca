/* SPDX-License-Identifier: MIT */
/* Timers against a naive model: random settings and stops on several pCPUs, each firing checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hv/arch.h"
#include "sched/timer.h"
#include "tests/unit/fake_arch.h"

#define TIMERS 60
#define PCPUS  3

static struct model {
    struct timer t;
    bool set;
    uint64_t deadline;
    unsigned pcpu, fired;
} model[TIMERS];

static uint64_t last_fired;
static uint32_t rng;

static uint32_t rnd(uint32_t limit)
{
    rng = rng * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rng >> 4) * limit >> 28);
}

static void start(unsigned pcpus)
{
    fake = (struct fake_machine){.pcpus = pcpus};
    for (unsigned p = 0; p < PCPUS; p++) {
        timer_pcpu_init(p);
        fake.timer[p] = UINT64_MAX;
    }
}

/* ---- random, against the model ---- */

static void set(struct model *m, uint64_t deadline)
{
    timer_set(&m->t, deadline);
    m->set = deadline < INT64_MAX;
    m->deadline = deadline;
    m->pcpu = fake.pcpu;
}

static void fired(void *arg)
{
    struct model *m = arg;

    assert_true(m->set);
    assert_int_equal(m->pcpu, fake.pcpu);
    assert_true(m->deadline <= fake.now_ns);
    assert_true(m->deadline >= last_fired);
    assert_false(timer_is_set(&m->t));
    last_fired = m->deadline;
    m->set = false;
    m->fired++;
    if (rnd(4) == 0)
        set(m, fake.now_ns + 1 + rnd(1000));
}

/* As the hardware does: no pCPU is behind its programmed deadline, and no due timer is left. */
static void check_all(void)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(model[i].set, timer_is_set(&model[i].t));
        if (model[i].set)
            assert_true(fake.timer[model[i].pcpu] <= model[i].deadline);
    }
}

static void let_fire(void)
{
    for (fake.pcpu = 0; fake.pcpu < PCPUS; fake.pcpu++)
        while (fake.timer[fake.pcpu] <= fake.now_ns) {
            last_fired = 0;
            timer_interrupt(fake.now_ns);
        }
    for (unsigned i = 0; i < TIMERS; i++)
        assert_false(model[i].set && model[i].deadline <= fake.now_ns);
}

static void test_random(void **state)
{
    unsigned count = 0;
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        start(PCPUS);
        rng = round + 1;
        for (unsigned i = 0; i < TIMERS; i++) {
            model[i] = (struct model){0};
            timer_init(&model[i].t, fired, &model[i]);
        }
        for (unsigned step = 0; step < 500; step++) {
            struct model *m = &model[rnd(TIMERS)];
            fake.pcpu = rnd(PCPUS);
            switch (rnd(8)) {
            case 0:
                timer_stop(&m->t);
                m->set = false;
                break;
            case 1:
                set(m, UINT64_MAX - rnd(2) * (UINT64_MAX - INT64_MAX));
                break;
            case 2:
                fake.now_ns += rnd(300);
                let_fire();
                break;
            default:
                set(m, fake.now_ns + rnd(2000) - (fake.now_ns > 200 ? 200 : 0));
                break;
            }
            check_all();
        }
        for (unsigned i = 0; i < TIMERS; i++)
            count += model[i].fired;
    }
    assert_true(count > 10000);
}

/* ---- single cases ---- */

static struct timer a, b;
static unsigned a_fired, b_fired;

static void fired_a(void *arg)
{
    (void)arg;
    a_fired++;
}

static void fired_b(void *arg)
{
    (void)arg;
    b_fired++;
}

static int setup(void **state)
{
    (void)state;
    start(2);
    timer_init(&a, fired_a, NULL);
    timer_init(&b, fired_b, NULL);
    a_fired = b_fired = 0;
    return 0;
}

static void test_past_fires_at_the_next_interrupt(void **state)
{
    (void)state;
    fake.now_ns = 1000;
    timer_set(&a, 0);
    assert_int_equal(a_fired, 0);
    assert_int_equal(fake.timer[0], 0);
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 1);
    assert_true(fake.timer[0] == UINT64_MAX);
}

static void test_never(void **state)
{
    (void)state;
    timer_set(&a, 5);
    timer_set(&a, INT64_MAX);
    assert_false(timer_is_set(&a));
    timer_set(&a, UINT64_MAX);
    assert_false(timer_is_set(&a));
    fake.now_ns = UINT64_MAX;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 0);
    timer_set(&a, INT64_MAX - 1);
    assert_true(timer_is_set(&a));
    timer_stop(&a);
}

static void test_an_early_interrupt_programs_again(void **state)
{
    (void)state;
    timer_set(&a, 100);
    fake.timer[0] = 0;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 0);
    assert_int_equal(fake.timer[0], 100);
    timer_stop(&a);
}

static void set_to_the_past(void *arg)
{
    (void)arg;
    a_fired++;
    timer_set(&a, 0);
}

static void test_a_timer_that_rearms_in_the_past_does_not_hang(void **state)
{
    (void)state;
    timer_init(&a, set_to_the_past, NULL);
    fake.now_ns = 50;
    timer_set(&a, 10);
    timer_interrupt(fake.now_ns);
    assert_in_range(a_fired, 1, 1000);
    assert_true(fake.timer[0] <= 50);
    timer_stop(&a);
    assert_false(timer_is_set(&a));
}

static void stop_b(void *arg)
{
    (void)arg;
    timer_stop(&b);
}

static void test_a_callback_stops_another_that_is_due(void **state)
{
    (void)state;
    timer_init(&a, stop_b, NULL);
    timer_set(&a, 10);
    timer_set(&b, 10);
    timer_set(&a, 9);
    fake.now_ns = 20;
    timer_interrupt(fake.now_ns);
    assert_int_equal(b_fired, 0);
    assert_false(timer_is_set(&b));
}

static void test_moves_to_the_pcpu_that_sets_it(void **state)
{
    (void)state;
    timer_set(&a, 10);
    fake.pcpu = 1;
    timer_set(&a, 20);
    assert_int_equal(fake.timer[1], 20);
    fake.now_ns = 30;
    fake.pcpu = 0;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 0);
    fake.pcpu = 1;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 1);
}

/* A stop on another pCPU waits for the callback. Here it never ends while the stop waits: the wait
 * itself ends the test. */
static jmp_buf waited;
static bool stopping;

void arch_cpu_relax(void)
{
    assert_true(stopping);
    longjmp(waited, 1);
}

static void stopped_elsewhere(void *arg)
{
    (void)arg;
    timer_stop(&a); /* here: no waiting for itself */
    fake.pcpu = 1;
    stopping = true;
    if (!setjmp(waited)) {
        timer_stop(&a);
        fail_msg("timer_stop() returned while the callback ran");
    }
    stopping = false;
    fake.pcpu = 0;
    a_fired++;
}

static void test_stop_waits_for_the_callback(void **state)
{
    (void)state;
    timer_init(&a, stopped_elsewhere, NULL);
    timer_set(&a, 1);
    fake.now_ns = 1;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 1);
    fake.pcpu = 1;
    timer_stop(&a); /* now there is nothing to wait for */
}

/* Programming the hardware takes long: who wants the heap's lock meanwhile gets it. Else it finds
 * it taken whenever it looks, where pCPUs take turns at that point. */
static struct timer *wanted;

void arch_timer_program(uint64_t deadline_ns)
{
    struct timer *t = wanted;

    fake.timer[fake.pcpu] = deadline_ns;
    wanted = NULL;
    if (t)
        timer_stop(t);
}

static void test_the_hardware_is_programmed_without_the_lock(void **state)
{
    (void)state;
    timer_set(&b, 1000);
    wanted = &b;
    timer_set(&a, 10);
    assert_null(wanted);
    assert_false(timer_is_set(&b));
    timer_set(&b, 1000);
    wanted = &b;
    fake.now_ns = 10;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 1);
    assert_null(wanted);
    assert_false(timer_is_set(&b));
}

static void test_quantum(void **state)
{
    (void)state;
    timer_set(&b, 100);
    timer_set_quantum(fake.pcpu, 50);
    assert_int_equal(fake.timer[0], 50);
    timer_set(&a, 60);
    assert_int_equal(fake.timer[0], 50);
    timer_set(&a, 40);
    assert_int_equal(fake.timer[0], 40);
    fake.now_ns = 45;
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 1);
    assert_int_equal(fake.rescheds[0], 0);
    assert_int_equal(fake.timer[0], 50);
    timer_set(&a, 55);
    fake.now_ns = 60; /* both are due */
    timer_interrupt(fake.now_ns);
    assert_int_equal(a_fired, 2);
    assert_int_equal(fake.rescheds[0], 1);
    timer_interrupt(fake.now_ns); /* once */
    assert_int_equal(fake.rescheds[0], 1);
    timer_set_quantum(fake.pcpu, 80);
    fake.pcpu = 1;
    timer_set_quantum(fake.pcpu, 70); /* each pCPU has its own */
    assert_int_equal(fake.timer[0], 80);
    assert_int_equal(fake.timer[1], 70);
    fake.pcpu = 0;
    timer_set_quantum(fake.pcpu, UINT64_MAX);
    assert_int_equal(fake.timer[0], 100);
    timer_set_before_quantum(&a, 90); /* the hardware follows with the next quantum */
    assert_int_equal(fake.timer[0], 100);
    timer_set_quantum(fake.pcpu, UINT64_MAX);
    assert_int_equal(fake.timer[0], 90);
    timer_set_before_quantum(&a, UINT64_MAX);
    assert_false(timer_is_set(&a));
    timer_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test_setup(test_past_fires_at_the_next_interrupt, setup),
        cmocka_unit_test_setup(test_never, setup),
        cmocka_unit_test_setup(test_an_early_interrupt_programs_again, setup),
        cmocka_unit_test_setup(test_a_timer_that_rearms_in_the_past_does_not_hang, setup),
        cmocka_unit_test_setup(test_a_callback_stops_another_that_is_due, setup),
        cmocka_unit_test_setup(test_moves_to_the_pcpu_that_sets_it, setup),
        cmocka_unit_test_setup(test_the_hardware_is_programmed_without_the_lock, setup),
        cmocka_unit_test_setup(test_quantum, setup),
        cmocka_unit_test_setup(test_stop_waits_for_the_callback, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
