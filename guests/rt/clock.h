/* SPDX-License-Identifier: MIT */
/*
 * Time, from the paravirtual clock in vcpu_info (TSC scaled by the hypervisor's factors) and the
 * wall clock in shared_info. Usable anywhere, on any vCPU, in event handlers too.
 */
#ifndef RT_CLOCK_H
#define RT_CLOCK_H

#include <stdint.h>

/* System time: nanoseconds since the hypervisor started. On one vCPU it never goes back. */
uint64_t clock_ns(void);

/* Time of day (UTC) in seconds since 1970 and nanoseconds; either pointer may be NULL. */
void clock_wall(uint64_t *sec, uint32_t *nsec);

/* For the thread scheduler alone: arms vCPU 0's timer for the system time `deadline_ns`, in place
 * of the one before (UINT64_MAX: none). A past deadline fires at once. */
void clock_set_timer(uint64_t deadline_ns);

/* Set-up, called once by the runtime. */
void clock_init(void (*on_timer)(void));

#endif
