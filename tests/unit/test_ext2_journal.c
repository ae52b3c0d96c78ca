/* SPDX-License-Identifier: MIT */
/*
 * The journal: power cuts on a device with a cache, which brings what was not flushed to its medium
 * in part and in any order, sector by sector; and replays of what debugfs has written.
 * EXT2_SEED and EXT2_CUT_STEP in the environment give more of it.
 */
#include "ext2_host.h"

#include "dom0/fs/ext2_disk.h"

/* --- a device with a cache: `m` is what its user sees, `stable` its medium --- */

#define PENDING_MAX  200000u
#define GUEST_BLOCKS 1500u

struct pending {
    uint64_t sector;
    uint8_t data[512];
};

static struct {
    struct memdev m;
    uint8_t *stable;
    struct pending *pending; /* since the last flush, in order */
    uint32_t count;
    unsigned int step;
    uint64_t writes;
    unsigned int cuts;
    uint32_t promised;              /* lines of the ledger that were flushed */
    uint32_t guest[GUEST_BLOCKS];   /* the newest stamp of each block of the guest's disk, */
    uint32_t flushed[GUEST_BLOCKS]; /* and the one that must be there at least */
    uint32_t stamp;
    unsigned int refused;
    bool nested;
} cached;

#define LINE 700u

static void after_the_cut(void);

static int cached_write(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors)
{
    int rc = memdev_write(dev, sector, buf, sectors);

    assert_true(cached.count + sectors < PENDING_MAX);
    for (uint32_t i = 0; i < sectors; i++) {
        struct pending *p = &cached.pending[cached.count++];

        p->sector = sector + i;
        memcpy(p->data, (const uint8_t *)buf + (size_t)i * 512, 512);
    }
    if (++cached.writes % cached.step == 0)
        after_the_cut();
    return rc;
}

static int cached_flush(struct blkdev *dev)
{
    (void)dev;
    for (uint32_t i = 0; i < cached.count; i++)
        memcpy(cached.stable + cached.pending[i].sector * 512, cached.pending[i].data, 512);
    cached.count = 0;
    return 0;
}

static const struct blkdev_ops cached_ops = {memdev_read, cached_write, cached_flush, NULL};

static void cached_start(const char *format, const char *size)
{
    fresh(&cached.m, format, size);
    cached.m.dev.ops = &cached_ops;
    cached.stable = malloc(cached.m.dev.sectors * 512);
    cached.pending = malloc(PENDING_MAX * sizeof(*cached.pending));
    assert_non_null(cached.stable);
    assert_non_null(cached.pending);
    memcpy(cached.stable, cached.m.data, cached.m.dev.sectors * 512);
    cached.count = 0;
    cached.promised = cached.stamp = 0;
    memset(cached.guest, 0, sizeof(cached.guest));
    memset(cached.flushed, 0, sizeof(cached.flushed));
}

static void cached_end(void)
{
    free(cached.stable);
    free(cached.pending);
    memdev_free(&cached.m);
}

/* What the medium may hold if the power goes now. */
static void cut_image(struct memdev *c)
{
    uint32_t keep = rng(5) * 25; /* percent of what was pending */

    *c = cached.m;
    c->data = malloc(c->dev.sectors * 512);
    assert_non_null(c->data);
    memcpy(c->data, cached.stable, c->dev.sectors * 512);
    c->dev.ops = &memdev_ops;
    c->snapshot = NULL;
    for (uint32_t i = 0; i < cached.count; i++) {
        const struct pending *p = &cached.pending[rng(2) ? i : rng(cached.count)];

        if (rng(100) < keep)
            memcpy(c->data + p->sector * 512, p->data, 512);
    }
}

static void check_ledger(struct ext2 *fs)
{
    uint32_t len = cached.promised * LINE;
    uint8_t *want = content_make(99, 0, len), *got = malloc(len + 1);
    struct ext2_inode *ip;

    if (cached.promised) {
        assert_int_equal(ext2_lookup(fs, "/ledger", true, &ip), 0);
        assert_int_equal(ext2_read(ip, got, len, 0), len);
        assert_memory_equal(got, want, len);
        ext2_iput(ip);
    }
    free(want);
    free(got);
}

/* Blocks of the guest's disk are zero or its own, and not older than what it flushed: never
 * what another file left there. */
static void check_guest(struct ext2 *fs)
{
    uint32_t bs = ext2_block_size(fs), *got = malloc(bs);
    struct ext2_inode *ip;

    if (ext2_lookup(fs, "/guest", true, &ip) < 0) {
        free(got);
        return;
    }
    for (uint32_t i = 0; i < GUEST_BLOCKS && (uint64_t)(i + 1) * bs <= ext2_size(ip); i++) {
        assert_int_equal(ext2_read(ip, got, bs, (uint64_t)i * bs), bs);
        bool good = got[0] >= cached.flushed[i] && got[0] <= cached.stamp;

        /* Torn between two of its own writes it may be. */
        good = good && (got[0] ? got[1] == i && got[bs / 4 - 1] >= cached.flushed[i] &&
                                     got[bs / 4 - 1] <= cached.stamp
                               : !got[1] && !got[bs / 4 - 1]);
        for (uint32_t n = 2; n < bs / 4 - 1; n++)
            good = good && !got[n];
        if (!good)
            fail_msg("block %u of the guest's disk has %x %x %x, flushed was %x", i, got[0], got[1],
                     got[bs / 4 - 1], cached.flushed[i]);
    }
    ext2_iput(ip);
    free(got);
}

static void after_the_cut(void)
{
    struct memdev c;
    struct ext2 *fs;
    int rc;

    cut_image(&c);
    c.dev.priv = &c;
    memdev_save(&c, "cut.img");
    rc = host_run("e2fsck -fp cut.img");
    if (rc > 1) {
        host_run("cat out >&2; cp cut.img /tmp/cut-failed.img");
        fail_msg("cut after write %u: e2fsck -fp exits with %d", (unsigned)cached.writes, rc);
    }
    /* Our own replay: nothing is worse than before, and e2fsck finds no more than before. */
    fs = mount_ok(&c);
    check_ledger(fs);
    check_guest(fs);
    rc = ext2_mkdir(fs, "/after", 0755);
    assert_true(rc == 0 || rc == -XEN_ENOSPC);
    assert_int_equal(ext2_unmount(fs), 0);
    memdev_save(&c, "cut2.img");
    memdev_free(&c);
    rc = host_run("e2fsck -fp cut2.img");
    if (rc > 1)
        fail_msg("after our own replay e2fsck -fp exits with %d", rc);
    memdev_load(&c, "cut.img");
    fs = mount_ok(&c);
    check_ledger(fs);
    assert_int_equal(ext2_unmount(fs), 0);
    memdev_free(&c);
    cached.cuts++;
}

/* One line more in the ledger, in a file that others are made and removed beside. On a full disk it
 * waits for the next time. */
static void ledger_line(struct ext2 *fs, uint32_t line)
{
    uint8_t *data = content_make(99, (uint64_t)line * LINE, LINE);
    struct ext2_inode *ip;
    int rc = ext2_lookup(fs, "/ledger", true, &ip);

    if (rc == -XEN_ENOENT)
        rc = ext2_create(fs, "/ledger", 0644, &ip);
    if (rc == 0) {
        rc = (int)ext2_write(ip, data, LINE, (uint64_t)line * LINE);
        ext2_iput(ip);
    }
    free(data);
    if (rc != LINE)
        assert_true(rc == -XEN_ENOSPC || (rc > 0 && rc < (int)LINE));
    assert_int_equal(ext2_flush(fs), 0);
    memcpy(cached.flushed, cached.guest, sizeof(cached.flushed));
    if (rc == LINE)
        cached.promised = line + 1;
    else
        cached.refused++;
}

/* A file, or as much of it as there is room for. */
static void put_some(struct ext2 *fs, const char *path, uint32_t seed, size_t len)
{
    uint8_t *data = content_make(seed, 0, len);
    struct ext2_inode *ip;
    int64_t rc = ext2_create(fs, path, 0644, &ip);

    if (rc == 0) {
        rc = ext2_write(ip, data, len, 0);
        ext2_iput(ip);
    }
    assert_true(rc >= 0 || rc == -XEN_ENOSPC);
    free(data);
}

/* Where the free blocks are, the medium has what a file left that is gone. */
static void leave_junk(struct ext2 *fs)
{
    struct ext2_inode *ip;
    uint8_t *junk = malloc(1 << 20);

    memset(junk, 0xdd, 1 << 20);
    assert_int_equal(ext2_create(fs, "/junk", 0644, &ip), 0);
    for (uint64_t at = 0; ext2_write(ip, junk, 1 << 20, at) == 1 << 20; at += 1 << 20)
        ;
    ext2_iput(ip);
    assert_int_equal(ext2_unlink(fs, "/junk"), 0);
    assert_int_equal(ext2_sync(fs), 0);
    free(junk);
}

/* One write of the guest, into a hole or not: its blocks are on the device, cut or not, before the
 * file has them. */
static void guest_writes(struct ext2 *fs)
{
    uint32_t bs = ext2_block_size(fs), at = rng(GUEST_BLOCKS), block, count;
    struct ext2_inode *ip;
    bool fresh;
    int rc = ext2_lookup(fs, "/guest", true, &ip);

    if (rc == -XEN_ENOENT) {
        rc = ext2_create(fs, "/guest", 0644, &ip);
        if (rc == 0)
            assert_int_equal(ext2_truncate(ip, (uint64_t)GUEST_BLOCKS * bs), 0);
    }
    if (rc == 0) {
        rc = ext2_reserve(ip, at, 1 + rng(GUEST_BLOCKS - at < 12 ? GUEST_BLOCKS - at : 12), &block,
                          &count, &fresh);
        if (rc == 0) {
            uint32_t *data = calloc(count, bs);

            cached.stamp++;
            for (uint32_t i = 0; i < count; i++) {
                data[i * bs / 4] = data[(i + 1) * bs / 4 - 1] = cached.stamp;
                data[i * bs / 4 + 1] = at + i;
            }
            for (uint32_t i = 0; i < count; i++) /* a cut may come after each */
                assert_int_equal(blkdev_write(&cached.m.dev, ((uint64_t)block + i) * (bs / 512),
                                              data + i * bs / 4, bs / 512),
                                 0);
            free(data);
            if (rng(6) == 0)
                assert_int_equal(ext2_flush(fs), 0); /* another guest's */
            if (fresh)
                rc = ext2_link(ip, at, block, count);
            assert_int_equal(rc, 0);
            for (uint32_t i = 0; i < count; i++)
                cached.guest[at + i] = cached.stamp;
        }
        ext2_iput(ip);
    }
    assert_true(rc == 0 || rc == -XEN_ENOSPC);
}

/* Files that come, shrink, grow holes and go, so that blocks of metadata become data and back. */
static void disturb(struct ext2 *fs, uint32_t turn)
{
    struct ext2_inode *ip;
    uint32_t block, count;
    char name[48], other[48];

    snprintf(name, sizeof(name), "/d%u/a-rather-long-name-%u", turn % 3, turn % 7);
    snprintf(other, sizeof(other), "/d%u/b%u", (turn + 1) % 3, turn % 5);
    if (turn < 3) {
        snprintf(name, sizeof(name), "/d%u", turn);
        assert_int_equal(ext2_mkdir(fs, name, 0755), 0);
        return;
    }
    if (ext2_lookup(fs, name, true, &ip) == 0) {
        if (rng(2))
            ext2_truncate(ip, rng(300000));
        ext2_iput(ip);
        if (rng(2))
            ext2_rename(fs, name, other);
        else
            assert_int_equal(ext2_unlink(fs, name), 0);
        return;
    }
    put_some(fs, name, turn, rng(4) ? rng(40000) : rng(400000));
    if (ext2_lookup(fs, name, true, &ip) == 0) {
        int rc;

        ext2_truncate(ip, 8 << 20);
        rc = ext2_bmap_alloc(ip, 500 + rng(1500), 1 + rng(8), NULL, &block, &count);
        assert_true(rc == 0 || rc == -XEN_ENOSPC);
        ext2_iput(ip);
    }
}

/* All but so many blocks are taken. */
static void leave_free(struct ext2 *fs, uint64_t blocks)
{
    struct ext2_inode *ip;
    struct ext2_statfs st;
    uint32_t block, count;

    assert_int_equal(ext2_create(fs, "/ballast", 0644, &ip), 0);
    assert_int_equal(ext2_truncate(ip, 64 << 20), 0);
    for (uint32_t at = 0; ext2_statfs(fs, &st), st.free_blocks > blocks; at += count)
        assert_int_equal(ext2_bmap_alloc(ip, at, 16, NULL, &block, &count), 0);
    ext2_iput(ip);
}

/* left: blocks that the work may have, 0: all that are free. */
static void cut_run(const char *format, const char *size, uint32_t turns, uint64_t left)
{
    struct ext2 *fs;

    cached_start(format, size);
    fs = mount_ok(&cached.m);
    assert_true(ext2_is_journaled(fs));
    leave_junk(fs);
    if (left)
        leave_free(fs, left);
    for (uint32_t turn = 0; turn < turns; turn++) {
        disturb(fs, turn);
        guest_writes(fs);
        if (turn % 4 == 0)
            ledger_line(fs, cached.promised);
        if (turn % 31 == 30)
            assert_int_equal(ext2_sync(fs), 0);
    }
    assert_int_equal(ext2_unmount(fs), 0);
    check_clean(&cached.m);
    cached_end();
}

static void test_power_cuts(void **state)
{
    (void)state;
    cached.step = setting("EXT2_CUT_STEP", 101);
    seed_with(1);
    cut_run("-b 1024 -j -J size=1", "12M", 150, 0);
    cut_run("-b 4096 -j -J size=4", "16M", 60, 0);
    assert_true(cached.cuts > 10);
}

/* Bitmaps and group descriptors in several blocks. */
static void test_many_groups(void **state)
{
    (void)state;
    cached.step = setting("EXT2_CUT_STEP", 151);
    seed_with(2);
    cut_run("-b 1024 -g 512 -O ^resize_inode -j -J size=1", "20M", 60, 0);
}

/* Blocks change hands as soon as they may, and operations end half-way. */
static void test_full_disk(void **state)
{
    (void)state;
    cached.step = setting("EXT2_CUT_STEP", 301);
    seed_with(4);
    cut_run("-b 1024 -j -J size=1", "8M", 200, 600);
    cut_run("-b 1024 -g 512 -O ^resize_inode -j -J size=1", "8M", 200, 500);
    print_message("%u cuts in all, %u lines refused\n", cached.cuts, cached.refused);
    assert_true(cached.refused > 5);
}

/* --- replay --- */

#define SUPER(m) ((struct ext2_super_disk *)((m)->data + EXT2_SUPER_OFFSET))

static void test_replays_what_debugfs_wrote(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *block = i ? "4096" : "1024";

        host_ok("rm -f t.img && mke2fs -q -F -t ext2 -j -b %s t.img 16M", block);
        /* The second block begins with the journal's magic number. */
        host_ok("head -c %s /dev/urandom >one; printf '\\300\\073\\071\\230' >two; "
                "head -c %s /dev/urandom | tail -c +5 >>two; cat one two >both",
                block, block);
        host_ok("printf 'jo\\njw -b 3001,3002 both\\njw -b 3003 one\\njc\\n' >cmds && "
                "debugfs -w -f cmds t.img && dumpe2fs -h t.img | grep needs_recovery");
        memdev_load(&m, "t.img");
        fs = mount_ok(&m);
        assert_string_equal(problem, "");
        assert_false(SUPER(&m)->feature_incompat & EXT2_INCOMPAT_RECOVER);
        memdev_save(&m, "check.img");
        host_ok("dd if=check.img bs=%s skip=3001 count=2 | cmp - both", block);
        host_ok("dd if=check.img bs=%s skip=3003 count=1 | cmp - one", block);
        put_file(fs, "/new", 7, 100000);
        assert_int_equal(ext2_unmount(fs), 0);
        memdev_free(&m);
    }
}

static void test_refuses_what_it_does_not_know(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 -j t.img 16M && head -c 4096 /dev/zero >one");
    host_ok("printf 'jo\\njw -b 3001 one\\njw -r 3001\\njc\\n' >cmds && debugfs -w -f cmds t.img");
    memdev_load(&m, "t.img");
    assert_int_equal(ext2_mount(&m.dev, &host_env, &fs, problem), -XEN_EOPNOTSUPP);
    assert_non_null(strstr(problem, "e2fsck"));
    assert_int_equal(m.writes, 0);
    m.dev.readonly = true;
    assert_int_equal(ext2_mount(&m.dev, &host_env, &fs, problem), -XEN_EOPNOTSUPP);
    memdev_free(&m);
    host_ok("e2fsck -fp t.img || [ $? = 1 ]");
    memdev_load(&m, "t.img");
    fs = mount_ok(&m);
    assert_int_equal(ext2_unmount(fs), 0);
    memdev_free(&m);
}

static uint64_t find_journal(const struct memdev *m)
{
    for (uint64_t i = 0; i < m->dev.sectors; i++) {
        if (memcmp(m->data + i * 512, "\xc0\x3b\x39\x98\0\0\0\x04", 8) == 0)
            return i * 512;
    }
    fail_msg("no journal");
    return 0;
}

/* An empty journal of an unknown kind is left alone: all is written through. So is a disk that can
 * only be read. */
static void test_runs_without_a_journal(void **state)
{
    struct memdev m;
    struct ext2 *fs;

    (void)state;
    fresh(&m, "-j", "16M");
    m.dev.readonly = true;
    fs = mount_ok(&m);
    assert_false(ext2_is_journaled(fs));
    assert_int_equal(ext2_unmount(fs), 0);
    m.dev.readonly = false;
    m.data[find_journal(&m) + offsetof(struct ext2_journal_super, feature_incompat) + 3] = 0x10;
    fs = mount_ok(&m);
    assert_false(ext2_is_journaled(fs));
    put_file(fs, "/new", 7, 1000);
    assert_int_equal(ext2_unmount(fs), 0);
    assert_true(m.writes > 0);
    memdev_free(&m);
}

/* Damages all over the journal's superblock and the log: any answer, but within bounds. */
static void test_damaged_journals(void **state)
{
    struct memdev m;
    uint64_t at;

    (void)state;
    seed_with(3);
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 -j -b 1024 t.img 8M && head -c 9216 /dev/urandom "
            ">nine");
    host_ok("printf 'jo\\njw -b 3001-3009 nine\\njw -b 3003-3011 nine\\njc\\n' >cmds && "
            "debugfs -w -f cmds t.img");
    memdev_load(&m, "t.img");
    at = find_journal(&m);
    for (int round = 0; round < 400; round++) {
        uint64_t where = at + (rng(2) ? rng(64) : rng(30 * 1024));
        uint8_t *saved = malloc(m.dev.sectors * 512);
        struct ext2 *fs;

        memcpy(saved, m.data, m.dev.sectors * 512);
        m.reads_allowed = m.reads + 20000;
        for (uint32_t n = 1 + rng(3); n > 0; n--)
            m.data[where + rng(4)] = (uint8_t)(rng(2) ? rng(256) : rng(2) * 255);
        if (ext2_mount(&m.dev, &host_env, &fs, problem) == 0)
            ext2_unmount(fs);
        memcpy(m.data, saved, m.dev.sectors * 512);
        free(saved);
    }
    memdev_free(&m);
}

int main(void)
{
    /* e2fsck waits for its disk, hundreds of times: memory is as good for a test. */
    strcpy(host_dir, "/dev/shm/penumbra-ext2.XXXXXX");
    if (mkdtemp(host_dir))
        atexit(host_cleanup);
    else
        host_dir[0] = 0;

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_many_groups),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_replays_what_debugfs_wrote),
        cmocka_unit_test(test_refuses_what_it_does_not_know),
        cmocka_unit_test(test_runs_without_a_journal),
        cmocka_unit_test(test_damaged_journals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
