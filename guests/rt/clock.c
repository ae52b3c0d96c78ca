/* SPDX-License-Identifier: MIT */
/* Time and vCPU 0's one-shot timer. See clock.h; the formulas are those of vcpu_time_info in
 * <xen/xen.h>. */
#include "clock.h"

#include <stddef.h>

#include "event.h"
#include "hypercall.h"
#include "smp.h"
#include "start.h"

static uint64_t tsc_read(void)
{
    uint32_t low, high;

    /* The fence keeps the read after the version's, on processors that would hoist it. */
    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t scale(uint64_t ticks, uint32_t mul, int8_t shift)
{
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (uint64_t)(((unsigned __int128)ticks * mul) >> 32);
}

uint64_t clock_ns(void)
{
    const volatile struct vcpu_time_info *time = &smp_self()->info->time;
    uint32_t version;
    uint64_t ns;

    /* Odd: being written. Changed: written meanwhile. */
    do {
        version = __atomic_load_n(&time->version, __ATOMIC_ACQUIRE);
        ns = time->system_time +
             scale(tsc_read() - time->tsc_timestamp, time->tsc_to_system_mul, time->tsc_shift);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((version & 1) || version != time->version);
    return ns;
}

void clock_wall(uint64_t *sec, uint32_t *nsec)
{
    const volatile struct shared_info *si = shared_info;
    uint32_t version;
    uint64_t s, ns;

    do {
        version = __atomic_load_n(&si->wc_version, __ATOMIC_ACQUIRE);
        s = si->wc_sec | (uint64_t)si->wc_sec_hi << 32;
        ns = si->wc_nsec;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((version & 1) || version != si->wc_version);
    /* wc_* is the time of day at system time 0. */
    ns += clock_ns();
    if (sec) {
        *sec = s + ns / 1000000000;
    }
    if (nsec) {
        *nsec = (uint32_t)(ns % 1000000000);
    }
}

void clock_set_timer(uint64_t deadline_ns)
{
    struct vcpu_set_singleshot_timer op = {.timeout_abs_ns = deadline_ns};

    if (deadline_ns == UINT64_MAX) {
        hypercall_vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL);
    } else {
        hypercall_vcpu_op(VCPUOP_set_singleshot_timer, 0, &op);
    }
}

static void timer_event(evtchn_port_t port, void *arg)
{
    void (**on_timer)(void) = arg;

    (void)port;
    (*on_timer)();
}

void clock_init(void (*on_timer)(void))
{
    static void (*handler)(void);

    handler = on_timer;
    /* The builder starts a 100 Hz tick on some hypervisors. */
    hypercall_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    if (event_bind_virq(VIRQ_TIMER, timer_event, &handler) < 0) {
        panic("no timer interrupt");
    }
}
