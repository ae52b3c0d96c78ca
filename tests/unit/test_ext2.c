/* SPDX-License-Identifier: MIT */
/*
 * ext2 against the real tools: images by mke2fs are read, what we write is read by debugfs and
 * judged by e2fsck; refusals; limits.
 */
#include "ext2_host.h"

#include "dom0/fs/ext2_disk.h"

static const char *const formats[] = {
    "-O ^dir_index,^resize_inode -b 1024",
    "-O ^dir_index,^resize_inode -b 2048",
    "-O ^dir_index,^resize_inode -b 4096",
    "-b 1024",
    "-b 2048",
    "-b 4096",
    "-b 1024 -I 128 -O ^sparse_super,^large_file,^resize_inode",
    "-b 1024 -r 0",
    "-b 1024 -g 1024 -N 600",
    "-b 4096 -O ^filetype",
    "-b 1024 -j -J size=1",
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* Sizes around each change of the mapping for blocks of 1 KiB, and some for others. */
static const size_t sizes[] = {0,     1,     511,    1023,   1024,    1025,     4095,    4097,
                               12288, 12289, 49152,  49153,  274432,  274433,   300000,  1000000,
                               65536, 65537, 131071, 262144, 1048576, 12345678, 5000001, 4243456};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void write_host_file(const char *name, uint32_t seed, size_t len)
{
    uint8_t *buf = content_make(seed, 0, len);
    FILE *f = fopen(host_path(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(buf, 1, len, f), len);
    fclose(f);
    free(buf);
}

/* The tree that mke2fs -d copies: files of all sizes, a deep directory, a full one, links, a hole.
 */
static void make_tree(void)
{
    char name[64];

    host_ok("rm -rf tree && mkdir -p tree/a/b/c/d tree/many");
    for (uint32_t i = 0; i < SIZES; i++) {
        snprintf(name, sizeof(name), "tree/f%u", i);
        write_host_file(name, i, sizes[i]);
    }
    write_host_file("tree/a/b/c/d/deep", 77, 5555);
    host_ok(
        "cd tree; i=0; while [ $i -lt 400 ]; do : >many/a-name-of-some-length-$i; i=$((i+1)); done;"
        "ln -s a/b/c short; ln -s /a/b/c/d/deep abs; ln -s loop loop; ln f3 hard;"
        "mkdir xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx;"
        "ln -s xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx long;"
        "truncate -s 9000000 sparse; echo tail >>sparse");
}

static void make_image(const char *format, const char *size)
{
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 %s -d tree t.img %s", format, size);
}

static int count_entry(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    (void)name;
    (void)len;
    (void)ino;
    ++*(unsigned int *)arg;
    return 0;
}

static void check_tree(struct ext2 *fs)
{
    struct ext2_inode *ip;
    struct ext2_stat st;
    unsigned int n = 0;
    char name[64], buf[16];

    for (uint32_t i = 0; i < SIZES; i++) {
        snprintf(name, sizeof(name), "/f%u", i);
        expect_file(fs, name, i, sizes[i]);
    }
    expect_file(fs, "/a/b/c/d/deep", 77, 5555);
    expect_file(fs, "//a/./b/../b/c/d/deep", 77, 5555);
    expect_file(fs, "/short/d/deep", 77, 5555);
    expect_file(fs, "/abs", 77, 5555);
    expect_file(fs, "/hard", 3, sizes[3]);
    assert_int_equal(ext2_lookup(fs, "/long", true, &ip), 0);
    assert_true(ext2_is_dir(ip));
    ext2_iput(ip);
    assert_int_equal(ext2_lookup(fs, "/long", false, &ip), 0);
    assert_false(ext2_is_dir(ip));
    ext2_iput(ip);
    assert_int_equal(ext2_lookup(fs, "/loop", true, &ip), -XEN_EMLINK);
    assert_int_equal(ext2_lookup(fs, "/f1/x", true, &ip), -XEN_ENOTDIR);
    assert_int_equal(ext2_lookup(fs, "/f1/", true, &ip), -XEN_ENOTDIR);
    assert_int_equal(ext2_lookup(fs, "/nothing", true, &ip), -XEN_ENOENT);
    assert_int_equal(ext2_lookup(fs, "relative", true, &ip), -XEN_EINVAL);
    assert_int_equal(ext2_lookup(fs, "/many", true, &ip), 0);
    assert_int_equal(ext2_readdir(ip, count_entry, &n), 0);
    assert_int_equal(n, 402);
    ext2_iput(ip);
    assert_int_equal(ext2_lookup(fs, "/sparse", true, &ip), 0);
    ext2_stat(ip, &st);
    assert_int_equal(st.size, 9000005);
    assert_true(st.sectors < 200);
    assert_int_equal(ext2_read(ip, buf, 10, 8999997), 8);
    assert_memory_equal(buf, "\0\0\0tail\n", 8);
    ext2_iput(ip);
}

static void test_reads_what_mke2fs_made(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    make_tree();
    for (size_t i = 0; i < FORMATS; i++) {
        make_image(formats[i], "64M");
        memdev_load(&m, "t.img");
        fs = mount_ok(&m);
        assert_string_equal(problem, "");
        check_tree(fs);
        assert_int_equal(ext2_unmount(fs), 0);
        assert_int_equal(m.writes, 0);
        memdev_free(&m);
    }
    assert_int_equal(report_count, 0);
}

static uint64_t free_blocks(struct ext2 *fs)
{
    struct ext2_statfs st;

    ext2_statfs(fs, &st);
    return st.free_blocks;
}

static uint64_t free_inodes(struct ext2 *fs)
{
    struct ext2_statfs st;

    ext2_statfs(fs, &st);
    return st.free_inodes;
}

/* Every operation once, on a populated image. */
static void change_tree(struct ext2 *fs)
{
    struct ext2_inode *ip;

    assert_int_equal(ext2_mkdir(fs, "/new", 0755), 0);
    assert_int_equal(ext2_mkdir(fs, "/new", 0755), -XEN_EEXIST);
    put_file(fs, "/new/one", 1001, 3000000);
    put_file(fs, "/new/two", 1002, 10);
    assert_int_equal(ext2_create(fs, "/new/two", 0644, &ip), -XEN_EEXIST);
    assert_int_equal(ext2_rename(fs, "/new/two", "/new/three"), 0);
    assert_int_equal(ext2_rename(fs, "/new/one", "/f20"), 0); /* replaces */
    assert_int_equal(ext2_rename(fs, "/new", "/a/b/moved"), 0);
    assert_int_equal(ext2_rename(fs, "/a", "/a/b/c/a"), -XEN_EINVAL);
    assert_int_equal(ext2_rename(fs, "/f1", "/a"), -XEN_EISDIR);
    assert_int_equal(ext2_rename(fs, "/a", "/f1"), -XEN_ENOTDIR);
    assert_int_equal(ext2_rename(fs, "/f3", "/hard"), 0); /* one inode: nothing happens */
    assert_int_equal(ext2_unlink(fs, "/f3"), 0);
    assert_int_equal(ext2_unlink(fs, "/short"), 0);
    assert_int_equal(ext2_unlink(fs, "/long"), 0);
    assert_int_equal(ext2_unlink(fs, "/sparse"), 0);
    assert_int_equal(ext2_unlink(fs, "/f21"), 0);
    assert_int_equal(ext2_unlink(fs, "/many"), -XEN_EISDIR);
    assert_int_equal(ext2_rmdir(fs, "/many"), -XEN_ENOTEMPTY);
    assert_int_equal(ext2_rmdir(fs, "/f0"), -XEN_ENOTDIR);
    assert_int_equal(ext2_rmdir(fs, "/lost+found"), 0);
    assert_int_equal(ext2_lookup(fs, "/f22", true, &ip), 0);
    assert_int_equal(ext2_truncate(ip, 700001), 0);
    assert_int_equal(ext2_truncate(ip, 2000000), 0);
    ext2_iput(ip);
}

static void check_changed_tree(void)
{
    write_host_file("want1", 1001, 3000000);
    write_host_file("want2", 1002, 10);
    write_host_file("want3", 22, 700001);
    host_ok("debugfs -R 'dump /f20 got' check.img && cmp got want1");
    host_ok("debugfs -R 'dump /a/b/moved/three got' check.img && cmp got want2");
    host_ok("truncate -s 2000000 want3; debugfs -R 'dump /f22 got' check.img && cmp got want3");
    host_ok("debugfs -R 'ls /' check.img | grep hard");
    host_ok("! debugfs -R 'ls /' check.img | grep -E 'f3 |sparse|short|f21'");
}

static void test_writes_what_e2fsck_accepts(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    make_tree();
    for (size_t i = 0; i < FORMATS; i++) {
        make_image(formats[i], "64M");
        memdev_load(&m, "t.img");
        fs = mount_ok(&m);
        change_tree(fs);
        expect_file(fs, "/f20", 1001, 3000000);
        assert_int_equal(ext2_unmount(fs), 0);
        check_clean(&m);
        check_changed_tree();
        memdev_free(&m);
    }
    assert_int_equal(report_count, 0);
}

static void test_index_flag_is_dropped(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    make_tree();
    make_image("-b 1024", "64M");
    host_run("e2fsck -fyD t.img");
    host_ok("debugfs -R 'stat /many' t.img | grep 'Flags: 0x1000'");
    memdev_load(&m, "t.img");
    fs = mount_ok(&m);
    for (int i = 0; i < 300; i++) {
        char name[64];

        snprintf(name, sizeof(name), "/many/another-name-%d", i);
        put_file(fs, name, 5, 0);
    }
    assert_int_equal(ext2_unlink(fs, "/many/a-name-of-some-length-7"), 0);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    host_ok("debugfs -R 'stat /many' check.img | grep 'Flags: 0x0'");
    host_ok("debugfs -R 'ls /many' check.img | grep another-name-299");
    memdev_free(&m);
}

static void test_full_disk(void **state)
{
    static const char *const kinds[] = {"-b 1024", "-b 4096"};
    struct ext2_inode *ip;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    for (int k = 0; k < 2; k++) {
        uint64_t blocks, inodes;
        uint8_t *buf = content_make(9, 0, 16 << 20);
        int64_t n;

        fresh(&m, kinds[k], "8M");
        fs = mount_ok(&m);
        blocks = free_blocks(fs);
        inodes = free_inodes(fs);
        assert_int_equal(ext2_create(fs, "/big", 0644, &ip), 0);
        n = ext2_write(ip, buf, 16 << 20, 0);
        assert_in_range(n, 7 << 20, 8 << 20); /* a short count */
        assert_int_equal(ext2_size(ip), n);
        assert_int_equal(ext2_write(ip, buf, 4096, (uint64_t)n), -XEN_ENOSPC);
        assert_int_equal(ext2_mkdir(fs, "/d", 0755), -XEN_ENOSPC);
        assert_int_equal(free_blocks(fs), 0);
        assert_int_equal(ext2_sync(fs), 0);
        check_clean(&m);
        ext2_iput(ip);
        expect_file(fs, "/big", 9, (size_t)n);
        assert_int_equal(ext2_unlink(fs, "/big"), 0);
        assert_int_equal(free_blocks(fs), blocks);
        assert_int_equal(free_inodes(fs), inodes);
        assert_int_equal(ext2_unmount(fs), 0);
        check_clean(&m);
        memdev_free(&m);
        free(buf);
    }
}

static void test_inodes_run_out(void **state)
{
    struct ext2_inode *ip;
    struct memdev m;
    struct ext2 *fs;
    char name[16];
    int rc = 0, n;

    (void)state;
    fresh(&m, "-b 1024 -N 64", "4M");
    fs = mount_ok(&m);
    for (n = 0; rc == 0; n++) {
        snprintf(name, sizeof(name), "/n%d", n);
        rc = ext2_create(fs, name, 0644, &ip);
        if (rc == 0)
            ext2_iput(ip);
    }
    assert_int_equal(rc, -XEN_ENOSPC);
    assert_in_range(n, 40, 64);
    assert_int_equal(free_inodes(fs), 0);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

static void test_large_sparse_file(void **state)
{
    static const char *const kinds[] = {"-b 1024 -O ^large_file", "-b 4096 -O ^large_file"};
    static const uint64_t at[] = {0, 5000, 3ull << 20, 2500ull << 20, (14ull << 30) + 17};
    struct ext2_inode *ip;
    struct memdev m;
    struct ext2 *fs;
    char got[6] = "";

    (void)state;
    for (int k = 0; k < 2; k++) {
        uint64_t blocks;

        fresh(&m, kinds[k], "16M");
        fs = mount_ok(&m);
        blocks = free_blocks(fs);
        assert_int_equal(ext2_create(fs, "/disk", 0644, &ip), 0);
        assert_int_equal(ext2_truncate(ip, 15ull << 30), 0);
        for (int i = 0; i < 5; i++)
            assert_int_equal(ext2_write(ip, "hello", 5, at[i]), 5);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(ext2_read(ip, got, 5, at[i]), 5);
            assert_string_equal(got, "hello");
        }
        assert_int_equal(ext2_truncate(ip, 3ull << 50), -XEN_EOVERFLOW);
        assert_int_equal(ext2_write(ip, "x", 1, UINT64_MAX), -XEN_EOVERFLOW);
        assert_int_equal(ext2_sync(fs), 0);
        check_clean(&m);
        host_ok("dumpe2fs -h check.img | grep large_file");
        assert_int_equal(ext2_truncate(ip, (3ull << 20) + 2), 0);
        assert_int_equal(ext2_truncate(ip, 4ull << 20), 0);
        assert_int_equal(ext2_read(ip, got, 5, 3ull << 20), 5);
        assert_memory_equal(got, "he\0\0\0", 5);
        ext2_iput(ip);
        assert_int_equal(ext2_sync(fs), 0);
        check_clean(&m);
        assert_int_equal(ext2_unlink(fs, "/disk"), 0);
        assert_int_equal(free_blocks(fs), blocks);
        assert_int_equal(ext2_unmount(fs), 0);
        check_clean(&m);
        memdev_free(&m);
    }
    fresh(&m, "-b 1024 -r 0", "8M");
    fs = mount_ok(&m);
    assert_int_equal(ext2_create(fs, "/disk", 0644, &ip), 0);
    assert_int_equal(ext2_truncate(ip, 1ull << 31), -XEN_EOVERFLOW);
    assert_int_equal(ext2_truncate(ip, (1ull << 31) - 1), 0);
    ext2_iput(ip);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

/* A guest's write into a hole must not show it what a deleted file left in the block. */
static void test_new_blocks_are_zero_on_disk(void **state)
{
    struct ext2_inode *ip;
    uint32_t block, count;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-b 1024", "8M");
    fs = mount_ok(&m);
    put_file(fs, "/secret", 4, 7 << 20);
    assert_int_equal(ext2_unlink(fs, "/secret"), 0);
    assert_int_equal(ext2_create(fs, "/disk", 0644, &ip), 0);
    assert_int_equal(ext2_truncate(ip, 4 << 20), 0);
    for (uint32_t fblock = 0; fblock < 4000; fblock += count) {
        assert_int_equal(ext2_bmap(ip, fblock, 100, &block, &count), 0);
        assert_int_equal(block, 0);
        assert_int_equal(ext2_bmap_alloc(ip, fblock, 100, NULL, &block, &count), 0);
        assert_in_range(count, 1, 100);
        for (uint32_t i = 0; i < count * 1024; i++)
            assert_int_equal(m.data[(size_t)block * 1024 + i], 0);
    }
    ext2_iput(ip);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

static void test_holes_give_space_back(void **state)
{
    static const struct {
        uint32_t from, count;
    } holes[] = {{0, 1}, {5, 30}, {12, 256}, {200, 1000}, {3000, 1000}, {0, 4096}};
    struct ext2_inode *ip;
    struct ext2_stat before, after;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-b 1024", "8M");
    fs = mount_ok(&m);
    put_file(fs, "/disk", 4, 4 << 20);
    assert_int_equal(ext2_lookup(fs, "/disk", true, &ip), 0);
    for (unsigned int i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
        uint32_t block, count;

        ext2_stat(ip, &before);
        assert_int_equal(ext2_punch(ip, holes[i].from, holes[i].count), 0);
        ext2_stat(ip, &after);
        assert_true(after.sectors < before.sectors);
        assert_int_equal(after.size, 4 << 20);
        for (uint32_t n = 0; n < holes[i].count; n += count) {
            assert_int_equal(ext2_bmap(ip, holes[i].from + n, holes[i].count - n, &block, &count),
                             0);
            assert_int_equal(block, 0);
        }
    }
    assert_in_range(after.sectors, 1, 2 * 20); /* blocks of pointers */
    ext2_iput(ip);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

static void expect_refusal(const char *make, int err, const char *text)
{
    struct ext2 *fs = NULL;
    struct memdev m;

    host_ok("rm -f t.img; %s", make);
    memdev_load(&m, "t.img");
    assert_int_equal(ext2_mount(&m.dev, &host_env, &fs, problem), err);
    if (!strstr(problem, text))
        fail_msg("'%s' lacks '%s'", problem, text);
    assert_int_equal(m.writes, 0);
    memdev_free(&m);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_refusal("mke2fs -q -F -t ext4 t.img 16M", -XEN_EOPNOTSUPP, "extents");
    expect_refusal("mke2fs -q -F -t ext4 t.img 16M", -XEN_EOPNOTSUPP, "64bit");
    expect_refusal("mke2fs -q -F -t ext2 t.img 16M; debugfs -w -R 'feature needs_recovery' t.img",
                   -XEN_EOPNOTSUPP, "journal needs recovery");
    expect_refusal("mke2fs -q -F -t ext3 t.img 16M; debugfs -w -R 'ssv journal_inum 99999' t.img",
                   -XEN_EINVAL, "journal cannot be read");
    expect_refusal("truncate -s 16M t.img", -XEN_EINVAL, "no ext2");
    expect_refusal("truncate -s 1024 t.img", -XEN_EINVAL, "too small");
    expect_refusal("mke2fs -q -F -t ext2 t.img 16M; truncate -s 12M t.img", -XEN_EINVAL,
                   "truncated");
    expect_refusal("mke2fs -q -F -t ext2 t.img 16M; debugfs -w -R 'ssv inode_size 100' t.img",
                   -XEN_EINVAL, "inode size");
    expect_refusal(
        "mke2fs -q -F -t ext2 -b 1024 t.img 16M; debugfs -w -R 'set_bg 1 inode_table 3' t.img",
        -XEN_EINVAL, "group descriptor 1");
    expect_refusal("mke2fs -q -F -t ext2 t.img 16M; debugfs -w -R 'sif <2> mode 0100644' t.img",
                   -XEN_EINVAL, "root directory");
}

static void test_read_only(void **state)
{
    struct ext2_inode *ip;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-O metadata_csum", "16M");
    fs = mount_ok(&m);
    assert_non_null(strstr(problem, "metadata_csum"));
    assert_int_equal(ext2_mkdir(fs, "/x", 0755), -XEN_EROFS);
    assert_int_equal(ext2_create(fs, "/x", 0644, &ip), -XEN_EROFS);
    assert_int_equal(ext2_rmdir(fs, "/lost+found"), -XEN_EROFS);
    assert_int_equal(ext2_unmount(fs), 0);
    assert_int_equal(m.writes, 0);
    memdev_free(&m);
    fresh(&m, "", "16M");
    m.dev.readonly = true;
    fs = mount_ok(&m);
    assert_non_null(strstr(problem, "read-only"));
    assert_int_equal(ext2_mkdir(fs, "/x", 0755), -XEN_EROFS);
    assert_int_equal(ext2_unmount(fs), 0);
    memdev_free(&m);
}

static uint16_t disk_state(const struct memdev *m)
{
    return ((const struct ext2_super_disk *)(m->data + EXT2_SUPER_OFFSET))->state;
}

static void test_clean_mark(void **state)
{
    struct memdev m;
    struct ext2 *fs;
    uint64_t blocks;

    (void)state;
    fresh(&m, "", "16M");
    fs = mount_ok(&m);
    assert_int_equal(disk_state(&m), EXT2_STATE_VALID);
    put_file(fs, "/x", 1, 100000);
    assert_int_equal(disk_state(&m), 0);
    assert_int_equal(ext2_sync(fs), 0);
    assert_int_equal(disk_state(&m), EXT2_STATE_VALID);
    put_file(fs, "/y", 1, 100000);
    blocks = free_blocks(fs);
    /* the power goes: the same disk again, its counters are old */
    {
        struct ext2 *again = mount_ok(&m);

        assert_non_null(strstr(problem, "not unmounted in order"));
        assert_int_equal(free_blocks(again), blocks);
        assert_int_equal(ext2_mkdir(again, "/z", 0755), 0);
        assert_int_equal(ext2_unmount(again), 0);
        assert_int_equal(disk_state(&m), 0); /* remains e2fsck's to settle */
    }
    ext2_unmount(fs);
    memdev_free(&m);
    fresh(&m, "", "16M");
    ((struct ext2_super_disk *)(m.data + EXT2_SUPER_OFFSET))->state |= EXT2_STATE_ERROR;
    fs = mount_ok(&m);
    assert_non_null(strstr(problem, "has errors"));
    ext2_unmount(fs);
    memdev_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_mke2fs_made),
        cmocka_unit_test(test_writes_what_e2fsck_accepts),
        cmocka_unit_test(test_index_flag_is_dropped),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_inodes_run_out),
        cmocka_unit_test(test_large_sparse_file),
        cmocka_unit_test(test_new_blocks_are_zero_on_disk),
        cmocka_unit_test(test_holes_give_space_back),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_clean_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
