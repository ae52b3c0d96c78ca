/* SPDX-License-Identifier: MIT */
/* top as text: columns, summary, order; and the keys of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xen/domctl.h>
#include <xen/sched.h>

#include "dom0/cli/termkeys.h"
#include "dom0/cli/topview.h"

static const struct top_machine machine = {.version = "4.17.0-penumbra",
                                           .seconds = 20000ull * 86400 + 3723,
                                           .total_kib = 1048576,
                                           .free_kib = 524287,
                                           .cpus = 2,
                                           .mhz = 2400};

static const struct top_domain world[] = {
    {.id = 0,
     .name = "Domain-0",
     .flags = XEN_DOMINF_running,
     .cpu_ns = 7999999999,
     .cpu_tenths = 24,
     .mem_kib = 131072,
     .max_kib = TOPVIEW_UNLIMITED,
     .vcpus = 1},
    {.id = 3,
     .name = "a-long-name-of-a-domain",
     .flags = XEN_DOMINF_blocked,
     .cpu_ns = 123456000000000,
     .cpu_tenths = 1999,
     .mem_kib = 16384,
     .max_kib = 17408,
     .vcpus = 32,
     .vbds = 2,
     .reads = 1,
     .writes = 22,
     .sectors_read = 333,
     .sectors_written = 4444},
    {.id = 5,
     .name = "b",
     .flags = XEN_DOMINF_shutdown | SHUTDOWN_crash << XEN_DOMINF_shutdownshift | XEN_DOMINF_paused |
              XEN_DOMINF_dying,
     .mem_kib = 16384,
     .max_kib = 17408},
};

#define COUNT 3
static const struct top_domain *order[COUNT];

static void reset(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        order[i] = &world[i];
}

static void test_summary(void **state)
{
    char line[TOPVIEW_LINE_MAX];

    (void)state;
    reset();
    topview_summary(&machine, order, COUNT, 0, line);
    assert_string_equal(line, "xentop - 01:02:03   Xen 4.17.0-penumbra");
    topview_summary(&machine, order, COUNT, 1, line);
    assert_string_equal(line, "3 domains: 1 running, 1 blocked, 1 paused, 1 crashed, 1 dying, "
                              "1 shutdown");
    topview_summary(&machine, order, COUNT, 2, line);
    assert_string_equal(line, "Mem: 1048576k total, 524289k used, 524287k free    "
                              "CPUs: 2 @ 2400MHz");
}

static void test_rows(void **state)
{
    static const char *const rows[COUNT] = {
        "  Domain-0 -----r          7    2.4     131072   12.5   no limit       n/a     1    0"
        "        0        0    0        0        0        0          0          0    0",
        "a-long-nam --b---     123456  199.9      16384    1.6      17408       1.7    32    0"
        "        0        0    2        0        1       22        333       4444    0",
        "         b ds-cp-          0    0.0      16384    1.6      17408       1.7     0    0"
        "        0        0    0        0        0        0          0          0    0",
    };
    char line[TOPVIEW_LINE_MAX], heading[TOPVIEW_LINE_MAX];
    unsigned from, to, width;

    (void)state;
    reset();
    width = topview_name_width(order, COUNT, false);
    topview_heading(width, TOP_CPU_PCT, heading, &from, &to);
    assert_string_equal(heading,
                        "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) "
                        "MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR "
                        " VBD_RSECT  VBD_WSECT SSID");
    assert_int_equal(to - from, 6);
    assert_memory_equal(heading + from, "CPU(%)", 6);
    for (unsigned i = 0; i < COUNT; i++) {
        topview_row(&machine, order[i], width, line);
        assert_string_equal(line, rows[i]);
        assert_int_equal(strlen(line), strlen(heading));
    }
    topview_heading(width, TOP_ID, heading, &from, &to);
    assert_int_equal(to, from);

    width = topview_name_width(order, COUNT, true);
    topview_heading(width, TOP_NAME, heading, &from, &to);
    assert_memory_equal(heading + from, "NAME", 4);
    topview_row(&machine, order[1], width, line);
    assert_memory_equal(line, "a-long-name-of-a-domain --b---", 30);
    assert_int_equal(strlen(line), strlen(heading));
}

/* The largest values that there can be run the columns apart but not over. */
static void test_largest(void **state)
{
    struct top_domain d;
    struct top_machine m = machine;
    char line[TOPVIEW_LINE_MAX];

    (void)state;
    memset(&d, 0xff, sizeof d);
    memset(d.name, 'x', sizeof d.name);
    d.name[sizeof d.name - 1] = 0;
    d.max_kib = UINT64_MAX - 1;
    m.total_kib = 1;
    topview_row(&m, &d, 63, line);
    assert_true(strlen(line) < TOPVIEW_LINE_MAX);
}

static void test_tenths(void **state)
{
    (void)state;
    assert_int_equal(topview_tenths(0, 0), 0);
    assert_int_equal(topview_tenths(5, 0), 0);
    assert_int_equal(topview_tenths(1, 1), 1000);
    assert_int_equal(topview_tenths(1, 3), 333);
    assert_int_equal(topview_tenths(2, 3), 667);
    assert_int_equal(topview_tenths(64000000000, 1000000000), 64000);
    assert_int_equal(topview_tenths(UINT64_MAX / 2, UINT64_MAX), 500);
}

static void sorted(enum top_field by, unsigned first, unsigned second, unsigned third)
{
    topview_sort(order, COUNT, by);
    assert_ptr_equal(order[0], &world[first]);
    assert_ptr_equal(order[1], &world[second]);
    assert_ptr_equal(order[2], &world[third]);
}

static void test_sort(void **state)
{
    (void)state;
    reset();
    sorted(TOP_CPU, 1, 0, 2);
    sorted(TOP_ID, 0, 1, 2);
    sorted(TOP_NAME, 0, 1, 2);
    sorted(TOP_STATE, 0, 1, 2);
    sorted(TOP_CPU_PCT, 1, 0, 2);
    sorted(TOP_MEM, 0, 1, 2);
    sorted(TOP_MAX_PCT, 0, 1, 2);
    sorted(TOP_VCPUS, 1, 0, 2);
    sorted(TOP_VBD_WSECT, 1, 0, 2);
    for (unsigned by = TOP_ID; by < TOP_FIELDS; by++) {
        topview_sort(order, COUNT, (enum top_field)by);
        assert_true(*topview_field_name((enum top_field)by));
    }
    sorted(TOP_SSID, 0, 1, 2); /* all alike: by number */
    topview_sort(order, 0, TOP_CPU);
}

/* The keys of a text, as characters; u d U D h e for the named ones, R for a report. */
static const char *keys(struct termkeys *k, const char *text)
{
    static char out[64];
    size_t used = 0;

    for (; *text; text++) {
        int key = termkeys_feed(k, (unsigned char)*text);

        if (key != TERMKEYS_NONE)
            out[used++] = key < 256 ? (char)key : "udUDheR"[key - TERMKEYS_UP];
    }
    out[used] = 0;
    return out;
}

static void test_keys(void **state)
{
    struct termkeys k = {0};

    (void)state;
    assert_string_equal(keys(&k, "qS\r"), "qS\r");
    assert_string_equal(keys(&k, "\x1b[A\x1b[B\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1~\x1b[4~"),
                        "udUDhehe");
    assert_string_equal(keys(&k, "\x1bOA\x1bOBx"), "udx");
    assert_string_equal(keys(&k, "\x1b[24;80R"), "R");
    assert_int_equal(k.rows, 24);
    assert_int_equal(k.columns, 80);
    /* Parts, pieces and nonsense. */
    assert_string_equal(keys(&k, "\x1b[5"), "");
    assert_string_equal(keys(&k, "0;1"), "");
    assert_string_equal(keys(&k, "70Rq"), "Rq");
    assert_int_equal(k.rows, 50);
    assert_int_equal(k.columns, 170);
    assert_string_equal(keys(&k, "\x1b[R\x1b[5R\x1b[0;9R\x1b[;R"), "");
    assert_int_equal(k.rows, 50);
    assert_string_equal(keys(&k, "\x1b[99999999999999;1;2;3;4R"), "R");
    assert_string_equal(keys(&k, "\x1b[12\x03q"), "\x03q");
    assert_string_equal(keys(&k, "\x1b\x1b[Ax\x1bxq"), "uxq");
    assert_string_equal(keys(&k, "\x1b[?1;2cq\x1b[200~z"), "qz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary), cmocka_unit_test(test_rows), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_tenths),  cmocka_unit_test(test_sort), cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
