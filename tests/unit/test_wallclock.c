/* SPDX-License-Identifier: MIT */
/*
 * Dates against the host's own calendar, and what a domain is shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "hv/wallclock.h"

static struct shared_info shared[2];
static struct domain domains[2] = {{.id = 0, .shared = &shared[0]},
                                   {.id = 5, .shared = &shared[1]}};
static struct wallclock_date rtc;
static bool rtc_works;

bool arch_read_rtc(struct wallclock_date *date)
{
    *date = rtc;
    return rtc_works;
}

uint64_t arch_time_ns(void)
{
    return 2500000000;
}

struct domain *domain_next(domid_t id)
{
    return id == 0 ? &domains[0] : id <= 5 ? &domains[1] : NULL;
}

void domain_put(struct domain *d)
{
    (void)d;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

static void test_every_day(void **state)
{
    (void)state;
    for (int64_t t = 0; t < 16000000000; t += 86399) {
        time_t host = t;
        struct tm tm;
        struct wallclock_date d;
        uint64_t seconds;

        gmtime_r(&host, &tm);
        d = (struct wallclock_date){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                                    tm.tm_hour,        tm.tm_min,     tm.tm_sec};
        assert_true(wallclock_seconds(&d, &seconds));
        assert_int_equal(seconds, t);
    }
}

static void test_no_dates(void **state)
{
    const struct wallclock_date bad[] = {
        {2023, 2, 29, 0, 0, 0},          {2100, 2, 29, 0, 0, 0}, {2024, 13, 1, 0, 0, 0},
        {2024, 0, 1, 0, 0, 0},           {2024, 4, 31, 0, 0, 0}, {2024, 1, 0, 0, 0, 0},
        {2024, 1, 1, 24, 0, 0},          {2024, 1, 1, 0, 60, 0}, {1969, 1, 1, 0, 0, 0},
        {2165, 165, 165, 165, 165, 165},
    };
    uint64_t seconds;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(wallclock_seconds(&bad[i], &seconds));
    assert_true(wallclock_seconds(&(struct wallclock_date){2000, 2, 29, 23, 59, 59}, &seconds));
}

static void test_shown(void **state)
{
    (void)state;
    rtc = (struct wallclock_date){2024, 1, 1, 0, 0, 10};
    rtc_works = true;
    wallclock_init();
    wallclock_show(&domains[0]);
    assert_int_equal(shared[0].wc_sec, 1704067210 - 3);
    assert_int_equal(shared[0].wc_nsec, 500000000);
    assert_int_equal(shared[0].wc_version & 1, 0);
    assert_true(shared[0].wc_version > 0);

    domains[1].time_offset = (uint64_t)-3600;
    wallclock_set(5000000000, 7, 1000000000);
    assert_int_equal(shared[0].wc_sec | (uint64_t)shared[0].wc_sec_hi << 32, 4999999999);
    assert_int_equal(shared[0].wc_nsec, 7);
    assert_int_equal(shared[1].wc_sec | (uint64_t)shared[1].wc_sec_hi << 32, 4999996399);
    assert_int_equal(shared[1].wc_version & 1, 0);

    rtc_works = false;
    wallclock_init();
    wallclock_show(&domains[0]);
    assert_int_equal(shared[0].wc_sec, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_no_dates),
        cmocka_unit_test(test_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
