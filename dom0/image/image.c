/* SPDX-License-Identifier: MIT */
/* Chains of images: opened, looked through, read, written. */
#include "dom0/image/image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/fs/vfs.h"
#include "dom0/image/impl.h"

#define DISCARD_STEP (16u << 20) /* bytes; others get their turn in between */

static const struct image_driver *const drivers[IMAGE_FORMATS] = {
    [IMAGE_RAW] = &raw_driver,
    [IMAGE_QCOW2] = &qcow2_driver,
    [IMAGE_VMDK] = &vmdk_driver,
};

int image_fail(char *why, int rc, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, IMAGE_WHY_MAX, fmt, args);
    va_end(args);
    return rc;
}

void image_finding(struct image_findings *f, const char *fmt, ...)
{
    char line[160];
    va_list args;

    if (!f->report || f->count++ >= IMAGE_FINDINGS)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    f->report(f->count < IMAGE_FINDINGS ? line : "... and more");
}

int image_base_path(const char *child, const char *name, char path[IMAGE_PATH_MAX], char *why)
{
    const char *slash = strrchr(child, '/');
    int folder = *name == '/' || !slash ? 0 : (int)(slash + 1 - child);

    for (const char *s = name; *s && *s != '/'; s++)
        if (*s == ':')
            return image_fail(why, -XEN_EOPNOTSUPP, "its base '%.80s' is no file of this disk",
                              name);
    for (const char *s = name; *s; s++)
        if (*s < ' ' || *s > '~')
            return image_fail(why, -XEN_EINVAL, "the name of its base is none");
    if (snprintf(path, IMAGE_PATH_MAX, "%.*s%s", folder, child, name) >= IMAGE_PATH_MAX)
        return image_fail(why, -XEN_EINVAL, "the path of its base is too long");
    return 0;
}

/* --- opening --- */

/* The reason of an error that has none of its own yet, and the file's name before it. */
static int name_failure(const char *path, int rc, char *why)
{
    char reason[IMAGE_WHY_MAX - IMAGE_PATH_MAX];

    snprintf(reason, sizeof reason, "%s", *why ? why : vfs_strerror(rc));
    snprintf(why, IMAGE_WHY_MAX, "%s: %s", path, reason);
    return rc;
}

static int open_layer(struct image *im, unsigned flags, char *why)
{
    unsigned file_flags = flags & IMAGE_WRITE ? IMAGE_FILE_WRITE : 0;
    int rc = im->env->open(im->env, im->path, file_flags, &im->file, why);

    if (rc < 0)
        return rc;
    im->variant = "";
    im->writable = flags & IMAGE_WRITE;
    im->same = flags & IMAGE_SAME;
    im->driver = drivers[im->format];
    rc = im->driver->open(im, flags, why);
    if (rc < 0)
        goto fail;
    if (im->size == 0 || im->size % IMAGE_SECTOR || im->size > IMAGE_SIZE_MAX) {
        rc = image_fail(why, -XEN_EINVAL, "a disk of %llu bytes is none",
                        (unsigned long long)im->size);
        im->driver->close(im);
        goto fail;
    }
    if (*im->note && (flags & IMAGE_WRITE) && !(flags & IMAGE_REPAIR)) {
        rc = image_fail(why, -XEN_EROFS, "it can only be read: %s", im->note);
        im->driver->close(im);
        goto fail;
    }
    return 0;

fail:
    imgfile_close(im->file);
    im->file = NULL;
    return rc;
}

static struct image *layer_new(const struct image_env *env, const char *path,
                               enum image_format format)
{
    struct image *im = calloc(1, sizeof *im);

    if (im) {
        im->env = env;
        im->format = format;
        snprintf(im->path, sizeof im->path, "%s", path);
    }
    return im;
}

/* One more layer, the base of `last`, or the top. */
static int add_layer(struct image *top, struct image *last, const char *path, unsigned flags,
                     char *why)
{
    enum image_format format = last ? last->base_format : top->format;
    struct image *im = last ? layer_new(top->env, path, format) : top;
    unsigned depth = 0;
    int rc;

    if (!im)
        return -XEN_ENOMEM;
    for (struct image *up = top; last && up; up = up->base, depth++)
        if (!strcmp(up->path, path)) {
            free(im);
            return image_fail(why, -XEN_EINVAL, "its chain of bases is a loop");
        }
    rc = depth >= IMAGE_DEPTH_MAX
             ? image_fail(why, -XEN_EINVAL, "its chain has more than %d bases", IMAGE_DEPTH_MAX)
             : open_layer(im, flags, why);
    if (rc < 0) {
        if (last)
            free(im);
        return rc;
    }
    if (!last)
        return 0;
    last->base = im;
    rc = last->driver->based ? last->driver->based(last, why) : 0;
    return rc;
}

int image_open(const struct image_env *env, const char *path, enum image_format format,
               unsigned flags, struct image **out, char *why)
{
    struct image *top, *last;
    int rc;

    *why = 0;
    if (strlen(path) >= IMAGE_PATH_MAX)
        return image_fail(why, -XEN_EINVAL, "the path is too long");
    top = layer_new(env, path, format);
    if (!top)
        return name_failure(path, -XEN_ENOMEM, why);
    rc = add_layer(top, NULL, path, flags, why);
    if (rc < 0) {
        name_failure(path, rc, why);
        free(top);
        return rc;
    }
    for (last = top; *last->base_path && !(flags & IMAGE_ALONE); last = last->base) {
        rc = add_layer(top, last, last->base_path, 0, why);
        if (rc < 0) {
            char at[IMAGE_PATH_MAX];

            snprintf(at, sizeof at, "%s", last->base_path);
            image_close(top);
            return name_failure(at, rc, why);
        }
    }
    *out = top;
    return 0;
}

int image_close(struct image *im)
{
    int first = 0;

    while (im) {
        struct image *base = im->base;
        int rc = im->driver->close(im);

        if (rc == 0)
            rc = imgfile_flush(im->file);
        imgfile_close(im->file);
        free(im->buffer);
        free(im);
        first = first ? first : rc;
        im = base;
    }
    return first;
}

/* --- facts --- */

void image_info(const struct image *im, struct image_info *info)
{
    *info = (struct image_info){.path = im->path,
                                .format = im->format,
                                .variant = im->variant,
                                .size = im->size,
                                .unit = im->unit,
                                .base = im->base_path,
                                .base_format = im->base_format,
                                .note = im->note};
    for (unsigned i = 0; image_file_at(im, i); i++)
        info->file_size += image_file_at(im, i)->size;
}

struct image_file *image_file_at(const struct image *im, unsigned i)
{
    if (i == 0)
        return im->file;
    return im->driver->file_at ? im->driver->file_at(im, i - 1) : NULL;
}

uint64_t image_size(const struct image *im)
{
    return im->size;
}

struct image *image_base(const struct image *im)
{
    return im->base;
}

void image_set_settle(struct image *im, void (*settle)(void *arg), void *arg)
{
    im->settle = settle;
    im->settle_arg = arg;
}

void image_settle(struct image *im, uint64_t at)
{
    if (im->settle && (at % IMAGE_BLOCK || im->unit % IMAGE_BLOCK))
        im->settle(im->settle_arg);
}

bool image_is_dirty(const struct image *im)
{
    return im->driver->is_dirty && im->driver->is_dirty(im);
}

int image_flush(struct image *im)
{
    return im->driver->flush ? im->driver->flush(im) : imgfile_flush(im->file);
}

int image_prepare(struct image *im)
{
    return im->driver->prepare ? im->driver->prepare(im) : 0;
}

static int resize_error(struct image *im, uint64_t size, char *why)
{
    if (size == 0 || size % IMAGE_SECTOR || size > IMAGE_SIZE_MAX)
        return image_fail(why, -XEN_EINVAL, "a disk has whole sectors of 512 bytes, up to 1024T");
    if (size < im->size)
        return image_fail(why, -XEN_EINVAL,
                          "it has %llu bytes already: a disk is never made smaller",
                          (unsigned long long)im->size);
    if (!im->writable || *im->note)
        return image_fail(why, -XEN_EROFS, "it can only be read");
    if (im->base && im->base->size > im->size)
        return image_fail(why, -XEN_EINVAL,
                          "its base is larger, which would show: disk-flatten it first");
    if (!im->driver->resize)
        return image_fail(why, -XEN_EOPNOTSUPP,
                          "its format has a fixed size: convert it to qcow2, by disk-convert");
    return 0;
}

int image_resize(struct image *im, uint64_t size, char *why)
{
    int rc = resize_error(im, size, why);

    if (rc < 0)
        return name_failure(im->path, rc, why);
    rc = im->driver->resize(im, size);
    *why = 0;
    if (rc < 0)
        return name_failure(im->path, rc, why);
    im->size = size;
    return 0;
}

int image_check(struct image *im, bool repair, void (*report)(const char *line),
                struct image_check *result)
{
    memset(result, 0, sizeof *result);
    if (im->driver->check)
        return im->driver->check(im, repair, report, result);
    result->data = im->size;
    return 0;
}

/* --- maps --- */

int image_map_own(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    if (len > im->size - offset)
        len = im->size - offset;
    return im->driver->map(im, offset, len, e);
}

/* image_map(), and the layer that has it. */
static int map_chain(struct image **layer, uint64_t offset, uint64_t len, struct image_extent *e)
{
    for (;;) {
        struct image *im = *layer;
        int rc;

        if (offset >= im->size)
            break;
        rc = image_map_own(im, offset, len, e);
        if (rc < 0 || (int)e->kind != IMAGE_BELOW)
            return rc;
        len = e->len;
        if (!im->base)
            break;
        *layer = im->base;
    }
    *e = (struct image_extent){.kind = IMAGE_ZERO, .len = len};
    return 0;
}

int image_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    if (!imgfile_inside(im->size, offset, len) || !len || (offset | len) % IMAGE_SECTOR)
        return -XEN_EINVAL;
    return map_chain(&im, offset, len, e);
}

int image_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    if (!im->writable || *im->note || !im->driver->map_write)
        return -XEN_EROFS;
    if (!imgfile_inside(im->size, offset, len) || !len || (offset | len) % IMAGE_SECTOR)
        return -XEN_EINVAL;
    return im->driver->map_write(im, offset, len, e);
}

/* What begins there and is of one kind, at most DISCARD_STEP bytes of what takes space. */
static int discard_some(struct image *im, uint64_t offset, struct image_extent *e)
{
    int rc;

    image_find_hole(e);
    if (e->kind != IMAGE_DATA)
        return 0;
    if (e->len > DISCARD_STEP)
        e->len = DISCARD_STEP;
    /* Mapped for writing: nothing to allocate, but the image may have to note a change. */
    rc = im->driver->map_write(im, offset, e->len, e);
    return rc == 0 && e->kind == IMAGE_DATA ? imgfile_punch(e->file, e->offset, e->len) : rc;
}

/*
 * What the image holds itself becomes a hole of its file; its tables stay as they are, so there is
 * no order of writing to keep, and the next write there allocates nothing but blocks of that file.
 */
int image_discard(struct image *im, uint64_t offset, uint64_t len)
{
    int rc = 0;

    if (!im->writable || *im->note || !im->driver->map_write)
        return -XEN_EROFS;
    if (!imgfile_inside(im->size, offset, len) || (offset | len) % IMAGE_SECTOR)
        return -XEN_EINVAL;
    while (rc == 0 && len > 0) {
        struct image_extent e;

        rc = image_map_own(im, offset, len, &e);
        if (rc == 0)
            rc = discard_some(im, offset, &e);
        if (rc == 0) {
            offset += e.len;
            len -= e.len;
        }
        im->env->yield();
    }
    return rc;
}

void image_find_hole(struct image_extent *e)
{
    uint64_t hole = e->kind == IMAGE_DATA ? imgfile_hole(e->file, e->offset, e->len) : 0;

    hole &= ~(uint64_t)(IMAGE_SECTOR - 1);
    if (hole) {
        e->kind = IMAGE_ZERO;
        e->len = hole;
    }
}

/* --- content --- */

int image_read(struct image *im, uint64_t offset, void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint32_t in = (uint32_t)(offset % IMAGE_SECTOR);
        uint64_t span = (in + len + IMAGE_SECTOR - 1) / IMAGE_SECTOR * IMAGE_SECTOR;
        struct image *layer = im;
        struct image_extent e;
        int rc = map_chain(&layer, offset - in, span, &e);
        size_t n;

        if (rc < 0)
            return rc;
        n = e.len - in < len ? (size_t)(e.len - in) : len;
        if (e.kind == IMAGE_DATA)
            rc = imgfile_read(e.file, e.offset + in, to, n);
        else if (e.kind == IMAGE_ZERO)
            memset(to, 0, n);
        else
            rc = layer->driver->read_packed(layer, offset, to, n);
        if (rc < 0)
            return rc;
        offset += n;
        to += n;
        len -= n;
    }
    return 0;
}

int image_write(struct image *im, uint64_t offset, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    while (len > 0) {
        size_t part = len < IMAGE_REQUEST_MAX ? len : IMAGE_REQUEST_MAX;
        int rc = image_prepare(im);

        for (size_t done = 0; rc == 0 && done < part;) {
            struct image_extent e;

            rc = image_map_write(im, offset + done, part - done, &e);
            if (rc == 0)
                rc = imgfile_write(e.file, e.offset, from + done, (size_t)e.len);
            if (rc == 0)
                done += (size_t)e.len;
        }
        if (rc < 0)
            return rc;
        offset += part;
        from += part;
        len -= part;
    }
    return 0;
}

uint8_t *image_buffer(struct image *im)
{
    if (!im->buffer)
        im->buffer = malloc(IMAGE_BUFFER);
    return im->buffer;
}

int image_fill(struct image *im, uint64_t offset, uint64_t len, struct image_file *to, uint64_t at,
               bool fresh)
{
    while (len > 0) {
        uint8_t *buffer = image_buffer(im);
        struct image *layer = im;
        struct image_extent e;
        int rc = buffer ? map_chain(&layer, offset, len, &e) : -XEN_ENOMEM;

        if (rc < 0)
            return rc;
        if (e.len > IMAGE_BUFFER)
            e.len = IMAGE_BUFFER;
        if (e.kind == IMAGE_DATA && imgfile_hole(e.file, e.offset, e.len) == e.len)
            e.kind = IMAGE_ZERO;
        if (e.kind == IMAGE_ZERO) {
            rc = fresh ? 0 : imgfile_zero(to, at, e.len);
        } else {
            rc = image_read(im, offset, buffer, (size_t)e.len);
            if (rc == 0)
                rc = imgfile_write(to, at, buffer, (size_t)e.len);
        }
        if (rc < 0)
            return rc;
        offset += e.len;
        at += e.len;
        len -= e.len;
    }
    return 0;
}

int image_create(const struct image_env *env, const char *path, const struct image_params *params,
                 char *why)
{
    struct image_params p = *params;
    char base[IMAGE_PATH_MAX];
    int rc = 0;

    *why = 0;
    if (p.base) {
        struct image *im = NULL;

        rc = image_base_path(path, p.base, base, why);
        if (rc == 0)
            rc = image_open(env, p.base_at ? p.base_at : base, p.base_format, 0, &im, why);
        if (rc || !im)
            return rc;
        if (p.size == 0)
            p.size = im->size;
        image_close(im);
    }
    if (p.size == 0 || p.size % IMAGE_SECTOR || p.size > IMAGE_SIZE_MAX)
        rc = image_fail(why, -XEN_EINVAL, "a disk has whole sectors of 512 bytes, up to 1024T");
    if (rc == 0)
        rc = drivers[p.format]->create(env, path, &p, why);
    return rc < 0 ? name_failure(path, rc, why) : 0;
}
