/* SPDX-License-Identifier: MIT */
/*
 * For the ext2 tests: a block device in memory, images made and judged by the real e2fsprogs.
 * Included by tests/unit/test_ext2*.c and test_vfs.c only.
 */
#ifndef TESTS_UNIT_EXT2_HOST_H
#define TESTS_UNIT_EXT2_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/fs/ext2.h"

#define UNUSED __attribute__((unused))

/* Files of a test live in a directory of its own, made at the first use, removed at exit. */
static char host_dir[64];

static UNUSED void host_cleanup(void)
{
    char cmd[96];

    snprintf(cmd, sizeof(cmd), "rm -rf %s", host_dir);
    if (system(cmd) != 0)
        fprintf(stderr, "could not remove %s\n", host_dir);
}

static UNUSED const char *host_path(const char *name)
{
    static char path[4][160];
    static unsigned int turn;
    char *p = path[turn++ % 4];

    if (!host_dir[0]) {
        strcpy(host_dir, "/tmp/penumbra-ext2.XXXXXX");
        if (!mkdtemp(host_dir))
            abort();
        atexit(host_cleanup);
    }
    snprintf(p, 160, "%s/%s", host_dir, name);
    return p;
}

/* Runs a command in that directory; its exit status. Output is shown only when unexpected is. */
static UNUSED int host_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static UNUSED int host_run(const char *fmt, ...)
{
    char cmd[1024], line[1400];
    va_list ap;
    int status;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    host_path("");
    snprintf(line, sizeof(line),
             "export PATH=$PATH:/usr/sbin:/sbin MKE2FS_SYNC=0; cd %s && { %s; } >out 2>&1",
             host_dir, cmd);
    status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

#define host_ok(...)                                                    \
    do {                                                                \
        if (host_run(__VA_ARGS__) != 0) {                               \
            char show_[200];                                            \
            snprintf(show_, sizeof(show_), "cat %s/out >&2", host_dir); \
            if (system(show_) != 0)                                     \
                fprintf(stderr, "no output\n");                         \
            fail_msg(__VA_ARGS__);                                      \
        }                                                               \
    } while (0)

/* --- the device --- */

struct memdev {
    struct blkdev dev;
    uint8_t *data;
    /* tests' means */
    uint64_t writes; /* done so far */
    uint64_t flushes;
    uint64_t fail_writes; /* writes from this one on fail; 0: none */
    uint64_t cut_writes;  /* before this one the power goes: snapshot is what the disk has */
    uint8_t *snapshot;
    uint64_t reads_allowed; /* 0: any; against endless loops */
    uint64_t reads;
};

static int memdev_check(struct memdev *m, uint64_t sector, uint32_t sectors)
{
    if (sectors == 0 || sector > m->dev.sectors || sectors > m->dev.sectors - sector) {
        print_error("access out of range: %llu + %u of %llu\n", (unsigned long long)sector, sectors,
                    (unsigned long long)m->dev.sectors);
        abort();
    }
    return 0;
}

static int memdev_read(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors)
{
    struct memdev *m = dev->priv;

    memdev_check(m, sector, sectors);
    m->reads++;
    if (m->reads_allowed && m->reads > m->reads_allowed) {
        print_error("endless reading\n");
        abort();
    }
    memcpy(buf, m->data + sector * 512, (size_t)sectors * 512);
    return 0;
}

static int memdev_write(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors)
{
    struct memdev *m = dev->priv;

    memdev_check(m, sector, sectors);
    m->writes++;
    if (m->fail_writes && m->writes >= m->fail_writes)
        return -XEN_EIO;
    if (m->writes == m->cut_writes) {
        m->snapshot = malloc(m->dev.sectors * 512);
        assert_non_null(m->snapshot);
        memcpy(m->snapshot, m->data, m->dev.sectors * 512);
    }
    memcpy(m->data + sector * 512, buf, (size_t)sectors * 512);
    return 0;
}

static int memdev_flush(struct blkdev *dev)
{
    struct memdev *m = dev->priv;

    m->flushes++;
    return 0;
}

static const struct blkdev_ops memdev_ops = {memdev_read, memdev_write, memdev_flush, NULL};

static UNUSED void memdev_load(struct memdev *m, const char *image)
{
    FILE *f = fopen(host_path(image), "rb");
    long size;

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    memset(m, 0, sizeof(*m));
    m->data = malloc((size_t)size);
    assert_non_null(m->data);
    assert_int_equal(fread(m->data, 1, (size_t)size, f), size);
    fclose(f);
    m->dev.name = "vda";
    m->dev.sectors = (uint64_t)size / 512;
    m->dev.max_segs = 8;
    m->dev.ops = &memdev_ops;
    m->dev.priv = m;
}

static UNUSED void memdev_save(struct memdev *m, const char *image)
{
    FILE *f = fopen(host_path(image), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(m->data, 512, m->dev.sectors, f), m->dev.sectors);
    fclose(f);
}

static UNUSED void memdev_free(struct memdev *m)
{
    free(m->data);
    free(m->snapshot);
    m->data = m->snapshot = NULL;
}

/* --- the file system on it --- */

static char problem[EXT2_PROBLEM_LEN];
static unsigned int report_count;

static UNUSED void note_report(const char *text)
{
    report_count++;
    if (getenv("EXT2_VERBOSE"))
        print_message("%s\n", text);
}

static UNUSED uint32_t host_now(void)
{
    return (uint32_t)time(NULL);
}

static const struct ext2_env host_env UNUSED = {host_now, note_report};

static UNUSED struct ext2 *mount_ok(struct memdev *m)
{
    struct ext2 *fs = NULL;
    int rc = ext2_mount(&m->dev, &host_env, &fs, problem);

    if (rc)
        fail_msg("mount: %d %s", rc, problem);
    return fs;
}

/* After unmounting: the image, as file, is without fault in the eyes of e2fsck. */
static UNUSED void check_clean(struct memdev *m)
{
    memdev_save(m, "check.img");
    host_ok("e2fsck -fn check.img");
}

/* Byte `at` of the content number `seed`: any part of a file can be checked alone. */
static inline uint8_t content(uint32_t seed, uint64_t at)
{
    uint64_t x = (at >> 3) * 0x9e3779b97f4a7c15ull + seed * 0x100000001b3ull + 12345;

    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 32;
    return (uint8_t)(x >> ((at & 7) * 8));
}

static UNUSED uint8_t *content_make(uint32_t seed, uint64_t from, size_t len)
{
    uint8_t *buf = malloc(len + 1);

    assert_non_null(buf);
    for (size_t i = 0; i < len; i++)
        buf[i] = content(seed, from + i);
    return buf;
}

/* Writes content to a path, which is made. */
static UNUSED void put_file(struct ext2 *fs, const char *path, uint32_t seed, size_t len)
{
    uint8_t *buf = content_make(seed, 0, len);
    struct ext2_inode *ip;

    assert_int_equal(ext2_create(fs, path, 0644, &ip), 0);
    assert_int_equal(ext2_write(ip, buf, len, 0), len);
    ext2_iput(ip);
    free(buf);
}

static UNUSED void expect_file(struct ext2 *fs, const char *path, uint32_t seed, size_t len)
{
    uint8_t *want = content_make(seed, 0, len), *got = malloc(len + 1);
    struct ext2_inode *ip;
    int rc = ext2_lookup(fs, path, true, &ip);

    if (rc)
        fail_msg("%s: %d", path, rc);
    assert_int_equal(ext2_size(ip), len);
    assert_int_equal(ext2_read(ip, got, len + 1, 0), len);
    assert_memory_equal(got, want, len);
    ext2_iput(ip);
    free(want);
    free(got);
}

/* Random numbers, the same for the same EXT2_SEED in the environment. */
static UNUSED uint64_t rng_state;

static UNUSED uint32_t rng(uint32_t below)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)((rng_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static UNUSED unsigned int setting(const char *name, unsigned int fallback)
{
    const char *text = getenv(name);

    return text ? (unsigned int)strtoul(text, NULL, 0) : fallback;
}

static UNUSED void seed_with(uint32_t n)
{
    rng_state = 0x9e3779b97f4a7c15ull * (setting("EXT2_SEED", 1) + n) + 1;
}

static UNUSED void fresh(struct memdev *m, const char *format, const char *size)
{
    host_ok("rm -f t.img && mke2fs -q -F -t ext2 %s t.img %s", format, size);
    memdev_load(m, "t.img");
}

#endif
