/* SPDX-License-Identifier: MIT */
/*
 * Shares of the disk in virtual time: a model device that takes a while for each request, flows
 * that always have something waiting or come and go by chance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dom0/blk/ioshare.h"
#include "dom0/drivers/blkdev.h"

#define FLOWS 8
#define NS    1000000000ull

static uint64_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)((rng_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* A request with its only piece of memory. */
struct item {
    struct blk_request req;
    struct blk_segment seg;
    unsigned flow;
};

static struct {
    struct ioshare s;
    struct ioshare_flow flows[FLOWS];
    unsigned count;
    unsigned waiting[FLOWS];
    uint64_t served[FLOWS]; /* cost */
    uint64_t now;
    struct item *flying[64];
    uint64_t ends[64];
} w;

static void world(unsigned flows, unsigned depth)
{
    memset(&w, 0, sizeof(w));
    w.count = flows;
    w.s.depth = w.s.shared_depth = depth;
    for (unsigned i = 0; i < flows; i++)
        ioshare_flow_init(&w.flows[i]);
}

static void add(unsigned flow, uint32_t bytes)
{
    struct item *item = calloc(1, sizeof(*item));

    assert_non_null(item);
    item->seg.len = bytes;
    item->req.segs = &item->seg;
    item->req.nsegs = bytes ? 1 : 0;
    item->req.op = bytes ? BLK_READ : BLK_FLUSH;
    item->flow = flow;
    ioshare_add(&w.s, &w.flows[flow], &item->req);
    w.waiting[flow]++;
}

/* What may go goes; the device takes 20 us, and 1 us for each 512 bytes. */
static uint64_t dispatch(void)
{
    struct ioshare_flow *flow;
    struct blk_request *req;
    uint64_t at;

    while ((req = ioshare_next(&w.s, w.now, &flow, &at))) {
        struct item *item = (struct item *)req;
        unsigned slot = 0;

        assert_ptr_equal(flow, &w.flows[item->flow]);
        while (w.flying[slot])
            slot++;
        assert_true(slot < w.s.depth);
        w.flying[slot] = item;
        w.ends[slot] = w.now + 20000 + ioshare_bytes(req) / 512 * 1000;
        w.served[item->flow] += ioshare_bytes(req) + IOSHARE_COST;
        w.waiting[item->flow]--;
    }
    return at;
}

/* To the next end of a request, or to `at`, or to `limit`: whatever is first. */
static void step(uint64_t at, uint64_t limit)
{
    uint64_t next = at < limit ? at : limit;
    int which = -1;

    for (unsigned i = 0; i < w.s.depth; i++) {
        if (w.flying[i] && w.ends[i] <= next) {
            next = w.ends[i];
            which = (int)i;
        }
    }
    w.now = next > w.now ? next : w.now;
    if (which >= 0) {
        ioshare_done(&w.s, &w.flows[w.flying[which]->flow]);
        free(w.flying[which]);
        w.flying[which] = NULL;
    }
}

static void drain(void)
{
    while (w.s.waiting || w.s.flying) {
        uint64_t at = dispatch();

        step(at, UINT64_MAX);
    }
}

/* All flows always have something waiting: what each gets for its weight is the same. */
static void test_shares_follow_weights(void **state)
{
    static const unsigned weights[] = {1, 256, 512, 65535, 300, 256, 77, 1024};

    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        const uint32_t largest = 1u << 20;
        unsigned depth = 1 + seed % 16;
        double lag;

        rng_state = seed * 0x9e3779b97f4a7c15ull;
        world(2 + seed % (FLOWS - 1), depth);
        for (unsigned i = 0; i < w.count; i++)
            w.flows[i].weight = weights[(seed + i) % FLOWS];
        for (unsigned n = 0; n < 4000; n++) {
            for (unsigned i = 0; i < w.count; i++) {
                while (w.waiting[i] < depth + 2) /* more than one look at it may take */
                    add(i, rng(3) ? 4096 : 512 * (1 + rng(largest / 512)));
            }
            step(dispatch(), UINT64_MAX);
            for (unsigned i = 0; i < w.count; i++) {
                for (unsigned k = 0; k < i; k++) {
                    lag = (double)w.served[i] / w.flows[i].weight -
                          (double)w.served[k] / w.flows[k].weight;
                    lag = lag < 0 ? -lag : lag;
                    /* The bound of start-time fair queueing, for those served and not finished. */
                    assert_true(lag <= (double)(largest + IOSHARE_COST) / w.flows[i].weight +
                                           (double)(largest + IOSHARE_COST) / w.flows[k].weight +
                                           1);
                }
            }
        }
        drain();
    }
}

/* One that was idle has no credit: it does not take the disk for itself when it comes. */
static void test_idle_time_is_no_credit(void **state)
{
    uint64_t before;

    (void)state;
    world(2, 2);
    for (unsigned n = 0; n < 5000; n++) {
        while (w.waiting[0] < 3)
            add(0, 4096);
        step(dispatch(), UINT64_MAX);
    }
    before = w.served[0];
    for (unsigned n = 0; n < 1000; n++) {
        for (unsigned i = 0; i < 2; i++) {
            while (w.waiting[i] < 3)
                add(i, 4096);
        }
        step(dispatch(), UINT64_MAX);
    }
    assert_in_range(w.served[1], (w.served[0] - before) * 95 / 100,
                    (w.served[0] - before) * 105 / 100);
    drain();
}

/* In each window of any length and place no more than the caps allow, and nearly that much. */
static void test_caps(void **state)
{
    static const uint64_t iops[] = {50, 0, 1000, 7}, bps[] = {0, 1 << 20, 300000, 10 << 20};

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        enum { MAX = 200000 };
        static uint64_t when[MAX], bytes[MAX];
        const uint32_t largest = 65536;
        unsigned count = 0;
        uint64_t total = 0, end = 20 * NS;

        rng_state = kind + 7;
        world(2, 8);
        w.flows[0].iops = iops[kind];
        w.flows[0].bps = bps[kind];
        while (w.now < end) {
            uint64_t before = w.flows[0].requests, had = w.flows[0].bytes, at;

            for (unsigned i = 0; i < 2; i++) {
                while (w.waiting[i] < 2)
                    add(i, 512 * (1 + rng(largest / 512)));
            }
            at = dispatch();
            if (w.flows[0].requests > before) {
                assert_true(count < MAX);
                when[count] = w.now;
                bytes[count++] = w.flows[0].bytes - had;
                total += w.flows[0].bytes - had;
            }
            step(at, end);
        }
        for (unsigned i = 0; i < count; i++) {
            uint64_t sum = 0;

            for (unsigned k = i; k < count && k < i + 400; k++) {
                double t = (double)(when[k] - when[i] + IOSHARE_BURST_NS) / NS;

                sum += bytes[k];
                if (iops[kind]) /* what one look took counts as one here: it is never less */
                    assert_true(k - i + 1 <= t * (double)iops[kind] + 2);
                if (bps[kind])
                    assert_true((double)sum <= t * (double)bps[kind] + largest);
            }
        }
        if (iops[kind] == 50)
            assert_in_range(w.flows[0].requests, 50 * 20 - 2, 50 * 20 + 3);
        if (bps[kind] == 1 << 20)
            assert_in_range(total, (20ull << 20) * 99 / 100, (20ull << 20) * 101 / 100);
        assert_true(w.flows[1].requests > 5000); /* the other is not held back */
        for (unsigned i = 0; i < 2; i++)
            w.flows[i].iops = w.flows[i].bps = 0;
        drain();
    }
}

/* The device has work as long as there is a request that may go; all of them go, in their order. */
static void test_work_conserving(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        rng_state = seed * 77777;
        world(FLOWS, 1 + seed % 8);
        w.flows[1].iops = 200;
        w.flows[2].bps = 100000;
        for (unsigned n = 0; n < 3000; n++) {
            uint64_t at;
            bool free_to_go = false;

            if (rng(2))
                add(rng(FLOWS), rng(10) ? 512 * (1 + rng(64)) : 0);
            at = dispatch();
            for (unsigned i = 0; i < FLOWS; i++)
                free_to_go |= w.waiting[i] && !w.flows[i].iops && !w.flows[i].bps;
            if (free_to_go || (w.s.waiting && at == UINT64_MAX))
                assert_int_equal(w.s.flying, w.s.depth);
            step(at, w.now + rng(100000));
        }
        drain();
        for (unsigned i = 0; i < FLOWS; i++)
            assert_int_equal(w.waiting[i], 0);
    }
}

static void test_one_flow_keeps_its_order(void **state)
{
    struct blk_request *first, *second;
    struct ioshare_flow *flow;
    uint64_t at;

    (void)state;
    world(1, 2);
    add(0, 4096);
    add(0, 0);
    first = ioshare_next(&w.s, 0, &flow, &at);
    second = ioshare_next(&w.s, 0, &flow, &at);
    assert_int_equal(first->op, BLK_READ);
    assert_int_equal(second->op, BLK_FLUSH);
    assert_null(ioshare_next(&w.s, 0, &flow, &at));
    free(first);
    free(second);
}

/* One flow may fill the device; with a second one at work fewer are sent there. */
static void test_depth_is_smaller_when_shared(void **state)
{
    (void)state;
    world(2, 8);
    w.s.shared_depth = 3;
    for (unsigned i = 0; i < 20; i++)
        add(0, 4096);
    dispatch();
    assert_int_equal(w.s.flying, 8);
    assert_int_equal(w.s.busy, 1);
    add(1, 4096);
    assert_int_equal(w.s.busy, 2);
    while (w.s.flying > 3) {
        assert_int_equal(w.waiting[1], 1);
        step(dispatch(), UINT64_MAX);
    }
    while (w.s.busy == 2) {
        step(dispatch(), UINT64_MAX);
        assert_true(w.s.flying <= 3);
    }
    dispatch();
    assert_int_equal(w.s.flying, 8);
    drain();
    assert_int_equal(w.s.busy, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_idle_time_is_no_credit),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_work_conserving),
        cmocka_unit_test(test_one_flow_keeps_its_order),
        cmocka_unit_test(test_depth_is_smaller_when_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
