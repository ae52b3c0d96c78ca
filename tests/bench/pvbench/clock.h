/* SPDX-License-Identifier: MIT */
/*
 * System time, for the bench_*.c, from vCPU 0's time record (<xen/xen.h>, struct vcpu_time_info).
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>

/* System time in nanoseconds at a reading of the TSC, of this vCPU, not long ago. */
uint64_t clock_ns_at(uint64_t tsc);

/* VCPUOP_set_singleshot_timer of vCPU 0, absolute; 0 or an error. */
long clock_set_timer(uint64_t ns);

/* Binds and unmasks VIRQ_TIMER, once: its port, or an error. */
long clock_timer_port(void);

#endif
