/* SPDX-License-Identifier: MIT */
/*
 * hv/lib against the host's C library: the functions under test are compiled under the names pn_*,
 * the host's keep theirs, and both must agree.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The headers above have declared pn_*; from here on the plain names are the host's again. */
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef strcpy
#undef strncpy
#undef strcat
#undef strspn
#undef strcspn
#undef strtol
#undef strtoul
#undef strtoll
#undef strtoull
#undef atoi
#undef snprintf
#undef vsnprintf
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
void *memchr(const void *, int, size_t);
size_t strlen(const char *);
size_t strnlen(const char *, size_t);
int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
char *strchr(const char *, int);
char *strrchr(const char *, int);
char *strstr(const char *, const char *);
char *strncpy(char *, const char *, size_t);
char *strcpy(char *, const char *);
char *strcat(char *, const char *);
size_t strspn(const char *, const char *);
size_t strcspn(const char *, const char *);
long strtol(const char *, char **, int);
unsigned long strtoul(const char *, char **, int);
long long strtoll(const char *, char **, int);
unsigned long long strtoull(const char *, char **, int);
int vsnprintf(char *, size_t, const char *, va_list);

#include <cmocka.h>

#include "hv/lib/ctype.h"

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

/* Formats twice and compares text, length and the bytes behind the end. */
static void check_size(size_t size, const char *fmt, va_list ap)
{
    char ours[128], theirs[128];
    va_list again;
    int n, m;

    memset(ours, 0x55, sizeof(ours));
    memset(theirs, 0x55, sizeof(theirs));
    va_copy(again, ap);
    n = pn_vsnprintf(ours, size, fmt, ap);
    m = vsnprintf(theirs, size, fmt, again);
    va_end(again);
    if (n != m || memcmp(ours, theirs, sizeof(ours)) != 0) {
        fail_msg("\"%s\" size %zu: \"%s\" (%d), host \"%s\" (%d)", fmt, size, ours, n, theirs, m);
    }
}

static void check(const char *fmt, ...)
{
    static const size_t sizes[] = {0, 1, 2, 5, 16, 120};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        va_list ap;

        va_start(ap, fmt);
        check_size(sizes[i], fmt, ap);
        va_end(ap);
    }
}

static void test_printf_integers(void **state)
{
    static const char *const flags[] = {"", "-", "0", "+", " ", "#", "-#", "0#", "+0", "-+"};
    static const char *const widths[] = {"", "1", "7", "20", ".0", ".1", ".5", "9.4", "4.9"};
    static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z", "j", "t"};
    static const long values[] = {0,        1,        -1,      7,       255,      256,
                                  -32769,   65535,    INT_MAX, INT_MIN, LONG_MAX, LONG_MIN,
                                  10000000, 0xabcdef, -128,    127};
    char fmt[32];

    (void)state;
    for (int f = 0; f < 10; f++) {
        for (int w = 0; w < 9; w++) {
            for (int l = 0; l < 8; l++) {
                for (const char *c = "dioxXu"; *c; c++) {
                    sprintf(fmt, "<%%%s%s%s%c>", flags[f], widths[w], lengths[l], *c);
                    for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
                        if (l < 3) {
                            check(fmt, (int)values[v]);
                        } else {
                            check(fmt, values[v]);
                        }
                    }
                }
            }
        }
    }
}

static void test_printf_others(void **state)
{
    (void)state;
    check("%s", "text");
    check("%s|%10s|%-10s|%.2s|%-6.3s|%.0s|", "a", "bc", "def", "ghi", "jklmn", "no");
    check("%c%c|%5c|%-5c|", 'x', 0x80, 'y', 'z');
    check("%p %20p %-20p|", (void *)0x1234, (void *)-1L, (void *)0xffff800000000000);
    check("%*d|%-*d|%*d|%.*d|%.*d", 5, 1, 5, 2, -5, 3, 4, 4, -1, 5);
    check("%.*s|", 3, "abcdef");
    check("100%% %d", 5);
    check("");
    check("%s %s %d %#lx %s", "many", "arguments", 3, 0x10000000000UL, "end");
    check("%.*s", 4, "not terminated, but cut");
}

static void test_printf_bounds(void **state)
{
    char text[8] = "abcdefg";
    const char *volatile nothing = NULL;
    char unterminated[3] = {'x', 'y', 'z'};

    (void)state;
    assert_int_equal(pn_snprintf(NULL, 0, "%d", 12345), 5);
    assert_int_equal(pn_snprintf(text, 4, "%s", "longer than that"), 16);
    assert_memory_equal(text, "lon\0efg", 8);
    assert_int_equal(pn_snprintf(text, sizeof(text), "%.3s", unterminated), 3);
    assert_string_equal(text, "xyz");
    assert_int_equal(pn_snprintf(text, sizeof(text), "%s", nothing), 6);
    assert_string_equal(text, "(null)");
}

static void test_printf_unknown(void **state)
{
    /* Not through the compiler's check of formats. */
    int (*volatile format)(char *, size_t, const char *, ...) = pn_snprintf;
    char text[32];

    (void)state;
    assert_int_equal(format(text, sizeof(text), "a%qb %d", 7), 6);
    assert_string_equal(text, "a%qb 7");
    assert_int_equal(format(text, sizeof(text), "end%"), 4);
    assert_string_equal(text, "end%");
    assert_int_equal(format(text, sizeof(text), "end%-5.2l"), 9);
    assert_string_equal(text, "end%-5.2l");
}

static void test_copies(void **state)
{
    unsigned char ours[200], theirs[200];

    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t to = (size_t)rand() % 100, from = (size_t)rand() % 100, n = (size_t)rand() % 100;

        for (size_t i = 0; i < sizeof(ours); i++) {
            ours[i] = theirs[i] = (unsigned char)rand();
        }
        assert_ptr_equal(pn_memmove(ours + to, ours + from, n), ours + to);
        memmove(theirs + to, theirs + from, n);
        assert_memory_equal(ours, theirs, sizeof(ours));
        assert_ptr_equal(pn_memset(ours + to, round, n), ours + to);
        memset(theirs + to, round, n);
        assert_memory_equal(ours, theirs, sizeof(ours));
        pn_memcpy(ours + 100, ours + n, 50 < 100 - n ? 50 : 100 - n);
        memmove(theirs + 100, theirs + n, 50 < 100 - n ? 50 : 100 - n);
        assert_memory_equal(ours, theirs, sizeof(ours));
        assert_int_equal(sign(pn_memcmp(ours + to, ours + from, n)),
                         sign(memcmp(ours + to, ours + from, n)));
        assert_ptr_equal(pn_memchr(ours + to, round, n), memchr(ours + to, round, n));
    }
}

/* Random strings over a small alphabet, so that matches are common. */
static void random_text(char *text, size_t size)
{
    size_t n = (size_t)rand() % size;

    for (size_t i = 0; i < n; i++) {
        text[i] = "ab\xff"[rand() % 3];
    }
    text[n] = '\0';
}

static void test_strings(void **state)
{
    char a[24], b[6], ours[32], theirs[32];

    (void)state;
    srand(2);
    for (int round = 0; round < 50000; round++) {
        size_t n = (size_t)rand() % 30;

        random_text(a, sizeof(a));
        random_text(b, sizeof(b));
        assert_int_equal(pn_strlen(a), strlen(a));
        assert_int_equal(pn_strnlen(a, n), strnlen(a, n));
        assert_int_equal(sign(pn_strcmp(a, b)), sign(strcmp(a, b)));
        assert_int_equal(sign(pn_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        assert_ptr_equal(pn_strchr(a, 'b'), strchr(a, 'b'));
        assert_ptr_equal(pn_strchr(a, 0xff), strchr(a, 0xff));
        assert_ptr_equal(pn_strchr(a, 0), strchr(a, 0));
        assert_ptr_equal(pn_strrchr(a, 'b'), strrchr(a, 'b'));
        assert_ptr_equal(pn_strrchr(a, 0), strrchr(a, 0));
        assert_ptr_equal(pn_strstr(a, b), strstr(a, b));
        assert_int_equal(pn_strspn(a, b), strspn(a, b));
        assert_int_equal(pn_strcspn(a, b), strcspn(a, b));
        pn_strncpy(ours, a, n);
        strncpy(theirs, a, n);
        assert_memory_equal(ours, theirs, n);
        assert_string_equal(pn_strcat(pn_strcpy(ours, a), b), strcat(strcpy(theirs, a), b));
    }
}

static void test_numbers(void **state)
{
    static const char *const texts[] = {"0",
                                        "1",
                                        "-1",
                                        "  42x",
                                        "+7",
                                        "0x1F",
                                        "0x",
                                        "0xg",
                                        "010",
                                        "08",
                                        "",
                                        "  ",
                                        "-",
                                        "z",
                                        "Zz9",
                                        "\t\n12",
                                        "- 1",
                                        "99999999999999999999",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775808",
                                        "-9223372036854775809",
                                        "-0x10",
                                        "ffffffffffffffff",
                                        "10000000000000000",
                                        "1_000"};
    static const int bases[] = {0, 2, 8, 10, 16, 36};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        for (size_t b = 0; b < sizeof(bases) / sizeof(*bases); b++) {
            char *end, *host_end;

            assert_true(pn_strtoull(texts[i], &end, bases[b]) ==
                        strtoull(texts[i], &host_end, bases[b]));
            assert_ptr_equal(end, host_end);
            assert_true(pn_strtoll(texts[i], &end, bases[b]) ==
                        strtoll(texts[i], &host_end, bases[b]));
            assert_ptr_equal(end, host_end);
            assert_true(pn_strtol(texts[i], NULL, bases[b]) == strtol(texts[i], NULL, bases[b]));
            assert_true(pn_strtoul(texts[i], NULL, bases[b]) == strtoul(texts[i], NULL, bases[b]));
        }
    }
    assert_int_equal(pn_atoi("12 monkeys"), 12);
}

static void test_classes(void **state)
{
    (void)state;
    for (int c = -128; c < 256; c++) {
        bool ascii = c >= 0 && c < 128;

        assert_int_equal(is_digit(c), ascii && c && strchr("0123456789", c));
        assert_int_equal(is_space(c), ascii && c && strchr(" \t\n\v\f\r", c));
        assert_int_equal(is_xdigit(c), ascii && c && strchr("0123456789abcdefABCDEF", c));
        assert_int_equal(is_print(c), c >= 32 && c < 127);
        assert_int_equal(is_alpha(c), is_upper(c) || is_lower(c));
        assert_int_equal(to_lower(to_upper(c)), is_upper(c) ? c + 32 : c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printf_integers), cmocka_unit_test(test_printf_others),
        cmocka_unit_test(test_printf_bounds),   cmocka_unit_test(test_printf_unknown),
        cmocka_unit_test(test_copies),          cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
