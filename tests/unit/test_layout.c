/* SPDX-License-Identifier: MIT */
/*
 * A new domain's memory: the layout is checked against the one that Xen's own builder makes for the
 * same kernels, and the page tables by walking them as a processor does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/builder/elfimage.h"
#include "dom0/builder/layout.h"
#include "dom0/config/cfgtext.h"

#define MIB(n) ((uint64_t)(n) << 8) /* in pages */

static struct cfg_error err;

static const struct elfimage linux_image = {
    .virt_base = 0xffffffff80000000,
    .start = 0x1000000,
    .end = 0x4a00000,
    .has_init_p2m = true,
    .init_p2m = 0x8000000000,
    .mod_start_pfn = true,
};

static const struct elfimage grub_image = {.virt_base = 0, .end = 0x614000};

/* A permutation of frames, so that a pfn taken for a frame shows. */
static uint64_t to_mfn(void *ctx, uint64_t pfn)
{
    (void)ctx;
    return (pfn ^ 0x15) + 0x7000;
}

static uint64_t to_pfn(uint64_t mfn)
{
    return (mfn - 0x7000) ^ 0x15;
}

struct walker {
    const struct ptbuild *pt;
    uint64_t (*content)[PTBUILD_ENTRIES];
};

static void walker_init(struct walker *w, const struct ptbuild *pt)
{
    w->pt = pt;
    w->content = calloc(pt->table_count, sizeof *w->content);
    for (unsigned i = 0; i < pt->table_count; i++)
        ptbuild_fill(pt, i, w->content[i], to_mfn, NULL);
}

static uint64_t *table_at(struct walker *w, uint64_t pfn, unsigned level)
{
    for (unsigned i = 0; i < w->pt->table_count; i++)
        if (w->pt->tables[i].pfn == pfn) {
            assert_int_equal(w->pt->tables[i].level, level);
            return w->content[i];
        }
    fail_msg("pfn %llx is no table", (unsigned long long)pfn);
    return NULL;
}

/* The leaf entry for va, 0 if there is none. */
static uint64_t walk(struct walker *w, uint64_t va)
{
    uint64_t *table = table_at(w, w->pt->tables[0].pfn, 4);

    for (unsigned level = 4;; level--) {
        uint64_t entry = table[va >> (12 + 9 * (level - 1)) & 511];

        if (!entry || level == 1)
            return entry;
        assert_int_equal(entry & 0xfff, 0x67); /* present, writable, user, accessed, dirty */
        table = table_at(w, to_pfn(entry >> 12), level - 1);
    }
}

static bool is_table(const struct ptbuild *pt, uint64_t pfn)
{
    for (unsigned i = 0; i < pt->table_count; i++)
        if (pt->tables[i].pfn == pfn)
            return true;
    return false;
}

static void check_tables(const struct layout *l, const struct elfimage *image)
{
    struct walker w;
    unsigned seen_tables = 0;

    walker_init(&w, &l->tables);
    for (uint64_t pfn = 0; pfn < l->mapped_pages; pfn++) {
        uint64_t entry = walk(&w, image->virt_base + (pfn << 12));
        bool table = is_table(&l->tables, pfn);

        assert_int_equal(to_pfn(entry >> 12), pfn);
        assert_int_equal(entry & 0xfff, table ? 0x61 : 0x63);
        seen_tables += table;
    }
    assert_int_equal(seen_tables, l->table_pages < l->tables.table_count ? l->table_pages
                                                                         : l->tables.table_count);
    assert_int_equal(walk(&w, image->virt_base + (l->mapped_pages << 12)), 0);
    for (uint64_t n = 0; image->has_init_p2m && n < l->p2m_pages; n++)
        assert_int_equal(to_pfn(walk(&w, l->p2m_va + (n << 12)) >> 12), l->p2m_pfn + n);
    free(w.content);
}

/* Measured with `xl -vvv create`: Debian 12's Linux with 256 MiB and an initrd of 0x213 pages. */
static void test_linux(void **state)
{
    struct layout l;

    (void)state;
    assert_int_equal(layout_plan(&l, &linux_image, MIB(256), 0x213000 - 5, &err), 0);
    assert_int_equal(l.start_info_pfn, 0x4a00);
    assert_int_equal(l.store_pfn, 0x4a01);
    assert_int_equal(l.console_pfn, 0x4a02);
    assert_int_equal(l.table_pfn, 0x4a03);
    assert_int_equal(l.table_pages, 0x29);
    assert_int_equal(l.stack_pfn, 0x4a2c);
    assert_int_equal(l.mapped_pages, 0x4c00);
    assert_int_equal(l.ramdisk_pfn, 0x4c00);
    assert_int_equal(l.p2m_pfn, 0x4e13);
    assert_int_equal(l.p2m_pages, 0x80);
    assert_int_equal(l.p2m_tables, 3);
    check_tables(&l, &linux_image);
    layout_free(&l);
}

static void test_grub(void **state)
{
    struct layout l;

    (void)state;
    assert_int_equal(layout_plan(&l, &grub_image, MIB(256), 0, &err), 0);
    assert_int_equal(l.p2m_pfn, 0x614);
    assert_int_equal(l.start_info_pfn, 0x694);
    assert_int_equal(l.table_pfn, 0x697);
    assert_int_equal(l.table_pages, 7);
    assert_int_equal(l.stack_pfn, 0x69e);
    assert_int_equal(l.mapped_pages, 0x800);
    check_tables(&l, &grub_image);
    layout_free(&l);
}

static void test_ramdisk_mapped(void **state)
{
    struct layout l;

    (void)state;
    assert_int_equal(layout_plan(&l, &grub_image, MIB(32), 4097, &err), 0);
    assert_int_equal(l.ramdisk_pfn, 0x614);
    assert_int_equal(l.ramdisk_pages, 2);
    assert_int_equal(l.p2m_pfn, 0x616);
    check_tables(&l, &grub_image);
    layout_free(&l);
}

/* A domain so small that the padding does not fit gets what fits, and one page less is refused. */
static void test_tight(void **state)
{
    struct layout l;
    uint64_t need = 0x614 + 4 + 3 + 7 + 1; /* kernel, p2m of 1.6k pages, rings, tables, stack */

    (void)state;
    assert_int_equal(layout_plan(&l, &grub_image, need, 0, &err), 0);
    assert_int_equal(l.mapped_pages, need);
    check_tables(&l, &grub_image);
    layout_free(&l);
    assert_int_equal(layout_plan(&l, &grub_image, need - 1, 0, &err), -XEN_ENOMEM);
    assert_non_null(strstr(err.text, "raise memory"));
    assert_int_equal(layout_plan(&l, &linux_image, MIB(64), 0, &err), -XEN_ENOMEM);
    assert_non_null(strstr(err.text, "need 75 MiB, memory is 64"));
    assert_int_equal(layout_plan(&l, &grub_image, MIB(32), ~0ull, &err), -XEN_ENOMEM);
}

static void test_addresses(void **state)
{
    struct elfimage image = grub_image;
    struct layout l;

    (void)state;
    image.virt_base = 0xffff800000000000;
    assert_int_equal(layout_plan(&l, &image, MIB(32), 0, &err), -XEN_ENOEXEC);
    image.virt_base = 0x800000000000 - 0x1000;
    assert_int_equal(layout_plan(&l, &image, MIB(32), 0, &err), -XEN_ENOEXEC);
    image.virt_base = 0xfffffffffff00000;
    assert_int_equal(layout_plan(&l, &image, MIB(32), 0, &err), -XEN_ENOEXEC);
    image.virt_base = 0x123;
    assert_int_equal(layout_plan(&l, &image, MIB(32), 0, &err), -XEN_ENOEXEC);
    image = linux_image;
    image.init_p2m = image.virt_base + 0x1000;
    assert_int_equal(layout_plan(&l, &image, MIB(256), 0, &err), -XEN_ENOEXEC);
    image.virt_base = 0xffff880000000000;
    image.init_p2m = 0x7fffffe00000;
    assert_int_equal(layout_plan(&l, &image, MIB(256), 0, &err), 0);
    check_tables(&l, &image);
    layout_free(&l);
}

/* Bases of every alignment: the count of tables stated first is the count made. */
static void test_many(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 300; i++) {
        struct elfimage image = {.virt_base = (uint64_t)i * 0x37f1000, .end = i * 7001};
        struct layout l;

        assert_int_equal(layout_plan(&l, &image, MIB(16) + i, i * 100, &err), 0);
        assert_int_equal(l.tables.table_count, ptbuild_count(image.virt_base, l.mapped_pages));
        assert_true(l.tables.table_count <= l.table_pages);
        if (i % 16 == 0)
            check_tables(&l, &image);
        layout_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux),          cmocka_unit_test(test_grub),
        cmocka_unit_test(test_ramdisk_mapped), cmocka_unit_test(test_tight),
        cmocka_unit_test(test_addresses),      cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
