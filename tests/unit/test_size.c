/* SPDX-License-Identifier: MIT */
/* Sizes of disks and of memory as people type them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/cli/size.h"

static void good(const char *text, uint64_t bytes)
{
    uint64_t size = 0;

    assert_int_equal(size_parse(text, &size), 0);
    assert_int_equal(size, bytes);
}

static void bad(const char *text)
{
    uint64_t size = 0;

    assert_int_equal(size_parse(text, &size), -XEN_EINVAL);
}

static void test_sizes(void **state)
{
    (void)state;
    good("512", 512);
    good("1048576", 1048576);
    good("1048576B", 1048576);
    good("64K", 65536);
    good("64k", 65536);
    good("64M", 64 << 20);
    good("64MB", 64 << 20);
    good("64MiB", 64 << 20);
    good("1G", 1ull << 30);
    good("2TiB", 2ull << 40);
    good("4194304T", 1ull << 62);
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "0",
        "0M",
        "M",
        "-1",
        "+1M",
        " 1M",
        "1 M",
        "511",
        "513",
        "1x",
        "1KM",
        "1Mi",
        "0x200",
        "1.5G",
        "64MB ",
        "4194305T",
        "18446744073709551616",
        "99999999999999999999999999G",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bad(texts[i]);
}

static void memory(const char *text, uint64_t kib)
{
    uint64_t size = 0;

    assert_int_equal(size_parse_memory(text, &size), kib ? 0 : -XEN_EINVAL);
    assert_int_equal(size, kib);
}

static void test_memory(void **state)
{
    (void)state;
    memory("32", 32 << 10); /* MiB, as with xl */
    memory("32m", 32 << 10);
    memory("32MiB", 32 << 10);
    memory("2g", 2 << 20);
    memory("1t", 1ull << 30);
    memory("4096k", 4096);
    memory("8192b", 8);
    memory("8192B", 8);
    memory("8193b", 0);
    memory("0", 0);
    memory("", 0);
    memory("m", 0);
    memory("-1", 0);
    memory("32x", 0);
    memory("32mm", 0);
    memory("4398046511105", 0); /* beyond 2^62 bytes */
    memory("4398046511104", 1ull << 52);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
