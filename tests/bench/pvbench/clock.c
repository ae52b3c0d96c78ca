/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <xen/vcpu.h>

#include "cpu.h"
#include "event.h"

uint64_t clock_ns_at(uint64_t tsc)
{
    volatile struct vcpu_time_info *t = &event_shared()->vcpu_info[0].time;
    uint32_t version;
    uint64_t ns;

    do {
        int64_t ticks; /* below 0: the hypervisor took a new timestamp since `tsc` was read */

        version = t->version;
        cpu_barrier();
        ticks = (int64_t)(tsc - t->tsc_timestamp);
        ticks = t->tsc_shift >= 0 ? ticks * (1L << t->tsc_shift) : ticks >> -t->tsc_shift;
        ns = t->system_time + (uint64_t)(((__int128)ticks * t->tsc_to_system_mul) >> 32);
        cpu_barrier();
    } while (version & 1 || version != t->version);
    return ns;
}

long clock_set_timer(uint64_t ns)
{
    struct vcpu_set_singleshot_timer timer = {.timeout_abs_ns = ns};

    return hyper3(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, HYPER_ARG(&timer));
}

long clock_timer_port(void)
{
    static struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER};
    long rc;

    if (bind.port) {
        return (long)bind.port;
    }
    rc = hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, HYPER_ARG(&bind));
    if (rc) {
        return rc;
    }
    event_clear(bind.port);
    event_unmask(bind.port);
    return (long)bind.port;
}
