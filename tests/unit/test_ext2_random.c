/* SPDX-License-Identifier: MIT */
/*
 * ext2 under seeded random work: against a model in memory; with the power cut at any write; with
 * an image damaged at random; with a device that fails. EXT2_SEED and EXT2_ROUNDS in the
 * environment give more of it.
 */
#include "ext2_host.h"

#include "dom0/fs/ext2_disk.h"

static uint64_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)((rng_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static unsigned int setting(const char *name, unsigned int fallback)
{
    const char *text = getenv(name);

    return text ? (unsigned int)strtoul(text, NULL, 0) : fallback;
}

static void seed_with(uint32_t n)
{
    rng_state = 0x9e3779b97f4a7c15ull * (setting("EXT2_SEED", 1) + n) + 1;
}

static void fresh(struct memdev *m, const char *format, const char *size)
{
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 %s t.img %s", format, size);
    memdev_load(m, "t.img");
}

/* --- the model: a fixed set of names, each absent, a file with its bytes, or a directory --- */

#define DIRS      4
#define PER_DIR   6
#define NAMES     (DIRS * PER_DIR)
#define MAX_BYTES 400000u

struct model {
    bool dir_there[DIRS]; /* the first is the root */
    bool there[NAMES];
    uint32_t size[NAMES];
    uint8_t *bytes[NAMES];
};

static void name_of(uint32_t i, char *name)
{
    uint32_t dir = i / PER_DIR;

    if (dir == 0)
        sprintf(name, "/file-%u", i);
    else
        sprintf(name, "/dir%u/%s-%u", dir, i % 2 ? "file" : "a-much-longer-name-for-a-file", i);
}

static void model_init(struct model *md)
{
    memset(md, 0, sizeof(*md));
    md->dir_there[0] = true;
    for (uint32_t i = 0; i < NAMES; i++)
        assert_non_null(md->bytes[i] = calloc(1, MAX_BYTES));
}

static void model_free(struct model *md)
{
    for (uint32_t i = 0; i < NAMES; i++)
        free(md->bytes[i]);
}

static int model_files(const struct model *md, uint32_t dir)
{
    int n = 0;

    for (uint32_t i = dir * PER_DIR; i < (dir + 1) * PER_DIR; i++)
        n += md->there[i];
    return n;
}

static void step_dir(struct ext2 *fs, struct model *md)
{
    uint32_t dir = 1 + rng(DIRS - 1);
    char name[64];
    int rc;

    sprintf(name, "/dir%u", dir);
    if (rng(2)) {
        rc = ext2_mkdir(fs, name, 0755);
        if (rc != -XEN_ENOSPC)
            assert_int_equal(rc, md->dir_there[dir] ? -XEN_EEXIST : 0);
        if (rc == 0)
            md->dir_there[dir] = true;
        return;
    }
    rc = ext2_rmdir(fs, name);
    if (!md->dir_there[dir])
        assert_int_equal(rc, -XEN_ENOENT);
    else
        assert_int_equal(rc, model_files(md, dir) ? -XEN_ENOTEMPTY : 0);
    if (rc == 0)
        md->dir_there[dir] = false;
}

static void step_write(struct ext2_inode *ip, struct model *md, uint32_t i)
{
    uint32_t at = rng(4) ? rng(MAX_BYTES) : rng(20000), len = rng(4) ? rng(5000) : rng(150000);
    uint8_t *data;
    int64_t n;

    if (len > MAX_BYTES - at)
        len = MAX_BYTES - at;
    data = content_make(rng(1000), at, len);
    n = ext2_write(ip, data, len, at);
    if (n < 0) {
        assert_int_equal(n, -XEN_ENOSPC);
        n = 0;
    }
    memcpy(md->bytes[i] + at, data, (size_t)n);
    if (n > 0 && at + n > md->size[i])
        md->size[i] = at + (uint32_t)n;
    free(data);
}

static void step_truncate(struct ext2_inode *ip, struct model *md, uint32_t i)
{
    uint32_t size = rng(3) ? rng(MAX_BYTES) : rng(3) * 1024 * 12;

    assert_int_equal(ext2_truncate(ip, size), 0);
    if (size < md->size[i])
        memset(md->bytes[i] + size, 0, md->size[i] - size);
    md->size[i] = size;
}

static void step_alloc(struct ext2_inode *ip, struct model *md, uint32_t i, uint32_t bs)
{
    uint32_t blocks = md->size[i] / bs, block, count, from;
    int rc;

    if (!blocks)
        return;
    from = rng(blocks);
    rc = ext2_bmap_alloc(ip, from, 1 + rng(blocks - from), NULL, &block, &count);
    if (rc != -XEN_ENOSPC)
        assert_int_equal(rc, 0);
}

static void step_compare(struct ext2_inode *ip, struct model *md, uint32_t i)
{
    uint32_t at = rng(MAX_BYTES), len = rng(60000);
    uint32_t want = at < md->size[i] ? md->size[i] - at : 0;
    uint8_t *got = malloc(len + 1);

    if (want > len)
        want = len;
    assert_int_equal(ext2_read(ip, got, len, at), want);
    assert_memory_equal(got, md->bytes[i] + at, want);
    free(got);
}

static void step_rename(struct ext2 *fs, struct model *md, uint32_t i)
{
    uint32_t j = rng(NAMES);
    char from[64], to[64];
    uint8_t *bytes;
    int rc;

    name_of(i, from);
    name_of(j, to);
    rc = ext2_rename(fs, from, to);
    if (!md->dir_there[j / PER_DIR]) {
        assert_int_equal(rc, -XEN_ENOENT);
        return;
    }
    if (rc == -XEN_ENOSPC)
        return;
    assert_int_equal(rc, 0);
    if (i == j)
        return;
    bytes = md->bytes[j];
    md->bytes[j] = md->bytes[i];
    md->size[j] = md->size[i];
    md->there[j] = true;
    md->bytes[i] = bytes;
    memset(bytes, 0, MAX_BYTES);
    md->size[i] = 0;
    md->there[i] = false;
}

static void step_remove(struct ext2 *fs, struct model *md, uint32_t i)
{
    char name[64];

    name_of(i, name);
    assert_int_equal(ext2_unlink(fs, name), 0);
    memset(md->bytes[i], 0, MAX_BYTES);
    md->size[i] = 0;
    md->there[i] = false;
}

static void step_file(struct ext2 *fs, struct model *md)
{
    uint32_t i = rng(NAMES), what = rng(10);
    struct ext2_inode *ip;
    char name[64];
    int rc;

    name_of(i, name);
    if (!md->there[i]) {
        rc = ext2_create(fs, name, 0644, &ip);
        if (!md->dir_there[i / PER_DIR])
            assert_int_equal(rc, -XEN_ENOENT);
        else if (rc != -XEN_ENOSPC)
            assert_int_equal(rc, 0);
        if (rc < 0)
            return;
        md->there[i] = true;
        step_write(ip, md, i);
        ext2_iput(ip);
        return;
    }
    if (what == 0) {
        step_rename(fs, md, i);
    } else if (what == 1) {
        step_remove(fs, md, i);
    } else {
        assert_int_equal(ext2_lookup(fs, name, true, &ip), 0);
        if (what < 5)
            step_write(ip, md, i);
        else if (what == 5)
            step_truncate(ip, md, i);
        else if (what == 6)
            step_alloc(ip, md, i, ext2_block_size(fs));
        else
            step_compare(ip, md, i);
        ext2_iput(ip);
    }
}

static void steps(struct ext2 *fs, struct model *md, unsigned int count)
{
    for (unsigned int n = 0; n < count; n++) {
        if (rng(12) == 0)
            step_dir(fs, md);
        else
            step_file(fs, md);
    }
}

static void compare_all(struct ext2 *fs, const struct model *md)
{
    char name[64];

    for (uint32_t i = 0; i < NAMES; i++) {
        struct ext2_inode *ip;
        uint8_t *got;
        int rc;

        name_of(i, name);
        rc = ext2_lookup(fs, name, true, &ip);
        assert_int_equal(rc, md->there[i] ? 0 : -XEN_ENOENT);
        if (rc)
            continue;
        got = malloc(MAX_BYTES);
        assert_int_equal(ext2_size(ip), md->size[i]);
        assert_int_equal(ext2_read(ip, got, MAX_BYTES, 0), md->size[i]);
        assert_memory_equal(got, md->bytes[i], md->size[i]);
        free(got);
        ext2_iput(ip);
    }
}

/* The same work on the file system and on plain memory; e2fsck has nothing to say in the end. */
static void test_model(void **state)
{
    static const char *const kinds[] = {"-b 1024 -O ^resize_inode", "-b 2048", "-b 4096",
                                        "-b 1024 -g 512 -N 80"};
    unsigned int rounds = setting("EXT2_ROUNDS", 4);

    (void)state;
    for (unsigned int round = 0; round < rounds; round++) {
        struct ext2_statfs before = {0}, after = {0};
        struct model md;
        struct memdev m;
        struct ext2 *fs;

        seed_with(round);
        fresh(&m, kinds[round % 4], round % 2 ? "3M" : "8M"); /* the small ones run full */
        fs = mount_ok(&m);
        ext2_statfs(fs, &before);
        model_init(&md);
        for (int part = 0; part < 3; part++) {
            steps(fs, &md, 700);
            compare_all(fs, &md);
            assert_int_equal(ext2_unmount(fs), 0);
            check_clean(&m);
            fs = mount_ok(&m);
            compare_all(fs, &md);
        }
        for (uint32_t i = 0; i < NAMES; i++) {
            if (md.there[i])
                step_remove(fs, &md, i);
        }
        for (uint32_t dir = 1; dir < DIRS; dir++) {
            char name[16];

            sprintf(name, "/dir%u", dir);
            if (md.dir_there[dir])
                assert_int_equal(ext2_rmdir(fs, name), 0);
        }
        ext2_statfs(fs, &after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_int_equal(ext2_unmount(fs), 0);
        check_clean(&m);
        model_free(&md);
        memdev_free(&m);
    }
    assert_int_equal(report_count, 0);
}

/* --- the power cut --- */

/* A fixed little history with every operation in it (but moving a directory). */
static void history(struct ext2 *fs)
{
    struct ext2_inode *ip;

    if (ext2_mkdir(fs, "/d", 0755) < 0)
        return;
    put_file(fs, "/d/one", 1, 290000);
    put_file(fs, "/d/two", 2, 3000);
    ext2_rename(fs, "/d/two", "/three");
    ext2_rename(fs, "/three", "/d/one");
    if (ext2_create(fs, "/disk", 0644, &ip) == 0) {
        uint32_t block, count;

        ext2_truncate(ip, 20 << 20);
        ext2_write(ip, "x", 1, 19 << 20);
        ext2_bmap_alloc(ip, 300, 8, NULL, &block, &count);
        ext2_truncate(ip, 280 * 1024);
        ext2_truncate(ip, 10);
        ext2_iput(ip);
    }
    for (int i = 0; i < 24; i++) {
        char name[64];

        sprintf(name, "/d/a-name-that-fills-the-directory-soon-%d", i);
        put_file(fs, name, 5, 1);
    }
    for (int i = 0; i < 24; i += 2) {
        char name[64];

        sprintf(name, "/d/a-name-that-fills-the-directory-soon-%d", i);
        ext2_unlink(fs, name);
    }
    ext2_mkdir(fs, "/d/sub", 0755);
    ext2_rmdir(fs, "/d/sub");
    ext2_unlink(fs, "/d/one");
}

/* After each write that the disk still took, e2fsck -p must be able to repair by itself. */
static void test_power_cut(void **state)
{
    unsigned int step = setting("EXT2_CUT_STEP", 5);
    uint64_t total, cut;
    struct memdev m, c;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-b 1024", "2M");
    fs = mount_ok(&m);
    history(fs);
    assert_int_equal(ext2_unmount(fs), 0);
    total = m.writes;
    check_clean(&m);
    memdev_free(&m);
    for (cut = 1; cut <= total; cut += step) {
        int rc;

        memdev_load(&c, "t.img");
        c.cut_writes = cut;
        fs = mount_ok(&c);
        /* The file system sees the old content of what it lost only if it reads again: keep it all.
         */
        history(fs);
        ext2_unmount(fs);
        assert_non_null(c.snapshot);
        memcpy(c.data, c.snapshot, c.dev.sectors * 512);
        memdev_save(&c, "cut.img");
        memdev_free(&c);
        rc = host_run("e2fsck -p cut.img");
        if (rc > 1) {
            host_run("cat out");
            fail_msg("cut before write %u of %u: e2fsck -p exits with %d", (unsigned int)cut,
                     (unsigned int)total, rc);
        }
        host_ok("e2fsck -fn cut.img");
    }
}

/* --- damage --- */

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
        cmocka_unit_test(test_model),          cmocka_unit_test(test_power_cut),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_endless_tree),
        cmocka_unit_test(test_failing_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
