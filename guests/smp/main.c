/* SPDX-License-Identifier: MIT */
/*
 * smp: brings up all vCPUs that it was given, lets each say hello, and passes interrupts around in
 * a ring: vCPU 0 notifies 1, 1 notifies 2, and so on, the last one 0 again. Then it powers off;
 * with stay=1 on the command line it keeps the vCPUs idle instead. With unmask=N it does something
 * else: see unmask.h.
 */
#include <stdbool.h>
#include <stdio.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>

#include "unmask.h"

#define ROUNDS     100
#define TIMEOUT_NS 30000000000UL

static unsigned vcpus = 1;
static int port[SMP_MAX]; /* of the interrupt that arrives at each vCPU */
static unsigned up, received[SMP_MAX];
static volatile bool stop;
static struct waitq main_wait = WAITQ_INIT;

/* Runs on the vCPU that the interrupt went to. Only vCPU 0 has threads to wake; the others pass it
 * on. */
static void ipi(evtchn_port_t at, void *arg)
{
    unsigned vcpu = smp_id();

    (void)at;
    (void)arg;
    __atomic_add_fetch(&received[vcpu], 1, __ATOMIC_SEQ_CST);
    if (vcpu == 0) {
        waitq_wake(&main_wait);
    } else if (!stop) {
        event_send((evtchn_port_t)port[(vcpu + 1) % vcpus]);
    }
}

static void secondary(void *arg)
{
    (void)arg;
    printf("smp: vCPU %u says hello\n", smp_id());
    __atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
    event_send((evtchn_port_t)port[0]);
    smp_wait_until(stop);
}

static unsigned count(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static bool bring_up(void)
{
    for (unsigned v = 0; v < vcpus; v++) {
        port[v] = event_bind_ipi(v, ipi, NULL);
        if (port[v] < 0) {
            printf("smp: no IPI for vCPU %u, error %d\n", v, port[v]);
            return false;
        }
    }
    printf("smp: vCPU 0 says hello\n");
    up = 1;
    for (unsigned v = 1; v < vcpus; v++) {
        int rc = smp_boot_vcpu(v, secondary, NULL);

        if (rc) {
            printf("smp: vCPU %u does not start, error %d\n", v, rc);
            return false;
        }
    }
    return wait_event_timeout(&main_wait, count(&up) == vcpus, TIMEOUT_NS);
}

/* One interrupt around the ring; true if it came back. */
static bool pass_around(void)
{
    unsigned before = count(&received[0]);

    event_send((evtchn_port_t)port[vcpus > 1 ? 1 : 0]);
    return wait_event_timeout(&main_wait, count(&received[0]) != before, TIMEOUT_NS);
}

int main(void)
{
    unsigned long races = start_option_u64("unmask", 0);
    unsigned total = 0;

    vcpus = smp_vcpus();
    if (races)
        return unmask_race(races);
    if (!bring_up()) {
        printf("smp: FAILED, %u of %u vCPUs up\n", count(&up), vcpus);
        return 1;
    }
    /* The interrupts that announced the vCPUs do not count. */
    for (unsigned v = 0; v < vcpus; v++) {
        total -= count(&received[v]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (!pass_around()) {
            printf("smp: FAILED, interrupt of round %u did not come back\n", round);
            return 1;
        }
    }
    for (unsigned v = 0; v < vcpus; v++) {
        total += count(&received[v]);
    }
    printf("smp: %u vCPUs up, %u IPIs ok\n", vcpus, total);
    if (start_option_u64("stay", 0)) {
        for (;;) {
            thread_sleep_ns(3600000000000UL);
        }
    }
    stop = true;
    return 0;
}
