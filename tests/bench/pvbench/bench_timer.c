/* SPDX-License-Identifier: MIT */
/*
 * timer.*: setting the one-shot timer, and how late its event comes to a running and to a blocked
 * vCPU.
 */
#include "bench.h"

#include <stdbool.h>

#include "clock.h"
#include "event.h"
#include "figure.h"

#define RUNS     200
#define AHEAD_NS 200000

static uint64_t set_ticks[RUNS], late[RUNS];

static long one(int run, evtchn_port_t port, bool blocked)
{
    uint64_t seen, target, start;
    long rc;

    event_off();
    seen = event_count[port];
    target = clock_ns_at(cpu_tsc()) + AHEAD_NS;
    start = cpu_tsc();
    rc = clock_set_timer(target);
    set_ticks[run] = cpu_tsc() - start;
    if (rc) {
        return rc;
    }
    if (blocked) {
        event_block(port, seen);
    } else {
        event_on();
        while (event_count[port] == seen) {
            cpu_pause();
        }
    }
    event_off();
    late[run] = clock_ns_at(event_tsc[0]) - target;
    return 0;
}

static long all(evtchn_port_t port, bool blocked)
{
    for (int run = 0; run < RUNS; run++) {
        long rc = one(run, port, blocked);

        if (rc) {
            return rc;
        }
    }
    return 0;
}

void bench_timer(void)
{
    long port = clock_timer_port(), rc;

    if (port < 0) {
        figure_refused("timer", port);
        return;
    }
    rc = all((evtchn_port_t)port, false);
    if (rc) {
        figure_refused("timer.singleshot", rc);
        return;
    }
    figure_report_from("timer.set_singleshot", set_ticks, RUNS, 1, figure_overhead);
    figure_report_ns("timer.late_running", late, RUNS);
    rc = all((evtchn_port_t)port, true);
    if (rc) {
        figure_refused("timer.late_blocked", rc);
        return;
    }
    figure_report_ns("timer.late_blocked", late, RUNS);
}
