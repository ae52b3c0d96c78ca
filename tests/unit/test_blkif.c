/* SPDX-License-Identifier: MIT */
/* The pure parts of the block back end: ring, requests, layout on the device. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/blk/blkreq.h"
#include "dom0/blk/grantcache.h"
#include "dom0/blk/blkring.h"

static union {
    struct blkif_sring ring;
    unsigned char bytes[4096];
} page;

static struct blkif_request *front_entry(uint32_t i)
{
    return (struct blkif_request *)(page.bytes + 64 + (i % BLKRING_SIZE) * 112);
}

static void test_ring(void **state)
{
    (void)state;
    struct blkring r;
    struct blkif_request copy;

    memset(&page, 0, sizeof(page));
    page.ring.rsp_event = 1;
    assert_int_equal(blkring_start(&r, &page.ring), 0);
    assert_int_equal(blkring_take(&r, &copy), 0);
    assert_false(blkring_rearm(&r));
    assert_int_equal(page.ring.req_event, 1);
    for (uint64_t round = 0; round < 100; round++) {
        front_entry(page.ring.req_prod)->id = round;
        page.ring.req_prod++;
        assert_true(blkring_rearm(&r));
        assert_int_equal(blkring_take(&r, &copy), 1);
        assert_int_equal(copy.id, round);
        assert_int_equal(blkring_take(&r, &copy), 0);
        blkring_put(&r, round, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
        assert_int_equal(page.ring.rsp_prod, round);
        assert_true(blkring_publish(&r));
        assert_int_equal(page.ring.rsp_prod, round + 1);
        struct blkif_response *rsp = (void *)front_entry((uint32_t)round);
        assert_int_equal(rsp->id, round);
        assert_int_equal(rsp->operation, BLKIF_OP_WRITE);
        assert_int_equal(rsp->status, BLKIF_RSP_ERROR);
        page.ring.rsp_event = page.ring.rsp_prod + 1;
    }
    assert_false(blkring_publish(&r));
    page.ring.rsp_event = page.ring.rsp_prod + 2; /* it wants to hear of the second only */
    blkring_put(&r, 0, 0, 0);
    assert_false(blkring_publish(&r));
    blkring_put(&r, 0, 0, 0);
    assert_true(blkring_publish(&r));
}

static void test_ring_start_late(void **state)
{
    (void)state;
    struct blkring r;
    struct blkif_request copy;

    /* A ring that another back end has worked on, indices about to wrap. */
    memset(&page, 0, sizeof(page));
    page.ring.rsp_prod = 0xfffffff0;
    page.ring.req_prod = page.ring.rsp_prod + BLKRING_SIZE;
    assert_int_equal(blkring_start(&r, &page.ring), 0);
    for (unsigned i = 0; i < BLKRING_SIZE; i++) {
        assert_int_equal(blkring_take(&r, &copy), 1);
    }
    assert_int_equal(blkring_take(&r, &copy), 0);
    page.ring.req_prod++;
    assert_int_equal(blkring_take(&r, &copy), -XEN_EIO); /* over an unanswered one */
    blkring_put(&r, 0, 0, 0);
    assert_int_equal(blkring_take(&r, &copy), 1);
    page.ring.req_prod -= 2; /* backwards */
    assert_int_equal(blkring_take(&r, &copy), -XEN_EIO);
    page.ring.req_prod = page.ring.rsp_prod + BLKRING_SIZE + 1;
    assert_int_equal(blkring_start(&r, &page.ring), -XEN_EINVAL);
}

static const struct blkreq_disk disk = {.sectors = 1000};
static struct blkreq req;
static const char *why;

static struct blkif_request raw_request(uint8_t op, uint64_t sector, unsigned nsegs)
{
    struct blkif_request raw;

    memset(&raw, 0xee, sizeof(raw));
    raw.operation = op;
    raw.nr_segments = (uint8_t)nsegs;
    raw.id = 0x1234567890abcdef;
    raw.sector_number = sector;
    for (unsigned i = 0; i < nsegs && i < BLKREQ_DIRECT; i++) {
        raw.seg[i].gref = 100 + i;
        raw.seg[i].first_sect = 0;
        raw.seg[i].last_sect = 7;
    }
    return raw;
}

static int decode(struct blkif_request raw)
{
    int status;

    memset(&req, 0xee, sizeof(req));
    status = blkreq_decode(&raw, &disk, &req, &why);

    assert_int_equal(req.id, 0x1234567890abcdef);
    assert_int_equal(req.operation, raw.operation);
    return status;
}

static void test_decode(void **state)
{
    (void)state;
    struct blkif_request raw = raw_request(BLKIF_OP_READ, 10, 2);

    raw.seg[0].first_sect = 6;
    raw.seg[1].last_sect = 0;
    assert_int_equal(decode(raw), BLKIF_RSP_OKAY);
    assert_int_equal(req.nsegs, 2);
    assert_int_equal(req.offset, 5120);
    assert_int_equal(req.bytes, 1536);
    assert_int_equal(req.grefs[1], 101);
    assert_int_equal(req.segs[0].offset, 3072);
    assert_int_equal(req.segs[0].len, 1024);
    assert_int_equal(req.segs[1].offset, 0);
    assert_int_equal(req.segs[1].len, 512);
    assert_int_equal(decode(raw_request(BLKIF_OP_WRITE, 912, 11)), BLKIF_RSP_OKAY);
    assert_int_equal(req.bytes, 11 * 4096);
    assert_int_equal(decode(raw_request(BLKIF_OP_FLUSH_DISKCACHE, 0, 0)), BLKIF_RSP_OKAY);
    assert_int_equal(req.nsegs, 0);
    assert_int_equal(decode(raw_request(BLKIF_OP_WRITE_BARRIER, 912, 11)), BLKIF_RSP_OKAY);
    assert_int_equal(req.bytes, 11 * 4096);
    assert_int_equal(decode(raw_request(BLKIF_OP_WRITE_BARRIER, 912, 0)), BLKIF_RSP_OKAY);
    assert_int_equal(req.nsegs, 0);
    assert_int_equal(decode(raw_request(BLKIF_OP_WRITE_BARRIER, 913, 11)), BLKIF_RSP_ERROR);
}

static void test_decode_refuses(void **state)
{
    (void)state;
    struct blkif_request raw;
    const struct blkreq_disk ro = {.sectors = 1000, .readonly = true};
    static const uint64_t beyond[] = {993,        1000,           1001,
                                      UINT64_MAX, UINT64_MAX - 7, UINT64_MAX / 512 + 1};

    for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        assert_int_equal(decode(raw_request(BLKIF_OP_READ, beyond[i], 1)), BLKIF_RSP_ERROR);
        assert_non_null(why);
    }
    assert_int_equal(decode(raw_request(BLKIF_OP_READ, 992, 1)), BLKIF_RSP_OKAY);
    assert_int_equal(decode(raw_request(BLKIF_OP_READ, 0, 0)), BLKIF_RSP_ERROR);
    assert_int_equal(decode(raw_request(BLKIF_OP_READ, 0, 12)), BLKIF_RSP_ERROR);
    assert_int_equal(decode(raw_request(BLKIF_OP_WRITE, 0, 255)), BLKIF_RSP_ERROR);
    raw = raw_request(BLKIF_OP_READ, 0, 1);
    raw.seg[0].last_sect = 8;
    assert_int_equal(decode(raw), BLKIF_RSP_ERROR);
    raw.seg[0].first_sect = 3;
    raw.seg[0].last_sect = 2;
    assert_int_equal(decode(raw), BLKIF_RSP_ERROR);
    assert_int_equal(decode(raw_request(BLKIF_OP_FLUSH_DISKCACHE, 0, 1)), BLKIF_RSP_ERROR);
    for (unsigned op = 0; op < 256; op++) {
        if (op > BLKIF_OP_FLUSH_DISKCACHE && op != BLKIF_OP_DISCARD && op != BLKIF_OP_INDIRECT) {
            assert_int_equal(decode(raw_request((uint8_t)op, 0, 1)), BLKIF_RSP_EOPNOTSUPP);
            assert_null(why);
        }
    }
    raw = raw_request(BLKIF_OP_WRITE, 0, 1);
    assert_int_equal(blkreq_decode(&raw, &ro, &req, &why), BLKIF_RSP_ERROR);
    assert_string_equal(why, "write to a read-only disk");
    raw.operation = BLKIF_OP_WRITE_BARRIER;
    assert_int_equal(blkreq_decode(&raw, &ro, &req, &why), BLKIF_RSP_ERROR);
    raw.operation = BLKIF_OP_READ;
    assert_int_equal(blkreq_decode(&raw, &ro, &req, &why), BLKIF_RSP_OKAY);
}

static int decode_discard(uint64_t sector, uint64_t sectors, uint8_t flag,
                          const struct blkreq_disk *of)
{
    struct blkif_request raw;
    struct blkif_request_discard *d = (void *)&raw;

    memset(&raw, 0xee, sizeof(raw));
    d->operation = BLKIF_OP_DISCARD;
    d->flag = flag;
    d->id = 7;
    d->sector_number = sector;
    d->nr_sectors = sectors;
    return blkreq_decode(&raw, of, &req, &why);
}

static void test_discard(void **state)
{
    const struct blkreq_disk ro = {.sectors = 1000, .readonly = true};
    const struct blkreq_disk no = {.sectors = 1000, .no_discard = true};

    (void)state;
    assert_int_equal(decode_discard(10, 1, 0, &no), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(decode_discard(10, 990, 0, &disk), BLKIF_RSP_OKAY);
    assert_int_equal(req.operation, BLKIF_OP_DISCARD);
    assert_int_equal(req.id, 7);
    assert_int_equal(req.nsegs, 0);
    assert_int_equal(req.offset, 5120);
    assert_int_equal(req.bytes, 990 * 512);
    assert_int_equal(decode_discard(10, 991, 0, &disk), BLKIF_RSP_ERROR);
    assert_int_equal(decode_discard(10, UINT64_MAX, 0, &disk), BLKIF_RSP_ERROR);
    assert_int_equal(decode_discard(UINT64_MAX, 2, 0, &disk), BLKIF_RSP_ERROR);
    assert_int_equal(decode_discard(10, 1, 0, &ro), BLKIF_RSP_ERROR);
    assert_int_equal(decode_discard(10, 1, BLKIF_DISCARD_SECURE, &disk), BLKIF_RSP_EOPNOTSUPP);
}

static int decode_indirect(uint8_t op, unsigned nsegs, uint64_t sector)
{
    struct blkif_request raw;
    struct blkif_request_indirect *i = (void *)&raw;

    memset(&raw, 0xee, sizeof(raw));
    i->operation = BLKIF_OP_INDIRECT;
    i->indirect_op = op;
    i->nr_segments = (uint16_t)nsegs;
    i->id = 9;
    i->sector_number = sector;
    i->indirect_grefs[0] = 77;
    return blkreq_decode(&raw, &disk, &req, &why);
}

static void test_indirect(void **state)
{
    const struct blkreq_disk large = {.sectors = 1 << 20};
    struct blkif_request_segment segs[BLKREQ_SEGS];

    (void)state;
    for (unsigned i = 0; i < BLKREQ_SEGS; i++) {
        segs[i] = (struct blkif_request_segment){.gref = 100 + i, .last_sect = 7};
    }
    assert_int_equal(decode_indirect(BLKIF_OP_WRITE, 256, 8), BLKIF_RSP_OKAY);
    assert_true(req.indirect);
    assert_int_equal(req.operation, BLKIF_OP_WRITE); /* what is answered with */
    assert_int_equal(req.indirect_gref, 77);
    assert_int_equal(req.nsegs, 256);
    assert_int_equal(blkreq_decode_indirect(segs, &large, &req, &why), BLKIF_RSP_OKAY);
    assert_int_equal(req.bytes, 1 << 20);
    assert_int_equal(req.offset, 4096);
    assert_int_equal(req.grefs[255], 355);
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 256, 8), BLKIF_RSP_OKAY);
    assert_int_equal(blkreq_decode_indirect(segs, &disk, &req, &why), BLKIF_RSP_ERROR);
    assert_string_equal(why, "beyond the end of the disk");
    segs[3].last_sect = 8;
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 4, 8), BLKIF_RSP_OKAY);
    assert_int_equal(blkreq_decode_indirect(segs, &disk, &req, &why), BLKIF_RSP_ERROR);
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 3, UINT64_MAX), BLKIF_RSP_OKAY);
    assert_int_equal(blkreq_decode_indirect(segs, &disk, &req, &why), BLKIF_RSP_ERROR);
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 0, 8), BLKIF_RSP_ERROR);
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 257, 8), BLKIF_RSP_ERROR);
    assert_int_equal(decode_indirect(BLKIF_OP_READ, 65535, 8), BLKIF_RSP_ERROR);
    for (unsigned op = 2; op < 256; op++) {
        assert_int_equal(decode_indirect((uint8_t)op, 1, 8), BLKIF_RSP_ERROR);
    }
}

/* --- pages that stay mapped --- */

static struct grantcache cache;

static struct grantcache_entry *add(grant_ref_t ref, struct grant_page *evicted)
{
    struct grant_page page = {.va = (void *)(uintptr_t)(0x1000 + ref), .handle = ref};

    return grantcache_add(&cache, ref, &page, evicted);
}

static void test_grantcache(void **state)
{
    struct grant_page evicted, page;
    struct grantcache_entry *e;
    unsigned n = 0;

    (void)state;
    memset(&cache, 0, sizeof(cache));
    assert_null(grantcache_get(&cache, 5));
    for (unsigned ref = 0; ref < GRANTCACHE_MAX; ref++) {
        assert_non_null(add(ref * 1024 + ref % 3, &evicted)); /* long chains */
        assert_null(evicted.va);
    }
    assert_null(add(5000000, &evicted)); /* all are in use */
    for (unsigned ref = 0; ref < GRANTCACHE_MAX; ref++) {
        e = grantcache_get(&cache, ref * 1024 + ref % 3);
        assert_non_null(e);
        assert_int_equal(e->page.handle, ref * 1024 + ref % 3);
        grantcache_put(e);
        grantcache_put(e);
    }
    assert_null(add(1024 + 1, &evicted)); /* it is there */
    e = add(5000000, &evicted);
    assert_non_null(e);
    assert_non_null(evicted.va);
    assert_null(grantcache_get(&cache, evicted.handle));
    while (grantcache_take(&cache, &page)) {
        assert_int_not_equal(page.handle, 5000000); /* in use */
        n++;
    }
    assert_int_equal(n, GRANTCACHE_MAX - 1);
    grantcache_put(e);
    assert_true(grantcache_take(&cache, &page));
    assert_int_equal(page.handle, 5000000);
    assert_int_equal(cache.count, 0);
}

/* A file: block i of `size` bytes is at where[i] (a block number; 0: a hole). */
static struct {
    unsigned size;
    unsigned where[600];
    unsigned run_max; /* extents are not longer than this many blocks */
    bool wrote;
} file;

static int map(void *arg, uint64_t offset, uint64_t len, bool write, uint64_t *sector,
               uint64_t *bytes)
{
    uint64_t block = offset / file.size, in = offset % file.size;
    unsigned n = 1;

    assert_ptr_equal(arg, &file);
    file.wrote |= write;
    if (write && file.where[block] == 0) {
        return -XEN_ENOSPC;
    }
    while (n < file.run_max && (file.where[block] ? file.where[block + n] == file.where[block] + n
                                                  : file.where[block + n] == 0)) {
        n++;
    }
    *bytes = (uint64_t)n * file.size - in;
    *bytes = *bytes < len ? *bytes : len;
    *sector =
        file.where[block] ? (file.where[block] * (uint64_t)file.size + in) / 512 : BLKPLAN_HOLE;
    return 0;
}

/* Where the check is in the request's memory. */
static unsigned seg, done;

/* Checks that the plan covers the request's memory in order, and the file's places. */
static uint64_t check_part(const struct blkplan *plan, unsigned max_pieces, uint64_t offset)
{
    unsigned piece = 0;

    for (unsigned r = 0; r < plan->nruns; r++) {
        const struct blkplan_run *run = &plan->runs[r];
        uint32_t bytes = 0;

        assert_int_equal(run->first, piece);
        assert_in_range(run->npieces, 1, max_pieces);
        for (unsigned i = 0; i < run->npieces; i++, piece++) {
            const struct blkreq_piece *p = &plan->pieces[piece];

            assert_int_equal(p->page, seg);
            assert_int_equal(p->offset, req.segs[seg].offset + done);
            assert_int_equal(p->len % 512, 0);
            for (unsigned b = 0; b < p->len; b += 512) {
                unsigned where = file.where[offset / file.size];
                uint64_t want = (where * (uint64_t)file.size + offset % file.size) / 512;

                assert_int_equal(run->sector == BLKPLAN_HOLE ? UINT64_MAX
                                                             : run->sector + bytes / 512,
                                 where ? want : UINT64_MAX);
                offset += 512;
                bytes += 512;
            }
            done += p->len;
            if (done == req.segs[seg].len) {
                seg++;
                done = 0;
            }
        }
        assert_int_equal(run->bytes, bytes);
    }
    assert_int_equal(piece, plan->npieces);
    assert_int_equal(offset, req.offset + plan->done);
    return offset;
}

/* The whole plan, part by part. */
static void check_plan(struct blkplan *plan, unsigned max_pieces, blkplan_map_fn fn, void *arg)
{
    uint64_t offset = req.offset;

    seg = done = 0;
    blkplan_begin(plan, &req);
    while (blkplan_more(plan)) {
        assert_int_equal(blkplan_next(plan, max_pieces, fn, arg), 0);
        assert_true(plan->nruns > 0);
        offset = check_part(plan, max_pieces, offset);
    }
    assert_int_equal(seg, req.nsegs);
    assert_int_equal(offset, req.offset + req.bytes);
}

static int plan_first(struct blkplan *plan, unsigned max_pieces, blkplan_map_fn fn, void *arg)
{
    blkplan_begin(plan, &req);
    return blkplan_next(plan, max_pieces, fn, arg);
}

static void test_plan_simple(void **state)
{
    (void)state;
    struct blkplan plan;

    memset(&file, 0, sizeof(file));
    file.size = 4096;
    file.run_max = 200;
    for (unsigned i = 0; i < 590; i++) {
        file.where[i] = 1000 + i;
    }
    decode(raw_request(BLKIF_OP_WRITE, 0, 11));
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    assert_int_equal(plan.nruns, 1);
    assert_int_equal(plan.npieces, 11);
    assert_true(file.wrote);
    check_plan(&plan, 32, map, &file);
    /* Extents that touch become one run again. */
    file.run_max = 1;
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    assert_int_equal(plan.nruns, 1);
    /* A device that takes few pieces. */
    assert_int_equal(plan_first(&plan, 4, map, &file), 0);
    assert_int_equal(plan.nruns, 3);
    check_plan(&plan, 4, map, &file);
    /* Not aligned to the file system's blocks: two pieces for most pages. */
    decode(raw_request(BLKIF_OP_READ, 3, 11));
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    check_plan(&plan, 32, map, &file);
    file.where[2] = 7;
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    assert_int_equal(plan.nruns, 3);
    check_plan(&plan, 32, map, &file);
}

static void test_plan_holes(void **state)
{
    (void)state;
    struct blkplan plan;

    memset(&file, 0, sizeof(file));
    file.size = 1024;
    file.run_max = 3;
    decode(raw_request(BLKIF_OP_READ, 5, 11));
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    assert_int_equal(plan.nruns, 1);
    assert_true(plan.runs[0].sector == BLKPLAN_HOLE);
    check_plan(&plan, 32, map, &file);
    file.where[5] = 77;
    assert_int_equal(plan_first(&plan, 32, map, &file), 0);
    assert_int_equal(plan.nruns, 3);
    check_plan(&plan, 32, map, &file);
    req.operation = BLKIF_OP_WRITE;
    assert_int_equal(plan_first(&plan, 32, map, &file), -XEN_ENOSPC);
}

/* Compressed, in the second half of each 8 KiB. */
static int map_packed(void *arg, uint64_t offset, uint64_t len, bool write, uint64_t *sector,
                      uint64_t *bytes)
{
    (void)arg, (void)write;
    *sector = offset & 4096 ? BLKPLAN_PACKED : offset / 512;
    *bytes = 4096 - offset % 4096 < len ? 4096 - offset % 4096 : len;
    return 0;
}

static void test_plan_packed(void **state)
{
    (void)state;
    struct blkplan plan;
    uint64_t at;

    decode(raw_request(BLKIF_OP_READ, 11, 5));
    at = req.offset;
    assert_int_equal(plan_first(&plan, 32, map_packed, NULL), 0);
    assert_true(plan.nruns > 1);
    for (unsigned i = 0; i < plan.nruns; i++) {
        assert_int_equal(plan.runs[i].offset, at);
        assert_int_equal(plan.runs[i].sector, at & 4096 ? BLKPLAN_PACKED : at / 512);
        at += plan.runs[i].bytes;
    }
    assert_int_equal(at, req.offset + req.bytes);
    req.operation = BLKIF_OP_WRITE;
    assert_int_equal(plan_first(&plan, 32, map_packed, NULL), -XEN_EIO);
}

static int map_nonsense(void *arg, uint64_t offset, uint64_t len, bool write, uint64_t *sector,
                        uint64_t *bytes)
{
    (void)offset, (void)write;
    *sector = BLKPLAN_HOLE;
    *bytes = *(int *)arg == 0 ? 0 : *(int *)arg == 1 ? len + 512 : *(int *)arg == 2 ? 100 : len;
    return 0;
}

static void test_plan_nonsense(void **state)
{
    (void)state;
    struct blkplan plan;

    for (int kind = 0; kind < 4; kind++) {
        decode(raw_request(BLKIF_OP_WRITE, 0, 2));
        assert_int_equal(plan_first(&plan, 32, map_nonsense, &kind), -XEN_EIO);
    }
}

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void test_plan_random(void **state)
{
    (void)state;
    struct blkplan plan;

    for (unsigned round = 0; round < 20000; round++) {
        struct blkif_request raw = raw_request(BLKIF_OP_READ, dice(900), 1 + dice(11));
        unsigned max_pieces = 1 + dice(64);

        file.size = 1024u << dice(3);
        file.run_max = 1 + dice(5);
        for (unsigned i = 0; i < 590; i++) {
            file.where[i] = i > 0 && dice(2) && file.where[i - 1] ? file.where[i - 1] + 1
                            : dice(3)                             ? 1 + dice(5000)
                                                                  : 0;
        }
        for (unsigned i = 0; i < raw.nr_segments; i++) {
            raw.seg[i].first_sect = (uint8_t)dice(8);
            raw.seg[i].last_sect =
                (uint8_t)(raw.seg[i].first_sect + dice(8u - raw.seg[i].first_sect));
        }
        assert_int_equal(decode(raw), BLKIF_RSP_OKAY);
        assert_int_equal(plan_first(&plan, max_pieces, map, &file), 0);
        check_plan(&plan, max_pieces, map, &file);
    }
}

/* An indirect request, whose parts are many: each page of it lies somewhere else. */
static void test_plan_large(void **state)
{
    (void)state;
    struct blkplan plan;

    for (unsigned round = 0; round < 300; round++) {
        file.size = 4096;
        file.run_max = 1 + dice(3);
        for (unsigned i = 0; i < 590; i++) {
            file.where[i] = dice(2) && i > 0 ? file.where[i - 1] + 1 : dice(3) ? 1 + dice(9999) : 0;
        }
        decode(raw_request(BLKIF_OP_READ, dice(7), 1));
        req.nsegs = 100 + dice(157);
        req.bytes = req.nsegs * 4096;
        for (unsigned i = 0; i < req.nsegs; i++) {
            req.segs[i] = (struct blkreq_piece){.page = (uint16_t)i, .len = 4096};
        }
        check_plan(&plan, 1 + dice(64), map, &file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring),        cmocka_unit_test(test_ring_start_late),
        cmocka_unit_test(test_decode),      cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_plan_simple), cmocka_unit_test(test_plan_holes),
        cmocka_unit_test(test_plan_packed), cmocka_unit_test(test_plan_nonsense),
        cmocka_unit_test(test_plan_random), cmocka_unit_test(test_plan_large),
        cmocka_unit_test(test_discard),     cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_grantcache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
