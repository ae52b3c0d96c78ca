/* SPDX-License-Identifier: MIT */
/* The pure parts of the console service: filter, logs, token bucket, ring. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/console/bucket.h"
#include "dom0/console/conlog.h"
#include "dom0/console/conring.h"
#include "dom0/console/console.h"
#include "dom0/console/filter.h"

static char out[300000];
static size_t nout;

static void emit(void *arg, const char *text, size_t n)
{
    (void)arg;
    assert_true(nout + n < sizeof(out));
    memcpy(out + nout, text, n);
    nout += n;
    out[nout] = '\0';
}

/* Filters the text in pieces of each size: the result must not depend on that. */
static const char *filtered(enum filter_mode mode, const char *text, size_t n)
{
    static char first[1000];

    for (size_t piece = 1; piece <= n + 1; piece++) {
        struct filter f;

        nout = 0;
        out[0] = '\0';
        filter_init(&f, mode, mode == FILTER_LOG ? "| " : NULL, emit, NULL);
        for (size_t i = 0; i < n; i += piece) {
            filter_feed(&f, text + i, n - i < piece ? n - i : piece);
        }
        filter_end(&f);
        if (piece == 1) {
            strcpy(first, out);
        }
        assert_string_equal(out, first);
    }
    return first;
}

#define TERM(text) filtered(FILTER_TERMINAL, text, sizeof(text) - 1)
#define LOG(text)  filtered(FILTER_LOG, text, sizeof(text) - 1)

static void test_filter_terminal(void **state)
{
    (void)state;
    assert_string_equal(TERM("login: \b\t\r\nx"), "login: \b\t\r\nx");
    assert_string_equal(TERM("\x1b[1;31mred\x1b[0m\x1b[K\x1b[2J\x1b[10;1H\x1b[3D"),
                        "\x1b[1;31mred\x1b[0m\x1b[K\x1b[2J\x1b[10;1H\x1b[3D");
    assert_string_equal(TERM("gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\xa7"),
                        "gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\xa7");
    /* What makes a terminal answer, change its mode, or its title. */
    assert_string_equal(TERM("/ # \x1b[6nls"), "/ # ls"); /* BusyBox, at each prompt */
    assert_string_equal(TERM("\x1b[c\x1b[>c\x1b[=0c"), "");
    assert_string_equal(TERM("\x1b[?2004h$ \x1b[?1049h\x1b[?1l"), "$ "); /* bash */
    assert_string_equal(TERM("\x1b[?1J\x1b[4i\x1b[5;9r\x1b[21t"), "");
    assert_string_equal(TERM("\x1b]0;title\x07"), "\\x1b]0;title\x07");
    assert_string_equal(TERM("\x1bPq\x1b\\"), "\\x1bPq\\x1b\\");
    assert_string_equal(TERM("\x1b\x1b[5n"), "\\x1b");
    assert_string_equal(TERM("\x1b\x1b[m"), "\\x1b\x1b[m");
    assert_string_equal(TERM("\x1b[1;2\x1b[m"), "\\x1b[1;2\x1b[m");
    assert_string_equal(TERM("\x1b[00000000000000000000000000000m"),
                        "\\x1b[00000000000000000000000000000m");
    assert_string_equal(TERM("\n\x1bM\x1b[K"), "\n\x1bM\x1b[K");
    assert_string_equal(TERM("\x1b[1 q"), "\\x1b[1 q");
    assert_string_equal(TERM("a\x07\x0e\x7f"
                             "b"),
                        "a\x07\\x0e\\x7f"
                        "b");
    assert_string_equal(TERM("a\0b"), "a\\x00b");
    assert_string_equal(TERM("end\x1b["), "end\\x1b[");
}

static void test_filter_utf8(void **state)
{
    (void)state;
    assert_string_equal(TERM("\x9b"
                             "6n"),
                        "\\x9b"
                        "6n"); /* CSI in one byte */
    assert_string_equal(TERM("\xc2\x9b"
                             "6n"),
                        "\\xc2\\x9b"
                        "6n");                           /* and as UTF-8 */
    assert_string_equal(TERM("\xc0\x9b"), "\\xc0\\x9b"); /* not the shortest form */
    assert_string_equal(TERM("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
    assert_string_equal(TERM("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* surrogate */
    assert_string_equal(TERM("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    assert_string_equal(TERM("\xe2\x80\xae"), "\\xe2\\x80\\xae"); /* right-to-left override */
    assert_string_equal(TERM("\xc3\x1b[6n"), "\\xc3");
    assert_string_equal(TERM("\xe2\x82"), "\\xe2\\x82");
    assert_string_equal(TERM("\xff\xfe"), "\\xff\\xfe");
}

static void test_filter_log(void **state)
{
    (void)state;
    assert_string_equal(LOG("one\r\ntwo\n\nthree"), "| one\n| two\n| \n| three\n");
    assert_string_equal(LOG("\r\ndom0> destroy all\r\n"), "| \n| dom0> destroy all\n");
    assert_string_equal(LOG("hidden\rshown\n"), "| hidden\\x0dshown\n");
    assert_string_equal(LOG("a\r\r\nb"), "| a\n| b\n");
    assert_string_equal(LOG("a\r"), "| a\\x0d\n");
    assert_string_equal(LOG("x\b\x1b[1m\a"), "| x\\x08\\x07\n");
    assert_string_equal(LOG("[\x1b[0;32m  OK  \x1b[0m] \x1b[2Kup\n"), "| [  OK  ] up\n");
    assert_string_equal(LOG("[ ***  ] a job\n\x1bM\x1b[K[  *** ] a job\n"),
                        "| [ ***  ] a job\n| [  *** ] a job\n");
    assert_string_equal(LOG("\x1b[6"), "| \\x1b[6\n");
    assert_string_equal(LOG(""), "");
}

static void test_filter_random(void **state)
{
    (void)state;
    uint32_t seed = 1;

    /* Whatever comes, what goes out in FILTER_LOG is text. */
    for (unsigned round = 0; round < 200; round++) {
        struct filter f;

        nout = 0;
        filter_init(&f, FILTER_LOG, NULL, emit, NULL);
        for (unsigned i = 0; i < 500; i++) {
            char c = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
            filter_feed(&f, &c, 1);
        }
        filter_end(&f);
        for (size_t i = 0; i < nout; i++) {
            unsigned char c = (unsigned char)out[i];
            assert_true(c >= ' ' || c == '\n' || c == '\t');
            assert_true(c != 0x7f);
        }
    }
}

static int logs_start(void **state)
{
    (void)state;
    return conlog_start();
}

static int logs_stop(void **state)
{
    (void)state;
    conlog_stop();
    return 0;
}

static void test_log_wraps(void **state)
{
    (void)state;
    struct conlog *log = conlog_open(3, "web");
    char buf[100];
    uint64_t pos = 0, skipped;
    unsigned total = 0;

    for (unsigned i = 0; i < 10000; i++) {
        int n = snprintf(buf, sizeof(buf), "line %u\n", i);
        conlog_write(log, buf, (size_t)n);
        total += (unsigned)n;
    }
    assert_int_equal(log->total, total);
    size_t n = conlog_read(log, &pos, buf, sizeof(buf), &skipped);
    assert_int_equal(skipped, total - CONLOG_SIZE);
    assert_int_equal(n, sizeof(buf));
    assert_int_equal(pos, skipped + n);
    conlog_read(log, &pos, buf, sizeof(buf), &skipped);
    assert_int_equal(skipped, 0);
    pos = total - 10;
    assert_int_equal(conlog_read(log, &pos, buf, sizeof(buf), &skipped), 10);
    assert_memory_equal(buf, "line 9999\n", 10);
    assert_int_equal(conlog_read(log, &pos, buf, sizeof(buf), &skipped), 0);

    nout = 0;
    assert_int_equal(console_log("web", "", emit, NULL), 0);
    snprintf(buf, sizeof(buf), "[... %u bytes dropped]\n", total - CONLOG_SIZE);
    assert_memory_equal(out, buf, strlen(buf));
    assert_string_equal(out + nout - 10, "line 9999\n");
    assert_int_equal(nout, CONLOG_SIZE + strlen(buf));
    assert_int_equal(console_log("nobody", "", emit, NULL), -XEN_ENOENT);

    char *huge = calloc(1, CONLOG_SIZE + 5);
    memset(huge, 'h', CONLOG_SIZE + 5);
    conlog_write(log, huge, CONLOG_SIZE + 5);
    free(huge);
    pos = total;
    conlog_read(log, &pos, buf, sizeof(buf), &skipped);
    assert_int_equal(skipped, 5);
}

static void test_log_outlives(void **state)
{
    (void)state;
    struct conlog *logs[40];
    char name[16];
    unsigned kept = 0;

    /* One at a time: the last ones stay, no memory is taken. */
    for (unsigned i = 0; i < 100; i++) {
        struct conlog *log = conlog_open(i, "twin");
        conlog_write(log, &i, sizeof(i));
        conlog_close(log);
    }
    for (struct conlog *l = conlog_next(NULL); l; l = conlog_next(l)) {
        assert_true(l->domid >= 100 - CONLOG_SLOTS);
        kept++;
    }
    assert_true(kept >= CONLOG_DEAD);
    assert_int_equal(conlog_find("twin")->domid, 99);
    assert_int_equal(conlog_find("95")->domid, 95);
    assert_null(conlog_find("5"));
    struct conlog *live = conlog_open(200, "twin");
    assert_ptr_equal(conlog_find("twin"), live);
    conlog_close(live);
    assert_ptr_equal(conlog_find("twin"), live);

    /* Many at once: each has one, and the memory goes back. */
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "many%u", i);
        logs[i] = conlog_open(300 + i, name);
        assert_non_null(logs[i]);
    }
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "many%u", i);
        assert_ptr_equal(conlog_find(name), logs[i]);
    }
    for (unsigned i = 0; i < 40; i++) {
        conlog_close(logs[i]);
    }
    kept = 0;
    for (struct conlog *l = conlog_next(NULL); l; l = conlog_next(l)) {
        kept++;
    }
    assert_int_equal(kept, CONLOG_SLOTS);
    assert_non_null(conlog_find("many39"));
}

static void test_bucket(void **state)
{
    (void)state;
    struct bucket b;
    uint64_t now = 5000, taken = 0;

    bucket_init(&b, 1000, 500, now);
    assert_int_equal(bucket_level(&b, now), 500);
    bucket_take(&b, 500);
    assert_int_equal(bucket_level(&b, now), 0);
    assert_int_equal(bucket_level(&b, now - 1000), 0);
    assert_int_equal(bucket_wait_ns(&b, 10), 10000001);
    assert_int_equal(bucket_level(&b, now + 10000001), 10);
    assert_int_equal(bucket_wait_ns(&b, 10), 0);
    /* Asked at any moments, fractions are not lost: ten seconds give ten thousand. */
    bucket_init(&b, 1000, 500, now);
    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t n = bucket_level(&b, now += 10000);
        bucket_take(&b, n);
        taken += n;
    }
    assert_in_range(taken, 10490, 10500);
    /* A very long time, and a very high rate. */
    assert_int_equal(bucket_level(&b, UINT64_MAX), 500);
    bucket_init(&b, 1ull << 30, 1ull << 32, 0);
    bucket_take(&b, 1ull << 32);
    assert_int_equal(bucket_level(&b, 1000000000), 1ull << 30);
    assert_int_equal(bucket_level(&b, 1ull << 60), 1ull << 32);
}

static void test_ring(void **state)
{
    (void)state;
    static struct xencons_interface page;
    struct conring r;
    char buf[4096];

    page.out_cons = page.out_prod = 0xfffffffe;
    page.in_cons = page.in_prod = 0xffffff00;
    conring_init(&r, &page);
    assert_int_equal(conring_take(&r, buf, sizeof(buf)), 0);
    for (unsigned i = 0; i < 5; i++) {
        page.out[MASK_XENCONS_IDX(page.out_prod++, page.out)] = "hello"[i];
    }
    assert_int_equal(conring_take(&r, buf, 2), 2);
    assert_int_equal(conring_take(&r, buf + 2, sizeof(buf)), 3);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(page.out_cons, page.out_prod);
    /* The guest moves our index: of no consequence. */
    page.out_cons -= 77;
    assert_int_equal(conring_take(&r, buf, sizeof(buf)), 0);
    page.out_prod += sizeof(page.out);
    assert_int_equal(conring_take(&r, buf, sizeof(buf)), sizeof(page.out));
    page.out_prod += sizeof(page.out) + 1;
    assert_int_equal(conring_take(&r, buf, sizeof(buf)), -XEN_EIO);

    memset(buf, 'k', sizeof(buf));
    assert_int_equal(conring_give(&r, buf, sizeof(buf)), sizeof(page.in));
    assert_int_equal(conring_give(&r, buf, sizeof(buf)), 0);
    page.in_cons += 10;
    assert_int_equal(conring_give(&r, buf, sizeof(buf)), 10);
    page.in_cons += 2000;
    assert_int_equal(conring_give(&r, buf, sizeof(buf)), -XEN_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_terminal),
        cmocka_unit_test(test_filter_utf8),
        cmocka_unit_test(test_filter_log),
        cmocka_unit_test(test_filter_random),
        cmocka_unit_test_setup_teardown(test_log_wraps, logs_start, logs_stop),
        cmocka_unit_test_setup_teardown(test_log_outlives, logs_start, logs_stop),
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
