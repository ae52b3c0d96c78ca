/* SPDX-License-Identifier: MIT */
/*
 * The second vcpu_time_info, at an address of the guest's choice: it says what the first one says,
 * follows it while others run in between, and one that is not mapped costs nobody anything.
 */
#include "timearea.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xen/errno.h>
#include <xen/vcpu.h>
#include <xen/xen.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/thread.h>

#define UNMAPPED   0x123456789000UL
#define HYPERVISOR 0xffff820000000000UL

static long set_area(uint64_t va)
{
    struct vcpu_register_time_memory_area area = {.addr.p = va};
    return hypercall_vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &area);
}

/* The vCPU goes off its processor and comes back. */
static void pause_ms(unsigned ms)
{
    thread_sleep_ns(ms * 1000000UL);
}

static bool same_clock(const struct vcpu_time_info *a, const struct vcpu_time_info *b)
{
    return !(a->version & 1) && a->tsc_to_system_mul == b->tsc_to_system_mul &&
           a->tsc_shift == b->tsc_shift && a->flags == b->flags && a->tsc_timestamp &&
           a->system_time;
}

/* Xen writes it once a second only. */
static bool follows(const struct vcpu_time_info *area)
{
    const struct vcpu_time_info *first = &smp_self()->info->time;
    uint64_t before = area->system_time;

    for (unsigned tries = 0; tries < 100 && area->system_time == before; tries++)
        pause_ms(30);
    return area->system_time > before && same_clock(area, first);
}

bool check_time_area(void)
{
    char *page = page_alloc(0);
    struct vcpu_time_info *area = (void *)(page + 64);
    struct vcpu_time_info last;
    bool ok;

    ok =
        set_area((uint64_t)area) == 0 && same_clock(area, &smp_self()->info->time) && follows(area);
    ok = ok && set_area(HYPERVISOR) == -XEN_EFAULT && follows(area);
    ok = ok && set_area(0) == 0;
    last = *area;
    pause_ms(5);
    ok = ok && memcmp(&last, area, sizeof last) == 0;
    ok = ok && set_area(UNMAPPED) == 0;
    pause_ms(5);
    ok = ok && set_area(UNMAPPED - 8) == 0;
    pause_ms(5);
    ok = ok && memcmp(&last, area, sizeof last) == 0 && set_area(0) == 0;
    page_free(page, 0);
    return ok;
}
