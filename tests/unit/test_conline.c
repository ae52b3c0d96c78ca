/* SPDX-License-Identifier: MIT */
/*
 * Guests' output: lines whole, control bytes harmless, a flood bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/console_line.h"

#define SECOND 1000000000UL

static struct console_line c;
static char printed[1 << 20];
static size_t bytes_printed, lines;

static void sink(void *context, const char *line)
{
    assert_ptr_equal(context, &c);
    assert_true(strlen(line) < sizeof c.line);
    for (const char *p = line; *p; p++)
        assert_in_range(*p, ' ', '~');
    bytes_printed +=
        (size_t)snprintf(printed + bytes_printed, sizeof printed - bytes_printed, "%s\n", line);
    lines++;
}

static void put(const char *text, uint64_t now)
{
    console_line_put(&c, text, strlen(text), now, sink, &c);
}

static int setup(void **state)
{
    (void)state;
    memset(&c, 0, sizeof c);
    printed[0] = 0;
    bytes_printed = lines = 0;
    return 0;
}

static void test_lines(void **state)
{
    (void)state;
    put("hel", 1);
    assert_int_equal(lines, 0);
    put("lo\r\nwor", 1);
    assert_string_equal(printed, "hello\n");
    put("ld\n\n", 1);
    assert_string_equal(printed, "hello\nworld\n\n");
    put("last", 2);
    console_line_flush(&c, 2, sink, &c);
    console_line_flush(&c, 2, sink, &c);
    assert_string_equal(printed, "hello\nworld\n\nlast\n");
}

static void test_escapes(void **state)
{
    (void)state;
    console_line_put(&c, "\0\x1b[2J\t\x7f\xff\b\n", 10, 1, sink, &c);
    assert_string_equal(printed, "\\x00\\x1b[2J \\x7f\\xff\\x08\n");
}

static void test_long_lines(void **state)
{
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text);
    console_line_put(&c, text, sizeof text, 1, sink, &c);
    put("\n", 1);
    assert_int_equal(bytes_printed, 1000 + lines);
    assert_in_range(lines, 6, 8);
    setup(NULL);
    memset(text, 1, sizeof text); /* four characters each */
    console_line_put(&c, text, sizeof text, 1, sink, &c);
    put("\n", 1);
    assert_int_equal(bytes_printed, 4000 + lines);
}

static void test_flood(void **state)
{
    size_t first;
    uint64_t now = SECOND;

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        put("a line of a flood\n", now);
    assert_in_range(bytes_printed, CONSOLE_LINE_BURST - 20, CONSOLE_LINE_BURST);
    first = bytes_printed;
    assert_true(c.dropped > 5000);
    /* A second later: the note and a second's worth. */
    now += SECOND;
    for (unsigned i = 0; i < 10000; i++)
        put("a line of a flood\n", now);
    assert_non_null(strstr(printed, "lines lost: too much output>\na line"));
    assert_in_range(bytes_printed - first, CONSOLE_LINE_RATE - 100, CONSOLE_LINE_RATE + 100);
    /* Small steps of time add up. */
    first = bytes_printed;
    for (unsigned i = 0; i < 100000; i++) {
        now += SECOND / 100000;
        put("a line of a flood\n", now);
    }
    assert_in_range(bytes_printed - first, CONSOLE_LINE_RATE / 2, CONSOLE_LINE_RATE * 13 / 10);
    /* A long silence gives one burst, not more. */
    first = bytes_printed;
    now += 1000000 * SECOND;
    for (unsigned i = 0; i < 10000; i++)
        put("a line of a flood\n", now);
    assert_in_range(bytes_printed - first, CONSOLE_LINE_BURST - 100, CONSOLE_LINE_BURST + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_escapes, setup),
        cmocka_unit_test_setup(test_long_lines, setup),
        cmocka_unit_test_setup(test_flood, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
