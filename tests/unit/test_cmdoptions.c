/* SPDX-License-Identifier: MIT */
/* Options of the command line's commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/cli/options.h"
#include "dom0/cli/words.h"

static bool batch, list;
static const char *domain, *weight;
static char why[80];
static char *words[WORDS_MAX + 1];
static char line[256];

/* The words that are left, each with a blank behind it, or the reason. */
static const char *take(const char *text)
{
    static const struct option options[] = {{'b', "batch", &batch, NULL},
                                            {'l', NULL, &list, NULL},
                                            {'d', "domain", NULL, &domain},
                                            {'w', "weight", NULL, &weight},
                                            OPTIONS_END};
    static char left[256];
    const char *bad;
    int count;

    batch = list = false;
    domain = weight = NULL;
    snprintf(line, sizeof line, "%s", text);
    count = words_split(line, words, &bad);
    assert_true(count > 0);
    count = options_take(count, words, options, why, sizeof why);
    if (count < 0) {
        assert_int_equal(count, -XEN_EINVAL);
        return why;
    }
    assert_null(words[count]);
    left[0] = 0;
    for (int i = 0; i < count; i++) {
        strcat(left, words[i]);
        strcat(left, " ");
    }
    return left;
}

static void test_forms(void **state)
{
    static const char *const same[] = {
        "x -d web -w 5 -b rest",           "x rest -bd web -w5",
        "x -bdweb rest --weight 5",        "x --domain=web --weight=5 --batch rest",
        "x -w 1 -w 5 -b -d a -d web rest",
    };

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_string_equal(take(same[i]), "x rest ");
        assert_string_equal(domain, "web");
        assert_string_equal(weight, "5");
        assert_true(batch);
        assert_false(list);
    }
    assert_string_equal(take("x"), "x ");
    assert_null(domain);
    assert_string_equal(take("x - -l a"), "x - a ");
    assert_true(list);
    assert_string_equal(take("x -- -d a --b"), "x -d a --b ");
    assert_null(domain);
    assert_string_equal(take("x -d -1"), "x ");
    assert_string_equal(domain, "-1");
    assert_string_equal(take("x -d --"), "x ");
    assert_string_equal(domain, "--");
}

static void test_refused(void **state)
{
    (void)state;
    assert_string_equal(take("x -q"), "there is no option '-q'");
    assert_string_equal(take("x -bq"), "there is no option '-q'");
    assert_string_equal(take("x --dom 1"), "there is no option '--dom'");
    assert_string_equal(take("x --domains=1"), "there is no option '--domains=1'");
    assert_string_equal(take("x --=1"), "there is no option '--=1'");
    assert_string_equal(take("x -d"), "option -d needs a value behind it");
    assert_string_equal(take("x --domain"), "option --domain needs a value behind it");
    assert_string_equal(take("x --batch=1"), "option --batch=1 takes no value");
}

static void test_numbers(void **state)
{
    uint64_t n = 7;

    (void)state;
    assert_true(options_number("0", 0, &n));
    assert_int_equal(n, 0);
    assert_true(options_number("0065535", 65535, &n));
    assert_int_equal(n, 65535);
    assert_true(options_number("18446744073709551615", UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    for (const char **s = (const char *[]){"", "-1", "+1", "1 ", " 1", "0x1", "1a", "65536",
                                           "99999999999999999999", "184467440737095516160", NULL};
         *s; s++)
        assert_false(options_number(*s, 65535, &n));
    assert_false(options_number("18446744073709551616", UINT64_MAX, &n));
    assert_false(options_number("5", 4, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
