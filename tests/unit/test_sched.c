/* SPDX-License-Identifier: MIT */
/*
 * vCPU states and switches: random work on a machine whose pCPUs the test moves by hand, and the
 * races that matter, laid out step by step.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <xen/domctl.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/boot_info.h"
#include "hv/domain.h"
#include "sched/sched_priv.h"
#include "tests/unit/fake_arch.h"

#define PCPUS   4
#define DOMAINS 3
#define VCPUS   4 /* of each */
#define MS      1000000UL

static struct domain domain[DOMAINS];
static struct vcpu vcpu[DOMAINS][VCPUS];
static struct vcpu_info info[DOMAINS][VCPUS];
static bool resched[PCPUS], saved[PCPUS];
static struct vcpu *loaded[PCPUS];
static void (*on_save)(struct vcpu *v), (*on_relax)(void);
static unsigned ipis;

/* ---- the machine ---- */

/* Slow, so not to be called with the lock held: taking it again would wait for ever. */
void arch_request_resched(unsigned pcpu)
{
    resched[pcpu] = true;
    sched_idle_time(0);
}

void arch_send_ipi(unsigned pcpu, enum ipi ipi)
{
    (void)pcpu;
    (void)ipi;
    ipis++;
}

void arch_vcpu_save(struct vcpu *v)
{
    assert_non_null(v);
    assert_ptr_equal(loaded[fake.pcpu], v);
    assert_true(v->sched.on_pcpu);
    saved[fake.pcpu] = true;
    if (on_save)
        on_save(v);
}

void arch_vcpu_leave(struct vcpu *v)
{
    assert_ptr_equal(loaded[fake.pcpu], v);
    assert_true(saved[fake.pcpu] && v->sched.on_pcpu);
    loaded[fake.pcpu] = NULL;
}

void arch_vcpu_load(struct vcpu *v, struct vcpu *from)
{
    assert_ptr_equal(loaded[fake.pcpu], from);
    if (from)
        assert_true(saved[fake.pcpu] && from->sched.on_pcpu);
    for (unsigned p = 0; p < PCPUS; p++)
        assert_ptr_not_equal(loaded[p], v);
    assert_true(v->sched.on_pcpu);
    assert_int_equal(v->sched.pcpu, fake.pcpu);
    assert_true(v->sched.entity.affinity >> fake.pcpu & 1);
    loaded[fake.pcpu] = v;
    saved[fake.pcpu] = false;
}

struct vcpu *current_vcpu(void)
{
    return loaded[fake.pcpu];
}

void arch_cpu_relax(void)
{
    if (!on_relax)
        fail_msg("waits for ever");
    on_relax();
}

static const char *boot_policy; /* sched= of the boot line */

bool boot_option(const char *name, char *buf, unsigned size)
{
    assert_string_equal(name, "sched");
    if (boot_policy)
        snprintf(buf, size, "%s", boot_policy);
    return boot_policy != NULL;
}

static void run_on(unsigned pcpu)
{
    fake.pcpu = pcpu;
    resched[pcpu] = false;
    sched_run();
}

/* Until nobody wants to look at the queue. */
static void settle(void)
{
    bool again = true;

    while (again) {
        again = false;
        for (unsigned p = 0; p < PCPUS; p++) {
            fake.pcpu = p;
            if (fake.timer[p] <= fake.now_ns) {
                timer_interrupt(fake.now_ns);
                again = true;
            }
            if (resched[p]) {
                run_on(p);
                again = true;
            }
        }
    }
    fake.pcpu = 0;
}

static void pass(uint64_t ns)
{
    while (ns) {
        uint64_t step = ns < 50000 ? ns : 50000;
        fake.now_ns += step;
        ns -= step;
        settle();
    }
}

static int start(void **state)
{
    (void)state;
    fake = (struct fake_machine){.pcpus = PCPUS, .now_ns = 1};
    memset(domain, 0, sizeof domain);
    memset(vcpu, 0, sizeof vcpu);
    memset(info, 0, sizeof info);
    memset(resched, 0, sizeof resched);
    memset(loaded, 0, sizeof loaded);
    on_save = NULL;
    on_relax = NULL;
    ipis = 0;
    sched_init();
    for (fake.pcpu = 0; fake.pcpu < PCPUS; fake.pcpu++) {
        fake.timer[fake.pcpu] = UINT64_MAX;
        timer_pcpu_init(fake.pcpu);
        sched_pcpu_init();
    }
    fake.pcpu = 0;
    for (unsigned d = 0; d < DOMAINS; d++) {
        domain[d].id = (domid_t)d;
        domain[d].vcpu_max = VCPUS;
        assert_int_equal(sched_domain_init(&domain[d], 0), 0);
        for (unsigned i = 0; i < VCPUS; i++) {
            domain[d].vcpu[i] = &vcpu[d][i];
            vcpu[d][i].domain = &domain[d];
            vcpu[d][i].id = i;
            vcpu[d][i].info = &info[d][i];
            sched_vcpu_init(&vcpu[d][i]);
        }
    }
    settle();
    return 0;
}

/* All vCPUs stop, so that the next test finds empty pCPUs. */
static int stop(void **state)
{
    (void)state;
    on_save = NULL;
    on_relax = NULL;
    for (unsigned d = 0; d < DOMAINS; d++)
        for (unsigned i = 0; i < VCPUS; i++)
            sched_vcpu_down(&vcpu[d][i]);
    settle();
    for (unsigned p = 0; p < PCPUS; p++)
        assert_null(loaded[p]);
    return 0;
}

static bool may_run(const struct vcpu *v)
{
    return v->sched.up && !v->sched.blocked && !v->sched.pause_count;
}

static unsigned place_of(const struct vcpu *v)
{
    for (unsigned p = 0; p < PCPUS; p++)
        if (loaded[p] == v)
            return p;
    return PCPUS;
}

/* ---- random work ---- */

static uint32_t rng;

static uint32_t rnd(uint32_t limit)
{
    rng = rng * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rng >> 4) * limit >> 28);
}

static void check_vcpu(struct vcpu *v)
{
    struct vcpu_runstate_info rs;
    unsigned p = place_of(v);
    uint64_t sum = 0;

    assert_int_equal(v->sched.on_pcpu, p < PCPUS);
    if (p < PCPUS)
        assert_true(may_run(v));
    sched_runstate(v, &rs);
    for (int i = 0; i < 4; i++)
        sum += rs.time[i];
    assert_int_equal(sum, fake.now_ns - 1);
    assert_int_equal(rs.time[RUNSTATE_running], sched_cpu_time(v));
    if (p < PCPUS)
        assert_int_equal(rs.state, RUNSTATE_running);
    else if (may_run(v))
        assert_int_equal(rs.state, RUNSTATE_runnable);
    else
        assert_int_equal(rs.state,
                         v->sched.up && v->sched.blocked ? RUNSTATE_blocked : RUNSTATE_offline);
}

static void check(void)
{
    uint64_t ran = 0, idle = 0;

    for (unsigned d = 0; d < DOMAINS; d++)
        for (unsigned i = 0; i < VCPUS; i++) {
            struct vcpu *v = &vcpu[d][i];
            check_vcpu(v);
            ran += sched_cpu_time(v);
            if (place_of(v) == PCPUS && may_run(v) && !domain[d].sched.cap &&
                domain[d].sched.pool->queue.policy != &null_policy)
                for (unsigned p = 0; p < PCPUS; p++)
                    if (v->sched.entity.affinity >> p & 1)
                        assert_non_null(loaded[p]);
            if (place_of(v) < PCPUS)
                assert_true(domain[d].sched.pool->pcpus >> place_of(v) & 1);
        }
    for (unsigned p = 0; p < PCPUS; p++)
        idle += sched_idle_time(p);
    assert_int_equal(ran + idle, PCPUS * (fake.now_ns - 1));
}

static void act_of_a_guest(unsigned p)
{
    fake.pcpu = p;
    if (!loaded[p])
        return;
    switch (rnd(4)) {
    case 0:
        sched_block_current();
        break;
    case 1:
        sched_poll_current();
        break;
    case 2:
        sched_yield_current();
        break;
    case 3:
        sched_vcpu_down(loaded[p]);
        break;
    }
}

static void others_go_on(void)
{
    unsigned here = fake.pcpu;

    for (unsigned p = 0; p < PCPUS; p++)
        if (resched[p] && p != here)
            run_on(p);
    fake.pcpu = here;
}

static void set_random_params(struct domain *d)
{
    const struct sched_policy *policy = d->sched.pool->queue.policy;
    long rc = sched_set_params(d, 1 + rnd(1000), rnd(3) ? 0 : 1 + rnd(250));

    assert_true(rc == 0 || (rc == -XEN_EOPNOTSUPP && !(policy->weights && policy->caps)));
}

static void pin_randomly(struct vcpu *v)
{
    uint64_t mask = 1 + rnd((1U << PCPUS) - 1), in = mask & v->domain->sched.pool->pcpus;

    assert_int_equal(sched_set_affinity(v, &mask, rnd(2) ? &mask : NULL), in ? 0 : -XEN_EINVAL);
}

static void act_from_outside(struct vcpu *v)
{
    fake.pcpu = rnd(PCPUS);
    switch (rnd(8)) {
    case 0:
    case 1:
        sched_vcpu_up(v);
        break;
    case 2:
    case 3:
        sched_wake(v);
        break;
    case 4:
        if (v->sched.pause_count)
            sched_unpause(v);
        break;
    case 5:
        sched_pause(v);
        if (rnd(2))
            sched_unpause(v); /* before its pCPU looked */
        break;
    case 6:
        pin_randomly(v);
        break;
    case 7:
        set_random_params(v->domain);
        break;
    }
}

/* Pools 1 to 3 come and go, with any policy; pCPUs and domains move between all four. */
static void act_on_pools(struct domain *d)
{
    unsigned id = rnd(4), any = SCHED_ANY;
    struct sched_pool_info info;

    fake.pcpu = rnd(PCPUS);
    on_relax = others_go_on;
    switch (rnd(6)) {
    case 0:
        if (sched_pool_info(3, &info) == -XEN_ENOENT)
            assert_int_equal(sched_pool_create(&any, policy_list(rnd(5))->id), 0);
        break;
    case 1:
        sched_pool_destroy(id);
        break;
    case 2:
    case 3:
        sched_pool_remove_pcpu(id, rnd(2) ? SCHED_ANY : rnd(PCPUS));
        break;
    case 4:
        sched_pool_add_pcpu(id, SCHED_ANY);
        break;
    case 5:
        sched_pool_move(d, id);
        break;
    }
    on_relax = NULL;
}

static void run_randomly(bool pools)
{
    for (unsigned round = 0; round < 60; round++) {
        start(NULL);
        rng = round + 1;
        for (unsigned step = 0; step < 400; step++) {
            if (rnd(3) == 0)
                act_of_a_guest(rnd(PCPUS));
            else if (pools && rnd(4) == 0)
                act_on_pools(&domain[rnd(DOMAINS)]);
            else
                act_from_outside(&vcpu[rnd(DOMAINS)][rnd(VCPUS)]);
            if (rnd(4) == 0)
                continue; /* the next thing happens before anybody looked */
            settle();
            check();
            pass(rnd(2 * MS));
            check();
        }
        settle();
        stop(NULL);
    }
}

static void test_random(void **state)
{
    (void)state;
    run_randomly(false);
}

static void test_random_pools(void **state)
{
    (void)state;
    run_randomly(true);
}

/* ---- cases ---- */

static void test_up_and_down(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    sched_vcpu_up(v);
    settle();
    assert_true(place_of(v) < PCPUS);
    sched_vcpu_down(v);
    assert_true(resched[place_of(v)]);
    settle();
    assert_int_equal(place_of(v), PCPUS);
    sched_wait_off_pcpu(v); /* returns at once */
}

static void run_one(struct vcpu *v)
{
    sched_vcpu_up(v);
    settle();
    fake.pcpu = place_of(v);
    assert_ptr_equal(current_vcpu(), v);
}

static void test_block_and_wake(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    sched_block_current();
    settle();
    assert_int_equal(place_of(v), PCPUS);
    pass(3 * MS);
    sched_wake(v);
    settle();
    assert_true(place_of(v) < PCPUS);
    sched_wake(v); /* nothing to wake */
    settle();
    assert_true(place_of(v) < PCPUS);
}

/* The event came just before the vCPU blocked: it goes on. */
static void test_block_with_an_event_pending(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    v->info->evtchn_upcall_pending = 1;
    sched_block_current();
    settle();
    assert_true(place_of(v) < PCPUS);
    /* Masked, it does not count. */
    fake.pcpu = place_of(v);
    v->info->evtchn_upcall_mask = 1;
    sched_block_current();
    settle();
    assert_int_equal(place_of(v), PCPUS);
}

/* The sender is on another pCPU, between the mark and the switch. */
static void test_wake_before_the_switch(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    unsigned p;
    (void)state;
    run_one(v);
    p = fake.pcpu;
    sched_block_current();
    fake.pcpu = (p + 1) % PCPUS;
    sched_wake(v);
    settle();
    assert_int_equal(place_of(v), p);
}

static void test_pauses_count(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    sched_pause(v);
    sched_pause(v);
    settle();
    assert_int_equal(place_of(v), PCPUS);
    sched_unpause(v);
    settle();
    assert_int_equal(place_of(v), PCPUS);
    sched_unpause(v);
    settle();
    assert_true(place_of(v) < PCPUS);
}

/* Paused while blocked, woken while paused. */
static void test_wake_while_paused(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    sched_block_current();
    settle();
    sched_pause(v);
    sched_wake(v);
    settle();
    assert_int_equal(place_of(v), PCPUS);
    sched_unpause(v);
    settle();
    assert_true(place_of(v) < PCPUS);
}

static struct vcpu *watched;

/* pCPU 1 is another thread here, and both take turns: it begins while pCPU 0 saves the registers of
 * `watched`, and gives back the turn whenever it waits. */
static pthread_t pcpu_1;
static sem_t turn[2];
static unsigned relaxed;

static void give_turn_to(unsigned pcpu)
{
    unsigned here = fake.pcpu;

    sem_post(&turn[pcpu]);
    sem_wait(&turn[here]);
    fake.pcpu = here;
}

static void *look_at_the_queue(void *arg)
{
    run_on(1);
    sem_post(&turn[0]);
    return arg;
}

static void pcpu_1_begins(struct vcpu *v)
{
    if (v != watched)
        return;
    on_save = NULL;
    pthread_create(&pcpu_1, NULL, look_at_the_queue, NULL);
    sem_wait(&turn[0]);
    fake.pcpu = 0;
}

static void pcpu_1_waits(void)
{
    assert_int_equal(fake.pcpu, 1);
    assert_true(watched->sched.on_pcpu);
    assert_int_equal(place_of(watched), 0); /* not left yet */
    relaxed++;
    give_turn_to(0);
}

/* a must leave pCPU 0 for pCPU 1, which looks at once. */
static void load_waits_for_the_save(struct vcpu *a)
{
    uint64_t other = 2;

    assert_int_equal(place_of(a), 0);
    sched_set_affinity(a, &other, NULL);
    sem_init(&turn[0], 0, 0);
    sem_init(&turn[1], 0, 0);
    watched = a;
    relaxed = 0;
    on_save = pcpu_1_begins;
    on_relax = pcpu_1_waits;
    run_on(0);
    assert_int_equal(relaxed, 1);
    assert_false(a->sched.on_pcpu); /* left, and not loaded yet */
    give_turn_to(1);
    assert_int_equal(relaxed, 1);
    assert_int_equal(pthread_join(pcpu_1, NULL), 0);
    on_relax = NULL;
    assert_int_equal(place_of(a), 1);
}

/* a runs on pCPU 0, and b may run nowhere else. */
static void run_beside(struct vcpu *a, struct vcpu *b)
{
    uint64_t one = 1;

    sched_set_affinity(a, &one, NULL);
    sched_set_affinity(b, &one, NULL);
    sched_vcpu_up(a);
    settle();
}

static void test_load_waits_for_the_save(void **state)
{
    uint64_t one = 1;
    struct vcpu *a = &vcpu[0][0];
    (void)state;
    sched_set_affinity(a, &one, NULL);
    sched_vcpu_up(a);
    settle();
    load_waits_for_the_save(a); /* pCPU 0 idles then */
    assert_null(loaded[0]);
}

/* The same where pCPU 0 goes straight on with another one. */
static void test_load_waits_for_the_next_one(void **state)
{
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0];
    (void)state;
    run_beside(a, b);
    sched_vcpu_up(b);
    for (unsigned i = 0; i < 8 && place_of(a) != 0; i++)
        pass(MS);
    load_waits_for_the_save(a);
    assert_ptr_equal(loaded[0], b);
}

static unsigned waits;

static void the_other_pcpu_goes_on(void)
{
    waits++;
    run_on(place_of(watched));
    fake.pcpu = 3;
}

static void test_wait_off_pcpu(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    assert_int_not_equal(fake.pcpu, 3);
    watched = v;
    waits = 0;
    on_relax = the_other_pcpu_goes_on;
    fake.pcpu = 3;
    sched_pause(v);
    sched_wait_off_pcpu(v);
    assert_int_equal(waits, 1);
    assert_int_equal(place_of(v), PCPUS);
    sched_unpause(v);
    settle();
}

/* Chosen, but not loaded yet: that is not off. The wait never ends while this pCPU does not go on:
 * it ends the test. */
static jmp_buf waiting;

static void stop_waiting(void)
{
    waits++;
    longjmp(waiting, 1);
}

static void wait_for_the_chosen(struct vcpu *v)
{
    unsigned here = fake.pcpu;

    (void)v;
    on_save = NULL;
    assert_int_equal(watched->sched.entity.state, SCHED_RUNNING);
    assert_false(watched->sched.on_pcpu);
    fake.pcpu = 3;
    on_relax = stop_waiting;
    if (!setjmp(waiting))
        sched_wait_off_pcpu(watched);
    on_relax = NULL;
    fake.pcpu = here;
}

static void test_wait_sees_one_that_is_being_loaded(void **state)
{
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0];
    (void)state;
    run_beside(a, b);
    pass(MS);
    watched = b;
    waits = 0;
    on_save = wait_for_the_chosen;
    sched_vcpu_up(b);
    settle();
    assert_int_equal(waits, 1);
}

/* Two pCPUs idle. The first is told of a, but b came meanwhile and is first in the queue: a goes to
 * the second. */
static void test_a_kick_that_is_taken_by_another(void **state)
{
    uint64_t one = 1, both = 3;
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0];
    (void)state;
    sched_set_affinity(a, &both, NULL);
    sched_set_affinity(b, &one, NULL);
    sched_vcpu_up(a);
    settle();
    pass(MS / 2);
    sched_vcpu_down(a);
    settle();
    sched_vcpu_up(a);
    assert_true(resched[0] && !resched[1]);
    sched_vcpu_up(b);
    settle();
    assert_int_equal(place_of(b), 0);
    assert_int_equal(place_of(a), 1);
}

/* b has pCPU 1 to itself and no quantum, until a is displaced from pCPU 0 and may run there too. */
static void test_a_displaced_one_ends_a_lone_run(void **state)
{
    uint64_t one = 1, two = 2, both = 3;
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0], *c = &vcpu[2][0];
    (void)state;
    sched_set_affinity(a, &both, NULL);
    sched_set_affinity(b, &two, NULL);
    sched_set_affinity(c, &one, NULL);
    sched_vcpu_up(a);
    sched_vcpu_up(b);
    settle();
    pass(5 * MS);
    sched_vcpu_up(c);
    pass(300 * MS);
    assert_in_range(sched_cpu_time(a), 190 * MS, 215 * MS);
    assert_in_range(sched_cpu_time(b), 190 * MS, 215 * MS);
}

static void test_affinity(void **state)
{
    uint64_t none = 0x100, second = 2;
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    assert_int_equal(sched_set_affinity(v, &none, NULL), -XEN_EINVAL);
    run_one(v);
    sched_set_affinity(v, &second, NULL);
    settle();
    assert_int_equal(place_of(v), 1);
    pass(5 * MS);
    assert_int_equal(place_of(v), 1);
}

static void test_params(void **state)
{
    unsigned weight, cap;
    (void)state;
    sched_get_params(&domain[0], &weight, &cap);
    assert_int_equal(weight, SCHED_WEIGHT_DEFAULT);
    assert_int_equal(cap, 0);
    assert_int_equal(sched_set_params(&domain[0], 0, 0), -XEN_EINVAL);
    assert_int_equal(sched_set_params(&domain[0], 65536, 0), -XEN_EINVAL);
    assert_int_equal(sched_set_params(&domain[0], 65535, 50), 0);
    sched_get_params(&domain[0], &weight, &cap);
    assert_int_equal(weight, 65535);
    assert_int_equal(cap, 50);
}

/* Two hogs on one pCPU, weights 1 to 3; then the heavy one is capped. */
static void test_shares_and_cap(void **state)
{
    uint64_t one = 1, before;
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0];
    (void)state;
    sched_set_params(&domain[0], 100, 0);
    sched_set_params(&domain[1], 300, 0);
    sched_set_affinity(a, &one, NULL);
    sched_set_affinity(b, &one, NULL);
    sched_vcpu_up(a);
    sched_vcpu_up(b);
    pass(400 * MS);
    assert_in_range(sched_cpu_time(a), 97 * MS, 103 * MS);
    sched_set_params(&domain[1], 300, 20);
    pass(20 * MS);
    before = sched_cpu_time(b);
    pass(400 * MS);
    assert_in_range(sched_cpu_time(b) - before, 76 * MS, 84 * MS);
    /* And with nobody else. */
    sched_vcpu_down(a);
    before = sched_cpu_time(b);
    pass(400 * MS);
    assert_in_range(sched_cpu_time(b) - before, 76 * MS, 84 * MS);
}

/* No interrupts for a vCPU that nobody competes with. */
static void test_alone_without_quantum(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    assert_true(fake.timer[place_of(v)] == UINT64_MAX);
}

static void test_yield(void **state)
{
    uint64_t one = 1;
    struct vcpu *a = &vcpu[0][0], *b = &vcpu[1][0];
    struct vcpu *first;
    (void)state;
    sched_set_affinity(a, &one, NULL);
    sched_set_affinity(b, &one, NULL);
    sched_vcpu_up(a);
    sched_vcpu_up(b);
    settle();
    for (unsigned i = 0; i < 10; i++) {
        first = loaded[0];
        fake.pcpu = 0;
        sched_yield_current();
        settle();
        assert_non_null(loaded[0]);
        assert_ptr_not_equal(loaded[0], first);
    }
}

/* Who polls while nobody waits stays off the lock. */
static void test_yield_alone(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    fake.pcpu = place_of(v);
    sched_yield_current();
    assert_false(resched[fake.pcpu]);
}

static void test_kick(void **state)
{
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    run_one(v);
    sched_kick(v); /* here: delivered on the way out */
    assert_int_equal(ipis, 0);
    fake.pcpu = 3;
    sched_kick(v);
    assert_int_equal(ipis, 1);
    fake.pcpu = place_of(v);
    sched_block_current();
    settle();
    sched_kick(v);
    settle();
    assert_true(place_of(v) < PCPUS);
}

/* ---- pools ---- */

static void test_boot_policy(void **state)
{
    struct sched_pool_info info;
    unsigned lines;
    (void)state;
    boot_policy = "credit";
    sched_init();
    assert_int_equal(sched_pool_info(0, &info), 0);
    assert_string_equal(info.policy->name, "credit");
    boot_policy = "credi";
    lines = fake.log_lines;
    sched_init();
    assert_int_equal(fake.log_lines, lines + 2); /* the choices, and what is used */
    sched_pool_info(0, &info);
    assert_string_equal(info.policy->name, "wfq");
    boot_policy = NULL;
    start(NULL);
}

static void test_pool_errors(void **state)
{
    unsigned id = 0, any = SCHED_ANY;
    struct sched_pool_info info;
    (void)state;
    assert_int_equal(sched_pool_create(&id, XEN_SCHEDULER_CREDIT), -XEN_EEXIST);
    assert_int_equal(sched_pool_create(&any, XEN_SCHEDULER_RTDS), -XEN_EINVAL);
    assert_int_equal(sched_pool_create(&any, XEN_SCHEDULER_CREDIT), 0);
    assert_int_equal(any, 1);
    id = 70000;
    assert_int_equal(sched_pool_create(&id, XEN_SCHEDULER_NULL), 0);
    assert_int_equal(sched_pool_info(2, &info), 0);
    assert_true(info.id == 70000 && info.policy == &null_policy && !info.pcpus);
    assert_int_equal(sched_pool_info(70001, &info), -XEN_ENOENT);
    assert_int_equal(sched_pool_add_pcpu(1, 2), -XEN_ENODEV); /* in Pool-0 */
    assert_int_equal(sched_pool_add_pcpu(1, SCHED_ANY), -XEN_ENODEV);
    assert_int_equal(sched_pool_add_pcpu(1, PCPUS), -XEN_EINVAL);
    assert_int_equal(sched_pool_add_pcpu(7, 2), -XEN_ENOENT);
    assert_int_equal(sched_pool_remove_pcpu(1, SCHED_ANY), -XEN_ENODEV);
    assert_int_equal(sched_pool_remove_pcpu(1, 99), -XEN_EINVAL);
    assert_int_equal(sched_pool_remove_pcpu(7, 1), -XEN_ENOENT);
    assert_int_equal(sched_pool_move(&domain[1], 1), -XEN_ENOENT); /* it has no pCPU */
    assert_int_equal(sched_pool_destroy(0), -XEN_EBUSY);
    assert_int_equal(sched_pool_destroy(7), -XEN_ENOENT);
    assert_int_equal(sched_pool_destroy(70000), 0);
    for (id = any = SCHED_ANY; sched_pool_create(&any, XEN_SCHEDULER_NULL) == 0; any = SCHED_ANY)
        id++;
    assert_int_equal(id + 3, CPUPOOL_MAX); /* with 0 and 1, from -1 on */
}

/* pCPU 3 goes from Pool-0 to a pool of its own, with a domain; and back. */
static void test_pool_life(void **state)
{
    struct vcpu *v = &vcpu[1][0], *w = &vcpu[1][1];
    struct sched_pool_info info;
    unsigned id = SCHED_ANY, weight, cap;
    uint64_t four = 8;
    (void)state;
    on_relax = others_go_on;
    sched_set_params(&domain[1], 300, 50);
    sched_vcpu_up(v);
    sched_vcpu_up(w);
    settle();
    fake.pcpu = place_of(v);
    assert_int_equal(sched_pool_move(&domain[1], 0), -XEN_EPERM); /* itself */
    fake.pcpu = 0;
    sched_set_affinity(v, &four, NULL);
    settle();
    fake.pcpu = 0;
    assert_int_equal(sched_pool_create(&id, XEN_SCHEDULER_CREDIT), 0);
    assert_int_equal(sched_pool_remove_pcpu(0, 3), 0);
    assert_int_equal(sched_pool_free_pcpus(), 8);
    assert_null(loaded[3]); /* it has left on return */
    settle();
    assert_int_equal(sched_pool_add_pcpu(id, SCHED_ANY), 0);
    while (loaded[fake.pcpu])
        fake.pcpu++;
    assert_int_equal(sched_pool_move(&domain[1], id), 0);
    assert_int_equal(sched_pool_of(&domain[1]), id);
    settle();
    sched_get_params(&domain[1], &weight, &cap);
    assert_true(weight == 300 && cap == 50);
    assert_true(place_of(v) == 3 || place_of(w) == 3);
    assert_true(v->sched.hard_affinity == ~0UL);
    assert_int_equal(sched_set_affinity(v, &(uint64_t){1}, NULL), -XEN_EINVAL);
    sched_pool_info(id, &info);
    assert_true(info.pcpus == 8 && info.domain_count == 1);
    assert_int_equal(sched_pool_remove_pcpu(id, 3), -XEN_EBUSY);
    assert_int_equal(sched_pool_destroy(id), -XEN_EBUSY);
    assert_int_equal(sched_pool_move(&domain[1], 0), 0);
    assert_int_equal(sched_pool_destroy(id), -XEN_EBUSY);
    assert_int_equal(sched_pool_remove_pcpu(id, SCHED_ANY), 0);
    assert_int_equal(sched_pool_destroy(id), 0);
    assert_int_equal(sched_pool_add_pcpu(0, 3), 0);
    settle();
    assert_true(place_of(v) < PCPUS && place_of(w) < PCPUS);
}

/* The pinned one's pCPU goes: it may use the others, until it comes back. The caller's own one. */
static void test_pinned_to_a_pcpu_that_leaves(void **state)
{
    uint64_t two = 2;
    struct vcpu *v = &vcpu[1][0];
    (void)state;
    sched_set_affinity(v, &two, NULL);
    run_one(v);
    assert_int_equal(fake.pcpu, 1);
    assert_int_equal(sched_pool_remove_pcpu(0, 1), 0);
    settle();
    assert_true(place_of(v) < PCPUS && place_of(v) != 1);
    assert_true(v->sched.hard_affinity == two);
    assert_int_equal(sched_pool_add_pcpu(0, 1), 0);
    settle();
    assert_int_equal(place_of(v), 1);
}

static void test_null_says_who_does_not_run(void **state)
{
    unsigned id = SCHED_ANY, lines;
    (void)state;
    on_relax = others_go_on;
    sched_pool_create(&id, XEN_SCHEDULER_NULL);
    sched_pool_remove_pcpu(0, 3);
    settle();
    sched_pool_add_pcpu(id, 3);
    settle();
    assert_int_equal(sched_pool_move(&domain[1], id), 0);
    assert_int_equal(sched_set_params(&domain[1], 100, 0), -XEN_EOPNOTSUPP);
    assert_int_equal(sched_set_params(&domain[1], SCHED_WEIGHT_DEFAULT, 0), 0);
    lines = fake.log_lines;
    sched_vcpu_up(&vcpu[1][0]);
    assert_int_equal(fake.log_lines, lines);
    sched_vcpu_up(&vcpu[1][1]);
    sched_pause(&vcpu[1][1]);
    sched_unpause(&vcpu[1][1]);
    assert_int_equal(fake.log_lines, lines + 1); /* once */
    settle();
    assert_int_equal(place_of(&vcpu[1][0]), 3);
    /* The first one goes for good. */
    sched_vcpu_down(&vcpu[1][0]);
    settle();
    sched_vcpu_remove(&vcpu[1][0]);
    settle();
    assert_int_equal(place_of(&vcpu[1][1]), 3);
    sched_vcpu_init(&vcpu[1][0]);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        CASE(test_up_and_down),
        CASE(test_block_and_wake),
        CASE(test_block_with_an_event_pending),
        CASE(test_wake_before_the_switch),
        CASE(test_pauses_count),
        CASE(test_wake_while_paused),
        CASE(test_load_waits_for_the_save),
        CASE(test_load_waits_for_the_next_one),
        CASE(test_wait_off_pcpu),
        CASE(test_wait_sees_one_that_is_being_loaded),
        CASE(test_a_kick_that_is_taken_by_another),
        CASE(test_a_displaced_one_ends_a_lone_run),
        CASE(test_affinity),
        CASE(test_params),
        CASE(test_shares_and_cap),
        CASE(test_alone_without_quantum),
        CASE(test_yield),
        CASE(test_yield_alone),
        CASE(test_kick),
        cmocka_unit_test(test_random_pools),
        CASE(test_boot_policy),
        CASE(test_pool_errors),
        CASE(test_pool_life),
        CASE(test_pinned_to_a_pcpu_that_leaves),
        CASE(test_null_says_who_does_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
