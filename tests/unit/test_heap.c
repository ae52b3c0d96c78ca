/* SPDX-License-Identifier: MIT */
/* The small-object heap: sizes, alignment, zeroing, exact counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mm/frame.h"
#include "mm/heap.h"
#include "tests/unit/fake_arch.h"

static int setup(void **state)
{
    (void)state;
    fake_machine_start(1025, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_stop();
    return 0;
}

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void test_every_size(void **state)
{
    uint64_t frames = frame_free_count();

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (size_t size = 1; size <= 3 * PAGE_SIZE; size += size < 2100 ? 1 : 333) {
            char *p = heap_alloc(size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            if (size > 32)
                assert_int_equal((uintptr_t)p % 64, 0);
            assert_true(all_zero(p, size));
            memset(p, 0xee, size);
            assert_true(heap_used_bytes() >= size);
            heap_free(p);
            assert_int_equal(heap_used_bytes(), 0);
            assert_int_equal(frame_free_count(), frames);
        }
    }
}

static void test_refusals(void **state)
{
    uint64_t frames = frame_free_count();

    (void)state;
    heap_free(NULL);
    assert_null(heap_alloc(SIZE_MAX));
    assert_null(heap_alloc(2000 * PAGE_SIZE));
    assert_null(heap_calloc(SIZE_MAX / 2, 3));
    assert_int_equal(frame_free_count(), frames);
    void *p = heap_alloc(0);
    assert_non_null(p);
    heap_free(p);
    assert_int_equal(heap_used_bytes(), 0);
}

static void test_random(void **state)
{
    struct {
        uint8_t *p;
        size_t size;
        uint8_t fill;
    } out[512] = {0};
    uint64_t frames = frame_free_count(), seed = 5;

    (void)state;
    for (unsigned step = 0; step < 100000; step++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        unsigned r = (unsigned)(seed >> 33), i = r % 512;
        if (out[i].p) {
            for (size_t b = 0; b < out[i].size; b++)
                assert_int_equal(out[i].p[b], out[i].fill);
            heap_free(out[i].p);
            out[i].p = NULL;
            continue;
        }
        out[i].size = r / 512 % 97 == 0 ? 5000 : r / 512 % 700 + 1;
        out[i].fill = (uint8_t)step;
        out[i].p = heap_alloc(out[i].size);
        assert_non_null(out[i].p);
        assert_true(all_zero((char *)out[i].p, out[i].size));
        memset(out[i].p, out[i].fill, out[i].size);
    }
    for (unsigned i = 0; i < 512; i++)
        heap_free(out[i].p);
    assert_int_equal(heap_used_bytes(), 0);
    assert_int_equal(frame_free_count(), frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
