/* SPDX-License-Identifier: MIT */
/*
 * Power cuts: random writes and flushes to an image in memory are logged; then the power goes at a
 * random place of the log. All before the last flush of the file is on the disk; of what came after
 * any part may be, in any order, sector by sector. The image that is left must be whole, and show
 * for each sector what was there at the last completed flush of the disk, or something written
 * since.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/image/imgtool.h"

#define PATH HOST_MEM "a"
#define CUT  HOST_MEM "cut"

/* One write to the disk; its number is in each sector that it wrote. */
struct work {
    uint64_t sector, count;
    unsigned log_at; /* length of the log when it began */
};

static struct work *works;
static unsigned work_count;
/* A completed image_flush(): writes and length of the log then. */
static struct {
    unsigned works, log_at;
} * flushes;
static unsigned flush_count;

static void make_sector(uint8_t *sector, uint64_t number, uint64_t place)
{
    uint64_t words[64] = {number, place};

    for (unsigned i = 2; i < 64; i++)
        words[i] = (number * 0x9e3779b97f4a7c15ull + place) * (i * 2 + 1);
    memcpy(sector, words, 512);
}

static int do_works(struct image *im, unsigned count)
{
    static uint8_t buf[128 * 512];
    uint64_t sectors = image_size(im) / 512;
    int rc = 0;

    works = calloc(count, sizeof *works);
    flushes = calloc(count + 1, sizeof *flushes);
    for (unsigned n = 0; rc == 0 && n < count; n++) {
        uint64_t len = 1 + host_random() % (host_random() % 4 ? 8 : 128);
        uint64_t at = host_random() % (host_random() % 2 ? sectors : sectors / 8);

        len = len < sectors - at ? len : sectors - at;
        works[n] = (struct work){at, len, host_log_count};
        work_count = n + 1;
        for (uint64_t i = 0; i < len; i++)
            make_sector(buf + i * 512, n + 1, at + i);
        rc = image_write(im, at * 512, buf, len * 512);
        if (rc == 0 && host_random() % 12 == 0) {
            rc = image_flush(im);
            flushes[++flush_count].works = n + 1;
            flushes[flush_count].log_at = host_log_count;
        }
    }
    return rc;
}

/* --- the disk after the cut --- */

static void apply(struct host_mem *m, const struct host_log *l, uint64_t from, uint64_t len)
{
    if (l->op == HOST_RESIZE) {
        if (l->offset > m->room) {
            m->room = l->offset;
            m->data = realloc(m->data, m->room + 1);
        }
        if (l->offset > m->size)
            memset(m->data + m->size, 0, l->offset - m->size);
        m->size = l->offset;
    } else if (l->op == HOST_WRITE && l->offset + from < m->size) {
        uint64_t there = m->size - l->offset - from;

        memcpy(m->data + l->offset + from, l->data + from, len < there ? len : there);
    }
}

/* Sectors of a write by chance; the length of a file may get there or not. */
static void apply_part(struct host_mem *m, const struct host_log *l)
{
    uint64_t odds = host_random() % 3; /* none, some, all */

    if (l->op == HOST_RESIZE && (odds == 2 || host_random() % 2))
        apply(m, l, 0, 0);
    for (uint64_t at = 0, n; l->op == HOST_WRITE && at < l->len; at += n) {
        n = 512 - (l->offset + at) % 512;
        n = n < l->len - at ? n : l->len - at;
        if (odds == 2 || (odds == 1 && host_random() % 2))
            apply(m, l, at, n);
    }
}

static void cut_power(const void *start, uint64_t size, unsigned cut)
{
    struct host_mem *m = host_put(CUT, start, size);
    unsigned flushed = 0, *order;

    for (unsigned i = 0; i < cut; i++)
        if (host_log[i].op == HOST_FLUSH)
            flushed = i;
    for (unsigned i = 0; i < flushed; i++)
        apply(m, &host_log[i], 0, host_log[i].len);
    order = malloc((cut - flushed + 1) * sizeof *order);
    for (unsigned i = flushed; i < cut; i++) {
        unsigned to = (unsigned)(host_random() % (i - flushed + 1));

        order[i - flushed] = order[to];
        order[to] = i;
    }
    for (unsigned i = 0; i < cut - flushed; i++)
        apply_part(m, &host_log[order[i]]);
    free(order);
}

/* The work that a sector shows must be the last one before the flush, or a later one. */
static bool sector_good(const uint8_t *seen, uint64_t place, unsigned cut)
{
    unsigned flush = 0, last = 0;
    uint64_t number;
    uint8_t want[512];

    memcpy(&number, seen, 8);
    while (flush < flush_count && flushes[flush + 1].log_at <= cut)
        flush++;
    for (unsigned n = 0; n < flushes[flush].works; n++)
        if (place - works[n].sector < works[n].count)
            last = n + 1;
    if (number > work_count || number < last ||
        (number && (place - works[number - 1].sector >= works[number - 1].count ||
                    works[number - 1].log_at > cut)))
        return false;
    memset(want, 0, sizeof want);
    if (number)
        make_sector(want, number, place);
    return !memcmp(seen, want, 512);
}

static int judge(enum image_format format, unsigned cut)
{
    char why[IMAGE_WHY_MAX];
    struct image_check c;
    struct image *im;
    uint8_t sector[512];
    int rc = image_open(&host_env, CUT, format, 0, &im, why);

    if (rc) {
        printf("%s\n", why);
        return tool_fail("the image cannot be opened", rc);
    }
    rc = image_check(im, false, tool_show, &c);
    /* Copies of tables may differ until the image is written again. */
    if (rc || (format == IMAGE_QCOW2 && c.errors))
        return tool_fail("the image is damaged", rc);
    for (uint64_t i = 0; i < image_size(im) / 512; i++) {
        rc = image_read(im, i * 512, sector, 512);
        if (rc || !sector_good(sector, i, cut)) {
            printf("sector %llu at cut %u\n", (unsigned long long)i, cut);
            return tool_fail("a sector is wrong", rc);
        }
    }
    return image_close(im);
}

/* Written to once more and closed, it is as good as any. */
static int go_on(enum image_format format)
{
    char why[IMAGE_WHY_MAX];
    static uint8_t buf[4096];
    struct image_check c;
    struct image *im;
    int rc = image_open(&host_env, CUT, format, IMAGE_WRITE, &im, why);

    for (int i = 0; rc == 0 && i < 20; i++)
        rc = image_write(im, host_random() % (image_size(im) / 4096) * 4096, buf, sizeof buf);
    rc = rc ? rc : image_close(im);
    rc = rc ? rc : image_open(&host_env, CUT, format, 0, &im, why);
    if (rc) {
        printf("%s\n", why);
        return tool_fail("the image cannot be used again", rc);
    }
    rc = image_check(im, false, tool_show, &c);
    image_close(im);
    return rc || c.errors ? tool_fail("used again, it is damaged", rc) : 0;
}

int tool_crash(int argc, char **argv)
{
    enum image_format format = tool_format(argv[3]);
    unsigned count = (unsigned)strtoul(argv[5], NULL, 0),
             cuts = (unsigned)strtoul(argv[6], NULL, 0);
    char why[IMAGE_WHY_MAX], path[600];
    struct image *im;
    uint64_t size;
    uint8_t *start;
    int rc;

    (void)argc;
    host_seed = strtoull(argv[4], NULL, 0) * 2 + 1;
    host_load(PATH, argv[2]);
    size = host_find(PATH)->size;
    start = malloc(size);
    memcpy(start, host_find(PATH)->data, size);
    host_find(PATH)->logged = true;
    rc = image_open(&host_env, PATH, format, IMAGE_WRITE, &im, why);
    if (rc)
        return tool_fail(why, rc);
    rc = do_works(im, count);
    rc = image_close(im) ?: rc;
    for (unsigned i = 0; rc == 0 && i < cuts; i++) {
        unsigned cut = (unsigned)(host_random() % (host_log_count + 1));

        cut_power(start, size, cut);
        snprintf(path, sizeof path, "%s/cut%u.%s", argv[7], i, argv[3]);
        if (i < 20)
            host_save(CUT, path);
        rc = judge(format, cut);
        rc = rc ? rc : go_on(format);
    }
    printf("%u writes, %u flushes, %u entries of the log\n", work_count, flush_count,
           host_log_count);
    host_find(PATH)->logged = false;
    if (rc == 0)
        host_forget_all();
    free(start);
    free(works);
    free(flushes);
    return rc ? tool_fail("crash", rc) : 0;
}
