/* SPDX-License-Identifier: MIT */
/*
 * ext2 where it is tight: a disk that is full again and again, one whose free space lies in single
 * blocks, files of terabytes, directories of ten thousand names. e2fsck is the judge; work is
 * bounded in what the device sees, as time on a busy machine says little.
 * EXT2_SEED and EXT2_ROUNDS in the environment give more of it.
 */
#include "ext2_host.h"

static uint64_t free_blocks(struct ext2 *fs)
{
    struct ext2_statfs st;

    ext2_statfs(fs, &st);
    return st.free_blocks;
}

static struct ext2_inode *open_ok(struct ext2 *fs, const char *path)
{
    struct ext2_inode *ip = NULL;

    assert_int_equal(ext2_lookup(fs, path, true, &ip), 0);
    return ip;
}

static struct ext2_inode *create_ok(struct ext2 *fs, const char *path, uint64_t size)
{
    struct ext2_inode *ip = NULL;

    assert_int_equal(ext2_create(fs, path, 0644, &ip), 0);
    assert_int_equal(ext2_truncate(ip, size), 0);
    return ip;
}

/* --- a full disk under guests that go on --- */

#define DISKS       4
#define DISK_BLOCKS 6000u /* each: together far more than there is */

#define IN_FLIGHT 12

/* A write to blocks that the file does not have yet. */
struct write {
    uint32_t disk, at, block, count;
    bool written;
};

/* Sparse disks of guests, which write to blocks past the file system: what each block must hold. */
struct guests {
    struct memdev *m;
    struct ext2 *fs;
    struct ext2_inode *disk[DISKS];
    uint32_t bs;
    uint32_t stamp[DISKS][DISK_BLOCKS]; /* 0: zeros */
    uint32_t clock;
    unsigned int refused;
    struct write flight[IN_FLIGHT];
    unsigned int flying;
};

static uint8_t *device_block(struct guests *g, uint32_t block)
{
    return g->m->data + (size_t)block * g->bs;
}

static void guests_open(struct guests *g, bool fresh_disks)
{
    char name[16];

    for (uint32_t i = 0; i < DISKS; i++) {
        snprintf(name, sizeof(name), "/disk%u", i);
        g->disk[i] = fresh_disks ? create_ok(g->fs, name, (uint64_t)DISK_BLOCKS * g->bs)
                                 : open_ok(g->fs, name);
    }
}

/* The device has done a write, or failed. */
static void write_ends(struct guests *g, unsigned int i)
{
    struct write *w = &g->flight[i];

    if (w->written) {
        for (uint32_t b = 0; b < w->count; b++)
            memcpy(&g->stamp[w->disk][w->at + b], device_block(g, w->block + b), sizeof(uint32_t));
        assert_int_equal(ext2_link(g->disk[w->disk], w->at, w->block, w->count), 0);
    } else {
        ext2_unreserve(g->disk[w->disk], w->block, w->count);
    }
    *w = g->flight[--g->flying];
}

/* All of them, or those that a request to a part of a disk has to wait for. */
static void settle(struct guests *g, uint32_t disk, uint32_t at, uint32_t count)
{
    for (unsigned int i = g->flying; i > 0; i--) {
        const struct write *w = &g->flight[i - 1];

        if (disk == DISKS || (w->disk == disk && w->at < at + count && at < w->at + w->count))
            write_ends(g, i - 1);
    }
}

static void stamp_device(struct guests *g, uint32_t block, uint32_t count)
{
    for (uint32_t b = 0; b < count; b++) {
        memset(device_block(g, block + b), 0, g->bs);
        g->clock++;
        memcpy(device_block(g, block + b), &g->clock, sizeof(g->clock));
    }
}

/* A guest's request for a whole number of blocks, which may take its time; false when it got an
 * error. */
static bool guest_writes_whole(struct guests *g)
{
    uint32_t i = rng(DISKS), at = rng(DISK_BLOCKS), n = 1 + rng(60), block, count;
    bool fresh;
    int rc;

    if (n > DISK_BLOCKS - at)
        n = DISK_BLOCKS - at;
    settle(g, i, at, n);
    if (g->flying == IN_FLIGHT)
        write_ends(g, rng(IN_FLIGHT));
    rc = ext2_reserve(g->disk[i], at, n, &block, &count, &fresh);
    if (rc < 0) {
        assert_int_equal(rc, -XEN_ENOSPC);
        return false;
    }
    assert_in_range(count, 1, n);
    if (fresh) {
        g->flight[g->flying++] = (struct write){i, at, block, count, rng(8) > 0};
        memset(device_block(g, block), 0xdd, (size_t)count * g->bs);
        if (g->flight[g->flying - 1].written)
            stamp_device(g, block, count);
    } else {
        stamp_device(g, block, count);
        for (uint32_t b = 0; b < count; b++)
            memcpy(&g->stamp[i][at + b], device_block(g, block + b), sizeof(uint32_t));
    }
    return true;
}

/* A guest's request; false when it got an error. */
static bool guest_writes(struct guests *g)
{
    uint32_t i = rng(DISKS), at = rng(DISK_BLOCKS), n = rng(4) ? 1 + rng(8) : 1 + rng(200);

    if (n > DISK_BLOCKS - at)
        n = DISK_BLOCKS - at;
    settle(g, i, at, n);
    while (n > 0) {
        uint32_t block, count;
        int rc = ext2_bmap_alloc(g->disk[i], at, n, NULL, &block, &count);

        if (rc < 0) {
            assert_int_equal(rc, -XEN_ENOSPC);
            return false;
        }
        assert_in_range(count, 1, n);
        for (uint32_t b = 0; b < count; b++) {
            memset(device_block(g, block + b), 0, g->bs);
            g->stamp[i][at + b] = ++g->clock;
            memcpy(device_block(g, block + b), &g->clock, sizeof(g->clock));
        }
        at += count;
        n -= count;
    }
    return true;
}

static void guest_discards(struct guests *g)
{
    uint32_t i = rng(DISKS), at = rng(DISK_BLOCKS), n = 1 + rng(DISK_BLOCKS - at);

    settle(g, i, at, n);
    assert_int_equal(ext2_punch(g->disk[i], at, n), 0);
    memset(&g->stamp[i][at], 0, n * sizeof(g->stamp[i][0]));
}

static void guests_verify(struct guests *g)
{
    for (uint32_t i = 0; i < DISKS; i++) {
        for (uint32_t at = 0, block, count; at < DISK_BLOCKS; at += count) {
            assert_int_equal(ext2_bmap(g->disk[i], at, DISK_BLOCKS - at, &block, &count), 0);
            for (uint32_t b = 0; b < count; b++) {
                uint32_t found = 0;

                if (block)
                    memcpy(&found, device_block(g, block + b), sizeof(found));
                if (found != g->stamp[i][at + b])
                    fail_msg("disk %u block %u: %u instead of %u", i, at + b, found,
                             g->stamp[i][at + b]);
            }
        }
    }
}

/* What a person does at the prompt meanwhile: each call works, or says ENOSPC and leaves nothing.
 */
static void admin_works(struct guests *g, uint32_t turn)
{
    uint32_t len = rng(300000);
    uint8_t *data = content_make(turn, 0, len);
    struct ext2_inode *ip;
    char name[64], other[64];
    int64_t n;
    int rc;

    snprintf(name, sizeof(name), "/a-name-that-needs-some-room-%u", rng(400));
    snprintf(other, sizeof(other), "/another-name-%u", rng(400));
    rc = ext2_create(g->fs, name, 0644, &ip);
    if (rc == 0) {
        n = ext2_write(ip, data, len, 0);
        assert_true(n == -XEN_ENOSPC || (n >= 0 && n <= len));
        ext2_iput(ip);
        rc = rng(2) ? ext2_unlink(g->fs, name) : ext2_rename(g->fs, name, other);
    } else if (rc == -XEN_EEXIST) {
        rc = ext2_unlink(g->fs, name);
    }
    assert_true(rc == 0 || rc == -XEN_ENOSPC);
    rc = ext2_mkdir(g->fs, "/dir", 0755);
    assert_true(rc == 0 || rc == -XEN_ENOSPC);
    if (rc == 0)
        assert_int_equal(ext2_rmdir(g->fs, "/dir"), 0);
    free(data);
}

static void guests_work(struct guests *g, unsigned int turns)
{
    for (unsigned int turn = 0; turn < turns; turn++) {
        if (!(rng(2) ? guest_writes(g) : guest_writes_whole(g))) {
            g->refused++;
            if (g->flying == 0) /* refused only when full: one way needs three */
                assert_true(free_blocks(g->fs) < 4);
            settle(g, DISKS, 0, 0);
            if (rng(8) == 0)
                guest_discards(g);
        }
        if (rng(16) == 0)
            admin_works(g, turn);
        if (rng(16) == 0)
            assert_int_equal(rng(2) ? ext2_flush(g->fs) : ext2_sync(g->fs), 0);
        if (rng(200) == 0) { /* what is in flight is in no bitmap and no file */
            assert_int_equal(ext2_sync(g->fs), 0);
            check_clean(g->m);
        }
    }
    settle(g, DISKS, 0, 0);
}

static int remove_other(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    (void)ino;
    if (name[0] != 'a')
        return 0;
    snprintf(arg, 64, "/%.*s", (int)len, name);
    return 1;
}

/* All that the run made; what the disk has free then. */
static uint64_t remove_all(struct guests *g)
{
    struct ext2_inode *root = open_ok(g->fs, "/");
    char name[64];

    while (ext2_readdir(root, remove_other, name) == 1)
        assert_int_equal(ext2_unlink(g->fs, name), 0);
    ext2_iput(root);
    for (uint32_t i = 0; i < DISKS; i++) {
        ext2_iput(g->disk[i]);
        snprintf(name, sizeof(name), "/disk%u", i);
        assert_int_equal(ext2_unlink(g->fs, name), 0);
    }
    return free_blocks(g->fs);
}

static void full_disk_run(const char *format, const char *size)
{
    struct guests *g = calloc(1, sizeof(*g));
    struct memdev m;
    uint64_t before, after;

    assert_non_null(g);
    fresh(&m, format, size);
    g->m = &m;
    g->fs = mount_ok(&m);
    g->bs = ext2_block_size(g->fs);
    before = free_blocks(g->fs);
    guests_open(g, true);
    for (int part = 0; part < 3; part++) {
        guests_work(g, 1500);
        guests_verify(g);
        for (uint32_t i = 0; i < DISKS; i++)
            ext2_iput(g->disk[i]);
        assert_int_equal(ext2_unmount(g->fs), 0);
        check_clean(&m);
        g->fs = mount_ok(&m);
        guests_open(g, false);
        guests_verify(g);
    }
    assert_true(g->refused > 20);
    after = remove_all(g);
    assert_in_range(after, before - 32, before); /* the root directory has grown */
    assert_int_equal(ext2_unmount(g->fs), 0);
    check_clean(&m);
    memdev_free(&m);
    free(g);
}

static void test_full_disk(void **state)
{
    static const char *const kinds[] = {"-b 1024 -j -J size=1", "-b 4096 -j -J size=4", "-b 1024",
                                        "-b 1024 -g 512 -O ^resize_inode -j -J size=1"};
    static const char *const sizes[] = {"12M", "48M", "12M",
                                        "20M"}; /* the last one has 40 groups */
    unsigned int rounds = setting("EXT2_ROUNDS", 4);

    (void)state;
    for (unsigned int round = 0; round < rounds; round++) {
        seed_with(100 + round);
        full_disk_run(kinds[round % 4], sizes[round % 4]);
    }
    assert_int_equal(report_count, 0);
}

/* --- free space in single blocks --- */

/* The disk is full of two files that have every other block each. */
static uint32_t interleave(struct ext2 *fs, struct ext2_inode *a, struct ext2_inode *b)
{
    uint32_t n = 0, block, count;

    for (int rc = 0; rc == 0; n += count) {
        rc = ext2_bmap_alloc(a, n, 256, NULL, &block, &count);
        if (rc < 0) {
            assert_int_equal(rc, -XEN_ENOSPC);
            break;
        }
    }
    for (uint32_t i = 1; i < n; i += 2)
        assert_int_equal(ext2_punch(a, i, 1), 0);
    for (uint32_t i = 0; i < n / 2; i++) {
        int rc = ext2_bmap_alloc(b, i, 1, NULL, &block, &count);

        assert_true(rc == 0 || rc == -XEN_ENOSPC);
    }
    assert_true(free_blocks(fs) < 4);
    return n / 2;
}

static void test_fragments(void **state)
{
    struct ext2_inode *a, *b, *c;
    uint64_t before, writes, flushes, len;
    uint32_t blocks;
    uint8_t *data;
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-b 1024 -j -J size=1", "32M");
    fs = mount_ok(&m);
    before = free_blocks(fs);
    a = create_ok(fs, "/a", 64 << 20);
    b = create_ok(fs, "/b", 64 << 20);
    blocks = interleave(fs, a, b);
    assert_true(blocks > 14000);
    assert_int_equal(ext2_sync(fs), 0);
    check_clean(&m);

    /* A file that is all fragments goes: the device is not asked to wait for each piece. */
    writes = m.writes;
    flushes = m.flushes;
    ext2_iput(a);
    assert_int_equal(ext2_unlink(fs, "/a"), 0);
    assert_int_equal(ext2_sync(fs), 0);
    print_message("removed %u fragments: %u writes, %u flushes\n", blocks,
                  (unsigned)(m.writes - writes), (unsigned)(m.flushes - flushes));
    assert_in_range(m.flushes - flushes, 1, 100);
    check_clean(&m);

    /* Another one takes its holes, to the last, and is what it should be. */
    len = (free_blocks(fs) - 100) * 1024;
    data = content_make(7, 0, len);
    c = create_ok(fs, "/c", 0);
    assert_int_equal(ext2_write(c, data, len, 0), len);
    free(data);
    expect_file(fs, "/c", 7, len);
    ext2_iput(c);
    assert_int_equal(ext2_sync(fs), 0);
    check_clean(&m);

    /* So does discarding it all. */
    flushes = m.flushes;
    assert_int_equal(ext2_punch(b, 0, 64 << 10), 0);
    assert_int_equal(ext2_sync(fs), 0);
    print_message("discarded %u fragments: %u flushes\n", blocks, (unsigned)(m.flushes - flushes));
    assert_in_range(m.flushes - flushes, 1, 100);
    check_clean(&m);
    expect_file(fs, "/c", 7, len);
    ext2_iput(b);
    assert_int_equal(ext2_unlink(fs, "/b"), 0);
    assert_int_equal(ext2_unlink(fs, "/c"), 0);
    assert_int_equal(free_blocks(fs), before);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

/* --- terabytes --- */

static void test_terabyte(void **state)
{
    const uint64_t size = 1ull << 40;
    static const uint64_t at[] = {0,          4096,         48 << 10,           5 << 20,
                                  5ull << 30, 600ull << 30, (1ull << 40) - 4096};
    struct ext2_inode *ip;
    struct memdev m;
    struct ext2 *fs;
    uint64_t before, reads;
    uint32_t calls = 0;
    char got[6] = "";

    (void)state;
    fresh(&m, "-b 4096 -j -J size=4", "32M");
    fs = mount_ok(&m);
    before = free_blocks(fs);
    ip = create_ok(fs, "/disk", size);
    for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        assert_int_equal(ext2_write(ip, "hello", 5, at[i]), 5);
    assert_int_equal(ext2_write(ip, "x", 1, 5ull << 40), -XEN_EOVERFLOW);
    assert_int_equal(ext2_sync(fs), 0);
    check_clean(&m);
    assert_in_range(before - free_blocks(fs), 7, 30);

    /* Who copies or discards it goes from one piece to the next, not through the holes. */
    reads = m.reads;
    for (uint64_t fblock = 0, total = size >> 12; fblock < total;) {
        uint32_t block, count;

        assert_int_equal(
            ext2_bmap(ip, (uint32_t)fblock, (uint32_t)(total - fblock), &block, &count), 0);
        assert_in_range(count, 1, total - fblock);
        if (block) {
            assert_int_equal(ext2_read(ip, got, 5, fblock << 12), 5);
            assert_string_equal(got, "hello");
        }
        fblock += count;
        calls++;
    }
    print_message("1 TiB mapped in %u calls, %u reads\n", calls, (unsigned)(m.reads - reads));
    assert_in_range(calls, 7, 10000); /* two blocks of pointers in three levels for a piece */
    assert_int_equal(ext2_punch(ip, 0, (uint32_t)(size >> 12)), 0);
    assert_int_equal(ext2_read(ip, got, 5, size - 4096), 5);
    assert_memory_equal(got, "\0\0\0\0\0", 5);
    assert_int_equal(ext2_write(ip, "hello", 5, size - 5), 5);
    assert_int_equal(ext2_truncate(ip, size - 2), 0);
    assert_int_equal(ext2_read(ip, got, 5, size - 5), 3);
    ext2_iput(ip);
    assert_int_equal(ext2_sync(fs), 0);
    check_clean(&m);
    assert_int_equal(ext2_unlink(fs, "/disk"), 0);
    assert_int_equal(free_blocks(fs), before);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
}

/* --- ten thousand names --- */

#define NAMES 10000u

static void name_of(uint32_t i, char *name)
{
    sprintf(name, "/many/%s-%u.img", i % 3 ? "disk" : "a-longer-name-of-a-disk", i);
}

static int count_entry(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    (void)len;
    (void)ino;
    *(unsigned int *)arg += name[0] != '.';
    return 0;
}

static void test_ten_thousand_files(void **state)
{
    uint32_t *order = malloc(NAMES * sizeof(*order)), left = NAMES;
    struct ext2_inode *ip;
    unsigned int found = 0;
    uint64_t reads, writes;
    struct memdev m;
    struct ext2 *fs;
    char name[64];

    (void)state;
    assert_non_null(order);
    seed_with(200);
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t j = rng(i + 1);

        order[i] = order[j];
        order[j] = i;
    }
    fresh(&m, "-b 4096 -N 12000 -j -J size=4", "64M");
    fs = mount_ok(&m);
    assert_int_equal(ext2_mkdir(fs, "/many", 0755), 0);
    for (uint32_t i = 0; i < NAMES; i++) {
        name_of(i, name);
        ext2_iput(create_ok(fs, name, i));
    }
    assert_int_equal(ext2_sync(fs), 0);
    print_message("%u names made: %u reads, %u writes, %u flushes\n", NAMES, (unsigned)m.reads,
                  (unsigned)m.writes, (unsigned)m.flushes);
    check_clean(&m);
    reads = m.reads;
    writes = m.writes;
    ip = open_ok(fs, "/many");
    assert_int_equal(ext2_readdir(ip, count_entry, &found), 0);
    ext2_iput(ip);
    assert_int_equal(found, NAMES);
    for (uint32_t i = 0; i < NAMES; i++) {
        name_of(order[i], name);
        ip = open_ok(fs, name);
        assert_int_equal(ext2_size(ip), order[i]);
        ext2_iput(ip);
        if (i % 3 == 0) {
            assert_int_equal(ext2_unlink(fs, name), 0);
            left--;
        }
    }
    found = 0;
    ip = open_ok(fs, "/many");
    assert_int_equal(ext2_readdir(ip, count_entry, &found), 0);
    ext2_iput(ip);
    assert_int_equal(found, left);
    assert_int_equal(ext2_sync(fs), 0);
    print_message("looked up, a third removed: %u reads, %u writes\n", (unsigned)(m.reads - reads),
                  (unsigned)(m.writes - writes));
    check_clean(&m);
    for (uint32_t i = 0; i < NAMES; i++) {
        name_of(order[i], name);
        if (i % 3)
            assert_int_equal(ext2_unlink(fs, name), 0);
    }
    assert_int_equal(ext2_rmdir(fs, "/many"), 0);
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&m);
    memdev_free(&m);
    free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_terabyte),
        cmocka_unit_test(test_ten_thousand_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
