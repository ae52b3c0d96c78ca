/* SPDX-License-Identifier: MIT */
/* What Tab proposes, and how a line is cut into words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/cli/complete.h"
#include "dom0/cli/words.h"

static void commands(complete_fn fn, void *arg)
{
    fn(arg, "create", false);
    fn(arg, "console", false);
    fn(arg, "cat", false);
    fn(arg, "help", false);
    fn(arg, "poweroff", false);
}

static enum complete_kind kind(const char *command)
{
    if (!strcmp(command, "create"))
        return COMPLETE_CONFIG;
    if (!strcmp(command, "console"))
        return COMPLETE_DOMAIN;
    if (!strcmp(command, "cat"))
        return COMPLETE_FILE;
    if (!strcmp(command, "share"))
        return COMPLETE_SHARE;
    if (!strcmp(command, "rename"))
        return COMPLETE_POOL;
    if (!strcmp(command, "move"))
        return COMPLETE_DOMAIN_POOL;
    return strcmp(command, "help") ? COMPLETE_NONE : COMPLETE_COMMAND;
}

static void domains(complete_fn fn, void *arg)
{
    fn(arg, "hello", false);
    fn(arg, "hog", false);
}

static void pools(complete_fn fn, void *arg)
{
    fn(arg, "Pool-0", false);
    fn(arg, "hot", false);
}

static void files(const char *directory, complete_fn fn, void *arg)
{
    if (!strcmp(directory, "/")) {
        fn(arg, ".", true);
        fn(arg, "..", true);
        fn(arg, "boot", true);
        fn(arg, "etc", true);
    } else if (!strcmp(directory, "/etc/xen") || !strcmp(directory, "/etc/xen/")) {
        fn(arg, "..", true);
        fn(arg, "hello.cfg", false);
        fn(arg, "hog.cfg", false);
        fn(arg, "readme", false);
        fn(arg, ".cfg", false);
    }
}

static const struct complete_source source = {commands, kind, domains, pools, files, "/etc/xen"};

/* All proposals in one string, each with a blank behind it. */
static const char *proposals(const char *line)
{
    static struct lineedit_matches matches;
    static char text[1024];

    matches.count = 0;
    matches.used = 0;
    complete_line(&source, line, strlen(line), &matches);
    assert_true(matches.start <= strlen(line));
    text[0] = 0;
    for (unsigned i = 0; i < matches.count; i++) {
        strcat(text, matches.text[i]);
        strcat(text, " ");
    }
    return text;
}

static void test_proposals(void **state)
{
    (void)state;
    assert_string_equal(proposals("c"), "create console cat ");
    assert_string_equal(proposals("  he"), "help ");
    assert_string_equal(proposals("x"), "");
    assert_string_equal(proposals("console h"), "hello hog ");
    assert_string_equal(proposals("console --log he"), "hello ");
    assert_string_equal(proposals("help po"), "poweroff ");
    assert_string_equal(proposals("poweroff "), "");
    assert_string_equal(proposals("share h"), "hello hog ");
    assert_string_equal(proposals("share -d h"), "hello hog ");
    assert_string_equal(proposals("share -w 5 -p  h"), "hot ");
    assert_string_equal(proposals("share x-p h"), "hello hog ");
    assert_string_equal(proposals("rename P"), "Pool-0 ");
    assert_string_equal(proposals("  move  h"), "hello hog ");
    assert_string_equal(proposals("move hog h"), "hot ");
    assert_string_equal(proposals("move hog "), "Pool-0 hot ");
    assert_string_equal(proposals("cat /"), "/boot/ /etc/ ");
    assert_string_equal(proposals("cat b"), "boot/ ");
    assert_string_equal(proposals("cat /."), "/./ /../ ");
    assert_string_equal(proposals("cat /etc/xen/he"), "/etc/xen/hello.cfg ");
    assert_string_equal(proposals("create h"), "hello hog ");
    assert_string_equal(proposals("create -c /etc/xen/ho"), "/etc/xen/hog.cfg ");
    assert_string_equal(proposals("create r"), "");
}

static void test_overlong(void **state)
{
    char line[2000];

    (void)state;
    memset(line, 'a', sizeof line);
    memcpy(line, "cat /", 5);
    line[sizeof line - 1] = 0;
    assert_string_equal(proposals(line), "");
    line[1000] = '/';
    assert_string_equal(proposals(line), "");
    memset(line, 'a', 1000);
    line[900] = ' ';
    assert_string_equal(proposals(line), "");
}

static void split(const char *line, int count, const char *first, const char *last)
{
    char copy[256], *words[WORDS_MAX + 1];
    const char *why = NULL;

    snprintf(copy, sizeof copy, "%s", line);
    assert_int_equal(words_split(copy, words, &why), count);
    if (count < 0) {
        assert_non_null(why);
        return;
    }
    assert_null(words[count]);
    if (count) {
        assert_string_equal(words[0], first);
        assert_string_equal(words[count - 1], last);
    }
}

static void test_words(void **state)
{
    (void)state;
    split("", 0, NULL, NULL);
    split("   \t ", 0, NULL, NULL);
    split("list", 1, "list", "list");
    split("  create  hog\tname=\"h 1\"  ", 3, "create", "name=\"h 1\"");
    split("create hog disk=['a, raw' , \"b\"] x=1", 4, "create", "x=1");
    split("cat \"/a b\"", 2, "cat", "/a b");
    split("cat ''", 2, "cat", "");
    split("cat 'a'b'c'", 2, "cat", "'a'b'c'");
    split("list # all of them", 1, "list", "list");
    split("x a#b", 2, "x", "a#b");
    split("cat \"abc", -XEN_EINVAL, NULL, NULL);
    split("name=\"a\\\"b\"", 1, "name=\"a\\\"b\"", "name=\"a\\\"b\"");
    split("x a]b [c", 3, "x", "[c");
}

static void test_too_many_words(void **state)
{
    char line[2 * WORDS_MAX + 3], *words[WORDS_MAX + 1];
    const char *why = NULL;

    (void)state;
    for (unsigned i = 0; i < WORDS_MAX; i++)
        memcpy(line + 2 * i, "a ", 3);
    assert_int_equal(words_split(line, words, &why), WORDS_MAX);
    for (unsigned i = 0; i < WORDS_MAX + 1; i++)
        memcpy(line + 2 * i, "a ", 3);
    assert_int_equal(words_split(line, words, &why), -XEN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proposals),
        cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_too_many_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
