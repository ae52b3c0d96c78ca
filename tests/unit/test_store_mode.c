/* SPDX-License-Identifier: MIT */
/* What is done with a store to a page table: every mode, every kind of mapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/store_mode.h"

enum mapping { READ_ONLY, WRITABLE, NEEDED }; /* needed: writable, and on the way to itself */

static enum store_action action(unsigned mode, bool assist, enum mapping m)
{
    struct fault_info info = {.read_only = m == READ_ONLY, .guest_writable = m == WRITABLE};

    return store_mode_action(mode, assist, &info);
}

/* As on Xen: the assist is the guest's to ask for, and only a mode takes it away. */
static void test_read_only(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < PENUMBRA_STORES_MODES; mode++)
        assert_int_equal(action(mode, false, READ_ONLY), STORE_REFUSE);
    assert_int_equal(action(PENUMBRA_STORES_emulate, true, READ_ONLY), STORE_EMULATE);
    assert_int_equal(action(PENUMBRA_STORES_drop, true, READ_ONLY), STORE_EMULATE);
    assert_int_equal(action(PENUMBRA_STORES_refuse, true, READ_ONLY), STORE_REFUSE);
}

/* What the guest's own entry allows works in every mode, whatever the assist. */
static void test_writable(void **state)
{
    (void)state;
    for (unsigned assist = 0; assist < 2; assist++) {
        assert_int_equal(action(PENUMBRA_STORES_emulate, assist, WRITABLE), STORE_EMULATE);
        assert_int_equal(action(PENUMBRA_STORES_drop, assist, WRITABLE), STORE_DROP);
        assert_int_equal(action(PENUMBRA_STORES_refuse, assist, WRITABLE), STORE_DROP);
        for (unsigned mode = 0; mode < PENUMBRA_STORES_MODES; mode++)
            assert_int_equal(action(mode, assist, NEEDED), STORE_EMULATE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_writable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
