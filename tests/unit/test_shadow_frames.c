/* SPDX-License-Identifier: MIT */
/*
 * Shadow page tables and what happens around them: frames that go or are lent, aliases, MMIO,
 * flushes, the pool, access by virtual address.
 */
#include "tests/unit/shadow_world.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"

/* The tree of most tests: L4 at gfn 10, L3 11, L2 12, L1 13; data from 20 on. */
#define VA va_of(3, 1, 2, 4)
#define L4 10
#define L2 12
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

/* ---- frames that go ---- */

static void test_balloon(void **state)
{
    mfn_t out;

    (void)state;
    poke(L1, 4, 20, FULL);
    poke(L1, 5, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 20);
    assert_int_equal(p2m_record(w.p, 20)->writable, 2);
    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(20), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    check_world();
    arch_tlb_flush_all();
    expect_crash(VA, READ);
    /* An L1 goes: its parents forget it. */
    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(L1), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    check_world();
    arch_tlb_flush_all();
    expect_crash(VA, READ);
}

static void test_hold_drops_shadow(void **state)
{
    struct frame_hold hold;

    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    assert_non_null(paging_hold(w.p, gfn_of(L1), false, &hold));
    assert_int_equal(p2m_record(w.p, L1)->live, 1);
    paging_release(&hold);
    assert_non_null(paging_hold(w.p, gfn_of(L1), true, &hold));
    assert_int_equal(p2m_record(w.p, L1)->live, 0);
    check_world();
    arch_tlb_flush_all();
    expect_crash(VA, WRITE);
    ((uint64_t *)hold.va)[4] = 21UL << PAGE_SHIFT | FULL;
    paging_release(&hold);
    expect_ok(0, VA, WRITE, 21);
}

static void test_lent_frame_is_no_table(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    mfn_t m = paging_alias_get(w.p, gfn_of(12), false);
    assert_true(mfn_valid(m));
    check_world();
    arch_tlb_flush_all();
    expect_crash(VA, WRITE);
    paging_alias_put(m, false);
    unsigned flushes = fake.flushes[VCPUS];
    expect_ok(0, VA, WRITE, 20);
    assert_true(fake.flushes[VCPUS] > flushes); /* the writer's TLB was waited for */
    m = paging_alias_get(w.p, gfn_of(12), true);
    expect_ok(0, VA, WRITE, 20);
    paging_alias_put(m, true);
}

static void test_pool_frames_stamped(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    struct shadow *s = record_shadow(p2m_record(w.p, L1), 1);
    paging_lock(w.p);
    shadow_drop(w.p, gfn_of(L1));
    paging_unlock(w.p);
    assert_int_equal(s->level, 0);
    assert_true(s->stamp != 0);
    for (unsigned i = 0; i < SLOTS; i++)
        assert_int_equal(s->table[i], 0);
}

/* ---- aliases ---- */

static gfn_t foreign(uint64_t table, unsigned slot, uint64_t other_gfn, uint64_t flags, bool ro)
{
    mfn_t m = paging_alias_get(w.other, gfn_of(other_gfn), ro);

    assert_true(mfn_valid(m));
    paging_lock(w.p);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(table), slot * 8, flags, m, ro), 0);
    paging_unlock(w.p);
    return gfn_of(entry_gfn(peek(table, slot)));
}

static const struct frame *others_frame(uint64_t gfn)
{
    return frame_of(p2m_lookup(w.other, gfn_of(gfn)).mfn);
}

static void test_foreign(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    gfn_t a = foreign(L1, 5, 7, FULL, false);
    assert_true(a.n >= GFN_WINDOW);
    assert_int_equal(others_frame(7)->refs, 2);
    assert_int_equal(others_frame(7)->writers, 1);
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, a.n);
    /* Its own slot only. */
    assert_int_equal(update(L1, 6, a.n << PAGE_SHIFT | FULL), -XEN_EINVAL);
    assert_int_equal(update(40, 5, a.n << PAGE_SHIFT | FULL), -XEN_EINVAL);
    paging_lock(w.p);
    assert_int_equal(shadow_store(w.p, gfn_of(L1), 6 * 8, 8, 0, a.n << PAGE_SHIFT | FULL), 0);
    paging_unlock(w.p);
    expect_crash(va_of(3, 1, 2, 6), READ);
    /* Other rights in its slot: it stays. */
    assert_int_equal(update(L1, 5, a.n << PAGE_SHIFT | P | A), 0);
    arch_tlb_flush_all();
    expect_fault(va_of(3, 1, 2, 5), WRITE, PF_P | PF_W);
    assert_int_equal(others_frame(7)->refs, 2);
    /* The slot changes: it ends. */
    assert_int_equal(update(L1, 5, 21UL << PAGE_SHIFT | FULL), 0);
    assert_int_equal(others_frame(7)->refs, 1);
    assert_int_equal(others_frame(7)->writers, 0);
    assert_int_equal(w.p->window_live, 0);
    arch_tlb_flush_all();
    expect_ok(0, va_of(3, 1, 2, 5), WRITE, 21);
    /* Read-only stays read-only. */
    a = foreign(L1, 5, 8, P | A, true);
    assert_int_equal(update(L1, 5, a.n << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    expect_ok(0, va_of(3, 1, 2, 5), READ, a.n);
    expect_fault(va_of(3, 1, 2, 5), WRITE, PF_P | PF_W);
    /* An emulated store ends it as well; and one alias replaces another. */
    foreign(L1, 5, 9, FULL, false);
    assert_int_equal(others_frame(8)->refs, 1);
    paging_lock(w.p);
    assert_int_equal(shadow_store(w.p, gfn_of(L1), 5 * 8, 1, FULL, 0), 0);
    paging_unlock(w.p);
    assert_int_equal(others_frame(9)->refs, 1);
    check_world();
}

static void test_foreign_protects_table(void **state)
{
    (void)state;
    poke(L1, 4, 14, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 14);
    foreign(14, 0, 7, FULL, false); /* 14 is no table in use yet */
    expect_store(VA, 14, true);
    assert_int_equal(p2m_record(w.p, 14)->live, 0);
    assert_int_equal(update(14, 1, 20UL << PAGE_SHIFT | FULL), 0);
    check_world();
    /* Dropped: the alias ends with it. */
    paging_lock(w.p);
    shadow_drop(w.p, gfn_of(14));
    paging_unlock(w.p);
    assert_int_equal(others_frame(7)->refs, 1);
    expect_ok(0, VA, WRITE, 14);
    /* A table with writers cannot take one; an upper table neither. */
    struct frame_hold hold;
    assert_non_null(paging_hold(w.p, gfn_of(14), true, &hold));
    paging_lock(w.p);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(14), 0, FULL, hold.mfn, false), -XEN_EBUSY);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(12), 0, FULL, hold.mfn, false), -XEN_EINVAL);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(14), 0, FULL & ~P, hold.mfn, false),
                     -XEN_EINVAL);
    paging_unlock(w.p);
    paging_release(&hold);
    /* Balloon a table with an alias; leave one for teardown. */
    mfn_t out;
    foreign(14, 3, 7, FULL, false);
    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(14), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    assert_int_equal(others_frame(7)->refs, 1);
    foreign(15, 3, 7, FULL, false);
    check_world();
}

static void test_grant_alias(void **state)
{
    mfn_t m = paging_alias_get(w.other, gfn_of(7), false), out;

    (void)state;
    paging_lock(w.p);
    gfn_t a = p2m_window_add(w.p, P2M_GRANT, m, false);
    paging_unlock(w.p);
    poke(L1, 4, a.n, FULL);
    poke(L1, 5, a.n, P | A);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, a.n);
    expect_ok(0, va_of(3, 1, 2, 5), READ, a.n);
    /* The granter balloons it out meanwhile: the frame lives on. */
    paging_lock(w.other);
    assert_int_equal(p2m_remove_ram(w.other, gfn_of(7), &out), 0);
    paging_unlock(w.other);
    frame_put(frame_of(out));
    assert_int_equal(frame_of(m)->refs, 1);
    expect_ok(0, VA, WRITE, a.n);
    uint64_t before = frame_free_count();
    paging_lock(w.p);
    assert_int_equal(p2m_window_remove(w.p, a, &out), 0);
    paging_unlock(w.p);
    check_world();
    paging_alias_put(out, false);
    assert_int_equal(frame_free_count(), before + 1);
    arch_tlb_flush_all();
    expect_crash(VA, READ);
}

static void test_mmio(void **state)
{
    (void)state;
    world_stop();
    world_start(32);
    w.p->flags |= PAGING_DIRECT; /* only its right to MMIO matters here */
    build_tree(L4, VA);
    poke(L1, 4, FAKE_MMIO, FULL);
    poke(L1, 5, FAKE_MMIO + 1, FULL);
    poke(L1, 6, FAKE_MMIO + 2, FULL);
    set_root(0, L4);
    assert_int_equal(cpu_access(0, VA, WRITE).mfn.n, FAKE_MMIO);
    assert_int_equal(cpu_access(0, va_of(3, 1, 2, 5), READ).mfn.n, FAKE_MMIO + 1);
    expect_fault(va_of(3, 1, 2, 5), WRITE, PF_P | PF_W);
    expect_crash(va_of(3, 1, 2, 6), READ);
    struct shadow *s = record_shadow(p2m_record(w.p, L1), 1);
    for (unsigned i = 4; i < 6; i++)
        assert_int_equal(s->table[i] & PTE_UNCACHED, PTE_UNCACHED);
    assert_int_equal(update(L1, 6, (FAKE_MMIO + 2) << PAGE_SHIFT | P), -XEN_EPERM);
    assert_int_equal(update(L1, 6, (FAKE_MMIO + 1) << PAGE_SHIFT | FULL), 0);
    assert_int_equal(update(L1, 4, 20UL << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    expect_ok(0, VA, WRITE, 20);
    assert_int_equal(s->table[4] & PTE_UNCACHED, 0);
    w.p->flags = 0;
    shadow_drop(w.p, gfn_of(L1));
}

/* ---- flushes, pool, other vCPUs ---- */

static void test_flush_only_when_needed(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    fake.pcpu = 0;
    arch_tlb_flush_all();
    unsigned n = fake.flushes[0];
    paging_lock(w.p);
    shadow_flush_local(w.p);
    assert_int_equal(fake.flushes[0], n);
    shadow_update(w.p, gfn_of(L1), 5 * 8, 21UL << PAGE_SHIFT | FULL, 0); /* new: nothing to flush */
    shadow_flush_local(w.p);
    assert_int_equal(fake.flushes[0], n);
    shadow_update(w.p, gfn_of(L1), 5 * 8, 21UL << PAGE_SHIFT | P | A, 0);
    shadow_flush_local(w.p);
    assert_int_equal(fake.flushes[0], n + 1);
    shadow_flush_local(w.p);
    assert_int_equal(fake.flushes[0], n + 1);
    unsigned other = fake.flushes[1];
    shadow_flush_mask(w.p, ~0UL); /* the other has not flushed since */
    assert_int_equal(fake.flushes[1], other + 1);
    assert_int_equal(fake.flushes[0], n + 1);
    shadow_flush_mask(w.p, ~0UL);
    assert_int_equal(fake.flushes[1], other + 1);
    paging_unlock(w.p);
}

static void test_tiny_pool(void **state)
{
    (void)state;
    world_stop();
    world_start(24);
    /* 20 trees of L3, L2, L1 below one L4: 61 tables. All reach the same data page. */
    for (unsigned i = 0; i < 17; i++) {
        uint64_t base = 12 + i * 3;
        poke(L4, i, base, FULL);
        poke(base, 0, base + 1, FULL);
        poke(base + 1, 0, base + 2, FULL);
        poke(base + 2, 0, 2, FULL);
    }
    set_root(0, L4);
    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 17; i++)
            expect_ok(0, va_of(i, 0, 0, 0), WRITE, 2);
    assert_true(w.p->count.reclaimed > 50);
    assert_true(w.p->count.shadows <= 24);
    /* A table in constant use survives. */
    w.no_cache = true; /* so that the processor walks, and sets A */
    uint64_t fills = w.p->count.faults_fill;
    for (unsigned round = 0; round < 100; round++) {
        expect_ok(0, va_of(1, 0, 0, 0), WRITE, 2);
        expect_ok(0, va_of(2 + round % 15, 0, 0, 0), READ, 2);
    }
    assert_true(w.p->count.faults_fill - fills < 180);
}

static void test_va_access(void **state)
{
    char text[32] = {0};

    (void)state;
    poke(L1, 4, 20, P | RW);
    poke(L1, 5, 21, P | RW);
    poke(L1, 6, 22, P);
    poke(L1, 7, L1, P | RW);
    set_root(0, L4);
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA + 4090, "0123456789ab", 12), 0);
    assert_memory_equal((char *)guest_page(20) + 4090, "012345", 6);
    assert_memory_equal(guest_page(21), "6789ab", 6);
    assert_int_equal(peek(L1, 4) & (A | D), A | D);
    assert_int_equal(paging_read_va(w.p, &w.v[0], VA + 4090, text, 12), 0);
    assert_string_equal(text, "0123456789ab");
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA + 2 * 4096 - 1, "xy", 2), -XEN_EFAULT);
    assert_int_equal(paging_read_va(w.p, &w.v[0], VA + 2 * 4096, text, 2), 0);
    assert_int_equal(peek(L1, 6) & (A | D), A);
    assert_int_equal(paging_read_va(w.p, &w.v[0], 0xffff800000000000UL, text, 2), -XEN_EFAULT);
    assert_int_equal(paging_read_va(w.p, &w.v[0], ~0UL, text, 2), -XEN_EFAULT);
    assert_int_equal(paging_read_va(w.p, &w.v[1], VA, text, 2), -XEN_EFAULT);
    /* Writing over a table stops it being one. */
    expect_ok(0, VA, READ, 20);
    uint64_t entry = 23UL << PAGE_SHIFT | FULL;
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA + 3 * 4096 + 4 * 8, &entry, 8), 0);
    check_world();
    arch_tlb_flush_all();
    expect_ok(0, VA, READ, 23);
}

/* A window at va shows that gfn's page; false: there is none. */
static bool window_shows(vaddr_t va, uint64_t gfn)
{
    char *at = paging_window_va(w.p, &w.v[0], va, 8);

    if (!at)
        return false;
    assert_ptr_equal(at, guest_page(gfn));
    paging_window_end(w.p, at);
    return true;
}

/* The hypervisor writes there at each switch, mostly by the shadow that it finds: which must not
 * give more than the guest's tables and frames do now. */
static void test_window(void **state)
{
    const vaddr_t far = va_of(3, 1, 3, 0);
    mfn_t out;

    (void)state;
    poke(L1, 4, 20, P | RW);
    poke(L1, 7, L1, P | RW);
    set_root(0, L4);
    assert_true(window_shows(VA, 20)); /* walked */
    expect_ok(0, VA, WRITE, 20);
    assert_true(window_shows(VA, 20)); /* by the shadow */
    w.v[0].user_mode = true;           /* the kernel's tables all the same */
    assert_true(window_shows(VA, 20));
    w.v[0].user_mode = false;
    assert_null(paging_window_va(w.p, &w.v[0], VA + 4090, 8));
    assert_false(window_shows(0xffff800000000000UL, 0));
    /* Read-only, first by an upper table, then by its own entry. */
    assert_int_equal(update(L2, va_slot(VA, 2), (uint64_t)L1 << PAGE_SHIFT | (FULL & ~RW)), 0);
    assert_false(window_shows(VA, 20));
    assert_int_equal(update(L2, va_slot(VA, 2), (uint64_t)L1 << PAGE_SHIFT | FULL), 0);
    expect_ok(0, VA, WRITE, 20);
    assert_int_equal(update(L1, 4, 20UL << PAGE_SHIFT | (FULL & ~RW)), 0);
    assert_false(window_shows(VA, 20));
    /* Another page; then that is a table: written, it is none any more. */
    assert_int_equal(update(L1, 4, 21UL << PAGE_SHIFT | FULL), 0);
    arch_tlb_flush_all();
    expect_ok(0, VA, WRITE, 21);
    assert_true(window_shows(VA, 21));
    poke(21, 0, 22, FULL);
    assert_int_equal(update(L2, va_slot(far, 2), 21UL << PAGE_SHIFT | FULL), 0);
    expect_ok(0, far, WRITE, 22);
    assert_true(p2m_record(w.p, 21)->live);
    assert_true(window_shows(VA, 21));
    assert_false(p2m_record(w.p, 21)->live);
    check_world();
    /* Given away. */
    expect_ok(0, VA, WRITE, 21);
    paging_lock(w.p);
    assert_int_equal(p2m_remove_ram(w.p, gfn_of(21), &out), 0);
    paging_unlock(w.p);
    frame_put(frame_of(out));
    assert_false(window_shows(VA, 21));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_balloon),
        T(test_hold_drops_shadow),
        T(test_lent_frame_is_no_table),
        T(test_pool_frames_stamped),
        T(test_foreign),
        T(test_foreign_protects_table),
        T(test_grant_alias),
        T(test_mmio),
        T(test_flush_only_when_needed),
        T(test_tiny_pool),
        T(test_va_access),
        T(test_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
