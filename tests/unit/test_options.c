/* SPDX-License-Identifier: MIT */
/* The guests' command line, and diskio's pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <rt/start.h>

#include "guests/diskio/pattern.h"

static const char *line;

const char *start_cmdline(void)
{
    return line;
}

static void test_words(void **state)
{
    char value[16] = "untouched";

    (void)state;
    line = "";
    assert_false(start_option("a", value, sizeof(value)));
    line = "  aa=1 b=two\tc d= e==x a ";
    assert_true(start_option("aa", value, sizeof(value)));
    assert_string_equal(value, "1");
    assert_true(start_option("b", value, sizeof(value)));
    assert_string_equal(value, "two");
    assert_true(start_option("c", value, sizeof(value)));
    assert_string_equal(value, "1");
    assert_true(start_option("d", value, sizeof(value)));
    assert_string_equal(value, "");
    assert_true(start_option("e", value, sizeof(value)));
    assert_string_equal(value, "=x");
    assert_true(start_option("a", value, sizeof(value)));
    assert_string_equal(value, "1");
    strcpy(value, "untouched");
    assert_false(start_option("f", value, sizeof(value)));
    assert_false(start_option("bb", value, sizeof(value)));
    assert_string_equal(value, "untouched");
}

static void test_last_counts_and_is_cut(void **state)
{
    char value[4];

    (void)state;
    line = "n=first n=second";
    assert_true(start_option("n", value, sizeof(value)));
    assert_string_equal(value, "sec");
}

static void test_numbers(void **state)
{
    (void)state;
    line = "a=12 b=0x1f c=7x d e= f=-1 g=18446744073709551615 h=010";
    assert_int_equal(start_option_u64("a", 5), 12);
    assert_int_equal(start_option_u64("b", 5), 0x1f);
    assert_int_equal(start_option_u64("c", 5), 5);
    assert_int_equal(start_option_u64("d", 5), 1);
    assert_int_equal(start_option_u64("e", 5), 5);
    assert_int_equal(start_option_u64("f", 5), 5);
    assert_true(start_option_u64("g", 5) == UINT64_MAX);
    assert_int_equal(start_option_u64("h", 5), 10);
    assert_int_equal(start_option_u64("none", 5), 5);
}

/* A sector is right only with its own seed and place, and every bit of it counts. */
static void test_pattern(void **state)
{
    uint64_t sector[PATTERN_WORDS];

    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        pattern_fill(sector, seed, seed * 7);
        assert_true(pattern_check(sector, seed, seed * 7));
        assert_false(pattern_check(sector, seed + 1, seed * 7));
        assert_false(pattern_check(sector, seed, seed * 7 + 1));
        for (int bit = 0; bit < PATTERN_WORDS * 64; bit += 61) {
            sector[bit / 64] ^= 1UL << (bit % 64);
            assert_false(pattern_check(sector, seed, seed * 7));
            sector[bit / 64] ^= 1UL << (bit % 64);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_last_counts_and_is_cut),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_pattern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
