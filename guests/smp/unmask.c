/* SPDX-License-Identifier: MIT */
#include "unmask.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <xen/xen.h>
#include <xen/version.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/smp.h>
#include <rt/thread.h>

#define PATIENCE_NS 30000000000UL
#define STRIDE      (5 * 64)
#define LOOKS       500 /* before the sender sleeps between them */
#define NAP_NS      50000UL

static char far_away[8 << 20];

static unsigned long received;
static bool up, stop;

static void ipi(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    __atomic_add_fetch(&received, 1, __ATOMIC_SEQ_CST);
}

/*
 * No instruction here orders the store to the mask before the load of what is pending: only the
 * compiler is kept from changing them over. The mask's store waits in the processor's store buffer
 * behind one to a line that no cache near has, so that the load is far ahead of it. What becomes
 * pending after that load has to arrive by itself: nothing is done then but to wait for it.
 */
static void toggle(void *arg)
{
    struct vcpu_info *info = smp_self()->info;
    unsigned line = 0;

    (void)arg;
    __atomic_store_n(&up, true, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        __atomic_store_n(&info->evtchn_upcall_mask, 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        line = (line + STRIDE) % sizeof far_away;
        __atomic_store_n(&far_away[line], 1, __ATOMIC_RELAXED);
        __atomic_store_n(&info->evtchn_upcall_mask, 0, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_RELAXED))
            hypercall_xen_version(XENVER_version, NULL);
        while (__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_RELAXED) &&
               !__atomic_load_n(&stop, __ATOMIC_RELAXED))
            ;
    }
}

/* It does not look all the time: an emulator's host may have one processor for both vCPUs, and the
 * other one's turn would come when this one's time slice is over. */
static bool arrives(unsigned long before)
{
    uint64_t end = clock_ns() + PATIENCE_NS;

    for (unsigned n = 0; __atomic_load_n(&received, __ATOMIC_SEQ_CST) == before; n++) {
        if (clock_ns() > end)
            return false;
        if (n >= LOOKS)
            thread_sleep_ns(NAP_NS);
    }
    return true;
}

int unmask_race(unsigned long times)
{
    int port = event_bind_ipi(1, ipi, NULL), rc = smp_boot_vcpu(1, toggle, NULL);
    unsigned long n;

    if (port < 0 || rc) {
        printf("smp: no second vCPU, error %d\n", port < 0 ? port : rc);
        return 1;
    }
    while (!__atomic_load_n(&up, __ATOMIC_SEQ_CST))
        ;
    for (n = 0; n < times; n++) {
        unsigned long before = __atomic_load_n(&received, __ATOMIC_SEQ_CST);

        event_send((evtchn_port_t)port);
        if (!arrives(before))
            break;
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    if (n < times)
        printf("smp: FAILED, notification %lu was lost\n", n);
    else
        printf("smp: %lu notifications, none lost\n", n);
    return n < times;
}
