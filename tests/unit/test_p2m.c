/* SPDX-License-Identifier: MIT */
/* gfn -> frame, the window, the machine-to-phys table, holds and aliases, and that nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <xen/errno.h>
#include <xen/xen.h>

#include "mm/heap.h"
#include "mm/paging_priv.h"
#include "tests/unit/fake_arch.h"

static struct paging *p;
static uint64_t frames_before;

static int setup(void **state)
{
    (void)state;
    fake_machine_start(4097, 2);
    frames_before = frame_free_count();
    p = paging_create(1, 1000, 0, 0);
    return p ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    while (paging_teardown(p))
        ;
    paging_free(p);
    int leaked = frame_free_count() != frames_before || heap_used_bytes() != 0;
    fake_machine_stop();
    return leaked ? -1 : 0;
}

static void add(uint64_t gfn)
{
    mfn_t m = frame_alloc(0, 1, 0);

    paging_lock(p);
    assert_int_equal(p2m_add_ram(p, gfn_of(gfn), m), 0);
    paging_unlock(p);
}

static uint64_t m2p_read(uint64_t gfn)
{
    mfn_t at = p->m2p_l3;

    for (unsigned level = 3; level >= 1; level--) {
        uint64_t e = ((uint64_t *)frame_map(at))[va_slot(gfn * 8, level)];
        if (!e)
            return 0xabab;
        assert_int_equal(e & (PTE_P | PTE_RW | PTE_US), PTE_P | PTE_US);
        if (level == 1)
            assert_true(e & PTE_NX);
        at = maddr_to_mfn(e & PTE_ADDR);
    }
    return ((uint64_t *)frame_map(at))[gfn % 512];
}

static void test_ram(void **state)
{
    mfn_t m = frame_alloc(0, 1, 0), out;

    (void)state;
    assert_int_equal(p2m_lookup(p, gfn_of(5)).type, P2M_HOLE);
    assert_int_equal(p2m_add_ram(p, gfn_of(1000), m), -XEN_EINVAL);
    assert_int_equal(p2m_add_ram(p, gfn_of(~0UL), m), -XEN_EINVAL);
    assert_int_equal(p2m_add_ram(p, gfn_of(5), mfn_of(0)), -XEN_EINVAL);
    assert_int_equal(p2m_add_ram(p, gfn_of(5), m), 0);
    assert_int_equal(p2m_add_ram(p, gfn_of(5), m), -XEN_EEXIST);
    struct p2m_ref ref = p2m_lookup(p, gfn_of(5));
    assert_int_equal(ref.mfn.n, m.n);
    assert_int_equal(ref.type, P2M_RAM);
    assert_false(ref.readonly);
    assert_int_equal(p2m_gfn_of(p, m).n, 5);
    assert_int_equal(p2m_ram_count(p), 1);
    assert_int_equal(p2m_max_gfn(p), 1000);
    assert_int_equal(m2p_read(5), 5);
    assert_int_equal(m2p_read(6), ~0UL);
    assert_int_equal(p2m_remove_ram(p, gfn_of(6), &out), -XEN_EINVAL);
    assert_int_equal(p2m_remove_ram(p, gfn_of(5), &out), 0);
    assert_int_equal(out.n, m.n);
    assert_int_equal(m2p_read(5), ~0UL);
    assert_false(gfn_valid(p2m_gfn_of(p, m)));
    frame_put(frame_of(out));
}

static void test_holes(void **state)
{
    mfn_t out;

    (void)state;
    assert_int_equal(p2m_lowest_hole(p, 0).n, 0);
    for (unsigned i = 0; i < 100; i++)
        add(i);
    assert_int_equal(p2m_lowest_hole(p, 0).n, 100);
    assert_int_equal(p2m_lowest_hole(p, 3).n, 104);
    assert_int_equal(p2m_lowest_hole(p, 9).n, INVALID_GFN.n); /* 512..1023 is cut off by 1000 */
    assert_int_equal(p2m_lowest_hole(p, 8).n, 256);
    p2m_remove_ram(p, gfn_of(17), &out);
    frame_put(frame_of(out));
    assert_int_equal(p2m_lowest_hole(p, 0).n, 17);
    assert_int_equal(p2m_lowest_hole(p, 1).n, 100);
    assert_int_equal(p2m_set_max(p, 2000), 0);
    assert_int_equal(p2m_lowest_hole(p, 9).n, 512);
    add(1999);
    assert_int_equal(p2m_set_max(p, 500), 0); /* what is there stays */
    assert_int_equal(p2m_lookup(p, gfn_of(1999)).type, P2M_RAM);
    assert_int_equal(p2m_lowest_hole(p, 9).n, INVALID_GFN.n);
}

static void test_m2p(void **state)
{
    (void)state;
    add(3);
    assert_int_equal(m2p_set(p, gfn_of(3), 77), 0);
    assert_int_equal(m2p_read(3), 77);
    assert_int_equal(m2p_set(p, gfn_of(1000), 1), -XEN_EINVAL);
    assert_int_equal(m2p_set(p, gfn_of(GFN_WINDOW), 1), -XEN_EINVAL);
    assert_int_equal(m2p_entries(p), 1000);
    assert_int_equal(m2p_read(700), 0xabab); /* no page there: the guest's read faults */
}

static void test_window(void **state)
{
    mfn_t special = frame_alloc(0, DOMID_XEN, 0), lent = frame_alloc(0, 9, 0), out;
    gfn_t a, b, c;

    (void)state;
    a = p2m_window_add(p, P2M_SPECIAL, special, false);
    b = p2m_window_add(p, P2M_GRANT, lent, true);
    assert_true(a.n >= GFN_WINDOW && b.n >= GFN_WINDOW && a.n != b.n);
    assert_int_equal(p2m_gfn_of(p, special).n, a.n);
    assert_false(gfn_valid(p2m_gfn_of(p, lent)));
    assert_true(p2m_lookup(p, b).readonly);
    assert_int_equal(p2m_lookup(p, b).mfn.n, lent.n);
    assert_int_equal(p2m_window_remove(p, gfn_of(GFN_WINDOW + 5), &out), -XEN_EINVAL);
    assert_int_equal(p2m_window_remove(p, gfn_of(5), &out), -XEN_EINVAL);
    assert_int_equal(p2m_window_remove(p, b, &out), 0);
    assert_int_equal(out.n, lent.n);
    frame_put(frame_of(lent));
    assert_int_equal(p2m_lookup(p, b).type, P2M_HOLE);
    c = p2m_window_add(p, P2M_SPECIAL, frame_alloc(0, DOMID_XEN, 0), false);
    assert_int_equal(c.n, b.n);
    for (unsigned i = 0; i < 300; i++) /* more than a chunk; teardown takes them away */
        assert_true(gfn_valid(p2m_window_add(p, P2M_SPECIAL, frame_alloc(0, DOMID_XEN, 0), i & 1)));
}

static void test_hold(void **state)
{
    struct frame_hold hold;
    mfn_t out, hold_probe = frame_alloc(0, DOMID_XEN, 0);
    gfn_t ro = p2m_window_add(p, P2M_SPECIAL, frame_alloc(0, DOMID_XEN, 0), true);

    (void)state;
    add(8);
    assert_null(paging_hold(p, gfn_of(9), false, &hold));
    paging_release(&hold);
    /* Another domain's frame is not ours to hold: the unmap would not end it. */
    assert_true(frame_get(frame_of(hold_probe), DOMID_XEN));
    gfn_t alias = p2m_window_add(p, P2M_GRANT, hold_probe, false);
    assert_null(paging_hold(p, alias, false, &hold));
    assert_null(paging_hold(p, alias, true, &hold));
    assert_int_equal(p2m_window_remove(p, alias, &out), 0);
    frame_put(frame_of(out));
    frame_put(frame_of(hold_probe));
    assert_null(paging_hold(p, ro, true, &hold));
    assert_non_null(paging_hold(p, ro, false, &hold));
    paging_release(&hold);
    assert_non_null(paging_hold(p, gfn_of(8), true, &hold));
    struct frame *f = frame_of(hold.mfn);
    assert_int_equal(f->writers, 1);
    assert_int_equal(f->refs, 2);
    /* Ballooned out while held: the frame stays until the release. */
    uint64_t free_now = frame_free_count();
    p2m_remove_ram(p, gfn_of(8), &out);
    frame_put(frame_of(out));
    assert_int_equal(frame_free_count(), free_now);
    paging_release(&hold);
    assert_int_equal(frame_free_count(), free_now + 1);
}

static void test_alias_get(void **state)
{
    (void)state;
    add(8);
    assert_false(mfn_valid(paging_alias_get(p, gfn_of(9), false)));
    mfn_t m = paging_alias_get(p, gfn_of(8), false);
    assert_int_equal(frame_of(m)->writers, 1);
    mfn_t ro = paging_alias_get(p, gfn_of(8), true);
    assert_int_equal(frame_of(m)->writers, 1);
    assert_int_equal(frame_of(m)->refs, 3);
    paging_alias_put(m, false);
    paging_alias_put(ro, true);
    assert_int_equal(frame_of(m)->writers, 0);
    assert_int_equal(frame_of(m)->refs, 1);
    /* No alias of an alias. */
    gfn_t g = p2m_window_add(p, P2M_GRANT, frame_alloc(0, 9, 0), true);
    assert_false(mfn_valid(paging_alias_get(p, g, true)));
}

static void test_direct(void **state)
{
    uint64_t before = frame_free_count(), heap = heap_used_bytes();
    struct paging *d = paging_create(0, 100, PAGING_DIRECT, 0);
    mfn_t m = frame_alloc(0, 0, 0), out;

    (void)state;
    assert_true(paging_is_direct(d));
    assert_int_equal(p2m_add_ram(d, gfn_of(m.n + 1), m), -XEN_EINVAL);
    assert_int_equal(p2m_add_ram(d, gfn_of(m.n), m), 0);
    assert_int_equal(p2m_gfn_of(d, m).n, m.n);
    assert_false(gfn_valid(p2m_lowest_hole(d, 0)));
    assert_int_equal(p2m_lookup(d, gfn_of(FAKE_MMIO)).type, P2M_MMIO);
    assert_false(p2m_lookup(d, gfn_of(FAKE_MMIO)).readonly);
    assert_true(p2m_lookup(d, gfn_of(FAKE_MMIO + 1)).readonly);
    assert_int_equal(p2m_lookup(d, gfn_of(FAKE_MMIO + 2)).type, P2M_HOLE);
    assert_int_equal(p2m_lookup(p, gfn_of(FAKE_MMIO)).type, P2M_HOLE);
    assert_int_equal(p2m_remove_ram(d, gfn_of(m.n), &out), 0);
    frame_put(frame_of(out));
    while (paging_teardown(d))
        ;
    paging_free(d);
    assert_int_equal(frame_free_count(), before);
    assert_int_equal(heap_used_bytes(), heap);
}

/* Creation that runs out of memory at any point leaves nothing behind. */
static void test_creation_fails_cleanly(void **state)
{
    mfn_t taken[4096];
    unsigned count = 0;

    (void)state;
    while (mfn_valid(taken[count] = frame_alloc(0, DOMID_XEN, 0)))
        count++;
    bool created = false;
    for (unsigned allowed = 0; !created; allowed++) {
        for (unsigned i = 0; i < allowed; i++)
            frame_free(taken[--count], 0);
        uint64_t before = frame_free_count();
        struct paging *q = paging_create(2, 100, 0, 0);
        created = q;
        while (q && paging_teardown(q))
            ;
        paging_free(q);
        assert_int_equal(frame_free_count(), before);
        while (mfn_valid(taken[count] = frame_alloc(0, DOMID_XEN, 0)))
            count++;
        assert_true(allowed < 200);
    }
    while (count)
        frame_free(taken[--count], 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ram),  T(test_holes),     T(test_m2p),    T(test_window),
        T(test_hold), T(test_alias_get), T(test_direct), T(test_creation_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
