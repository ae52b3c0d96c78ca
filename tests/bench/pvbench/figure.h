/* SPDX-License-Identifier: MIT */
/*
 * Figures: samples in ticks of the TSC in, lines `BENCH name value unit` out. For all bench_*.c.
 *
 * Under QEMU's -icount the TSC advances by a power of two an instruction; figure_calibrate() finds
 * that out with a loop of known length, and values are then instructions (`insn`) an operation.
 * Otherwise they are ticks (`tsc`). The cost of an empty sample is taken off.
 */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

#define FIGURE_SAMPLES 2048
#define FIGURE_WARM_UP 8 /* samples thrown away first by MEASURE */

extern uint64_t figure_samples[FIGURE_SAMPLES];
extern uint64_t figure_overhead; /* an empty sample, ticks */

/* Must come before any figure. Prints calib.* lines. */
void figure_calibrate(void);

bool figure_icount(void);           /* values are instructions */
uint64_t figure_ticks_per_ms(void); /* of nominal time: 1 ns an instruction, or a 2.6 GHz TSC */

/*
 * Sorts `n` samples of `per` operations each and prints NAME.min and NAME.med, an operation.
 * `overhead` (ticks) is taken off each sample.
 */
void figure_report_from(const char *name, uint64_t *samples, int n, int per, uint64_t overhead);

/* The same of figure_samples, less figure_overhead. */
void figure_report(const char *name, int n, int per);

/* One line with a value in tenths of `unit`; the name is `name` and `suffix` together. */
void figure_value(const char *name, const char *suffix, long tenths, const char *unit);

/* The same, of a time in ticks, `per` operations long; the unit is insn or tsc. */
void figure_ticks(const char *name, uint64_t ticks, int per);

/* As figure_report_from(), of nanoseconds, with a NAME.max. */
void figure_report_ns(const char *name, uint64_t *samples, int n);

/* One line `BENCH name unsupported rc`: the hypervisor refused with rc. */
void figure_refused(const char *name, long rc);

/* Ascending. */
void figure_sort(uint64_t *samples, int n);

/* Runs statements n times, reports them as NAME; each run is `per` operations. */
#define MEASURE(name, n, per, ...)                                   \
    do {                                                             \
        for (int i_ = 0; i_ < (n) + FIGURE_WARM_UP; i_++) {          \
            uint64_t start_ = cpu_tsc();                             \
            __VA_ARGS__;                                             \
            uint64_t end_ = cpu_tsc();                               \
            if (i_ >= FIGURE_WARM_UP)                                \
                figure_samples[i_ - FIGURE_WARM_UP] = end_ - start_; \
        }                                                            \
        figure_report(name, n, per);                                 \
    } while (0)

#endif
