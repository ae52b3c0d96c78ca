/* SPDX-License-Identifier: MIT */
/*
 * The time of day: read once from the machine's clock, corrected by domain 0, shown to each domain
 * in its shared_info as the time at system time 0 (<xen/xen.h>, wc_sec). Seconds since 1970, UTC.
 *
 * Changes are serialised by the control lock, or by booting.
 */
#ifndef HV_WALLCLOCK_H
#define HV_WALLCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct domain;

struct wallclock_date {
    unsigned year, month, day; /* 1970.., 1..12, 1..31 */
    unsigned hour, minute, second;
};

/* False if it is no date. */
bool wallclock_seconds(const struct wallclock_date *date, uint64_t *seconds);

void wallclock_init(void); /* at boot: from arch_read_rtc() */
/* It was `seconds` and `ns` (< 10^9) at system time `at_ns`; every domain is told. */
void wallclock_set(uint64_t seconds, uint32_t ns, uint64_t at_ns);
/* Writes d's shared_info: a new domain, or a new d->time_offset. */
void wallclock_show(struct domain *d);

#endif
