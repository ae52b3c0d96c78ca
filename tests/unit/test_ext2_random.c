/* SPDX-License-Identifier: MIT */
/*
 * ext2 under seeded random work, against a model in memory, and with the power cut at any write.
 * EXT2_SEED, EXT2_ROUNDS and EXT2_CUT_STEP=1 in the environment give more of it.
 */
#include "ext2_host.h"

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

static void step_punch(struct ext2_inode *ip, struct model *md, uint32_t i, uint32_t bs)
{
    uint32_t blocks = md->size[i] / bs, from, n;

    if (!blocks)
        return;
    from = rng(blocks);
    n = 1 + rng(blocks - from);
    assert_int_equal(ext2_punch(ip, from, n), 0);
    memset(md->bytes[i] + (size_t)from * bs, 0, (size_t)n * bs);
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
        else if (what == 7)
            step_punch(ip, md, i, ext2_block_size(fs));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_power_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
