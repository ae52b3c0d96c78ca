/* SPDX-License-Identifier: MIT */
/* The file interface over a real image: locking, uses, listing, mapping for guests, messages. */
#include "ext2_host.h"

#include "dom0/fs/vfs.h"

static int lock_depth, lock_count;

static void lock(void)
{
    assert_int_equal(lock_depth++, 0);
    lock_count++;
}

static void unlock(void)
{
    assert_int_equal(--lock_depth, 0);
}

static const struct vfs_env env = {lock, unlock, host_now, note_report};
static struct memdev m;

static int setup(void **state)
{
    (void)state;
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 -O ^dir_index,^resize_inode -b 4096 t.img 64M");
    memdev_load(&m, "t.img");
    report_count = 0;
    return vfs_mount(&m.dev, &env);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(lock_depth, 0);
    assert_int_equal(vfs_unmount(), 0);
    assert_int_equal(lock_depth, 0);
    assert_int_equal(report_count, 0);
    check_clean(&m);
    memdev_free(&m);
    return 0;
}

static struct vfs_file *open_ok(const char *path, unsigned int flags, const char *who)
{
    struct vfs_file *file = NULL;

    assert_int_equal(vfs_open(path, flags, who, &file), 0);
    return file;
}

static int open_fails(const char *path, unsigned int flags)
{
    struct vfs_file *file;
    int rc = vfs_open(path, flags, "loser", &file);

    assert_true(rc < 0);
    return rc;
}

static void test_unmounted(void **state)
{
    struct vfs_df df;
    struct vfs_stat st;

    (void)state;
    assert_int_equal(vfs_df(&df), -XEN_ENODEV);
    assert_int_equal(vfs_stat("/", &st), -XEN_ENODEV);
    assert_int_equal(open_fails("/x", VFS_READ), -XEN_ENODEV);
    assert_int_equal(vfs_unmount(), -XEN_ENODEV);
    assert_null(vfs_blkdev());
    vfs_tick();
}

static void test_read_write(void **state)
{
    struct vfs_file *f = open_ok("/x", VFS_READ | VFS_WRITE | VFS_CREATE, NULL);
    uint8_t *data = content_make(3, 0, 1000000), *got = malloc(1000000);
    void *all;
    size_t len;

    (void)state;
    assert_int_equal(vfs_write(f, data, 600000), 600000);
    assert_int_equal(vfs_write(f, data + 600000, 400000), 400000);
    assert_int_equal(vfs_size(f), 1000000);
    assert_int_equal(vfs_pread(f, got, 1000000, 7), 999993);
    assert_memory_equal(got, data + 7, 999993);
    assert_int_equal(vfs_read(f, got, 10), 0); /* the position is at the end */
    assert_int_equal(vfs_pwrite(f, "abc", 3, 10), 3);
    assert_int_equal(vfs_unmount(), -XEN_EBUSY);
    vfs_close(f);
    assert_int_equal(vfs_read_all("/x", 999999, &all, &len), -XEN_EOVERFLOW);
    assert_int_equal(vfs_read_all("/x", 1000000, &all, &len), 0);
    assert_int_equal(len, 1000000);
    assert_memory_equal((uint8_t *)all + 10, "abc", 3);
    assert_memory_equal((uint8_t *)all + 13, data + 13, 999987);
    free(all);
    f = open_ok("/x", VFS_WRITE | VFS_TRUNC, NULL);
    assert_int_equal(vfs_pread(f, got, 1, 0), -XEN_EBADF);
    assert_int_equal(vfs_size(f), 0);
    vfs_close(f);
    f = open_ok("/x", VFS_READ, NULL);
    assert_int_equal(vfs_write(f, got, 1), -XEN_EBADF);
    assert_int_equal(vfs_truncate(f, 1), -XEN_EBADF);
    vfs_close(f);
    assert_int_equal(open_fails("/x", VFS_WRITE | VFS_CREATE | VFS_EXCL), -XEN_EEXIST);
    assert_int_equal(open_fails("/", VFS_READ), -XEN_EISDIR);
    assert_int_equal(open_fails("/none", VFS_READ), -XEN_ENOENT);
    assert_int_equal(open_fails("/none", VFS_READ | VFS_CREATE), -XEN_EINVAL);
    assert_true(lock_count > 10); /* a large transfer lets others in between */
    free(data);
    free(got);
}

static void test_uses(void **state)
{
    struct vfs_file *disk, *reader, *second;
    char who[VFS_WHO_MAX];

    (void)state;
    assert_int_equal(vfs_create_sparse("/disk", 100 << 20), 0);
    assert_false(vfs_holder("/disk", who, sizeof(who)));
    disk = open_ok("/disk", VFS_READ | VFS_WRITE | VFS_LOCK, "domain web1");
    reader = open_ok("/disk", VFS_READ, "cat");
    assert_true(vfs_holder("/disk", who, sizeof(who)));
    assert_string_equal(who, "domain web1");
    assert_int_equal(open_fails("/disk", VFS_WRITE), -XEN_EBUSY);
    assert_int_equal(open_fails("/disk", VFS_WRITE | VFS_TRUNC), -XEN_EBUSY);
    assert_int_equal(open_fails("/disk", VFS_READ | VFS_LOCK), -XEN_EBUSY);
    assert_int_equal(vfs_unlink("/disk"), -XEN_EBUSY);
    assert_int_equal(vfs_create_sparse("/other", 5), 0);
    assert_int_equal(vfs_rename("/other", "/disk"), -XEN_EBUSY);
    assert_int_equal(vfs_rename("/disk", "/renamed"), 0);
    assert_int_equal(vfs_rename("/renamed", "/disk"), 0);
    vfs_close(disk);
    assert_int_equal(vfs_unlink("/disk"), -XEN_EBUSY); /* the reader */
    vfs_close(reader);
    disk = open_ok("/disk", VFS_READ | VFS_LOCK, "domain a");
    second = open_ok("/disk", VFS_READ | VFS_LOCK, "domain b");
    assert_int_equal(open_fails("/disk", VFS_WRITE), -XEN_EBUSY);
    vfs_close(disk);
    vfs_close(second);
    assert_int_equal(vfs_unlink("/disk"), 0);
    assert_int_equal(vfs_create_sparse("/huge", 1ull << 60), -XEN_EOVERFLOW);
    assert_int_equal(open_fails("/huge", VFS_READ), -XEN_ENOENT);
    assert_int_equal(vfs_create_sparse("/other", 5), -XEN_EEXIST);
}

static void test_list_and_df(void **state)
{
    struct vfs_dirent *list;
    struct vfs_df before, after;
    struct vfs_stat st;
    unsigned int count;
    char name[32];

    (void)state;
    assert_int_equal(vfs_df(&before), 0);
    assert_int_equal(vfs_mkdir("/dir"), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/dir/n%02d", (i * 37) % 100);
        assert_int_equal(vfs_create_sparse(name, (uint64_t)i * 37 % 100), 0);
    }
    assert_int_equal(vfs_list("/dir", &list, &count), 0);
    assert_int_equal(count, 100);
    for (unsigned int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "n%02u", i);
        assert_string_equal(list[i].name, name);
        assert_int_equal(list[i].stat.size, i);
        assert_int_equal(list[i].stat.type, VFS_FILE);
    }
    free(list);
    assert_int_equal(vfs_list("/dir/n00", &list, &count), -XEN_ENOTDIR);
    assert_int_equal(vfs_stat("/dir", &st), 0);
    assert_int_equal(st.type, VFS_DIR);
    assert_int_equal(st.links, 2);
    assert_int_equal(st.mode, 0755);
    assert_int_equal(vfs_rmdir("/dir"), -XEN_ENOTEMPTY);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/dir/n%02d", i);
        assert_int_equal(vfs_unlink(name), 0);
    }
    assert_int_equal(vfs_rmdir("/dir"), 0);
    assert_int_equal(vfs_df(&after), 0);
    assert_int_equal(before.free_blocks, after.free_blocks);
    assert_int_equal(before.free_inodes, after.free_inodes);
    assert_true(after.blocks >= after.free_blocks);
    assert_false(after.readonly);
}

/* What the block back end does: sectors of a file to sectors of the disk. */
static void test_map(void **state)
{
    struct vfs_file *f;
    struct vfs_extent at, again;

    (void)state;
    assert_int_equal(vfs_create_sparse("/disk", 1000000), 0); /* 1953 sectors and a bit */
    f = open_ok("/disk", VFS_READ | VFS_WRITE | VFS_LOCK, "domain");
    assert_int_equal(vfs_map(f, 0, 65536, &at), 0);
    assert_true(at.sector == VFS_HOLE && at.len >= 4096 && at.len <= 65536);
    memset(m.data + 32 * 1024 * 1024, 0xdd, 16 << 20); /* what others had */
    assert_int_equal(vfs_map_new(f, 1536, 9216, &at), 0);
    assert_true(at.sector != VFS_HOLE && at.sector % 8 == 3 && !at.fresh);
    assert_int_equal(at.len, 2560);
    for (uint32_t i = 0; i < 4096; i++)
        assert_int_equal(m.data[(at.sector - 3) * 512 + i], 0);
    memset(m.data + at.sector * 512, 'x', 2560); /* the guest's own page goes there */
    assert_int_equal(vfs_map(f, 2048, 512, &again), 0);
    assert_int_equal(again.sector, at.sector + 1);
    assert_int_equal(again.len, 512);
    assert_int_equal(vfs_map(f, 1000, 512, &at), -XEN_EINVAL);
    assert_int_equal(vfs_map(f, 1024, 100, &at), -XEN_EINVAL);
    assert_int_equal(vfs_map(f, 1024, 0, &at), -XEN_EINVAL);
    assert_int_equal(vfs_map(f, 999936, 512, &at), -XEN_EINVAL);
    assert_int_equal(vfs_map(f, 999424, 512, &at), 0);
    assert_int_equal(vfs_map(f, 1ull << 62, 512, &at), -XEN_EINVAL);
    assert_int_equal(vfs_map(f, 512, UINT64_MAX - 511, &at), -XEN_EINVAL);
    vfs_close(f);
    host_ok("head -c 8192 /dev/zero >want && head -c 2560 /dev/zero | tr '\\0' x | "
            "dd of=want bs=512 seek=3 conv=notrunc");
    memdev_save(&m, "check.img");
    host_ok("debugfs -R 'dump /disk got' check.img && head -c 8192 got | cmp - want");
}

/* A guest's write into a hole: the file has the blocks when it has been done, not before. */
static void test_map_new(void **state)
{
    struct vfs_extent at, again;
    struct vfs_file *f;

    (void)state;
    assert_int_equal(vfs_create_sparse("/disk", 1 << 20), 0);
    f = open_ok("/disk", VFS_READ | VFS_WRITE | VFS_LOCK, "domain");
    memset(m.data + 32 * 1024 * 1024, 0xdd, 16 << 20);
    /* A part of a block: zeros around it. */
    assert_int_equal(vfs_map_new(f, 512, 65536, &at), 0);
    assert_true(!at.fresh && at.len == 3584);
    /* Whole ones. */
    assert_int_equal(vfs_map_new(f, 8192, 65536 + 512, &at), 0);
    assert_true(at.fresh && at.len > 0 && at.len % 4096 == 0 && at.len <= 65536);
    assert_int_equal(vfs_map(f, 8192, at.len, &again), 0);
    assert_true(again.sector == VFS_HOLE);
    assert_int_equal(vfs_map_new(f, 32768 + 65536, 4096, &again), 0);
    assert_true(again.fresh && again.sector != at.sector);
    vfs_drop(f, again.sector, again.len);
    memset(m.data + at.sector * 512, 'x', at.len);
    assert_int_equal(vfs_keep(f, 8192, at.sector, at.len), 0);
    assert_int_equal(vfs_map_new(f, 8192 + 512, at.len - 512, &again), 0);
    assert_true(!again.fresh && again.sector == at.sector + 1);
    /* Two at once for one place: the second one is refused its blocks. */
    assert_int_equal(vfs_map_new(f, 524288, 4096, &at), 0);
    assert_int_equal(vfs_map_new(f, 524288, 4096, &again), 0);
    assert_int_equal(vfs_keep(f, 524288, at.sector, at.len), 0);
    assert_int_equal(vfs_keep(f, 524288, again.sector, again.len), -XEN_EIO);
    assert_int_equal(vfs_map_new(f, 0, 4096 + 100, &at), -XEN_EINVAL);
    vfs_close(f);
    f = open_ok("/disk", VFS_READ | VFS_LOCK, "domain");
    assert_int_equal(vfs_map_new(f, 0, 4096, &at), -XEN_EBADF);
    vfs_close(f);
}

/* A second after the last change the disk is clean; under constant change after five. */
static void test_tick(void **state)
{
    struct vfs_stat st;

    (void)state;
    assert_int_equal(vfs_create_sparse("/x", 5), 0);
    vfs_tick();
    vfs_tick();
    check_clean(&m);
    host_ok("dumpe2fs -h check.img | grep -q 'state: *clean'");
    for (int i = 0; i < 5; i++) {
        char name[16];

        snprintf(name, sizeof(name), "/y%d", i);
        assert_int_equal(vfs_create_sparse(name, 5), 0);
        memdev_save(&m, "check.img");
        host_ok("dumpe2fs -h check.img | grep -q 'state: *not clean'");
        vfs_tick();
    }
    check_clean(&m);
    assert_int_equal(vfs_stat("/y4", &st), 0);
}

static void test_strerror(void **state)
{
    (void)state;
    assert_string_equal(vfs_strerror(-XEN_ENOENT), "no such file or directory");
    assert_string_equal(vfs_strerror(XEN_ENOSPC), "no space left on the disk");
    assert_string_equal(vfs_strerror(-12345), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unmounted),
        cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_and_df, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map_new, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tick, setup, teardown),
        cmocka_unit_test(test_strerror),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
