/* SPDX-License-Identifier: MIT */
/*
 * Time is the TSC. Its frequency comes from CPUID where that says so, otherwise from a window of
 * some milliseconds of the ACPI PM timer, or of the PIT where there is no PM timer; the local
 * APIC's timer is measured in the same window.
 */
#include "arch/x86/tsc.h"

#include "arch/x86/acpi.h"
#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/log.h"

#define WINDOW_US 5000UL /* a tick of 279 ns in it is 56 ppm; every boot waits so long */
#define PM_HZ     3579545UL
#define PM_MASK   0xffffffu
#define PIT_HZ    1193182UL
#define TRIES     8 /* of each reading; the one with the shortest duration counts */

struct tsc_scale tsc_scale;
static uint64_t tsc_start;

/* tsc_scale again, for ourselves: ns = ((ticks >> down) * factor) >> 32. */
static struct {
    uint64_t factor;
    uint8_t down;
} to_ns;

/* What the counters said at one moment. */
struct sample {
    uint64_t reference, tsc;
    uint32_t apic;
};

static uint64_t pm_read(void)
{
    return arch_in32(acpi.pm_timer) & PM_MASK;
}

/* Channel 2 counts down from 0xffff once (gate on, speaker off). */
static void pit_start(void)
{
    arch_out8(0x61, (uint8_t)((arch_in8(0x61) & ~2) | 1));
    arch_out8(0x43, 0xb0);
    arch_out8(0x42, 0xff);
    arch_out8(0x42, 0xff);
}

static uint64_t pit_read(void)
{
    uint8_t low;

    arch_out8(0x43, 0x80); /* latch */
    low = arch_in8(0x42);
    return 0xffffu - (uint64_t)(low | arch_in8(0x42) << 8);
}

/* Whoever runs below us may stop us between two readings: the quickest of some tries is the truest.
 */
static struct sample take_sample(uint64_t (*reference)(void))
{
    struct sample best = {0};
    uint64_t shortest = ~0UL;

    for (unsigned i = 0; i < TRIES; i++) {
        struct sample s;
        uint64_t before = x86_rdtsc(), after;

        s.reference = reference();
        after = x86_rdtsc();
        s.apic = apic_timer_needs_rate() ? apic_timer_count() : 0;
        s.tsc = before + (after - before) / 2;
        if (x86_rdtsc() - before < shortest) {
            shortest = x86_rdtsc() - before;
            best = s;
        }
    }
    return best;
}

/* Measures both counters against the reference; returns the TSC's kHz. */
static uint64_t measure(void)
{
    uint64_t (*reference)(void) = acpi.pm_timer ? pm_read : pit_read;
    uint64_t hz = acpi.pm_timer ? PM_HZ : PIT_HZ;
    uint64_t ticks = hz * WINDOW_US / 1000000, ns, polls = 0;
    struct sample a, b;

    if (!acpi.pm_timer)
        pit_start();
    if (apic_timer_needs_rate())
        apic_timer_count_start();
    a = take_sample(reference);
    while (((reference() - a.reference) & PM_MASK) < ticks) {
        if (++polls == 100000000)
            panic("no clock to measure the TSC with: neither the ACPI timer nor the PIT counts");
    }
    b = take_sample(reference);
    ns = ((b.reference - a.reference) & PM_MASK) * 1000000000UL / hz;
    if (apic_timer_needs_rate())
        apic_timer_set_rate(b.apic - a.apic, ns);
    return x86_mul_div(b.tsc - a.tsc, 1000000, ns);
}

/* The frequency in kHz as the processor or a hypervisor below us states it; 0: not said. */
static uint64_t stated_khz(void)
{
    struct x86_cpuid r;

    if (cpu.hypervisor && x86_cpuid(0x40000000, 0).a >= 0x40000010 &&
        x86_cpuid(0x40000000, 0).a < 0x40010000) {
        r = x86_cpuid(0x40000010, 0);
        if (r.a >= 100000 && r.a < 10000000)
            return r.a;
    }
    if (cpu.max_leaf >= 0x15) {
        r = x86_cpuid(0x15, 0);
        if (r.a && r.b && r.c)
            return (uint64_t)r.c * r.b / r.a / 1000;
    }
    return 0;
}

uint64_t arch_ticks_per_us;

/* mul / 2^32 * 2^shift ns a tick, with mul's top bit set: the most precise form. */
static void set_scale(uint64_t khz)
{
    /* ns a tick with 32 fraction bits, of which the upper part may be 0: scale numerator or
     * denominator until it is 1/2 .. 1. */
    uint64_t top = 1000000, bottom = khz;
    int shift = 0;

    while (top >= bottom) {
        bottom <<= 1;
        shift++;
    }
    while (top * 2 < bottom) {
        top <<= 1;
        shift--;
    }
    tsc_scale.mul = (uint32_t)((top << 32) / bottom);
    tsc_scale.shift = (int8_t)shift;
    tsc_scale.khz = khz;
    to_ns.down = (uint8_t)(shift < 0 ? -shift : 0);
    to_ns.factor = (uint64_t)tsc_scale.mul << (shift < 0 ? 0 : shift); /* khz >= 1000: 42 bits */
    arch_ticks_per_us = khz / 1000;
}

void tsc_init(void)
{
    uint64_t khz = stated_khz();

    tsc_start = x86_rdtsc();
    if (!khz || apic_timer_needs_rate()) {
        uint64_t measured = measure();
        khz = khz ? khz : measured;
    }
    if (khz < 1000)
        panic("the TSC runs at %lu kHz: not usable as a clock", khz);
    set_scale(khz);
}

/* As a guest computes it from vcpu_time_info, to the last bit. */
uint64_t tsc_to_ns(uint64_t tsc)
{
    return (uint64_t)((unsigned __int128)((tsc - tsc_start) >> to_ns.down) * to_ns.factor >> 32);
}

uint64_t tsc_of_ns(uint64_t ns)
{
    uint64_t high = ns / 1000000, ticks;

    if (__builtin_mul_overflow(high, tsc_scale.khz, &ticks) ||
        __builtin_add_overflow(ticks, ns % 1000000 * tsc_scale.khz / 1000000 + 1, &ticks) ||
        __builtin_add_overflow(ticks, tsc_start, &ticks))
        return ~0UL;
    return ticks;
}

uint64_t arch_ticks(void)
{
    return x86_rdtsc();
}

uint64_t arch_time_ns(void)
{
    return tsc_to_ns(x86_rdtsc());
}
