/* SPDX-License-Identifier: MIT */
/* Frame allocator and TLB clock: counts, merging, references, scrubbing, stamps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>

#include "hv/arch.h"
#include "mm/frame.h"
#include "mm/tlb.h"
#include "tests/unit/fake_arch.h"

#define FRAMES 4097 /* 1 .. 4096 are RAM */

static int setup(void **state)
{
    (void)state;
    fake_machine_start(FRAMES, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_stop();
    return 0;
}

static void test_counts(void **state)
{
    (void)state;
    assert_int_equal(frame_total_count(), 4096);
    assert_int_equal(frame_free_count(), 4096);
    assert_int_equal(frame_max_mfn(), 4097);
    assert_null(frame_of(mfn_of(0)));
    assert_null(frame_of(mfn_of(FRAMES)));
    assert_null(frame_of(INVALID_MFN));
    mfn_t m = frame_alloc(3, DOMID_XEN, 0);
    assert_true(mfn_valid(m));
    assert_int_equal(m.n % 8, 0);
    assert_int_equal(frame_free_count(), 4088);
    frame_free(m, 3);
    assert_int_equal(frame_free_count(), 4096);
    frame_add_range(PAGE_SIZE, 8 * PAGE_SIZE); /* given twice: no change */
    assert_int_equal(frame_total_count(), 4096);
}

static void test_exhaustion_and_merge(void **state)
{
    mfn_t all[4096];

    (void)state;
    for (unsigned i = 0; i < 4096; i++) {
        all[i] = frame_alloc(0, 7, 0);
        assert_true(mfn_valid(all[i]));
    }
    assert_false(mfn_valid(frame_alloc(0, 7, 0)));
    assert_int_equal(frame_free_count(), 0);
    for (unsigned i = 0; i < 4096; i++) /* an order that merges late */
        frame_put(frame_of(all[(i * 1031) % 4096]));
    assert_int_equal(frame_free_count(), 4096);
    /* Everything has merged: the largest aligned block that fits is there again. */
    mfn_t big = frame_alloc(11, DOMID_XEN, 0);
    assert_true(mfn_valid(big));
    assert_int_equal(big.n, 2048);
    assert_false(mfn_valid(frame_alloc(11, DOMID_XEN, 0)));
    assert_false(mfn_valid(frame_alloc(30, DOMID_XEN, 0)));
    frame_free(big, 11);
}

static void test_block_for_domain_is_single_frames(void **state)
{
    (void)state;
    mfn_t m = frame_alloc(4, 3, 0);
    for (unsigned i = 0; i < 16; i++) {
        struct frame *f = frame_of(mfn_of(m.n + i));
        assert_int_equal(f->owner, 3);
        assert_int_equal(f->refs, 1);
        frame_put(f);
        assert_int_equal(frame_free_count(), 4096 - 15 + i);
    }
}

static void test_references(void **state)
{
    (void)state;
    struct frame *f = frame_of(frame_alloc(0, 5, 0));
    assert_false(frame_get(f, 6));
    assert_true(frame_get(f, 5));
    assert_int_equal(f->refs, 2);
    frame_put(f);
    assert_int_equal(frame_free_count(), 4095);
    frame_put(f);
    assert_int_equal(frame_free_count(), 4096);
    assert_false(frame_get(f, 5));
    assert_false(frame_get(f, DOMID_INVALID));
}

static void test_scrubbed(void **state)
{
    (void)state;
    /* Boot memory holds 0xa5; a domain must not see it, nor what another left. */
    for (unsigned round = 0; round < 3; round++) {
        mfn_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            m[i] = frame_alloc(0, 1, 0);
            char *page = frame_map(m[i]);
            for (unsigned b = 0; b < PAGE_SIZE; b++)
                assert_int_equal(page[b], 0);
            memset(page, 0x5a, PAGE_SIZE);
            frame_unmap(page);
        }
        for (unsigned i = 0; i < 64; i++)
            frame_put(frame_of(m[i]));
        mfn_t own = frame_alloc(6, DOMID_XEN, FRAME_ALLOC_ZERO);
        char *page = frame_map(own);
        for (unsigned b = 0; b < 64 * PAGE_SIZE; b++)
            assert_int_equal(page[b], 0);
        memset(page, 0x5a, 64 * PAGE_SIZE);
        frame_free(own, 6);
    }
}

static unsigned char first_byte(mfn_t m)
{
    return *(unsigned char *)frame_map(m);
}

static mfn_t written(uint16_t owner)
{
    mfn_t m = frame_alloc(0, owner, 0);

    assert_true(mfn_valid(m));
    memset(frame_map(m), 0x77, PAGE_SIZE);
    return m;
}

/* A frame that its domain gave back is its own to take again, as it is, and nobody else's. */
static void test_spares(void **state)
{
    mfn_t a = written(5), b = written(5), c = written(5);

    (void)state;
    frame_put_spare(frame_of(a));
    assert_int_equal(frame_free_count(), 4096 - 2);
    assert_false(frame_get(frame_of(a), 5));
    assert_int_equal(frame_alloc_spare(6).n, INVALID_MFN.n);
    assert_int_equal(frame_alloc_spare(5).n, a.n);
    assert_int_equal(first_byte(a), 0x77);
    assert_int_equal(frame_free_count(), 4096 - 3);
    assert_true(frame_get(frame_of(a), 5));

    frame_put_spare(frame_of(a)); /* not the last reference */
    assert_int_equal(frame_alloc_spare(5).n, INVALID_MFN.n);
    frame_stamp(frame_of(b)); /* another domain had it mapped */
    frame_put_spare(frame_of(b));
    assert_int_equal(frame_alloc_spare(5).n, INVALID_MFN.n);

    frame_put_spare(frame_of(c)); /* the domain ends: another of its number gets nothing of it */
    frame_forget_spares(5);
    assert_int_equal(frame_alloc_spare(5).n, INVALID_MFN.n);
    frame_put(frame_of(a));
    assert_int_equal(frame_free_count(), 4096);
}

/* When memory is short, spares are everybody's, scrubbed; and all of it merges again. */
static void test_spares_are_free_memory(void **state)
{
    mfn_t spare[40], m;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        spare[i] = written(5);
    for (unsigned i = 0; i < 40; i++) /* more than are kept */
        frame_put_spare(frame_of(spare[i]));
    assert_int_equal(frame_free_count(), 4096);
    for (unsigned i = 0; i < 4096; i++) {
        m = frame_alloc(0, 6, 0);
        assert_true(mfn_valid(m));
        assert_int_equal(first_byte(m), 0);
    }
    assert_int_equal(frame_alloc(0, 6, 0).n, INVALID_MFN.n);
    assert_int_equal(frame_free_count(), 0);
    for (unsigned i = 1; i <= 4096; i++)
        frame_put(frame_of(mfn_of(i)));
    assert_true(mfn_valid(frame_alloc(11, 7, 0)));
}

static void test_stamps(void **state)
{
    (void)state;
    mfn_t all[4096];
    for (unsigned i = 0; i < 4096; i++)
        all[i] = frame_alloc(0, 1, 0);
    frame_put(frame_of(all[77]));
    unsigned before0 = fake.flushes[0], before1 = fake.flushes[1];
    /* The only free frame was freed just now: both pCPUs must flush before it is given out. */
    mfn_t m = frame_alloc(0, 2, 0);
    assert_int_equal(m.n, all[77].n);
    assert_int_equal(fake.flushes[0], before0 + 1);
    assert_int_equal(fake.flushes[1], before1 + 1);
    /* Flushed meanwhile by themselves: no need. */
    frame_put(frame_of(m));
    fake.pcpu = 1;
    arch_tlb_flush_all();
    fake.pcpu = 0;
    arch_tlb_flush_all();
    m = frame_alloc(0, 2, 0);
    assert_int_equal(fake.flushes[0], before0 + 2);
    assert_int_equal(fake.flushes[1], before1 + 2);
}

static void test_tlb_clock(void **state)
{
    (void)state;
    uint64_t t = tlb_stamp();
    assert_false(tlb_stamp_safe(t));
    assert_true(tlb_stamp_safe(0));
    arch_tlb_flush_all();
    assert_true(tlb_flushed_since(t));
    assert_false(tlb_stamp_safe(t));
    unsigned ipis = fake.ipis[1], own = fake.flushes[0];
    tlb_wait_safe(t);
    assert_true(tlb_stamp_safe(t));
    assert_int_equal(fake.ipis[1], ipis + 1);
    assert_int_equal(fake.flushes[0], own);
    tlb_wait_safe(t);
    assert_int_equal(fake.ipis[1], ipis + 1);
    tlb_flush_pcpus(1);
    assert_int_equal(fake.flushes[0], own + 1);
    assert_int_equal(fake.ipis[1], ipis + 1);
    tlb_flush_pcpus(~0UL);
    assert_int_equal(fake.flushes[0], own + 2);
    assert_int_equal(fake.ipis[1], ipis + 2);
    /* A flush that began before the stamp does not count. */
    uint64_t began = tlb_flush_begin();
    t = tlb_stamp();
    tlb_flush_end(arch_pcpu_id(), began);
    assert_false(tlb_flushed_since(t));
}

/* A pCPU that waits is not waited for, but has flushed when it goes on; not so where a frame is to
 * be used again. */
static void test_tlb_waiter(void **state)
{
    (void)state;
    tlb_flush_pcpus(~0UL);
    fake.pcpu = 1;
    tlb_wait_begin();
    fake.pcpu = 0;
    uint64_t t = tlb_stamp();
    unsigned ipis = fake.ipis[1], flushes = fake.flushes[1];
    assert_true(tlb_flush_pcpus_since(2, t));
    assert_int_equal(fake.ipis[1], ipis);
    assert_int_equal(fake.flushes[1], flushes);
    assert_false(tlb_stamp_safe(t));
    fake.pcpu = 1;
    tlb_wait_end();
    assert_int_equal(fake.flushes[1], flushes + 1);
    assert_true(tlb_flushed_since(t));
    tlb_wait_begin();
    fake.pcpu = 0;
    assert_false(tlb_flush_pcpus_since(2, t));
    t = tlb_stamp();
    tlb_wait_safe(t);
    assert_true(tlb_stamp_safe(t));
    assert_int_equal(fake.ipis[1], ipis + 1);
    assert_int_equal(fake.flushes[1], flushes + 2);
    fake.pcpu = 1;
    tlb_wait_end();
    assert_int_equal(fake.flushes[1], flushes + 2);
    fake.pcpu = 0;
}

/* Random traffic against a list of what is out: nothing is given twice, nothing is lost. */
static void test_random(void **state)
{
    static uint8_t used[FRAMES];
    struct {
        mfn_t mfn;
        unsigned order;
    } out[256];
    unsigned count = 0;
    uint64_t seed = 1, held = 0;

    (void)state;
    memset(used, 0, sizeof used);
    for (unsigned step = 0; step < 100000; step++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        unsigned r = (unsigned)(seed >> 33);
        if (count < 256 && r % 2) {
            unsigned order = r / 2 % 7;
            mfn_t m = frame_alloc(order, DOMID_XEN, 0);
            if (!mfn_valid(m))
                continue;
            assert_int_equal(m.n & ((1UL << order) - 1), 0);
            for (unsigned i = 0; i < 1U << order; i++)
                assert_int_equal(used[m.n + i]++, 0);
            out[count].mfn = m;
            out[count++].order = order;
            held += 1UL << order;
        } else if (count) {
            unsigned i = r / 2 % count;
            for (unsigned k = 0; k < 1U << out[i].order; k++)
                used[out[i].mfn.n + k]--;
            held -= 1UL << out[i].order;
            frame_free(out[i].mfn, out[i].order);
            out[i] = out[--count];
        }
        assert_int_equal(frame_free_count(), 4096 - held);
    }
    while (count--)
        frame_free(out[count].mfn, out[count].order);
    assert_true(mfn_valid(frame_alloc(11, DOMID_XEN, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exhaustion_and_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_block_for_domain_is_single_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scrubbed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spares_are_free_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tlb_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tlb_waiter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
