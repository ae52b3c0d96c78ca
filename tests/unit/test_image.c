/* SPDX-License-Identifier: MIT */
/*
 * Disk images: the pure parts, failing disks, and what a back end relies on. What qemu-img has to
 * say of them is in tests/image.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/image/impl.h"
#include "dom0/image/tables.h"
#include "dom0/image/vmdk.h"
#include "tests/unit/image_host.h"

static char why[IMAGE_WHY_MAX];

static const struct {
    enum image_format format;
    const char *path;
} kinds[] = {{IMAGE_RAW, HOST_MEM "a.img"},
             {IMAGE_QCOW2, HOST_MEM "a.qcow2"},
             {IMAGE_VMDK, HOST_MEM "a.vmdk"}};

#define KINDS (sizeof kinds / sizeof kinds[0])

static void make(unsigned kind, uint64_t size, uint32_t unit)
{
    struct image_params p = {.format = kinds[kind].format, .size = size, .unit = unit};

    host_forget_all();
    assert_int_equal(image_create(&host_env, kinds[kind].path, &p, why), 0);
}

static struct image *open_it(unsigned kind, unsigned flags)
{
    struct image *im = NULL;
    int rc = image_open(&host_env, kinds[kind].path, kinds[kind].format, flags, &im, why);

    if (rc)
        fail_msg("%s (%d)", why, rc);
    return im;
}

static void test_formats(void **state)
{
    (void)state;
    for (int i = 0; i < IMAGE_FORMATS; i++)
        assert_int_equal(image_format_parse(image_format_name((enum image_format)i)), i);
    assert_int_equal(image_format_parse("vhd"), -1);
    assert_int_equal(image_format_by_name("/disks/a.qcow2"), IMAGE_QCOW2);
    assert_int_equal(image_format_by_name("a.vmdk"), IMAGE_VMDK);
    assert_int_equal(image_format_by_name(".vmdk"), IMAGE_RAW);
    assert_int_equal(image_format_by_name("qcow2"), IMAGE_RAW);
    assert_int_equal(image_format_by_name("a.qcow2.img"), IMAGE_RAW);
    assert_int_equal(image_format_by_content("QFI\xfb", 4), IMAGE_QCOW2);
    assert_int_equal(image_format_by_content("QFI", 3), IMAGE_RAW);
    assert_int_equal(image_format_by_content("# Disk DescriptorFile\n", 22), IMAGE_VMDK);
}

static void test_base_path(void **state)
{
    char path[IMAGE_PATH_MAX], longest[600];

    (void)state;
    assert_int_equal(image_base_path("/disks/a.qcow2", "b.img", path, why), 0);
    assert_string_equal(path, "/disks/b.img");
    assert_int_equal(image_base_path("/disks/a.qcow2", "/x/b:1.img", path, why), 0);
    assert_string_equal(path, "/x/b:1.img");
    assert_int_equal(image_base_path("a", "b", path, why), 0);
    assert_string_equal(path, "b");
    assert_int_equal(image_base_path("/d/a", "json:{}", path, why), -XEN_EOPNOTSUPP);
    assert_int_equal(image_base_path("/d/a", "b\nc", path, why), -XEN_EINVAL);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(image_base_path("/d/a", longest, path, why), -XEN_EINVAL);
}

static void test_descriptor(void **state)
{
    static const char text[] =
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID = 12ab\r\n"
        "createType=\"monolithicFlat\"\n"
        "RW 4096 FLAT \"a b-flat.vmdk\" 16\n  RDONLY 2048 ZERO\nRW 7 SPARSE c";
    struct vmdk_desc_extent e;
    const char *at = text;
    char value[32], *other;
    uint32_t cid;

    (void)state;
    assert_true(vmdk_desc_hex(text, "CID", &cid) && cid == 0xfffffffe);
    assert_true(vmdk_desc_hex(text, "parentCID", &cid) && cid == 0x12ab);
    assert_false(vmdk_desc_hex(text, "createType", &cid));
    assert_true(vmdk_desc_value(text, "createType", value, sizeof value));
    assert_string_equal(value, "monolithicFlat");
    assert_false(vmdk_desc_value(text, "createType", value, 5));
    assert_false(vmdk_desc_value(text, "Type", value, sizeof value));
    assert_int_equal(vmdk_desc_next(&at, &e), 1);
    assert_true(e.sectors == 4096 && e.offset == 16 && !e.readonly);
    assert_string_equal(e.name, "a b-flat.vmdk");
    assert_int_equal(vmdk_desc_next(&at, &e), 1);
    assert_true(e.readonly && !strcmp(e.type, "ZERO"));
    assert_int_equal(vmdk_desc_next(&at, &e), 1);
    assert_string_equal(e.name, "c");
    assert_int_equal(vmdk_desc_next(&at, &e), 0);
    at = "RW 99999999999999999999 FLAT \"x\" 0\n";
    assert_int_equal(vmdk_desc_next(&at, &e), -XEN_EINVAL);
    at = "NOACCESS 8 FLAT \"x\" 0\n";
    assert_int_equal(vmdk_desc_next(&at, &e), -XEN_EINVAL);
    other = vmdk_desc_with_cid(text, 7);
    assert_true(vmdk_desc_hex(other, "CID", &cid) && cid == 7);
    assert_true(vmdk_desc_hex(other, "parentCID", &cid) && cid == 0x12ab);
    free(other);
    assert_null(vmdk_desc_with_cid("version=1\n", 7));
}

/* A part of the file is of one kind; what is dirty stays until it is written. */
static void test_tables(void **state)
{
    struct image_file *f;
    struct tables t;
    uint8_t *at, *data = calloc(1, 1 << 20);

    (void)state;
    host_put(HOST_MEM "t", data, 1 << 20);
    free(data);
    assert_int_equal(host_env.open(&host_env, HOST_MEM "t", IMAGE_FILE_WRITE, &f, why), 0);
    tables_init(&t, f, 4096);
    assert_int_equal(tables_at(&t, 1, 8192 + 8, true, &at), 0);
    *at = 77;
    assert_int_equal(tables_at(&t, 2, 8192, false, &at), -XEN_EIO);
    assert_int_equal(tables_at(&t, 1, 1 << 20, false, &at), -XEN_EIO);
    for (unsigned i = 3; i < 250; i++)
        assert_int_equal(tables_at(&t, 0, i * 4096, false, &at), 0);
    assert_int_equal(t.all_dirty, 1);
    assert_int_equal(tables_at(&t, 1, 8192 + 8, false, &at), 0);
    assert_int_equal(*at, 77);
    assert_int_equal(tables_write(&t, 1), 0);
    assert_int_equal(host_find(HOST_MEM "t")->data[8200], 77);
    assert_int_equal(t.all_dirty, 0);
    /* All slots dirty: refused, not lost. */
    int rc = 0;
    for (unsigned i = 0; i < 250 && rc == 0; i++)
        rc = tables_at(&t, i == 2 ? 1 : 0, i * 4096, true, &at);
    assert_int_equal(rc, -XEN_ENOSPC);
    tables_forget(&t, 0, 1 << 20);
    assert_int_equal(t.all_dirty, 0);
    tables_free(&t);
    imgfile_close(f);
    host_forget_all();
}

static unsigned settled;

static void settle(void *arg)
{
    (void)arg;
    settled++;
}

/* A write is mapped into the image's own file, in whole sectors; a flush waits for it. */
static void test_maps(void **state)
{
    (void)state;
    for (unsigned k = 0; k < KINDS; k++) {
        struct image_extent e;
        struct image *im;

        make(k, 1 << 20, 0);
        im = open_it(k, IMAGE_WRITE);
        image_set_settle(im, settle, NULL);
        settled = 0;
        assert_int_equal(image_map(im, 0, 1 << 20, &e), 0);
        assert_int_equal(e.kind, k ? IMAGE_ZERO : IMAGE_DATA);
        assert_int_equal(e.len, 1 << 20);
        assert_int_equal(image_map(im, 1 << 20, 512, &e), -XEN_EINVAL);
        assert_int_equal(image_map(im, 100, 512, &e), -XEN_EINVAL);
        assert_int_equal(image_map_write(im, 65536 + 512, 1024, &e), 0);
        assert_true(e.kind == IMAGE_DATA && e.len == 1024 && e.offset % 512 == 0);
        assert_int_equal(image_is_dirty(im), k != 0);
        assert_int_equal(settled, 0);
        assert_int_equal(image_flush(im), 0);
        assert_int_equal(settled, k != 0);
        /* Once allocated, it is there: neighbours are zeros, no table changes. */
        assert_int_equal(image_map(im, 65536, 65536, &e), 0);
        assert_true(e.kind == IMAGE_DATA && e.len == 65536);
        assert_int_equal(image_map_write(im, 65536, 65536, &e), 0);
        assert_int_equal(e.len, 65536);
        image_close(im);
        im = open_it(k, 0);
        assert_int_equal(image_map_write(im, 0, 512, &e), -XEN_EROFS);
        image_close(im);
    }
    host_forget_all();
}

static int work(struct image *im)
{
    static uint8_t buf[20000];
    int rc = 0;

    host_seed = 99;
    for (int i = 0; i < 25; i++) {
        uint64_t at = host_random() % 2000 * 512;
        size_t len = (1 + host_random() % 30) * 512;
        int error;

        memset(buf, i + 1, len);
        error = image_write(im, at, buf, len);
        rc = rc ? rc : error;
        if (i % 8 == 0)
            image_flush(im);
    }
    return rc;
}

/* The disk fails at the n-th access, whichever that is: errors come up, and the image stays whole.
 */
static void test_failing_disk(void **state)
{
    (void)state;
    for (unsigned k = 1; k < KINDS; k++) {
        for (uint64_t n = 1, done = 0; !done; n++) {
            struct image_check c;
            struct image *im = NULL;
            int rc;

            make(k, 2 << 20, k == 1 && n % 2 ? 512 : 0);
            host_accesses = 0;
            host_fail_at = n;
            rc = image_open(&host_env, kinds[k].path, kinds[k].format, IMAGE_WRITE, &im, why);
            if (rc == 0) {
                rc = work(im);
                rc = image_close(im) ?: rc;
            }
            done = host_accesses < n;
            assert_int_equal(rc, done ? 0 : -XEN_EIO);
            host_fail_at = 0;
            im = open_it(k, 0);
            assert_int_equal(image_check(im, false, NULL, &c), 0);
            if (k == 1)
                assert_int_equal(c.errors, 0);
            image_close(im);
        }
    }
    host_forget_all();
}

static unsigned steps;

static void count_step(void)
{
    steps++;
}

/* A guest that discards a disk of 1 TiB, as mkfs does, costs what is there, not what could be. */
static void test_discard_passes_over_holes(void **state)
{
    struct image_params p = {.format = IMAGE_RAW, .size = 1ull << 40};
    struct image_env env = host_env;
    char path[] = "/tmp/penumbra-image.XXXXXX", got[4096];
    struct image *im;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    env.yield = count_step;
    assert_int_equal(image_create(&env, path, &p, why), 0);
    assert_int_equal(image_open(&env, path, IMAGE_RAW, IMAGE_WRITE, &im, why), 0);
    memset(got, 'x', sizeof got);
    assert_int_equal(image_write(im, p.size - sizeof got, got, sizeof got), 0);
    steps = 0;
    assert_int_equal(image_discard(im, 0, p.size), 0);
    assert_in_range(steps, 1, 10);
    assert_int_equal(image_read(im, p.size - sizeof got, got, sizeof got), 0);
    for (unsigned i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], 0);
    image_close(im);
    unlink(path);
}

static void test_create_refuses(void **state)
{
    struct image_params p = {.format = IMAGE_QCOW2, .size = 1000};

    (void)state;
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), -XEN_EINVAL);
    p.size = 1ull << 49;
    p.unit = 512;
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), -XEN_EINVAL);
    p.unit = 3000;
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), -XEN_EINVAL);
    p = (struct image_params){.format = IMAGE_QCOW2, .base = "none", .base_format = IMAGE_RAW};
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), -XEN_ENOENT);
    assert_non_null(strstr(why, "/mem/none: no such file"));
    p = (struct image_params){.format = IMAGE_RAW, .size = 512};
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), 0);
    assert_int_equal(image_create(&host_env, HOST_MEM "x", &p, why), -XEN_EEXIST);
    host_forget_all();
    assert_null(host_find(HOST_MEM "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),        cmocka_unit_test(test_base_path),
        cmocka_unit_test(test_descriptor),     cmocka_unit_test(test_tables),
        cmocka_unit_test(test_maps),           cmocka_unit_test(test_failing_disk),
        cmocka_unit_test(test_create_refuses), cmocka_unit_test(test_discard_passes_over_holes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
