/* SPDX-License-Identifier: MIT */
/* Shadow page tables, one rule at a time. The random model is test_shadow_random.c. */
#include "tests/unit/shadow_world.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"

#define VA va_of(3, 1, 2, 4)
/* The tree of most tests: L4 at gfn 10, L3 11, L2 12, L1 13; data from 20 on. */
#define L4 10
#define L1 13

static int setup(void **state)
{
    (void)state;
    world_start(32);
    build_tree(L4, VA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop();
    return 0;
}

/* Nothing is filled before the first touch; then the whole table is. */
static void test_fill(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        poke(L1, i, 20 + i, i == 5 ? P | RW | D : i == 6 ? P | RW | A : FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 24);
    uint64_t fills = w.p->count.faults_fill;
    for (unsigned i = 0; i < 5; i++)
        expect_ok(0, va_of(3, 1, 2, i), WRITE, 20 + i);
    assert_int_equal(w.p->count.faults_fill, fills);
    /* S5: without A nothing was filled ahead, without D it is not writable. */
    assert_int_equal(peek(L1, 5) & A, 0);
    expect_ok(0, va_of(3, 1, 2, 5), READ, 25);
    assert_int_equal(peek(L1, 5) & A, A);
    assert_int_equal(w.p->count.faults_fill, fills + 1);
    expect_ok(0, va_of(3, 1, 2, 6), READ, 26);
    assert_int_equal(w.p->count.faults_fill, fills + 1);
    assert_int_equal(peek(L1, 6) & D, 0);
    expect_ok(0, va_of(3, 1, 2, 6), WRITE, 26);
    assert_int_equal(peek(L1, 6) & D, D);
    expect_fault(va_of(3, 1, 2, 9), READ, 0);
    expect_fault(va_of(3, 1, 2, 9), WRITE, PF_W);
}

static void test_accessed_in_upper_levels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        poke(L4 + i, va_slot(VA, 4 - i), L4 + i + 1, P | RW);
    poke(L1, 4, 20, P | RW);
    set_root(0, L4);
    assert_int_equal(peek(L4, 3) & A, 0);
    expect_ok(0, VA, READ, 20);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(peek(L4 + i, va_slot(VA, 4 - i)) & (A | D), A);
    /* The guest takes A away: the next walk sets it again. */
    update(L4 + 1, 1, (L4 + 2) << PAGE_SHIFT | P | RW);
    arch_tlb_flush_all();
    expect_ok(0, VA, READ, 20);
    assert_int_equal(peek(L4 + 1, 1) & A, A);
}

static void test_rights(void **state)
{
    (void)state;
    poke(L1, 4, 20, P | A | D);
    poke(L1, 5, 21, FULL | NX);
    poke(L1, 6, 22, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    expect_fault(VA, WRITE, PF_P | PF_W);
    expect_ok(0, VA, FETCH, 20);
    expect_fault(va_of(3, 1, 2, 5), FETCH, PF_P | PF_I);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 21);
    /* Upper levels: one read-only level is enough, one NX is enough. */
    for (unsigned i = 0; i < 3; i++) {
        unsigned slot = va_slot(VA, 4 - i);
        assert_int_equal(update(L4 + i, slot, (L4 + i + 1) << PAGE_SHIFT | P | A), 0);
        arch_tlb_flush_all();
        expect_fault(va_of(3, 1, 2, 6), WRITE, PF_P | PF_W);
        expect_ok(0, va_of(3, 1, 2, 6), READ, 22);
        assert_int_equal(update(L4 + i, slot, (L4 + i + 1) << PAGE_SHIFT | FULL | NX), 0);
        arch_tlb_flush_all();
        expect_ok(0, va_of(3, 1, 2, 6), WRITE, 22);
        expect_fault(va_of(3, 1, 2, 6), FETCH, PF_P | PF_I);
        assert_int_equal(update(L4 + i, slot, (L4 + i + 1) << PAGE_SHIFT | FULL), 0);
    }
    arch_tlb_flush_all();
    expect_ok(0, va_of(3, 1, 2, 6), FETCH, 22);
}

static void test_user_mode(void **state)
{
    (void)state;
    poke(L1, 4, 20, P | RW | A | D); /* no U in the guest's entry: taken as set */
    poke(30, 3, 11, FULL);           /* user root, shares the L3 */
    set_root(0, L4);
    w.v[0].user_mode = true;
    paging_lock(w.p);
    assert_false(mfn_valid(shadow_root(w.p, &w.v[0])));
    assert_int_equal(shadow_set_user_root(w.p, &w.v[0], gfn_of(30)), 0);
    paging_unlock(w.p);
    load_root(0);
    expect_ok(0, VA, WRITE, 20);
    expect_fault(va_of(3, 1, 2, 9), WRITE, PF_W | PF_U);
    assert_int_equal(record_shadow(p2m_record(w.p, 11), 3)->parents != 0, 1);
    paging_lock(w.p);
    assert_int_equal(shadow_set_user_root(w.p, &w.v[0], gfn_of(0)), 0);
    assert_int_equal(shadow_set_user_root(w.p, &w.v[0], gfn_of(GFNS + 5)), -XEN_EINVAL);
    assert_int_equal(shadow_set_kernel_root(w.p, &w.v[0], gfn_of(0)), -XEN_EINVAL);
    assert_false(mfn_valid(shadow_root(w.p, &w.v[0])));
    paging_unlock(w.p);
    w.v[0].user_mode = false;
    load_root(0);
}

static void test_hole_addresses(void **state)
{
    (void)state;
    set_root(0, L4);
    /* What the guest keeps in the hypervisor's slots is ignored. */
    poke(L4, 257, 11, FULL);
    struct fault_info info;
    assert_int_equal(shadow_fault(w.p, &w.v[0], 0xffff808000000000UL, 7, &info), FAULT_GUEST);
    assert_int_equal(info.guest_error, PF_W);
    assert_int_equal(shadow_fault(w.p, &w.v[0], 0x0000800000000000UL, 4, &info), FAULT_GUEST);
    assert_int_equal(info.guest_error, 0);
    assert_int_equal(update(L4, 256, 11 << PAGE_SHIFT | FULL), -XEN_EINVAL);
    assert_int_equal(update(L4, 271, 11 << PAGE_SHIFT | FULL), -XEN_EINVAL);
    assert_int_equal(update(L4, 271, 11 << PAGE_SHIFT), 0);
    assert_int_equal(update(L4, 272, 11 << PAGE_SHIFT | FULL), 0);
    /* The machine-to-phys table is readable there. */
    expect_fault(0xffff800000000000UL, WRITE, PF_W);
    mfn_t m = w.v[0].loaded->mfn;
    uint64_t e = ((uint64_t *)frame_map(m))[256];
    assert_int_equal(e & (P | RW | PTE_US), P | PTE_US);
    assert_true(e & NX);
}

static void test_bad_entries(void **state)
{
    (void)state;
    poke(L1, 4, GFNS + 100, FULL);
    poke(L1, 5, GFN_WINDOW + 9, FULL);
    poke(L1, 6, FAKE_MMIO, FULL);
    poke(12, 3, 14, FULL | PTE_PSE);
    poke(12, 4, GFNS + 100, FULL);
    poke(11, 3, 14, FULL | PTE_PSE);
    poke(11, 4, FAKE_MMIO, FULL);
    poke(L4, 4, GFN_WINDOW, FULL);
    set_root(0, L4);
    for (unsigned i = 4; i < 7; i++)
        expect_crash(va_of(3, 1, 2, i), READ);
    expect_crash(va_of(3, 1, 3, 0), READ);
    expect_crash(va_of(3, 1, 4, 0), READ);
    expect_crash(va_of(3, 3, 0, 0), READ);
    expect_crash(va_of(3, 4, 0, 0), READ);
    expect_crash(va_of(4, 0, 0, 0), READ);
    /* The same by hypercall is refused and changes nothing. */
    uint64_t before = peek(L1, 0);
    assert_int_equal(update(L1, 0, (GFNS + 100UL) << PAGE_SHIFT | P), -XEN_EINVAL);
    assert_int_equal(update(L1, 0, FAKE_MMIO << PAGE_SHIFT | P), -XEN_EINVAL);
    assert_int_equal(update(12, 0, 14UL << PAGE_SHIFT | P | PTE_PSE), -XEN_EINVAL);
    assert_int_equal(update(11, 0, 14UL << PAGE_SHIFT | P | PTE_PSE), -XEN_EINVAL);
    assert_int_equal(update(12, 0, (GFNS + 100UL) << PAGE_SHIFT | P), -XEN_EINVAL);
    assert_int_equal(update(GFNS + 100, 0, 0), -XEN_EINVAL);
    assert_int_equal(peek(L1, 0), before);
    /* Not present, or in a frame that is no table: stored as it is. */
    assert_int_equal(update(L1, 0, (GFNS + 100UL) << PAGE_SHIFT), 0);
    assert_int_equal(update(40, 0, (GFNS + 100UL) << PAGE_SHIFT | P), 0);
    /* High and reserved bits are stripped, G and PAT ignored. */
    assert_int_equal(update(L1, 0, 20UL << PAGE_SHIFT | FULL | 0x7ff0000000000000UL | 0xf98), 0);
    expect_ok(0, va_of(3, 1, 2, 0), WRITE, 20);
}

static void test_update_follows(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    uint64_t fills = w.p->count.faults_fill;
    assert_int_equal(update(L1, 5, 21UL << PAGE_SHIFT | FULL), 0);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 21);
    assert_int_equal(update(L1, 5, 22UL << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 22);
    assert_int_equal(w.p->count.faults_fill, fills); /* no fault follows an announced change */
    assert_int_equal(update(L1, 5, 22UL << PAGE_SHIFT | P | A), 0);
    arch_tlb_flush_all();
    expect_fault(va_of(3, 1, 2, 5), WRITE, PF_P | PF_W);
    assert_int_equal(update(L1, 5, 0), 0);
    arch_tlb_flush_all();
    expect_fault(va_of(3, 1, 2, 5), READ, 0);
    /* PRESERVE_AD */
    paging_lock(w.p);
    assert_int_equal(
        shadow_update(w.p, gfn_of(L1), 4 * 8, 20UL << PAGE_SHIFT | P, SHADOW_PRESERVE_AD), 0);
    assert_int_equal(shadow_update(w.p, gfn_of(L1), 4097, 0, 0), -XEN_EINVAL);
    assert_int_equal(shadow_update(w.p, gfn_of(L1), 4, 0, 0), -XEN_EINVAL);
    paging_unlock(w.p);
    assert_int_equal(peek(L1, 4), 20UL << PAGE_SHIFT | P | A | D);
    arch_tlb_flush_all();
    expect_ok(0, VA, READ, 20);
}

static void test_upper_update_switches_subtree(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    poke(14, 4, 21, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    assert_int_equal(update(12, 2, 14UL << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    expect_ok(0, VA, WRITE, 21);
    /* Back: the old shadow was kept, and is linked at once. */
    uint64_t shadows = w.p->count.shadows;
    assert_int_equal(update(12, 2, 13UL << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    uint64_t fills = w.p->count.faults_fill;
    expect_ok(0, VA, WRITE, 20);
    assert_int_equal(w.p->count.faults_fill, fills);
    assert_int_equal(w.p->count.shadows, shadows);
}

static void test_find_l1(void **state)
{
    gfn_t table;
    unsigned offset;

    (void)state;
    set_root(0, L4);
    for (unsigned pass = 0; pass < 2; pass++) { /* by the guest's tables, then by the shadow */
        paging_lock(w.p);
        assert_int_equal(shadow_find_l1(w.p, &w.v[0], VA + 5, &table, &offset), 0);
        assert_int_equal(table.n, L1);
        assert_int_equal(offset, 4 * 8);
        assert_int_equal(shadow_find_l1(w.p, &w.v[0], va_of(3, 1, 3, 0), &table, &offset),
                         -XEN_EINVAL);
        assert_int_equal(shadow_find_l1(w.p, &w.v[0], va_of(9, 0, 0, 0), &table, &offset),
                         -XEN_EINVAL);
        assert_int_equal(shadow_find_l1(w.p, &w.v[0], 0xffff800000000000UL, &table, &offset),
                         -XEN_EINVAL);
        paging_unlock(w.p);
        poke(L1, 4, 20, FULL);
        expect_ok(0, VA, READ, 20);
    }
}

/* ---- S4: writes to tables ---- */

static void test_table_is_write_protected(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    poke(L1, 5, 14, FULL); /* a future L1, writable */
    poke(12, 3, 14, FULL);
    poke(14, 0, 21, FULL);
    set_root(0, L4);
    load_root(0);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 14);
    assert_int_equal(p2m_record(w.p, 14)->writable, 1);
    unsigned flushes = fake.flushes[0], ipis = fake.ipis[1];
    expect_ok(0, va_of(3, 1, 3, 0), WRITE, 21); /* 14 becomes a table */
    assert_int_equal(p2m_record(w.p, 14)->writable, 0);
    assert_true(fake.flushes[0] > flushes); /* at once, on all its pCPUs */
    assert_true(fake.ipis[1] > ipis);
    expect_store(va_of(3, 1, 2, 5) + 0x18, 14, true);
    expect_ok(0, va_of(3, 1, 2, 5), READ, 14);
    /* Emulated: the shadow follows. */
    paging_lock(w.p);
    assert_int_equal(shadow_load(w.p, gfn_of(14), 0, 8), 21UL << PAGE_SHIFT | FULL);
    assert_int_equal(shadow_store(w.p, gfn_of(14), 0, 8, 1, 2), -XEN_EAGAIN);
    assert_int_equal(shadow_store(w.p, gfn_of(14), 0, 1, FULL, FULL & ~RW), 0);
    assert_int_equal(shadow_store(w.p, gfn_of(14), 6, 4, 0, 0), -XEN_EINVAL);
    assert_int_equal(shadow_store(w.p, gfn_of(14), 4093, 8, 0, 0), -XEN_EINVAL);
    assert_int_equal(shadow_store(w.p, gfn_of(14), 8, 3, 0, 0), -XEN_EINVAL);
    shadow_flush_local(w.p);
    paging_unlock(w.p);
    assert_int_equal(peek(14, 0), 21UL << PAGE_SHIFT | (FULL & ~RW));
    expect_fault(va_of(3, 1, 3, 0), WRITE, PF_P | PF_W);
    /* Not decoded: dropped, and the store goes through. */
    expect_store(va_of(3, 1, 2, 5), 14, true);
    paging_lock(w.p);
    shadow_drop(w.p, gfn_of(14));
    paging_unlock(w.p);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 14);
    guest_page(14)[0] = 22UL << PAGE_SHIFT | FULL;
    arch_tlb_flush_all();
    expect_ok(0, va_of(3, 1, 3, 0), WRITE, 22);
}

static void test_readonly_table_stores(void **state)
{
    (void)state;
    poke(L1, 4, L1, P | A);
    poke(L1, 5, 20, P | A);
    set_root(0, L4);
    /* The guest's kernel may count on stores to its read-only tables; other memory gives its own
     * fault. */
    expect_store(VA + 8, L1, false);
    expect_fault(va_of(3, 1, 2, 5), WRITE, PF_P | PF_W);
    /* A pinned frame counts as a table before anybody walked it. */
    paging_lock(w.p);
    shadow_pin(w.p, gfn_of(20), 1);
    paging_unlock(w.p);
    expect_store(va_of(3, 1, 2, 5), 20, false);
    w.v[0].user_mode = true;
    paging_lock(w.p);
    shadow_set_user_root(w.p, &w.v[0], gfn_of(L4));
    paging_unlock(w.p);
    load_root(0);
    expect_fault(VA + 8, WRITE, PF_P | PF_W | PF_U);
}

/* A table that its own translation needs: dropping it would not help. */
static void test_self_map(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        poke(L1, 4 + i, L4 + i, FULL);
    poke(L4, 5, L4, FULL); /* recursive: the L4 as L3, L2 and L1 */
    set_root(0, L4);
    for (unsigned i = 0; i < 4; i++)
        expect_store(va_of(3, 1, 2, 4 + i), L4 + i, false);
    expect_ok(0, va_of(5, 5, 5, 5), READ, L4);
    expect_ok(0, va_of(5, 5, 5, 3), READ, 11);
    expect_ok(0, va_of(5, 3, 1, 2), READ, L1);
    assert_int_equal(p2m_record(w.p, L4)->live, 4);
    expect_store(va_of(5, 5, 5, 5), L4, false);
    /* One store is seen at all four levels. */
    paging_lock(w.p);
    assert_int_equal(shadow_store(w.p, gfn_of(L4), 6 * 8, 8, 0, 12UL << PAGE_SHIFT | FULL), 0);
    paging_unlock(w.p);
    expect_ok(0, va_of(5, 5, 5, 6), READ, 12);
    check_world();
    assert_int_equal(update(L4, 5, 0), 0);
    check_world();
}

static void test_demotion(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    poke(L1, 5, 14, P | A | D);
    poke(12, 3, 14, FULL);
    poke(14, 0, 21, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    expect_ok(0, va_of(3, 1, 3, 0), READ, 21);
    assert_int_equal(p2m_record(w.p, 14)->live, 1);
    /* Mapped writable by hypercall: no table any more, the store needs no fault. */
    uint64_t faults = w.p->count.faults_fill;
    assert_int_equal(update(L1, 5, 14UL << PAGE_SHIFT | FULL), 0);
    assert_int_equal(p2m_record(w.p, 14)->live, 0);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 14);
    assert_int_equal(w.p->count.faults_fill, faults);
    /* Pinned: it stays one. */
    arch_tlb_flush_all();
    paging_lock(w.p);
    shadow_pin(w.p, gfn_of(14), 1);
    paging_unlock(w.p);
    expect_ok(0, va_of(3, 1, 3, 0), READ, 21);
    assert_int_equal(update(L1, 5, 14UL << PAGE_SHIFT | FULL), 0);
    assert_int_equal(p2m_record(w.p, 14)->live, 1);
    paging_lock(w.p);
    shadow_unpin(w.p, gfn_of(14));
    paging_unlock(w.p);
    /* Out of all parents and unpinned: the next store takes it as memory. */
    assert_int_equal(update(12, 3, 0), 0);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 14);
    assert_int_equal(p2m_record(w.p, 14)->live, 0);
}

static void test_root_in_use_is_dropped(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    set_root(1, L4);
    expect_ok(0, VA, WRITE, 20);
    mfn_t root = w.v[0].loaded->mfn, out;
    paging_lock(w.p);
    shadow_drop(w.p, gfn_of(L4));
    paging_unlock(w.p);
    check_world();
    assert_int_equal(p2m_record(w.p, L4)->live, 0);
    assert_int_equal(w.v[0].loaded->mfn.n, root.n); /* still what CR3 holds */
    fake.pcpu = 0;
    arch_tlb_flush_all();
    expect_ok(0, VA, WRITE, 20); /* the same table again */
    assert_int_equal(p2m_record(w.p, L4)->live, 1);
    assert_int_equal(w.v[0].loaded->mfn.n, root.n);
    /* Ballooned away under its feet. */
    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(L4), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    check_world();
    arch_tlb_flush_all();
    expect_crash(VA, READ);
    paging_lock(w.p);
    assert_int_equal(p2m_add_ram(w.p, gfn_of(L4), frame_alloc(0, 1, 0)), 0);
    paging_unlock(w.p);
    expect_fault(VA, READ, 0);
    build_tree(L4, VA);
    load_root(0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_fill),
        T(test_accessed_in_upper_levels),
        T(test_rights),
        T(test_user_mode),
        T(test_hole_addresses),
        T(test_bad_entries),
        T(test_update_follows),
        T(test_upper_update_switches_subtree),
        T(test_find_l1),
        T(test_table_is_write_protected),
        T(test_readonly_table_stores),
        T(test_self_map),
        T(test_demotion),
        T(test_root_in_use_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
