/* SPDX-License-Identifier: MIT */
/* Sizes of disks as people type them. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
