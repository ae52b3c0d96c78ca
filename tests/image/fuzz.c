/* SPDX-License-Identifier: MIT */
/*
 * Damages of a valid image, by seed: each is opened, looked through, checked, repaired and written
 * to. Sanitizers and the bounds of image_host.c (no access outside of a file, no endless work) are
 * the judges; an error is a fine answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/image/imgtool.h"

#define PATH     HOST_MEM "a"
#define MAPS     2000u
#define ACCESSES 400000u

static const uint8_t *sane;
static uint64_t sane_size;

/* A place where a change tells: the begin of the file, most often. */
static uint64_t somewhere(uint64_t size)
{
    uint64_t near = host_random() % 4;

    if (near == 0)
        return host_random() % (size < 112 ? size : 112);
    if (near == 1)
        return host_random() % (size < 2048 ? size : 2048);
    return host_random() % size;
}

static void damage(struct host_mem *m)
{
    static const uint64_t words[] = {0,          1,           2,          0x7fffffff,
                                     0xffffffff, UINT64_MAX,  1ull << 63, 0x200,
                                     0x10000,    0x100000000, 1ull << 62};
    unsigned changes = 1 + (unsigned)(host_random() % 6);

    while (changes-- > 0 && m->size > 16) {
        uint64_t at = somewhere(m->size - 8), word = host_random() % m->size;

        switch (host_random() % 6) {
        case 0:
            m->data[at] ^= (uint8_t)(1u << host_random() % 8);
            break;
        case 1:
            word = words[host_random() % (sizeof words / sizeof words[0])];
            memcpy(m->data + (at & ~7ull), &word, 8);
            break;
        case 2: /* a place in the file, of whole sectors, either way round */
            word = __builtin_bswap64(word & ~511ull);
            memcpy(m->data + (at & ~7ull), &word, 8);
            break;
        case 3:
            word = word / 512;
            memcpy(m->data + (at & ~3ull), &word, 4);
            break;
        case 4: /* one entry over another */
            word &= ~7ull;
            memmove(m->data + (at & ~7ull), m->data + (word < m->size - 8 ? word : 0), 8);
            break;
        default:
            if (host_random() % 8 == 0)
                m->size = host_random() % m->size;
            else
                m->data[at] = (uint8_t)host_random();
        }
    }
}

static void look_through(struct image *im)
{
    static uint8_t buf[4096];
    uint64_t size = image_size(im), offset = 0;

    for (unsigned i = 0; i < MAPS && offset < size; i++) {
        struct image_extent e;

        if (image_map(im, offset, size - offset, &e)) {
            offset += 512;
            continue;
        }
        if (e.len == 0 || e.len % 512 || e.len > size - offset ||
            (e.kind == IMAGE_DATA && !imgfile_inside(e.file->size, e.offset, e.len)))
            abort();
        image_read(im, offset, buf, e.len < sizeof buf ? e.len : sizeof buf);
        offset += e.len;
    }
    for (int i = 0; i < 20; i++)
        image_read(im, host_random() % size, buf, 512);
}

static void write_some(struct image *im)
{
    static uint8_t buf[8192];
    uint64_t sectors = image_size(im) / 512;

    for (int i = 0; i < 30; i++) {
        uint64_t at = host_random() % sectors, len = 1 + host_random() % 16;

        if (i % 2)
            at %= 256 < sectors ? 256 : sectors;
        image_write(im, at * 512, buf, (len < sectors - at ? len : sectors - at) * 512);
    }
    image_flush(im);
}

static void try_one(enum image_format format, unsigned flags)
{
    char why[IMAGE_WHY_MAX];
    struct image_check c;
    struct image *im;

    host_accesses_left = ACCESSES;
    if (image_open(&host_env, PATH, format, flags, &im, why)) {
        if (!*why)
            abort();
        return;
    }
    look_through(im);
    image_check(im, (flags & IMAGE_REPAIR) != 0, NULL, &c);
    if ((flags & IMAGE_WRITE) && !(flags & IMAGE_REPAIR))
        write_some(im);
    image_close(im);
}

int tool_fuzz(int argc, char **argv)
{
    static const unsigned flags[] = {0, IMAGE_WRITE, IMAGE_WRITE | IMAGE_REPAIR};
    enum image_format format = tool_format(argv[3]);
    uint64_t seed = strtoull(argv[4], NULL, 0), count = strtoull(argv[5], NULL, 0);

    (void)argc;
    host_load(PATH, argv[2]);
    sane_size = host_find(PATH)->size;
    sane = malloc(sane_size);
    memcpy((void *)sane, host_find(PATH)->data, sane_size);
    for (uint64_t i = 0; i < count; i++) {
        host_seed = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
        if (getenv("FUZZ_VERBOSE"))
            printf("seed %llu\n", (unsigned long long)(seed + i));
        damage(host_put(PATH, sane, sane_size));
        try_one(format, flags[i % 3]);
    }
    host_accesses_left = 0;
    host_forget_all();
    free((void *)sane);
    return host_pieces ? tool_fail("memory of decompression was lost", (int)host_pieces) : 0;
}
