/* SPDX-License-Identifier: MIT */
/*
 * ext2 on an image damaged at random, on pointers that never end, and on a device that fails:
 * whatever is on the disk, calls return, and touch no memory but their own. EXT2_SEED and
 * EXT2_ROUNDS give more.
 */
#include "ext2_host.h"

#include "dom0/fs/ext2_disk.h"

static int list_and_read(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    struct ext2 *fs = arg;
    struct ext2_inode *ip;
    static uint8_t buf[70000];

    (void)name;
    (void)len;
    if (ext2_iget(fs, ino, &ip) == 0) {
        uint64_t size = ext2_size(ip);

        ext2_read(ip, buf, sizeof(buf), 0);
        ext2_read(ip, buf, sizeof(buf), size / 2);
        if (size > sizeof(buf))
            ext2_read(ip, buf, sizeof(buf), size - sizeof(buf));
        ext2_iput(ip);
    }
    return 0;
}

/* Everything that dom0 could do to a disk; results do not matter, returning does. */
static void work_over(struct ext2 *fs)
{
    static const char *const dirs[] = {"/", "/d", "/d/e", "/lost+found", "/d/e/.."};
    struct ext2_inode *ip;
    char name[64];

    for (int i = 0; i < 5; i++) {
        if (ext2_lookup(fs, dirs[i], true, &ip) == 0) {
            ext2_readdir(ip, list_and_read, fs);
            ext2_iput(ip);
        }
    }
    for (int i = 0; i < 12; i++) {
        sprintf(name, "/d/f%d", i);
        if (ext2_lookup(fs, name, true, &ip) == 0) {
            if (ext2_is_file(ip)) {
                ext2_write(ip, "hello", 5, rng(300000));
                ext2_truncate(ip, rng(300000));
            }
            ext2_iput(ip);
        }
    }
    if (ext2_create(fs, "/d/new", 0644, &ip) == 0) {
        static const uint8_t zeros[90000];

        ext2_write(ip, zeros, sizeof(zeros), 100);
        ext2_iput(ip);
    }
    ext2_mkdir(fs, "/d/dir", 0755);
    ext2_rename(fs, "/d/new", "/d/f3");
    ext2_rename(fs, "/d/e", "/d/dir/e");
    for (int i = 0; i < 12; i++) {
        sprintf(name, "/d/f%d", i);
        ext2_unlink(fs, name);
    }
    ext2_rmdir(fs, "/d/dir");
    ext2_rmdir(fs, "/d");
}

static void make_victim(struct memdev *m)
{
    static const size_t sizes[] = {0, 10, 5000, 20000, 300000, 50, 1024, 70000, 1, 2, 3, 280000};
    struct ext2_inode *ip;
    struct ext2 *fs;
    char name[64];

    fresh(m, "-b 1024 -g 1024 -N 128", "4M");
    fs = mount_ok(m);
    assert_int_equal(ext2_mkdir(fs, "/d", 0755), 0);
    assert_int_equal(ext2_mkdir(fs, "/d/e", 0755), 0);
    for (uint32_t i = 0; i < 12; i++) {
        sprintf(name, "/d/f%u", i);
        put_file(fs, name, i, sizes[i]);
    }
    assert_int_equal(ext2_lookup(fs, "/d/f4", true, &ip), 0);
    assert_int_equal(ext2_truncate(ip, 100 << 20), 0);
    assert_int_equal(ext2_write(ip, "end", 3, 99 << 20), 3);
    ext2_iput(ip);
    assert_int_equal(ext2_unmount(fs), 0);
    memdev_save(m, "victim.img");
    memdev_free(m);
}

/* Blocks worth damaging: superblock, descriptors, bitmaps, inodes, directories, pointers. */
static uint32_t pick_offset(const struct memdev *m, const uint8_t *good)
{
    const struct ext2_group_disk *gd = (const void *)(good + 2048);
    uint32_t group = rng(4);

    switch (rng(8)) {
    case 0:
        return 1024 + rng(104);
    case 1:
        return 2048 + rng(4 * 32);
    case 2:
        return gd[group].block_bitmap * 1024 + rng(128);
    case 3:
        return gd[group].inode_bitmap * 1024 + rng(8);
    case 4:
    case 5:
        return gd[group].inode_table * 1024 + rng(32) * 256 + rng(128);
    default:
        return rng((uint32_t)m->dev.sectors) * 512 + rng(512);
    }
}

static void damage(struct memdev *m, const uint8_t *good)
{
    static const uint32_t words[] = {0,          1,    2,    11, 0xffffffff,
                                     0x7fffffff, 4095, 4096, 40, 0x80000000};
    uint32_t n = 1 + rng(12);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = pick_offset(m, good);

        if (rng(2)) {
            m->data[at] ^= (uint8_t)(1u << rng(8));
        } else {
            uint32_t word = rng(3) ? words[rng(10)] : rng(4200);

            memcpy(m->data + (at & ~3u), &word, 4);
        }
    }
}

static void test_damage(void **state)
{
    unsigned int rounds = setting("EXT2_ROUNDS", 4) * 400, mounted = 0;
    struct memdev m;
    uint8_t *good;

    (void)state;
    make_victim(&m);
    memdev_load(&m, "victim.img");
    good = malloc(m.dev.sectors * 512);
    memcpy(good, m.data, m.dev.sectors * 512);
    for (unsigned int round = 0; round < rounds; round++) {
        struct ext2 *fs;

        seed_with(round);
        memcpy(m.data, good, m.dev.sectors * 512);
        damage(&m, good);
        m.reads = 0;
        m.reads_allowed = 100000;
        if (ext2_mount(&m.dev, &host_env, &fs, problem) == 0) {
            work_over(fs);
            assert_int_not_equal(ext2_unmount(fs), -XEN_EBUSY); /* no inode is left held */
            mounted++;
        } else {
            assert_true(problem[0]);
        }
    }
    assert_in_range(mounted, rounds / 4, rounds - 1);
    free(good);
    memdev_free(&m);
}

/* A tree of pointers that points to itself everywhere must not keep us for a thousand million
 * steps. */
static void test_endless_tree(void **state)
{
    struct ext2_inode *ip;
    uint32_t block, count;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    for (int leaf = 0; leaf < 2; leaf++) {
        struct ext2_inode_disk *d;

        make_victim(&m);
        memdev_load(&m, "victim.img");
        fs = mount_ok(&m);
        assert_int_equal(ext2_lookup(fs, "/d/f4", true, &ip), 0);
        assert_int_equal(ext2_bmap(ip, 0, 1, &block, &count), 0);
        ext2_iput(ip);
        ext2_unmount(fs);
        /* All pointers of block `block` lead to itself; the file is found again by its first block.
         */
        for (uint32_t i = 0; i < 256; i++)
            memcpy(m.data + (size_t)block * 1024 + i * 4, &block, 4);
        for (d = (void *)m.data; d->block[0] != block || d->mode >> 12 != 8; d++)
            ;
        d->block[14] = block;
        if (leaf)
            d->block[0] = 0;
        m.reads_allowed = 5000;
        fs = mount_ok(&m);
        assert_int_equal(ext2_unlink(fs, "/d/f4"), -XEN_EIO);
        ext2_unmount(fs);
        memdev_free(&m);
    }
}

/* A device that fails from some write on: errors come up, nothing is lost in memory. */
static void test_failing_device(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    make_victim(&m);
    for (unsigned int at = 1; at < 200; at += 3) {
        memdev_load(&m, "victim.img");
        seed_with(at);
        fs = mount_ok(&m);
        m.fail_writes = at;
        work_over(fs);
        assert_int_not_equal(ext2_unmount(fs), -XEN_EBUSY);
        memdev_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_endless_tree),
        cmocka_unit_test(test_failing_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
