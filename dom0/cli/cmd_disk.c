/* SPDX-License-Identifier: MIT */
/* Commands on images of virtual disks. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/blk/blkback.h"
#include "dom0/blk/images.h"
#include "dom0/cli/options.h"
#include "dom0/cli/size.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

/* The words of a command: those with a place, and options. */
struct words {
    const char *command;
    const char *place[2];
    unsigned count;
    const char *format, *base, *base_format;
    bool repair;
};

/* The options that a command has; their letters are qemu-img's. */
enum { HAS_FORMAT = 1, HAS_BASE = 2, HAS_REPAIR = 4 };

static int take_words(struct words *w, int argc, char **argv, unsigned has)
{
    const struct option all[] = {{'f', "format", NULL, &w->format},
                                 {'b', "base", NULL, &w->base},
                                 {'F', "base-format", NULL, &w->base_format},
                                 {'r', "repair", &w->repair, NULL}};
    struct option options[5] = {OPTIONS_END};
    unsigned count = 0;
    char why[80];

    memset(w, 0, sizeof *w);
    w->command = argv[0];
    if (has & HAS_FORMAT)
        options[count++] = all[0];
    if (has & HAS_BASE) {
        options[count++] = all[1];
        options[count++] = all[2];
    }
    if (has & HAS_REPAIR)
        options[count++] = all[3];
    argc = options_take(argc, argv, options, why, sizeof why);
    if (argc < 0)
        return cli_refuse(w->command, argc, "%s", why);
    if (argc > 3)
        return cli_usage(w->command);
    for (int i = 1; i < argc; i++)
        w->place[w->count++] = argv[i];
    return 0;
}

/* Virtual disks have one place, so that a name is enough everywhere. */
static int disk_path(const char *command, const char *word, char path[CLI_PATH_MAX])
{
    static const char home[] = CLI_DISKS "/";
    const char *name = !strncmp(word, home, sizeof home - 1) ? word + sizeof home - 1 : word;

    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return cli_refuse(command, -XEN_EINVAL,
                          "virtual disks lie in " CLI_DISKS ": give a plain name like data.img");
    if (strlen(name) > VFS_NAME_MAX)
        return cli_refuse(command, -XEN_EINVAL, "the name is too long: %d bytes at most",
                          VFS_NAME_MAX);
    if (cli_disk_problem()[0])
        return cli_path(command, word, path);
    snprintf(path, CLI_PATH_MAX, "%s%s", home, name);
    return 0;
}

/* An image that is there: a path, or the name of a virtual disk. */
static int image_path(const char *command, const char *word, char path[CLI_PATH_MAX])
{
    return strchr(word, '/') ? cli_path(command, word, path) : disk_path(command, word, path);
}

static int parse_format(const char *command, const char *word, const char *path,
                        enum image_format *format)
{
    int known;

    *format = image_format_by_name(path);
    if (!word)
        return 0;
    known = image_format_parse(word);
    if (known < 0)
        return cli_refuse(command, -XEN_EINVAL, "format '%.16s' is not known: raw, qcow2, vmdk are",
                          word);
    *format = (enum image_format)known;
    return 0;
}

/* An existing image by the words: its path and format. */
static int find_image(const struct words *w, char path[CLI_PATH_MAX], enum image_format *format)
{
    int rc = image_path(w->command, w->place[0], path);

    return rc ? rc : parse_format(w->command, w->format, path, format);
}

static int refuse_why(const char *command, int rc, const char *why)
{
    return cli_refuse(command, rc, "%s", rc == -XEN_EAGAIN ? "stopped" : why);
}

/* --- disk-create --- */

/* The name of the base as it is written into its child: relative in their common folder. */
static const char *base_name(const char *path)
{
    static const char home[] = CLI_DISKS "/";

    if (!strncmp(path, home, sizeof home - 1) && !strchr(path + sizeof home - 1, '/'))
        return path + sizeof home - 1;
    return path;
}

static int create(const char *command, const char *path, const struct image_params *p)
{
    char why[IMAGE_WHY_MAX];
    struct image_env env;
    struct vfs_stat st;
    int rc;

    images_env(&env, command, term_interrupted);
    if (vfs_stat(CLI_DISKS, &st) == -XEN_ENOENT)
        vfs_mkdir(CLI_DISKS); /* a disk without the usual folder: make it, once */
    rc = image_create(&env, path, p, why);
    return rc ? refuse_why(command, rc, why) : 0;
}

static int refuse_size(const char *command, const char *word)
{
    return cli_refuse(command, -XEN_EINVAL,
                      "bad size '%.32s': write bytes in whole sectors of 512, or a number with "
                      "K, M, G or T behind it, like 64M",
                      word);
}

int cmd_disk_create(int argc, char **argv)
{
    char path[CLI_PATH_MAX], base[CLI_PATH_MAX];
    struct image_params p = {0};
    struct words w;
    int rc = take_words(&w, argc, argv, HAS_FORMAT | HAS_BASE);

    if (rc < 0)
        return rc;
    if (w.count < (w.base ? 1 : 2))
        return cli_usage(argv[0]);
    rc = disk_path(argv[0], w.place[0], path);
    if (rc == 0)
        rc = parse_format(argv[0], w.format, path, &p.format);
    if (rc == 0 && p.format != image_format_by_name(path))
        rc = cli_refuse(argv[0], -XEN_EINVAL,
                        "a name says its image's format: end it with .qcow2 or .vmdk for these, "
                        "with neither for raw");
    if (rc == 0 && w.count == 2 && size_parse(w.place[1], &p.size) < 0)
        rc = refuse_size(argv[0], w.place[1]);
    if (rc == 0 && w.base) {
        rc = image_path(argv[0], w.base, base);
        p.base = base_name(base);
        if (rc == 0)
            rc = parse_format(argv[0], w.base_format, base, &p.base_format);
    }
    return rc ? rc : create(argv[0], path, &p);
}

/* --- disk-resize --- */

static int resize(const char *command, const char *path, enum image_format format, uint64_t bytes)
{
    char why[IMAGE_WHY_MAX];
    struct image_env env;
    struct image *im;
    int rc, closed;

    if (blkback_resize(path, bytes, &rc, why, sizeof why))
        return rc ? refuse_why(command, rc, why) : 0;
    images_env(&env, command, term_interrupted);
    rc = images_open(&env, path, format, IMAGE_WRITE, NULL, &im, why);
    if (rc < 0)
        return refuse_why(command, rc, why);
    rc = image_resize(im, bytes, why);
    closed = image_close(im);
    if (rc < 0)
        return refuse_why(command, rc, why);
    return closed ? cli_refuse_file(command, path, closed) : 0;
}

int cmd_disk_resize(int argc, char **argv)
{
    char path[CLI_PATH_MAX];
    enum image_format format;
    uint64_t bytes;
    struct words w;
    int rc = take_words(&w, argc, argv, 0);

    if (rc < 0)
        return rc;
    if (w.count != 2)
        return cli_usage(argv[0]);
    rc = find_image(&w, path, &format);
    if (rc < 0)
        return rc;
    if (size_parse(w.place[1], &bytes) < 0)
        return refuse_size(argv[0], w.place[1]);
    return resize(argv[0], path, format, bytes);
}

/* --- disk-info --- */

/* What a guest's requests to this file became. */
static void show_use(const char *path)
{
    struct blkback_info d;

    if (!blkback_of_file(path, &d))
        return;
    printf("  requests %llu read, %llu written, %llu flushed, %llu discarded, %llu failed\n",
           (unsigned long long)d.reads, (unsigned long long)d.writes, (unsigned long long)d.flushes,
           (unsigned long long)d.discards, (unsigned long long)d.errors);
    printf("  device   %llu requests, %llu parts merged, %llu bytes copied\n",
           (unsigned long long)d.device_requests, (unsigned long long)d.merged,
           (unsigned long long)d.copied_bytes);
}

static void show_layer(struct image *im, const char *indent)
{
    struct image_info info;
    char holder[VFS_WHO_MAX];

    image_info(im, &info);
    printf("%s%s\n", indent, info.path);
    printf("%s  format   %s%s%s, allocates %u bytes at a time\n", indent,
           image_format_name(info.format), *info.variant ? " " : "", info.variant, info.unit);
    printf("%s  size     %llu bytes\n", indent, (unsigned long long)info.size);
    printf("%s  on disk  %llu bytes\n", indent, (unsigned long long)images_allocated(im));
    if (*info.note)
        printf("%s  note     %s: it can only be read\n", indent, info.note);
    if (vfs_holder(info.path, holder, sizeof holder) && strcmp(holder, "a look at it") != 0)
        printf("%s  in use   by %s\n", indent, holder);
    show_use(info.path);
}

int cmd_disk_info(int argc, char **argv)
{
    char path[CLI_PATH_MAX], why[IMAGE_WHY_MAX], child[IMAGE_PATH_MAX];
    enum image_format format;
    struct image_env env;
    struct image *im;
    struct words w;
    int rc = take_words(&w, argc, argv, HAS_FORMAT);

    if (rc < 0)
        return rc;
    if (w.count != 1)
        return cli_usage(argv[0]);
    rc = find_image(&w, path, &format);
    if (rc < 0)
        return rc;
    images_env(&env, NULL, term_interrupted);
    rc = image_open(&env, path, format, 0, &im, why);
    if (rc < 0)
        return refuse_why(argv[0], rc, why);
    for (struct image *at = im; at; at = image_base(at)) {
        show_layer(at, "");
        if (image_base(at))
            printf("stands on\n");
    }
    image_close(im);
    if (images_child(path, NULL, child))
        printf("is the base of %s%s\n", child,
               images_child(path, child, child) ? " and others" : "");
    return 0;
}

/* --- disk-check --- */

static void show_finding(const char *line)
{
    printf("  %s\n", line);
}

static void show_result(const char *path, const struct image_check *c)
{
    printf("%s: %llu errors, %llu leaks", path, (unsigned long long)c->errors,
           (unsigned long long)c->leaks);
    if (c->repaired)
        printf(", %llu of them repaired", (unsigned long long)c->repaired);
    printf("; it holds %llu bytes of the disk\n", (unsigned long long)c->data);
}

int cmd_disk_check(int argc, char **argv)
{
    char path[CLI_PATH_MAX], why[IMAGE_WHY_MAX];
    enum image_format format;
    struct image_check result;
    struct image_env env;
    struct image *im;
    struct words w;
    int rc = take_words(&w, argc, argv, HAS_FORMAT | HAS_REPAIR), closed;

    if (rc < 0)
        return rc;
    if (w.count != 1)
        return cli_usage(argv[0]);
    rc = find_image(&w, path, &format);
    if (rc < 0)
        return rc;
    images_env(&env, argv[0], term_interrupted);
    rc = image_open(&env, path, format, IMAGE_ALONE | (w.repair ? IMAGE_WRITE | IMAGE_REPAIR : 0),
                    &im, why);
    if (rc < 0)
        return refuse_why(argv[0], rc, why);
    rc = image_check(im, w.repair, show_finding, &result);
    closed = image_close(im);
    if (rc == 0)
        show_result(path, &result);
    rc = rc ? rc : closed;
    if (rc < 0)
        return refuse_why(argv[0], rc, vfs_strerror(rc));
    return result.errors > result.repaired ? -XEN_EIO : 0;
}

/* --- copies --- */

/* A new image with what another one shows; none is left on error. */
static int copy_into(const struct words *w, struct image *from, const char *path,
                     const struct image_params *p)
{
    char why[IMAGE_WHY_MAX];
    struct image_env env;
    struct image *to;
    int rc, closed;

    rc = create(w->command, path, p);
    if (rc < 0)
        return rc;
    images_env(&env, w->command, term_interrupted);
    rc = image_open(&env, path, p->format, IMAGE_WRITE, &to, why);
    if (rc == 0) {
        rc = image_copy(from, to, false);
        closed = image_close(to);
        rc = rc ? rc : closed;
        snprintf(why, sizeof why, "%s: %s", path, vfs_strerror(rc));
    }
    if (rc == 0)
        return 0;
    vfs_unlink(path);
    return refuse_why(w->command, rc, why);
}

int cmd_disk_convert(int argc, char **argv)
{
    char path[CLI_PATH_MAX], to[CLI_PATH_MAX], why[IMAGE_WHY_MAX];
    struct image_params p = {0};
    enum image_format format;
    struct image_env env;
    struct image *im;
    struct words w;
    int rc = take_words(&w, argc, argv, HAS_FORMAT);

    if (rc < 0)
        return rc;
    if (w.count != 2)
        return cli_usage(argv[0]);
    rc = find_image(&w, path, &format);
    if (rc == 0)
        rc = disk_path(argv[0], w.place[1], to);
    if (rc < 0)
        return rc;
    images_env(&env, argv[0], term_interrupted);
    rc = image_open(&env, path, format, 0, &im, why);
    if (rc < 0)
        return refuse_why(argv[0], rc, why);
    p.format = image_format_by_name(to);
    p.size = image_size(im);
    rc = copy_into(&w, im, to, &p);
    image_close(im);
    return rc;
}

/* --- chains --- */

/* What the commands on a child need to know of it. */
struct child {
    char path[CLI_PATH_MAX], fresh[CLI_PATH_MAX]; /* its file, and the one to take its place */
    char base[IMAGE_PATH_MAX];
    struct image_params p; /* for another one of its kind */
    struct image_env env;
    uint64_t base_size;
};

/* Opens the chain of a child, which nobody uses, and no other image stands on. */
static int open_child(const struct words *w, struct child *c, struct image **im)
{
    char why[IMAGE_WHY_MAX];
    struct image_info info;
    int rc = disk_path(w->command, w->place[0], c->path);

    if (rc == 0)
        rc = parse_format(w->command, NULL, c->path, &c->p.format);
    if (rc == 0 && strlen(c->path) + 5 > CLI_PATH_MAX)
        rc = cli_refuse(w->command, -XEN_ENAMETOOLONG, "the name is too long");
    if (rc < 0)
        return rc;
    images_env(&c->env, w->command, term_interrupted);
    rc = images_open(&c->env, c->path, c->p.format, IMAGE_WRITE, NULL, im, why);
    if (rc < 0)
        return refuse_why(w->command, rc, why);
    image_info(*im, &info);
    snprintf(c->fresh, sizeof c->fresh, "%s.new", c->path);
    snprintf(c->base, sizeof c->base, "%s", info.base);
    c->p.size = info.size;
    c->p.variant = *info.variant ? info.variant : NULL;
    c->p.unit = info.format == IMAGE_QCOW2 ? info.unit : 0;
    c->p.base_format = info.base_format;
    c->base_size = image_base(*im) ? image_size(image_base(*im)) : 0;
    return 0;
}

static int refuse_no_child(const struct words *w, const struct child *c, struct image *im)
{
    image_close(im);
    return cli_refuse(w->command, -XEN_EINVAL, "%s has no base", c->path);
}

/* The new file takes the old one's place: at once, with whatever power cut. */
static int replace(const struct words *w, const struct child *c)
{
    int rc = vfs_sync();

    if (rc == 0)
        rc = vfs_rename(c->fresh, c->path);
    if (rc < 0)
        vfs_unlink(c->fresh);
    return rc ? cli_refuse_file(w->command, c->path, rc) : 0;
}

/* What the child holds goes into the base. A power cut on the way does no harm: the child still
 * shows the same. */
static int commit(const struct words *w, struct child *c)
{
    char why[IMAGE_WHY_MAX];
    struct image *child, *base;
    int rc = image_open(&c->env, c->path, c->p.format, IMAGE_ALONE, &child, why), closed;

    if (rc < 0)
        return refuse_why(w->command, rc, why);
    rc = images_open(&c->env, c->base, c->p.base_format, IMAGE_WRITE | IMAGE_SAME, c->path, &base,
                     why);
    if (rc == 0) {
        rc = image_copy(child, base, true);
        closed = image_close(base);
        rc = rc ? rc : closed;
        snprintf(why, sizeof why, "%s: %s", c->base, vfs_strerror(rc));
    }
    image_close(child);
    return rc ? refuse_why(w->command, rc, why) : 0;
}

/* The command's one word, a disk with a base, opened. */
static int take_child(struct words *w, struct child *c, struct image **im, int argc, char **argv)
{
    int rc = take_words(w, argc, argv, 0);

    if (rc < 0)
        return rc;
    if (w->count != 1)
        return cli_usage(argv[0]);
    rc = open_child(w, c, im);
    if (rc < 0)
        return rc;
    return *c->base ? 0 : refuse_no_child(w, c, *im);
}

int cmd_disk_commit(int argc, char **argv)
{
    struct child c = {0};
    struct image *im;
    struct words w;
    int rc = take_child(&w, &c, &im, argc, argv);

    if (rc < 0)
        return rc;
    image_close(im);
    if (c.base_size < c.p.size)
        return cli_refuse(argv[0], -XEN_EINVAL, "%s is larger than its base: disk-flatten it",
                          c.path);
    rc = commit(&w, &c);
    c.p.base = base_name(c.base);
    if (rc == 0)
        rc = create(argv[0], c.fresh, &c.p);
    return rc ? rc : replace(&w, &c);
}

int cmd_disk_flatten(int argc, char **argv)
{
    struct child c = {0};
    struct image *im;
    struct words w;
    int rc = take_child(&w, &c, &im, argc, argv);

    if (rc < 0)
        return rc;
    rc = copy_into(&w, im, c.fresh, &c.p);
    image_close(im);
    return rc ? rc : replace(&w, &c);
}

/* VMDK: the descriptor names no other files. */
static bool is_one_file(const struct child *c)
{
    return c->p.variant && !strcmp(c->p.variant, "monolithicSparse");
}

/* The disk becomes the snapshot, a new child of that takes its name. */
static int exchange(const struct words *w, const struct child *c, const char *snapshot)
{
    int rc = vfs_rename(c->path, snapshot);

    if (rc < 0) {
        vfs_unlink(c->fresh);
        return cli_refuse_file(w->command, c->path, rc);
    }
    rc = vfs_rename(c->fresh, c->path);
    if (rc < 0)
        vfs_rename(snapshot, c->path);
    return rc ? cli_refuse_file(w->command, c->path, rc) : vfs_sync();
}

int cmd_disk_snapshot(int argc, char **argv)
{
    char snapshot[CLI_PATH_MAX];
    struct child c = {0};
    struct vfs_stat st;
    struct image *im;
    struct words w;
    int rc = take_words(&w, argc, argv, 0);

    if (rc < 0)
        return rc;
    if (w.count != 2)
        return cli_usage(argv[0]);
    rc = disk_path(argv[0], w.place[1], snapshot);
    if (rc == 0)
        rc = open_child(&w, &c, &im);
    if (rc < 0)
        return rc;
    image_close(im);
    if (vfs_stat(snapshot, &st) != -XEN_ENOENT)
        return cli_refuse_file(argv[0], snapshot, -XEN_EEXIST);
    if (c.p.format == IMAGE_RAW || (c.p.format == IMAGE_VMDK && !is_one_file(&c)))
        return cli_refuse(argv[0], -XEN_EOPNOTSUPP,
                          "%s has no layers: convert it to qcow2 first, by disk-convert", c.path);
    if (image_format_by_name(snapshot) != c.p.format)
        return cli_refuse(argv[0], -XEN_EINVAL, "end the snapshot's name with .%s, as it is one",
                          image_format_name(c.p.format));
    c.p.base = base_name(snapshot);
    c.p.base_at = c.path;
    c.p.base_format = c.p.format;
    rc = create(argv[0], c.fresh, &c.p);
    return rc ? rc : exchange(&w, &c, snapshot);
}
