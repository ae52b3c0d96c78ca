/* SPDX-License-Identifier: MIT */
/* Memory as NVMe wants it: requests cut into commands, by chance and at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/nvme_prp.h"

#define BIG (1u << 20)

static void expect(const struct blk_segment *segs, unsigned count, unsigned taken, uint32_t bytes,
                   unsigned prps)
{
    struct nvme_part part;

    assert_int_equal(nvme_prp_part(segs, count, BIG, &part), 0);
    assert_int_equal(part.segs, taken);
    assert_int_equal(part.bytes, bytes);
    assert_int_equal(part.prps, prps);
}

static void test_pages(void **state)
{
    struct blk_segment whole[] = {{0x5000, 4096}, {0x9000, 4096}, {0x1000, 512}};
    struct blk_segment middle[] = {{0x5200, 3584}, {0x9000, 4096}, {0x1000, 512}};
    struct blk_segment gap_before[] = {{0x5000, 4096}, {0x9200, 3584}};
    struct blk_segment gap_behind[] = {{0x5000, 512}, {0x9000, 4096}};
    struct blk_segment joined[] = {{0x5000, 512}, {0x5200, 512}};
    struct blk_segment large[] = {{0x5e00, 8192}, {0x7e00, 512}, {0x20000, 4096}};
    struct nvme_part part;

    (void)state;
    expect(whole, 3, 3, 8704, 3);
    expect(middle, 3, 3, 8192, 3);
    expect(gap_before, 2, 1, 4096, 1);
    expect(gap_behind, 2, 1, 512, 1);
    expect(joined, 2, 1, 512, 1); /* two commands: one page cannot be named twice */
    expect(large, 3, 1, 8192, 3); /* a segment of several pages */
    assert_int_equal(nvme_prp_part(large, 3, BIG, &part), 0);
    assert_int_equal(part.prp[0], 0x5e00);
    assert_int_equal(part.prp[1], 0x6000);
    assert_int_equal(part.prp[2], 0x7000);
}

static void test_limits(void **state)
{
    struct blk_segment many[100], odd = {0x1002, 512}, part_of_sector[] = {{0x1000, 100}};
    struct blk_segment too_long = {0x1000, 66 * 4096}, just_long = {0x1000, 65 * 4096};
    struct nvme_part part;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        many[i] = (struct blk_segment){0x10000 + i * 0x3000ull, 4096};
    expect(many, 100, 65, 65 * 4096, 65);
    assert_int_equal(nvme_prp_part(many, 100, 16384, &part), 0);
    assert_int_equal(part.segs, 4);
    assert_int_equal(nvme_prp_part(&odd, 1, BIG, &part), -XEN_EINVAL);
    assert_int_equal(nvme_prp_part(part_of_sector, 1, BIG, &part), -XEN_EINVAL);
    assert_int_equal(nvme_prp_part(&too_long, 1, BIG, &part), -XEN_EINVAL);
    assert_int_equal(nvme_prp_part(&just_long, 1, BIG, &part), 0);
}

/* The pages of all commands, laid one behind the other, are the request's bytes in their order. */
static void test_random(void **state)
{
    (void)state;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        struct blk_segment segs[32];
        unsigned count = 1 + (unsigned)random() % 32, i = 0;
        struct nvme_part part;

        for (unsigned k = 0; k < count; k++) {
            uint32_t offset = random() % 3 ? 0 : (uint32_t)(random() % 8) * 512;
            uint32_t len =
                random() % 3 ? 4096 - offset : 512 * (1 + (uint32_t)random() % (8 - offset / 512));

            segs[k] = (struct blk_segment){(uint64_t)(random() % 1000) * 4096 + offset, len};
        }
        while (i < count) {
            uint64_t page = 0;
            unsigned used = 0;

            assert_int_equal(nvme_prp_part(segs + i, count - i, 32768, &part), 0);
            assert_in_range(part.bytes, 512, 32768);
            for (unsigned k = i; k < i + part.segs; k++) {
                for (uint32_t at = 0; at < segs[k].len; at += 512) {
                    uint64_t addr = segs[k].maddr + at;

                    if (used == 0 || addr % 4096 == 0)
                        page = part.prp[used++];
                    assert_int_equal(page / 4096, addr / 4096);
                    if (used > 1 || at > 0)
                        assert_true(used == 1 || page % 4096 == 0);
                }
            }
            assert_int_equal(used, part.prps);
            i += part.segs;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
