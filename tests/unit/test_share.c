/* SPDX-License-Identifier: MIT */
/*
 * What comes on top of the shadows' write protection, one rule at a time: frames shared until they
 * are written, and the log of dirty frames. The random model is test_shadow_random.c.
 */
#include "tests/unit/shadow_world.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"

/* The tree of both domains: L4 at gfn 10, L3 11, L2 12, L1 13; the page of most tests is gfn 20. */
#define VA     va_of(3, 1, 2, 4)
#define L4     10
#define L1     13
#define SHARED 20

static mfn_t mfn_at(struct paging *p, uint64_t gfn)
{
    return p2m_lookup(p, gfn_of(gfn)).mfn;
}

static enum p2m_type type_at(struct paging *p, uint64_t gfn)
{
    return p2m_lookup(p, gfn_of(gfn)).type;
}

static void remove_frame(struct paging *p, uint64_t gfn)
{
    mfn_t out;

    paging_lock(p);
    assert_int_equal(p2m_remove_ram(p, gfn_of(gfn), &out), 0);
    paging_unlock(p);
    frame_put(frame_of(out));
    w.epoch[p == w.other][gfn]++;
}

/* The neighbour's gfn becomes the guest's frame. */
static void share(uint64_t gfn)
{
    if (type_at(w.other, gfn) != P2M_HOLE)
        remove_frame(w.other, gfn);
    assert_int_equal(paging_share(w.p, gfn_of(gfn), w.other, gfn_of(gfn)), 0);
    assert_int_equal(type_at(w.p, gfn), P2M_SHARED);
    assert_int_equal(type_at(w.other, gfn), P2M_SHARED);
    assert_int_equal(mfn_at(w.p, gfn).n, mfn_at(w.other, gfn).n);
    assert_int_equal(frame_of(mfn_at(w.p, gfn))->owner, DOMID_COW);
    assert_int_equal(frame_of(mfn_at(w.p, gfn))->refs, 2);
    check_world();
}

static int setup(void **state)
{
    (void)state;
    world_start(32);
    build_tree(L4, VA);
    for (unsigned i = 0; i < 3; i++)
        memcpy(memory_of(w.other, L4 + i), guest_page(L4 + i), PAGE_SIZE);
    poke(L1, 4, SHARED, FULL);
    memory_of(w.other, L1)[4] = SHARED << PAGE_SHIFT | FULL;
    guest_page(SHARED)[0] = 0x1234;
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        set_root(i, L4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop();
    return 0;
}

static mfn_t reads(unsigned vcpu)
{
    struct result r = cpu_access(vcpu, VA, READ);

    assert_int_equal(r.outcome, OK);
    return r.mfn;
}

/* Writes `value` as the guest would. */
static void writes(unsigned vcpu, uint64_t value)
{
    struct result r = cpu_access(vcpu, VA, WRITE);

    assert_int_equal(r.outcome, OK);
    *(uint64_t *)frame_map(r.mfn) = value;
    check_world();
}

static uint64_t first_word(struct paging *p)
{
    return *memory_of(p, SHARED);
}

/* ---- shared frames ---- */

static void test_reads_of_both(void **state)
{
    (void)state;
    expect_ok(0, VA, WRITE, SHARED); /* it was written freely until now */
    mfn_t before = mfn_at(w.p, SHARED);
    share(SHARED);
    assert_int_equal(mfn_at(w.p, SHARED).n, before.n);
    assert_int_equal(p2m_record(w.p, SHARED)->writable, 0);
    assert_int_equal(reads(0).n, before.n);
    assert_int_equal(reads(OTHER).n, before.n);
    check_world();
}

static void test_write_copies_for_the_writer(void **state)
{
    (void)state;
    share(SHARED);
    mfn_t shared = reads(0);
    reads(1);
    reads(OTHER);
    writes(0, 0x5678);
    assert_int_not_equal(mfn_at(w.p, SHARED).n, shared.n);
    assert_int_equal(type_at(w.p, SHARED), P2M_RAM);
    assert_int_equal(first_word(w.p), 0x5678);
    /* The writer's other vCPU does not see the old frame any more; the neighbour goes on with it.
     */
    assert_int_equal(reads(1).n, mfn_at(w.p, SHARED).n);
    assert_int_equal(reads(OTHER).n, shared.n);
    assert_int_equal(first_word(w.other), 0x1234);
    assert_int_equal(frame_of(shared)->refs, 1);
    /* It is the last: no copy. */
    uint64_t free = frame_free_count();
    writes(OTHER, 0x9abc);
    assert_int_equal(frame_free_count(), free);
    assert_int_equal(mfn_at(w.other, SHARED).n, shared.n);
    assert_int_equal(frame_of(shared)->owner, 2);
    assert_int_equal(first_word(w.p), 0x5678);
}

static void test_last_one_waits(void **state)
{
    (void)state;
    share(SHARED);
    reads(0);
    reads(OTHER);
    /* The guest gives its gfn away and does not flush: its TLB still has the frame. */
    fake.pcpu = 0;
    remove_frame(w.p, SHARED);
    unsigned flushes = fake.flushes[0];
    writes(OTHER, 1);
    assert_true(fake.flushes[0] > flushes);
}

static void test_three_gfns(void **state)
{
    (void)state;
    share(SHARED);
    remove_frame(w.p, 21);
    assert_int_equal(paging_share(w.other, gfn_of(SHARED), w.p, gfn_of(21)), 0);
    assert_int_equal(frame_of(mfn_at(w.p, 21))->refs, 3);
    writes(0, 2);
    assert_int_equal(guest_page(21)[0], 0x1234);
    assert_int_equal(paging_unshare(w.other, gfn_of(SHARED)), 0);
    assert_int_equal(paging_unshare(w.other, gfn_of(SHARED)), 0);
    assert_int_equal(paging_unshare(w.p, gfn_of(21)), 0);
    assert_int_equal(frame_of(mfn_at(w.p, 21))->owner, 1);
    assert_int_equal(paging_unshare(w.p, gfn_of(GFNS + 1)), -XEN_EINVAL);
    check_world();
}

static void test_as_page_table(void **state)
{
    (void)state;
    reads(0);
    mfn_t shared = mfn_at(w.p, L1);
    share(L1); /* a table in use: made again by the next walk, in a frame of its own */
    assert_int_equal(p2m_record(w.p, L1)->live, 0);
    fake.pcpu = 0;
    arch_tlb_flush_all();
    reads(0);
    assert_int_equal(type_at(w.p, L1), P2M_RAM);
    assert_int_not_equal(mfn_at(w.p, L1).n, shared.n);
    assert_int_equal(type_at(w.other, L1), P2M_SHARED);
    /* Written by hypercall, pinned, as a root. */
    share(L1);
    assert_int_equal(update(L1, 5, 21UL << PAGE_SHIFT | FULL), 0);
    assert_int_equal(type_at(w.p, L1), P2M_RAM);
    assert_int_equal(memory_of(w.other, L1)[5], 0);
    share(30);
    paging_lock(w.p);
    shadow_pin(w.p, gfn_of(30), 4);
    paging_unlock(w.p);
    set_root(1, 30);
    assert_int_equal(type_at(w.p, 30), P2M_RAM);
    set_root(1, L4);
    share(L4);
    fake.pcpu = 0;
    arch_tlb_flush_all();
    reads(0);
    assert_int_equal(type_at(w.p, L4), P2M_RAM);
    check_world();
}

static void test_holds_and_loans(void **state)
{
    struct frame_hold hold;
    mfn_t m, shared;

    (void)state;
    share(SHARED);
    shared = mfn_at(w.p, SHARED);
    assert_non_null(paging_hold(w.p, gfn_of(SHARED), false, &hold));
    assert_int_equal(hold.mfn.n, shared.n);
    paging_release(&hold);
    assert_non_null(paging_hold(w.p, gfn_of(SHARED), true, &hold));
    assert_int_not_equal(hold.mfn.n, shared.n);
    /* Held: not to be shared. */
    assert_int_equal(paging_share(w.p, gfn_of(SHARED), w.other, gfn_of(GFNS - 1)), -XEN_EBUSY);
    paging_release(&hold);
    assert_int_equal(paging_share(w.p, gfn_of(SHARED), w.other, gfn_of(GFNS - 1)), -XEN_EEXIST);
    assert_int_equal(type_at(w.p, SHARED), P2M_RAM);
    for (unsigned readonly = 0; readonly < 2; readonly++) {
        share(SHARED);
        m = paging_alias_get(w.p, gfn_of(SHARED), readonly);
        assert_int_equal(m.n, mfn_at(w.p, SHARED).n);
        assert_int_equal(type_at(w.p, SHARED), P2M_RAM);
        assert_int_equal(paging_share(w.p, gfn_of(SHARED), w.other, gfn_of(5)), -XEN_EBUSY);
        paging_alias_put(m, readonly);
    }
    /* A table with a frame of the neighbour in it. */
    m = paging_alias_get(w.other, gfn_of(7), true);
    paging_lock(w.p);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(L1), 9 * 8, FULL, m, true), 0);
    paging_unlock(w.p);
    assert_int_equal(paging_share(w.p, gfn_of(L1), w.other, gfn_of(5)), -XEN_EBUSY);
    assert_int_equal(paging_share(w.p, gfn_of(GFNS), w.other, gfn_of(5)), -XEN_EINVAL);
    remove_frame(w.other, 5);
    assert_int_equal(paging_share(w.p, gfn_of(22), w.other, gfn_of(GFNS + 64)), -XEN_EINVAL);
    check_world();
}

static void test_write_va(void **state)
{
    uint64_t word = 77;

    (void)state;
    share(SHARED);
    reads(1);
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA, &word, 8), 0);
    assert_int_equal(first_word(w.p), 77);
    assert_int_equal(first_word(w.other), 0x1234);
    assert_int_equal(reads(1).n, mfn_at(w.p, SHARED).n);
    share(L1); /* its A and D are set on the way */
    update(L1, 4, SHARED << PAGE_SHIFT | P | RW);
    share(L1);
    assert_int_equal(paging_read_va(w.p, &w.v[0], VA, &word, 8), 0);
    assert_int_equal(type_at(w.p, L1), P2M_RAM);
    assert_int_equal(memory_of(w.other, L1)[4] & A, 0);
    check_world();
}

/* Takes all frames; give_back() returns them. */
static mfn_t hoard[4096];
static unsigned hoarded;

static void take_all(void)
{
    while (mfn_valid(hoard[hoarded] = frame_alloc(0, DOMID_XEN, 0)))
        hoarded++;
}

static void give_back(void)
{
    while (hoarded)
        frame_free(hoard[--hoarded], 0);
}

static void test_no_memory(void **state)
{
    uint64_t word = 1;
    struct frame_hold hold;

    (void)state;
    share(SHARED);
    reads(0);
    reads(OTHER);
    take_all();
    /* The writer dies of it, and nobody else notices. */
    assert_int_equal(cpu_access(0, VA, WRITE).outcome, CRASH);
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA, &word, 8), -XEN_ENOMEM);
    assert_null(paging_hold(w.p, gfn_of(SHARED), true, &hold));
    assert_false(mfn_valid(paging_alias_get(w.p, gfn_of(SHARED), true)));
    assert_int_equal(paging_unshare(w.p, gfn_of(SHARED)), -XEN_ENOMEM);
    assert_int_equal(update(SHARED, 0, 0), -XEN_ENOMEM);
    assert_int_equal(type_at(w.p, SHARED), P2M_SHARED);
    assert_int_equal(first_word(w.other), 0x1234);
    assert_int_equal(reads(OTHER).n, mfn_at(w.p, SHARED).n);
    check_world();
    remove_frame(w.p, SHARED);
    writes(OTHER, 3); /* the last one needs none */
    give_back();
}

/* ---- the log ---- */

static uint64_t dirty(bool clean)
{
    uint64_t bits[LOG_WORDS];

    log_collect(w.p, 0, GFNS, clean, bits);
    check_world();
    return bits[0];
}

#define BIT(gfn) (1UL << (gfn))

static void test_log_of_stores(void **state)
{
    (void)state;
    writes(0, 1);
    assert_int_equal(log_enable(w.p), 0);
    assert_int_equal(log_enable(w.p), -XEN_EINVAL);
    assert_int_equal(dirty(false), 0);
    reads(0);
    assert_int_equal(dirty(false), 0);
    uint64_t faults = w.p->count.faults_fill;
    for (unsigned i = 0; i < 3; i++)
        writes(0, i);
    assert_int_equal(w.p->count.faults_fill, faults + 1);
    assert_int_equal(log_stats(w.p, false).faults, 1);
    assert_int_equal(dirty(true), BIT(SHARED));
    assert_int_equal(dirty(true), 0);
    writes(0, 4);
    assert_int_equal(dirty(false), BIT(SHARED));
    assert_int_equal(log_disable(w.p), 0);
    assert_int_equal(dirty(false), 0);
    faults = w.p->count.faults_fill;
    writes(1, 5);
    arch_tlb_flush_all();
    writes(1, 6);
    assert_int_equal(w.p->count.faults_fill, faults);
}

static void test_log_of_tables(void **state)
{
    (void)state;
    poke(L1, 6, 22, P | RW);
    reads(0);
    assert_int_equal(log_enable(w.p), 0);
    assert_int_equal(update(L1, 5, 21UL << PAGE_SHIFT | FULL), 0);
    assert_int_equal(dirty(true), BIT(L1));
    paging_lock(w.p);
    assert_int_equal(shadow_store(w.p, gfn_of(L1), 5 * 8, 8, 21UL << PAGE_SHIFT | FULL, 0), 0);
    paging_unlock(w.p);
    assert_int_equal(dirty(true), BIT(L1));
    expect_ok(0, va_of(3, 1, 2, 6), READ, 22); /* A is set */
    assert_int_equal(dirty(true), BIT(L1));
    expect_ok(0, va_of(3, 1, 2, 6), READ, 22);
    assert_int_equal(dirty(true), 0);
    expect_ok(0, va_of(3, 1, 2, 6), WRITE, 22); /* D is set */
    assert_int_equal(dirty(true), BIT(L1) | BIT(22));
    /* The D is there already: only the frame. */
    expect_ok(0, va_of(3, 1, 2, 6), WRITE, 22);
    assert_int_equal(dirty(true), BIT(22));
}

static void test_log_of_others(void **state)
{
    struct frame_hold hold;
    uint64_t word = 9;

    (void)state;
    assert_int_equal(log_enable(w.p), 0);
    mfn_t m = paging_alias_get(w.p, gfn_of(30), false);
    assert_non_null(paging_hold(w.p, gfn_of(31), true, &hold));
    for (unsigned i = 0; i < 3; i++) /* as long as they may write */
        assert_int_equal(dirty(true), BIT(30) | BIT(31));
    paging_alias_put(m, false);
    paging_release(&hold);
    unsigned flushes = fake.flushes[OTHER];
    assert_int_equal(dirty(true), BIT(30) | BIT(31));
    assert_true(fake.flushes[OTHER] > flushes); /* who had it writable was waited for */
    assert_int_equal(dirty(true), 0);
    m = paging_alias_get(w.p, gfn_of(30), true);
    assert_int_equal(dirty(true), 0);
    paging_alias_put(m, true);
    assert_int_equal(paging_write_va(w.p, &w.v[0], VA, &word, 8), 0);
    assert_int_equal(dirty(true), BIT(SHARED));
    remove_frame(w.p, 40);
    assert_int_equal(dirty(true), BIT(40));
    paging_lock(w.p);
    assert_int_equal(p2m_add_ram(w.p, gfn_of(40), frame_alloc(0, 1, 0)), 0);
    paging_unlock(w.p);
    assert_int_equal(dirty(true), BIT(40));
    /* What could not be told is dirty again. */
    uint64_t bits[LOG_WORDS] = {BIT(40) | BIT(SHARED)};
    log_restore(w.p, 0, bits);
    assert_int_equal(dirty(false), BIT(40) | BIT(SHARED));
}

static void test_log_of_shared(void **state)
{
    (void)state;
    assert_int_equal(log_enable(w.p), 0);
    share(SHARED);
    reads(0);
    assert_int_equal(dirty(true), 0);
    assert_int_equal(paging_unshare(w.p, gfn_of(SHARED)), 0); /* the content is what it was */
    assert_int_equal(dirty(true), 0);
    share(SHARED);
    writes(0, 1);
    assert_int_equal(dirty(true), BIT(SHARED));
    remove_frame(w.p, 33);
    assert_int_equal(paging_share(w.other, gfn_of(SHARED), w.p, gfn_of(33)), 0);
    assert_int_equal(dirty(true), BIT(33));
    assert_int_equal(dirty(true), 0);
}

static void test_log_grows(void **state)
{
    uint64_t bits[LOG_WORDS];

    (void)state;
    assert_int_equal(log_enable(w.p), 0);
    paging_lock(w.p);
    assert_int_equal(p2m_set_max(w.p, 100000), 0);
    assert_int_equal(p2m_add_ram(w.p, gfn_of(99999), frame_alloc(0, 1, 0)), 0);
    paging_unlock(w.p);
    uint64_t first = 99999 / LOG_STEP * LOG_STEP, n = 99999 - first;
    log_collect(w.p, first, LOG_STEP, true, bits);
    assert_int_equal(bits[n / 64], BIT(n % 64));
    log_collect(w.p, first, LOG_STEP, true, bits);
    assert_int_equal(bits[n / 64], 0);
    check_world();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_reads_of_both),  T(test_write_copies_for_the_writer),
        T(test_last_one_waits), T(test_three_gfns),
        T(test_as_page_table),  T(test_holds_and_loans),
        T(test_write_va),       T(test_no_memory),
        T(test_log_of_stores),  T(test_log_of_tables),
        T(test_log_of_others),  T(test_log_of_shared),
        T(test_log_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
