/* SPDX-License-Identifier: MIT */
/*
 * Frames and tables that more entries name than a list may have (mm/rmap.h): how long it takes to
 * take one away is bounded, and nothing is lost by it.
 */
#include "tests/unit/shadow_world.h"

#include "hv/arch.h"
#include "mm/rmap.h"

/* The tree: L4 at gfn 10, L3 11, L2 12, L1 13; data at 20. */
#define VA va_of(3, 1, 2, 4)
#define L4 10
#define L3 11
#define L2 12
#define L1 13

/* With shadows for all the tables that there can be. */
static int setup(void **state)
{
    (void)state;
    world_start(GFNS);
    build_tree(L4, VA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop();
    return 0;
}

/* Tables of one level, full of entries for one gfn: more than a list may have. */
#define MANY       (RMAP_MAX / SLOTS + 1)
#define MANY_FIRST 24

static void poke_many(uint64_t gfn)
{
    for (unsigned table = 0; table < MANY; table++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            poke(MANY_FIRST + table, slot, gfn, FULL);
}

static void take_away(uint64_t gfn)
{
    mfn_t out;

    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(gfn), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    check_world();
}

/* The work of taking a frame away is bounded, however many entries name it. */
static void test_frame_mapped_very_often(void **state)
{
    const struct gfn_record *r = p2m_record(w.p, 20);

    (void)state;
    poke_many(20);
    for (unsigned i = 0; i < MANY; i++)
        poke(L2, 16 + i, MANY_FIRST + i, FULL);
    set_root(0, L4);
    for (unsigned i = 0; i < MANY; i++) {
        expect_ok(0, va_of(3, 1, 16 + i, i), WRITE, 20); /* all its table is filled */
        assert_int_equal(r->mapped, i + 1 < MANY ? (i + 1) * SLOTS : SLOTS);
        assert_int_equal(r->writable, r->mapped);
    }
    /* The others come again, and stay. */
    arch_tlb_flush_all();
    for (unsigned i = 0; i < MANY; i++)
        expect_ok(0, va_of(3, 1, 16 + i, i), WRITE, 20);
    assert_int_equal(r->mapped, SLOTS + MANY - 1);
    take_away(20);
    assert_int_equal(r->mapped, 0);
}

/* The same for a table that very many upper entries name. */
static void test_table_named_very_often(void **state)
{
    const struct shadow *s;

    (void)state;
    poke(L1, 4, 20, FULL);
    poke_many(L1);
    for (unsigned i = 0; i < MANY; i++)
        poke(L3, 16 + i, MANY_FIRST + i, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    s = record_shadow(p2m_record(w.p, L1), 1);
    for (unsigned i = 0; i < MANY; i++) {
        expect_ok(0, va_of(3, 16 + i, i, 4), WRITE, 20);
        assert_true(s->hooks <= RMAP_MAX);
    }
    assert_true(s->hooks < 2 * SLOTS); /* they went, all at once */
    for (unsigned i = 0; i < MANY; i++)
        expect_ok(0, va_of(3, 16 + i, i, 4), WRITE, 20);
    take_away(L1);
    assert_int_equal(s->hooks, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_frame_mapped_very_often),
        T(test_table_named_very_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
