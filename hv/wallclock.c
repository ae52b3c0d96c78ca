/* SPDX-License-Identifier: MIT */
#include "hv/wallclock.h"

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/log.h"

#define NS_PER_S 1000000000UL

static uint64_t base_ns; /* time of day at system time 0, ns since 1970: enough until 2554 */

bool wallclock_seconds(const struct wallclock_date *d, uint64_t *seconds)
{
    static const uint16_t days_before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    static const uint8_t month_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t years, leap_days, days;
    bool leap;

    if (d->year < 1970 || d->year > 2500 || d->month < 1 || d->month > 12 || d->day < 1 ||
        d->day > month_days[d->month - 1] || d->hour > 23 || d->minute > 59 || d->second > 60)
        return false;
    leap = (d->year % 4 == 0 && d->year % 100) || d->year % 400 == 0;
    if (d->month == 2 && d->day == 29 && !leap)
        return false;
    years = d->year - 1970;
    /* Leap years from 1970 up to last year. */
    leap_days = (d->year - 1) / 4 - (d->year - 1) / 100 + (d->year - 1) / 400 -
                (1969 / 4 - 1969 / 100 + 1969 / 400);
    days =
        years * 365 + leap_days + days_before[d->month - 1] + (leap && d->month > 2) + d->day - 1;
    *seconds = ((days * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
    return true;
}

void wallclock_show(struct domain *d)
{
    uint64_t now = base_ns + d->time_offset * NS_PER_S;
    struct shared_info *s = d->shared;

    /* An odd version tells a reader to look again; it pairs with the reader's second look. */
    __atomic_store_n(&s->wc_version, s->wc_version | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    s->wc_sec = (uint32_t)(now / NS_PER_S);
    s->wc_sec_hi = (uint32_t)(now / NS_PER_S >> 32);
    s->wc_nsec = (uint32_t)(now % NS_PER_S);
    __atomic_store_n(&s->wc_version, s->wc_version + 1, __ATOMIC_RELEASE);
}

void wallclock_set(uint64_t seconds, uint32_t ns, uint64_t at_ns)
{
    struct domain *d;
    unsigned id = 0;

    base_ns = seconds * NS_PER_S + ns - at_ns;
    while (id < DOMID_FIRST_RESERVED && (d = domain_next((domid_t)id))) {
        id = d->id + 1u;
        wallclock_show(d);
        domain_put(d);
    }
}

void wallclock_init(void)
{
    struct wallclock_date date;
    uint64_t seconds = 0;

    if (!arch_read_rtc(&date) || !wallclock_seconds(&date, &seconds))
        log_warn("the machine's clock shows no date: time begins in 1970\n");
    base_ns = seconds * NS_PER_S - (seconds ? arch_time_ns() : 0);
}
