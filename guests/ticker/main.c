/* SPDX-License-Identifier: MIT */
/*
 * ticker: sets thousands of timers of random length on every vCPU, and says how late each fired;
 * then works for a while after each, and says how much of that time its processor was away: once as
 * it saw it itself, by jumps of the clock, and once as its run states tell.
 *
 * Command line: count=N timers of each vCPU (2000), max_us=N the longest (5000), burn_us=N of work
 * after each (0), delay_ms=N before it begins (0), seed=N. vCPU 0 sleeps as all threads do, by
 * set_timer_op; the others set one-shot timers, whose events are looked at as they come: not one
 * may be lost, and none may be early.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>

#define US         1000UL
#define SHORT      20UL     /* us: the shortest timer */
#define JUMP_NS    20000UL  /* between two looks at the clock: the vCPU was away */
#define SETTLED_NS 200000UL /* a state that is older was written everywhere */
#define BUCKETS    20       /* of lateness: below 2^n us */

static uint64_t timers, max_us, burn_us;
static unsigned finished;
static struct waitq main_wait = WAITQ_INIT;
static int done_port; /* of vCPU 0: another vCPU has finished */

struct ticker {
    uint64_t rng;
    bool ready; /* it has its port */
    int port;
    uint64_t fired, early;
    uint64_t late_sum, late_max, early_max; /* ns */
    uint64_t bucket[BUCKETS];
    volatile bool came; /* a one-shot timer's event, and when */
    volatile uint64_t at;
    uint64_t away; /* ns, by jumps of the clock while it worked */
    struct vcpu_runstate_info area, begin, end;
    uint64_t begin_ns, end_ns;
    const char *wrong;       /* what was wrong with the run-state area, NULL: nothing */
    unsigned said_asleep[2]; /* looks at others that were asleep: does their area say so? */
} __attribute__((aligned(64)));

static struct ticker tickers[SMP_MAX];

static uint64_t next_random(struct ticker *t)
{
    t->rng ^= t->rng << 13;
    t->rng ^= t->rng >> 7;
    t->rng ^= t->rng << 17;
    return t->rng;
}

/* VIRQ_TIMER of a vCPU other than 0. */
static void timer_fired(evtchn_port_t port, void *arg)
{
    struct ticker *t = arg;

    (void)port;
    t->at = clock_ns();
    t->came = true;
}

/* Until system time `deadline`; when that was noticed. */
static uint64_t sleep_until(struct ticker *t, uint64_t deadline)
{
    struct vcpu_set_singleshot_timer timer = {.timeout_abs_ns = deadline};
    uint64_t now = clock_ns();

    if (smp_id() == 0) {
        thread_sleep_ns(deadline > now ? deadline - now : 0);
        return clock_ns();
    }
    t->came = false;
    hypercall_vcpu_op(VCPUOP_set_singleshot_timer, smp_id(), &timer);
    smp_wait_until(t->came);
    return t->at;
}

static void note_lateness(struct ticker *t, uint64_t deadline, uint64_t now)
{
    uint64_t late = now - deadline;
    unsigned n = 0;

    t->fired++;
    if (now < deadline) {
        t->early++;
        if (deadline - now > t->early_max)
            t->early_max = deadline - now;
        return;
    }
    t->late_sum += late;
    if (late > t->late_max)
        t->late_max = late;
    while (n < BUCKETS - 1 && late >> n >= US)
        n++;
    t->bucket[n]++;
}

/* Works for burn_us of its own time: what the processor was away does not count. */
static void work(struct ticker *t)
{
    uint64_t last = clock_ns(), left = burn_us * US;

    while (left) {
        uint64_t now = clock_ns(), step = now - last;

        last = now;
        if (step >= JUMP_NS)
            t->away += step;
        else
            left -= step < left ? step : left;
    }
}

/* The area is written before the vCPU runs: then the call may only have more running time. */
static void look_at_area(struct ticker *t)
{
    volatile const struct vcpu_runstate_info *area = &t->area;
    struct vcpu_runstate_info now, seen;

    if (area->state_entry_time & XEN_RUNSTATE_UPDATE)
        t->wrong = "it is being updated while the vCPU runs";
    if (area->state != RUNSTATE_running)
        t->wrong = "it does not say that the vCPU runs";
    do {
        hypercall_vcpu_op(VCPUOP_get_runstate_info, smp_id(), &now);
        seen = *area;
    } while (now.state_entry_time != seen.state_entry_time ||
             now.state_entry_time != area->state_entry_time); /* was away in between */
    if (now.time[RUNSTATE_runnable] != seen.time[RUNSTATE_runnable] ||
        now.time[RUNSTATE_blocked] != seen.time[RUNSTATE_blocked] ||
        now.time[RUNSTATE_offline] != seen.time[RUNSTATE_offline] ||
        now.time[RUNSTATE_running] < seen.time[RUNSTATE_running])
        t->wrong = "it differs from VCPUOP_get_runstate_info";
}

/* One that has been asleep for a while is not said to run: others ask for that, too. Where an
 * emulator's host took its processor away on the way to sleep that takes longer: not often. */
static void look_at_others(struct ticker *t)
{
    for (unsigned v = 1; v < smp_vcpus(); v++) {
        volatile const struct vcpu_runstate_info *area = &tickers[v].area;
        struct vcpu_runstate_info before, after;
        int state;

        hypercall_vcpu_op(VCPUOP_get_runstate_info, v, &before);
        state = area->state;
        hypercall_vcpu_op(VCPUOP_get_runstate_info, v, &after);
        if (before.state == RUNSTATE_blocked && after.state_entry_time == before.state_entry_time &&
            clock_ns() - before.state_entry_time > SETTLED_NS)
            t->said_asleep[state == RUNSTATE_blocked]++;
    }
}

/* The clock and the run states at one moment, as nearly as that can be had. */
static void snapshot(struct vcpu_runstate_info *info, uint64_t *ns)
{
    uint64_t before;

    do {
        before = clock_ns();
        hypercall_vcpu_op(VCPUOP_get_runstate_info, smp_id(), info);
        *ns = clock_ns();
    } while (*ns - before > JUMP_NS);
}

static void tick(void *arg)
{
    struct ticker *t = &tickers[smp_id()];
    struct vcpu_register_runstate_memory_area area = {.addr.v = &t->area};

    (void)arg;
    if (smp_id()) {
        /* Nobody else binds just now: vCPU 0 waits. */
        t->port = event_bind_virq(VIRQ_TIMER, timer_fired, t);
        __atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
    }
    hypercall_vcpu_op(VCPUOP_register_runstate_memory_area, smp_id(), &area);
    snapshot(&t->begin, &t->begin_ns);
    for (uint64_t i = 0; i < timers; i++) {
        uint64_t deadline = clock_ns() + (SHORT + next_random(t) % max_us) * US;

        note_lateness(t, deadline, sleep_until(t, deadline));
        work(t);
        look_at_area(t);
        if (smp_id() == 0)
            look_at_others(t);
    }
    snapshot(&t->end, &t->end_ns);
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
    if (smp_id())
        event_send((evtchn_port_t)done_port);
}

static void one_is_done(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    waitq_wake(&main_wait);
}

/* us that no more than one in a hundred timers was late by. */
static uint64_t most_within(const struct ticker *t)
{
    uint64_t above = 0;
    unsigned n = BUCKETS - 1;

    while (n > 0 && (above += t->bucket[n]) * 100 <= t->fired)
        n--;
    return 1UL << n;
}

static void report(unsigned vcpu)
{
    const struct ticker *t = &tickers[vcpu];
    uint64_t in[4], sum = 0, ns = t->end_ns - t->begin_ns;

    for (int i = 0; i < 4; i++) {
        in[i] = t->end.time[i] - t->begin.time[i];
        sum += in[i];
    }
    if (t->early)
        printf("ticker: vCPU %u: WRONG: %lu timers were early, by up to %lu ns\n", vcpu, t->early,
               t->early_max);
    printf("ticker: vCPU %u: %lu timers, %lu early, late by %lu us on average, 99 of 100 below %lu "
           "us, at most %lu us\n",
           vcpu, t->fired, t->early, t->late_sum / US / (t->fired ? t->fired : 1), most_within(t),
           t->late_max / US);
    printf("ticker: vCPU %u: of %lu us from %lu ns on ran %lu, waited %lu, slept %lu, was offline "
           "%lu; away while it worked %lu\n",
           vcpu, ns / US, t->begin_ns, in[RUNSTATE_running] / US, in[RUNSTATE_runnable] / US,
           in[RUNSTATE_blocked] / US, in[RUNSTATE_offline] / US, t->away / US);
    if (sum > ns + JUMP_NS || sum + JUMP_NS < ns)
        printf("ticker: vCPU %u: WRONG: its run states add up to %lu us\n", vcpu, sum / US);
    if (t->said_asleep[false] > t->said_asleep[true])
        printf("ticker: vCPU %u: WRONG: the run-state areas of others that slept said so %u times, "
               "and %u times not\n",
               vcpu, t->said_asleep[true], t->said_asleep[false]);
    if (t->wrong)
        printf("ticker: vCPU %u: WRONG: of its run-state area %s\n", vcpu, t->wrong);
}

int main(void)
{
    unsigned vcpus = smp_vcpus();
    uint64_t seed = start_option_u64("seed", 1);

    timers = start_option_u64("count", 2000);
    max_us = start_option_u64("max_us", 5000);
    burn_us = start_option_u64("burn_us", 0);
    max_us = max_us ? max_us : 1;
    thread_sleep_ns(start_option_u64("delay_ms", 0) * 1000000);
    hypercall_vm_assist(VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag);
    done_port = event_bind_ipi(0, one_is_done, NULL);
    for (unsigned v = 0; v < vcpus; v++)
        tickers[v].rng = (seed + v + 1) * 0x9e3779b97f4a7c15UL;
    for (unsigned v = 1; v < vcpus; v++) {
        int rc = smp_boot_vcpu(v, tick, NULL);

        while (rc == 0 && !__atomic_load_n(&tickers[v].ready, __ATOMIC_ACQUIRE))
            hypercall_sched_op(SCHEDOP_yield, NULL);
        rc = rc ? rc : tickers[v].port;
        if (rc < 0) {
            printf("ticker: vCPU %u does not start, error %d\n", v, rc);
            return 1;
        }
    }
    tick(NULL);
    wait_event(&main_wait, __atomic_load_n(&finished, __ATOMIC_SEQ_CST) == vcpus);
    for (unsigned v = 0; v < vcpus; v++)
        report(v);
    printf("ticker: done\n");
    return 0;
}
