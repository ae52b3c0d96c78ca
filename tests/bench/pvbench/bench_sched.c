/* SPDX-License-Identifier: MIT */
/*
 * sched.*: how fairly the processors are shared when all vCPUs, of equal weight, want them all the
 * time; and how long a sleeper waits for its turn then.
 *
 * Each vCPU reads the clock in a loop: a jump of more than `gap` is time in which it did not run.
 * Its lag is its equal share of all time run, less its own. Figures are made for one pCPU and
 * several vCPUs.
 */
#include "bench.h"

#include <stddef.h>
#include <stdint.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#include "clock.h"
#include "event.h"
#include "figure.h"
#include "text.h"
#include "vcpu.h"

#define WARM_UP_MS  200
#define MEASURED_MS 1000
#define SLEEPS      100
#define SLEEP_NS    2000000

/* Written by its own vCPU; `max` and `min` by all, which on one pCPU is good enough. */
struct account {
    volatile uint64_t run, base; /* ticks run; at the start of the measured time */
    volatile uint64_t switches, slice_max;
    volatile long lag_max, lag_min;
};

static struct account accounts[VCPU_MAX];
static volatile bool spinning, recording;
static uint64_t ms, gap; /* in ticks */

/* Of the moment `now`. If another vCPU ran between the look at all of them and the end, the sums
 * are of two moments, up to three quarters of a quantum apart: it is left out. */
static void record_lags(uint64_t now)
{
    long total = 0, lag[VCPU_MAX];

    for (unsigned i = 0; i < vcpu_count; i++) {
        total += (long)(accounts[i].run - accounts[i].base);
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        lag[i] = total / (long)vcpu_count - (long)(accounts[i].run - accounts[i].base);
    }
    if (cpu_tsc() - now > gap) {
        return;
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        struct account *a = &accounts[i];

        if (lag[i] > a->lag_max) {
            a->lag_max = lag[i];
        }
        if (lag[i] < a->lag_min) {
            a->lag_min = lag[i];
        }
    }
}

/*
 * Spins until `end` (ticks; 0: until spinning is off) and keeps the account. Without the pause a
 * QEMU that counts instructions would never come to its other processors: this one runs up to the
 * next timer, and the budget of those behind it in the round is what is left, nothing.
 */
static void spin(unsigned id, uint64_t end)
{
    struct account *a = &accounts[id];
    uint64_t last = cpu_tsc(), slice = 0;

    while (spinning && (!end || last < end)) {
        uint64_t now = cpu_tsc(), passed = now - last;

        cpu_pause();
        last = now;
        if (passed > gap) {
            a->switches++;
            slice = 0;
            continue;
        }
        a->run += passed;
        slice += passed;
        if (recording) {
            if (slice > a->slice_max) {
                a->slice_max = slice;
            }
            record_lags(now);
        }
    }
}

static void spin_on(unsigned id)
{
    spin(id, 0);
}

static void bring_up_all(void)
{
    for (unsigned id = vcpu_count; id < VCPU_MAX; id++) {
        long rc = hyper3(__HYPERVISOR_vcpu_op, VCPUOP_is_up, id, 0);

        if (rc < 0) {
            return; /* the domain has no more */
        }
        rc = vcpu_bring_up(id, false);
        if (rc) {
            figure_refused("sched.bring_up", rc);
            return;
        }
    }
}

/* Ticks of a millisecond of system time. */
static uint64_t measure_ms(void)
{
    uint64_t nominal = figure_ticks_per_ms(), start = cpu_tsc(), now = start;
    uint64_t ns = clock_ns_at(start);

    while (now - start < nominal) {
        now = cpu_tsc();
    }
    ns = clock_ns_at(now) - ns;
    return (now - start) * 1000 / (ns / 1000 + 1);
}

static void report(uint64_t ticks)
{
    struct account all = {0};
    uint64_t least = ~0UL, us = ms / 1000 ? ms / 1000 : 1;

    for (unsigned i = 0; i < vcpu_count; i++) {
        const struct account *a = &accounts[i];
        uint64_t run = a->run - a->base;

        all.run += run;
        all.switches += a->switches;
        least = run < least ? run : least;
        all.slice_max = a->slice_max > all.slice_max ? a->slice_max : all.slice_max;
        all.lag_max = a->lag_max > all.lag_max ? a->lag_max : all.lag_max;
        all.lag_min = a->lag_min < all.lag_min ? a->lag_min : all.lag_min;
    }
    figure_value("sched.lag_behind_max", "", all.lag_max * 10 / (long)us, "us");
    figure_value("sched.lag_ahead_max", "", -all.lag_min * 10 / (long)us, "us");
    figure_value("sched.slice_max", "", (long)(all.slice_max * 10 / us), "us");
    figure_value("sched.switches", "", (long)(all.switches * 10 * 1000 * ms / ticks), "per_s");
    figure_value("sched.share_min", "", (long)(least * vcpu_count * 1000 / (all.run / 10 + 1)),
                 "permille_of_fair");
    figure_value("sched.time_run", "", (long)(all.run * 1000 / (ticks / 10 + 1)),
                 "permille_of_one_cpu");
}

/* vCPU 0 takes part; the others go on spinning afterwards. */
static void fairness(void)
{
    uint64_t start;

    spinning = true;
    vcpu_work = spin_on;
    cpu_barrier();
    event_on();
    for (unsigned i = 1; i < vcpu_count; i++) {
        vcpu_wake(i);
    }
    spin(0, cpu_tsc() + WARM_UP_MS * ms);
    for (unsigned i = 0; i < vcpu_count; i++) {
        accounts[i].base = accounts[i].run;
        accounts[i].switches = 0;
    }
    start = cpu_tsc();
    recording = true;
    spin(0, start + MEASURED_MS * ms);
    recording = false;
    report(cpu_tsc() - start);
}

/* vCPU 0 sleeps while the others spin. */
static void sleeper(void)
{
    static uint64_t late[SLEEPS];
    long port = clock_timer_port(), rc;

    if (port < 0) {
        figure_refused("sched.wake_late_loaded", port);
        return;
    }
    for (int i = 0; i < SLEEPS; i++) {
        uint64_t seen, target;

        event_off();
        seen = event_count[port];
        target = clock_ns_at(cpu_tsc()) + SLEEP_NS;
        rc = clock_set_timer(target);
        if (rc) {
            figure_refused("sched.wake_late_loaded", rc);
            return;
        }
        event_block((evtchn_port_t)port, seen);
        event_off();
        late[i] = clock_ns_at(event_tsc[0]) - target;
    }
    figure_report_ns("sched.wake_late_loaded", late, SLEEPS);
}

void bench_sched(void)
{
    if (vcpu_count < 2) {
        figure_refused("sched", -2);
        return;
    }
    bring_up_all();
    text_info("sched.nvcpu", vcpu_count);
    ms = measure_ms();
    gap = ms / 50;
    fairness();
    sleeper();
    spinning = false;
    vcpu_work = NULL;
    cpu_barrier();
    event_on();
    for (unsigned i = 1; i < vcpu_count; i++) {
        vcpu_wake(i);
    }
    hyper2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    event_off();
}
