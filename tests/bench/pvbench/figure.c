/* SPDX-License-Identifier: MIT */
#include "figure.h"

#include "text.h"

#define LOOP_INSNS 2000000 /* in the calibration loop */
#define TSC_PER_MS 2600000 /* nominal, without -icount */
#define KILO       1000

uint64_t figure_samples[FIGURE_SAMPLES];
uint64_t figure_overhead;

static uint64_t ticks_per_kinsn;
static bool icount;

bool figure_icount(void)
{
    return icount;
}

uint64_t figure_ticks_per_ms(void)
{
    return icount ? ticks_per_kinsn * KILO : TSC_PER_MS;
}

void figure_sort(uint64_t *samples, int n)
{
    for (int gap = n / 2; gap; gap /= 2) {
        for (int i = gap; i < n; i++) {
            uint64_t value = samples[i];
            int j = i;

            for (; j >= gap && samples[j - gap] > value; j -= gap) {
                samples[j] = samples[j - gap];
            }
            samples[j] = value;
        }
    }
}

/* Ticks of `per` operations to tenths of a unit an operation. */
static long tenths_per_operation(long ticks, int per)
{
    if (icount) {
        return ticks * 10 * KILO / (long)(ticks_per_kinsn * (uint64_t)per);
    }
    return ticks * 10 / per;
}

static const char *unit(void)
{
    return icount ? "insn" : "tsc";
}

void figure_value(const char *name, const char *suffix, long tenths, const char *unit)
{
    text_string("BENCH ");
    text_string(name);
    text_string(suffix);
    text_char(' ');
    if (tenths < 0) {
        text_char('-');
        tenths = -tenths;
    }
    text_decimal(tenths / 10);
    text_char('.');
    text_char((char)('0' + tenths % 10));
    text_char(' ');
    text_string(unit);
    text_char('\n');
}

void figure_refused(const char *name, long rc)
{
    text_string("BENCH ");
    text_string(name);
    text_string(" unsupported ");
    text_decimal(rc);
    text_char('\n');
}

void figure_ticks(const char *name, uint64_t ticks, int per)
{
    figure_value(name, "", tenths_per_operation((long)ticks, per), unit());
}

void figure_report_from(const char *name, uint64_t *samples, int n, int per, uint64_t overhead)
{
    figure_sort(samples, n);
    figure_value(name, ".min", tenths_per_operation((long)(samples[0] - overhead), per), unit());
    figure_value(name, ".med", tenths_per_operation((long)(samples[n / 2] - overhead), per),
                 unit());
}

void figure_report(const char *name, int n, int per)
{
    figure_report_from(name, figure_samples, n, per, figure_overhead);
}

void figure_report_ns(const char *name, uint64_t *samples, int n)
{
    figure_sort(samples, n);
    figure_value(name, ".min", (long)samples[0] * 10, "ns");
    figure_value(name, ".med", (long)samples[n / 2] * 10, "ns");
    figure_value(name, ".max", (long)samples[n - 1] * 10, "ns");
}

/* The best of a few runs: an interrupt may come into one. */
static uint64_t time_of_loop(void)
{
    uint64_t best = ~0UL;

    for (int run = 0; run < 5; run++) {
        uint64_t count = LOOP_INSNS / 2, start = cpu_tsc(), ticks;

        asm volatile("1: dec %0; jnz 1b" : "+r"(count));
        ticks = cpu_tsc() - start;
        best = ticks < best ? ticks : best;
    }
    return best;
}

void figure_calibrate(void)
{
    uint64_t ticks = time_of_loop(), per_insn;

    ticks_per_kinsn = (ticks + KILO) / (LOOP_INSNS / KILO);
    ticks_per_kinsn = ticks_per_kinsn ? ticks_per_kinsn : 1;
    /* -icount makes it a power of two, but for interrupts exactly. */
    per_insn = (ticks_per_kinsn + KILO / 2) / KILO;
    icount = per_insn && !(per_insn & (per_insn - 1)) && ticks_per_kinsn > per_insn * 999 &&
             ticks_per_kinsn < per_insn * 1001;
    if (icount) {
        ticks_per_kinsn = per_insn * KILO;
    }
    for (int i = 0; i < 64; i++) {
        uint64_t start = cpu_tsc(), end = cpu_tsc();

        figure_samples[i] = end - start;
    }
    figure_sort(figure_samples, 64);
    figure_overhead = figure_samples[32];
    figure_value("calib.ticks_per_kinsn", "", (long)(ticks / (LOOP_INSNS / KILO)) * 10, "ticks");
    text_info("icount", icount);
    figure_value("calib.rdtsc_pair", "", (long)figure_overhead * 10, "ticks");
}
