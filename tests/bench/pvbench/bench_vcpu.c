/* SPDX-License-Identifier: MIT */
/*
 * vcpu.*: a second vCPU: bringing it up, events to it and back, and flushes while it runs.
 */
#include "bench.h"

#include <stdint.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#include "event.h"
#include "figure.h"
#include "mmu.h"
#include "vcpu.h"

#define RUNS   300
#define SETTLE 5000000 /* empty rounds, until the other one does what it should */
#define TICKS_LIMIT \
    300000000 /* sharing one pCPU, each round takes time slices: a few rounds will do */
#define RUNS_LEAST 9

static void settle(void)
{
    for (long i = 0; i < SETTLE; i++) {
        cpu_barrier();
    }
}

static void set_spinning(bool spins)
{
    vcpu_1_spins = spins;
    cpu_barrier();
    vcpu_wake(1);
}

/* vCPU 0 and vCPU 1 both spin, or both block, between an event and its answer to port `answer`. */
static void pingpong(const char *name, evtchn_port_t answer, bool spin)
{
    uint64_t spent = 0;
    int n = 0;

    set_spinning(spin);
    event_on();
    settle();
    while (n < RUNS && (spent <= TICKS_LIMIT || n < RUNS_LEAST)) {
        uint64_t seen = event_count[answer], start = cpu_tsc();

        vcpu_wake(1);
        if (spin) {
            while (event_count[answer] == seen) {
                cpu_pause();
            }
        } else {
            event_block(answer, seen);
        }
        figure_samples[n] = cpu_tsc() - start;
        spent += figure_samples[n++];
    }
    event_off();
    figure_report(name, n, 1);
}

/* With the other vCPU spinning in this address space. */
static void beside_a_spinner(void)
{
    set_spinning(true);
    settle();
    MEASURE("vcpu.tlb_flush_all_remote_spin", 200, 1, mmu_extended(MMUEXT_TLB_FLUSH_ALL, 0, 0));
    MEASURE("vcpu.hypercall_null_remote_spin", 200, 1,
            hyper2(__HYPERVISOR_xen_version, XENVER_version, 0));
    set_spinning(false);
    event_off();
}

void bench_vcpu(void)
{
    long rc = hyper3(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), answer;

    if (rc < 0) {
        figure_refused("vcpu.pingpong", rc);
        return;
    }
    rc = vcpu_bring_up(1, true);
    if (rc) {
        figure_refused("vcpu.bring_up", rc);
        return;
    }
    answer = event_bind_ipi(0);
    if (answer < 0) {
        figure_refused("vcpu.bind_ipi", answer);
        return;
    }
    event_answer_port = (evtchn_port_t)answer;
    pingpong("vcpu.pingpong_spin_roundtrip", event_answer_port, true);
    pingpong("vcpu.pingpong_block_roundtrip", event_answer_port, false);
    event_answer_port = 0;
    event_on();
    beside_a_spinner();
}
