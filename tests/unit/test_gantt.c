/* SPDX-License-Identifier: MIT */
/* The chart of a trace, and the bytes of a trace file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>
#include <xen/vcpu.h>
#include "dom0/trace/gantt.h"
#include "dom0/trace/tracefile.h"

#define MS  1000000UL
#define ROW (GANTT_COLUMNS + 1)

static struct gantt g;

static void change(unsigned pcpu, uint64_t at, uint32_t domid, int from, int to)
{
    struct trace_record r = {.header = TRACE_HEADER(TRACE_RUNSTATE(from, to), 1),
                             .time_lo = (uint32_t)at,
                             .time_hi = (uint32_t)(at >> 32),
                             .word = {TRACE_VCPU(domid, 0)}};

    assert_int_equal(gantt_add(&g, pcpu, &r), 0);
}

static void state(unsigned pcpu, uint64_t at, uint32_t domid, int is, uint64_t since)
{
    struct trace_record r = {.header = TRACE_HEADER(TRACE_STATE, 4),
                             .time_lo = (uint32_t)at,
                             .time_hi = (uint32_t)(at >> 32),
                             .word = {TRACE_VCPU(domid, 0), (uint32_t)is << 16 | pcpu,
                                      (uint32_t)since, (uint32_t)(since >> 32)}};

    assert_int_equal(gantt_add(&g, 63 - pcpu, &r), 0); /* wherever it was written down */
}

static int setup(void **unused)
{
    (void)unused;
    return gantt_init(&g, 100 * MS, 160 * MS, 2); /* a millisecond a column */
}

static int teardown(void **unused)
{
    (void)unused;
    gantt_free(&g);
    return 0;
}

static const char *pcpu_row(unsigned pcpu)
{
    static char row[ROW];

    gantt_pcpu_row(&g, pcpu, row);
    return row;
}

static const char *vcpu_row(size_t lane)
{
    static char row[ROW];

    assert_true(lane < g.lanes);
    gantt_vcpu_row(&g, &g.lane[lane], row);
    return row;
}

static void test_turns(void **unused)
{
    (void)unused;
    state(0, 90 * MS, 5, RUNSTATE_runnable, 80 * MS);
    change(0, 95 * MS, 2, RUNSTATE_runnable, RUNSTATE_running);
    change(0, 110 * MS, 2, RUNSTATE_running, RUNSTATE_runnable);
    change(0, 110 * MS, 5, RUNSTATE_runnable, RUNSTATE_running);
    change(0, 130 * MS, 5, RUNSTATE_running, RUNSTATE_blocked);
    change(0, 130 * MS, 2, RUNSTATE_runnable, RUNSTATE_running);
    gantt_end(&g, 150 * MS);
    assert_string_equal(pcpu_row(0),
                        "aaaaaaaaaabbbbbbbbbbbbbbbbbbbbaaaaaaaaaaaaaaaaaaaa..........");
    assert_string_equal(pcpu_row(1),
                        "............................................................");
    assert_string_equal(vcpu_row(0),
                        "##########--------------------####################          ");
    assert_string_equal(vcpu_row(1),
                        "----------####################                              ");
    assert_int_equal(g.lane[0].ran, 30 * MS);
    assert_int_equal(g.lane[0].waited, 20 * MS);
    assert_int_equal(g.lane[1].ran, 20 * MS);
    assert_int_equal(g.busy[0], 50 * MS);
    assert_int_equal(g.busy[1], 0);
}

/* Nothing happens in the window, or nothing at all: what the marks say. */
static void test_lone_runner(void **unused)
{
    (void)unused;
    change(1, 50 * MS, 0, RUNSTATE_blocked, RUNSTATE_running);
    state(0, 160 * MS, 7, RUNSTATE_running, 3 * MS);
    gantt_end(&g, 160 * MS);
    for (unsigned c = 0; c < GANTT_COLUMNS; c++) {
        assert_int_equal(pcpu_row(0)[c], 'a');
        assert_int_equal(pcpu_row(1)[c], '0');
        assert_int_equal(vcpu_row(0)[c], '#');
    }
    assert_int_equal(g.busy[0], 60 * MS);
}

/* A state that is told in the middle changes nothing that is known. */
static void test_mark_of_a_known_one(void **unused)
{
    (void)unused;
    change(0, 100 * MS, 1, RUNSTATE_runnable, RUNSTATE_running);
    state(0, 120 * MS, 1, RUNSTATE_running, 100 * MS);
    change(0, 130 * MS, 1, RUNSTATE_running, RUNSTATE_blocked);
    gantt_end(&g, 160 * MS);
    assert_int_equal(g.lane[0].ran, 30 * MS);
}

/* Of what happens within a column the longest is shown. */
static void test_parts_of_a_column(void **unused)
{
    const uint64_t part = MS / 10;

    (void)unused;
    for (unsigned i = 0; i < 600; i++) {
        uint64_t at = 100 * MS + i * part;

        if (i % 10 == 0) /* domain 2: four parts, domain 1: one, idle: five */
            change(0, at, 2, RUNSTATE_blocked, RUNSTATE_running);
        if (i % 10 == 4) {
            change(0, at, 2, RUNSTATE_running, RUNSTATE_blocked);
            change(0, at, 1, RUNSTATE_blocked, RUNSTATE_running);
        }
        if (i % 10 == 5)
            change(0, at, 1, RUNSTATE_running, RUNSTATE_blocked);
    }
    gantt_end(&g, 160 * MS);
    assert_int_equal(pcpu_row(0)[10], '.'); /* it idled longest */
    assert_int_equal(vcpu_row(0)[10], '+');
    assert_int_equal(vcpu_row(1)[10], '+');
    assert_int_equal(g.busy[0], 30 * MS);
}

static void test_letters(void **unused)
{
    (void)unused;
    for (uint32_t d = 60; d > 0; d--) /* in any order */
        change(0, 100 * MS + 60 - d, 10 * d, RUNSTATE_running, RUNSTATE_blocked);
    change(0, 101 * MS, 0, RUNSTATE_running, RUNSTATE_blocked);
    assert_int_equal(g.lanes, 61);
    assert_int_equal(gantt_letter(&g, 0), '0');
    assert_int_equal(gantt_letter(&g, 10), 'a');
    assert_int_equal(gantt_letter(&g, 260), 'z');
    assert_int_equal(gantt_letter(&g, 270), 'A');
    assert_int_equal(gantt_letter(&g, 520), 'Z');
    assert_int_equal(gantt_letter(&g, 530), '*');
    assert_int_equal(gantt_letter(&g, 4711), '*');
}

/* Whatever a record says, nothing is written out of place (the sanitizers look). */
static void test_any_record(void **unused)
{
    uint32_t seed = 1;

    (void)unused;
    for (unsigned i = 0; i < 200000; i++) {
        struct trace_record r;
        uint8_t out[TRACEFILE_RECORD_MAX];

        for (unsigned k = 0; k < sizeof r / 4; k++) {
            seed = seed * 1664525 + 1013904223;
            ((uint32_t *)&r)[k] = seed ^ seed >> 16;
        }
        if (i % 2)
            r.header = TRACE_HEADER(
                i % 4 == 1 ? TRACE_RUNSTATE(seed >> 20 & 15, seed >> 12 & 15) : TRACE_STATE, 1);
        r.word[0] &= 0x00070007;
        r.time_hi = 0;
        assert_int_equal(gantt_add(&g, seed >> 8 & 1, &r), 0);
        assert_true(tracefile_record(out, &r) <= sizeof out);
    }
    gantt_end(&g, UINT64_MAX);
    for (size_t i = 0; i < g.lanes; i++)
        assert_int_equal(strlen(vcpu_row(i)), GANTT_COLUMNS);
    assert_int_equal(strlen(pcpu_row(1)), GANTT_COLUMNS);
}

/* ---- the file ---- */

static void test_record_bytes(void **unused)
{
    struct trace_record r = {.header = TRACE_HEADER(TRC_SCHED_WAKE, 2),
                             .time_lo = 1,
                             .time_hi = 2,
                             .word = {3, 4, 99, 99, 99}};
    static const uint32_t wanted[] = {0xa0028004, 1, 2, 3, 4};
    uint8_t out[TRACEFILE_RECORD_MAX];

    (void)unused;
    assert_int_equal(tracefile_record(out, &r), sizeof wanted);
    assert_memory_equal(out, wanted, sizeof wanted);
}

static void test_names(void **unused)
{
    static const uint32_t short_one[] = {0x58001002, 9, 0x656d616e, 0, 0, 0};
    uint8_t out[4 * TRACEFILE_RECORD_MAX];
    char longest[100];

    (void)unused;
    assert_int_equal(tracefile_name(out, 9, "name"), sizeof short_one);
    assert_memory_equal(out, short_one, sizeof short_one);
    assert_int_equal(tracefile_name(out, 9, ""), sizeof short_one);
    assert_int_equal(tracefile_name(out, 9, "0123456789abcdef"), sizeof short_one);
    assert_int_equal(tracefile_name(out, 9, "0123456789abcdefg"), 2 * sizeof short_one);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(tracefile_name(out, 9, longest), 4 * sizeof short_one);
}

static void test_heads(void **unused)
{
    static const uint32_t piece[] = {0x2001f003, 5, 4096};
    static const uint32_t head[] = {0x48001001, 1, 4, 6, 7};
    uint8_t out[TRACEFILE_RECORD_MAX];

    (void)unused;
    assert_int_equal(tracefile_piece(out, 5, 4096), sizeof piece);
    assert_memory_equal(out, piece, sizeof piece);
    assert_int_equal(tracefile_head(out, 4, 7UL << 32 | 6), sizeof head);
    assert_memory_equal(out, head, sizeof head);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_turns),
        T(test_lone_runner),
        T(test_mark_of_a_known_one),
        T(test_parts_of_a_column),
        T(test_letters),
        T(test_any_record),
        cmocka_unit_test(test_record_bytes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
