/* SPDX-License-Identifier: MIT */
/*
 * domain 0's images as a program of the host, for test_image.py, which lets qemu-img judge:
 *
 *     imgtool info FILE [FORMAT]
 *     imgtool create FILE FORMAT SIZE [variant=V] [unit=N] [base=FILE] [basefmt=F]
 *     imgtool convert FILE FORMAT TO FORMAT [variant=V] [unit=N]
 *     imgtool check FILE FORMAT [repair]
 *     imgtool random FILE FORMAT MODEL SEED COUNT   random writes to an image and a raw file
 *     imgtool commit FILE FORMAT                    its own content into its base
 *     imgtool fuzz FILE FORMAT SEED COUNT           damages of it, in memory
 *     imgtool crash FILE FORMAT SEED WRITES CUTS FOLDER  power cuts under random writes, in memory
 *
 * 0, or 1 with the reason as one line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/errno.h>

#include "tests/image/imgtool.h"

static char why[IMAGE_WHY_MAX];

int tool_fail(const char *what, int rc)
{
    printf("%s%s%s (%d)\n", what, *why ? ": " : "", why, rc);
    return 1;
}

enum image_format tool_format(const char *word)
{
    int format = image_format_parse(word);

    if (format < 0) {
        printf("no format '%s'\n", word);
        exit(2);
    }
    return (enum image_format)format;
}

static const char *option(int argc, char **argv, const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
            return argv[i] + len + 1;
    return NULL;
}

static int open_image(const char *path, const char *format, unsigned flags, struct image **im)
{
    int rc = image_open(&host_env, path, tool_format(format), flags, im, why);

    return rc ? tool_fail("open", rc) : 0;
}

static int info(int argc, char **argv)
{
    enum image_format format = image_format_by_name(argv[2]);
    struct image *im;
    struct image_info i;

    if (argc > 3)
        format = tool_format(argv[3]);
    if (open_image(argv[2], image_format_name(format), 0, &im))
        return 1;
    for (struct image *at = im; at; at = image_base(at)) {
        image_info(at, &i);
        printf("%s %s %s size %llu unit %u%s%s\n", i.path, image_format_name(i.format), i.variant,
               (unsigned long long)i.size, i.unit, *i.note ? " note: " : "", i.note);
    }
    return image_close(im) ? tool_fail("close", 0) : 0;
}

static void fill_params(struct image_params *p, int argc, char **argv)
{
    const char *unit = option(argc, argv, "unit"), *format = option(argc, argv, "basefmt");

    p->variant = option(argc, argv, "variant");
    p->base = option(argc, argv, "base");
    p->unit = unit ? (uint32_t)strtoul(unit, NULL, 0) : 0;
    p->base_format = format ? tool_format(format) : IMAGE_RAW;
}

static int create(int argc, char **argv)
{
    struct image_params p = {.format = tool_format(argv[3]), .size = strtoull(argv[4], NULL, 0)};
    int rc;

    fill_params(&p, argc, argv);
    rc = image_create(&host_env, argv[2], &p, why);
    return rc ? tool_fail("create", rc) : 0;
}

static int convert(int argc, char **argv)
{
    struct image_params p = {.format = tool_format(argv[5])};
    struct image *from, *to;
    int rc;

    fill_params(&p, argc, argv);
    if (open_image(argv[2], argv[3], 0, &from))
        return 1;
    p.size = image_size(from);
    rc = image_create(&host_env, argv[4], &p, why);
    if (rc)
        return tool_fail("create", rc);
    if (open_image(argv[4], argv[5], IMAGE_WRITE, &to))
        return 1;
    rc = image_copy(from, to, false);
    if (rc)
        return tool_fail("copy", rc);
    rc = image_close(to);
    image_close(from);
    return rc ? tool_fail("close", rc) : 0;
}

void tool_show(const char *line)
{
    printf("%s\n", line);
}

static int check(int argc, char **argv)
{
    bool repair = argc > 4;
    struct image_check c;
    struct image *im;
    int rc;

    if (open_image(argv[2], argv[3],
                   repair ? IMAGE_WRITE | IMAGE_REPAIR | IMAGE_ALONE : IMAGE_ALONE, &im))
        return 1;
    rc = image_check(im, repair, tool_show, &c);
    printf("errors %llu leaks %llu repaired %llu data %llu\n", (unsigned long long)c.errors,
           (unsigned long long)c.leaks, (unsigned long long)c.repaired, (unsigned long long)c.data);
    rc = image_close(im) ?: rc;
    if (rc)
        return tool_fail("check", rc);
    return c.errors + c.leaks != c.repaired;
}

static void fill_random(uint8_t *buf, size_t len)
{
    uint64_t kind = host_random() % 8;

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = kind == 0 ? 0 : host_random();

        memcpy(buf + i, &word, 8);
    }
}

/* A discard: each sector is as before, or zeros; the model follows. */
static int discard(struct image *im, int model, uint64_t at, uint64_t len)
{
    static uint8_t before[300 * 512], after[300 * 512], zeros[512];
    ssize_t got = pread(model, before, len, (off_t)at);
    int rc = image_discard(im, at, len);

    if (rc == 0)
        rc = image_read(im, at, after, len);
    for (uint64_t i = 0; rc == 0 && i < len; i += 512)
        if (memcmp(after + i, before + i, 512) && memcmp(after + i, zeros, 512))
            return tool_fail("a discarded sector is neither as before nor zeros", (int)i);
    if (rc == 0 && (got < 0 || pwrite(model, after, len, (off_t)at) < 0))
        rc = -1;
    return rc;
}

/* Random writes with the same to a raw file, random reads compared. */
static int random_work(int argc, char **argv)
{
    static uint8_t buf[300 * 512], seen[300 * 512];
    unsigned long count = strtoul(argv[6], NULL, 0);
    struct image *im;
    int model = open(argv[4], O_RDWR), rc = 0;

    (void)argc;
    host_seed = strtoull(argv[5], NULL, 0) * 2 + 1;
    if (model < 0 || open_image(argv[2], argv[3], IMAGE_WRITE, &im))
        return tool_fail("random", model);
    for (unsigned long n = 0; n < count; n++) {
        uint64_t sectors = image_size(im) / 512, at = host_random() % sectors;
        uint64_t most = host_random() % 4 ? 16 : 300, len = 1 + host_random() % most;
        ssize_t got;

        /* Half of the work is within one place, where it meets itself. */
        if (host_random() % 2)
            at = at % 4096 % sectors;
        len = (len < sectors - at ? len : sectors - at) * 512;
        if (host_random() % 16 == 0) {
            rc = discard(im, model, at * 512, len);
            got = 0;
        } else if (host_random() % 3) {
            fill_random(buf, len);
            rc = image_write(im, at * 512, buf, len);
            got = pwrite(model, buf, len, (off_t)at * 512);
        } else {
            memset(buf, 0, len);
            rc = image_read(im, at * 512, seen, len);
            got = pread(model, buf, len, (off_t)at * 512);
            if (rc == 0 && (got < 0 || memcmp(buf, seen, len)))
                return tool_fail("what was read is not what was written", (int)n);
        }
        if (rc == 0 && host_random() % 64 == 0)
            rc = image_flush(im);
        if (rc || got < 0)
            return tool_fail("random", rc);
    }
    rc = image_close(im);
    close(model);
    return rc ? tool_fail("close", rc) : 0;
}

static int commit(int argc, char **argv)
{
    struct image *child, *base;
    struct image_info i;
    int rc;

    (void)argc;
    if (open_image(argv[2], argv[3], 0, &child))
        return 1;
    image_info(child, &i);
    if (open_image(i.base, image_format_name(i.base_format), IMAGE_WRITE, &base))
        return 1;
    rc = image_copy(child, base, true);
    rc = image_close(base) ?: rc;
    image_close(child);
    return rc ? tool_fail("commit", rc) : 0;
}

static int resize(int argc, char **argv)
{
    char why[IMAGE_WHY_MAX];
    struct image *im;
    int rc;

    (void)argc;
    if (open_image(argv[2], argv[3], IMAGE_WRITE, &im))
        return 1;
    rc = image_resize(im, strtoull(argv[4], NULL, 0), why);
    if (rc)
        printf("%s\n", why);
    return (image_close(im) ?: rc) != 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int words;
        int (*run)(int argc, char **argv);
    } commands[] = {{"info", 3, info},     {"create", 5, create},      {"convert", 6, convert},
                    {"check", 4, check},   {"random", 7, random_work}, {"commit", 4, commit},
                    {"resize", 5, resize}, {"fuzz", 6, tool_fuzz},     {"crash", 8, tool_crash}};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(argv[1], commands[i].name) && argc >= commands[i].words)
            return commands[i].run(argc, argv);
    fprintf(stderr, "see tests/image/imgtool.c\n");
    return 2;
}
