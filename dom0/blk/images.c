/* SPDX-License-Identifier: MIT */
#include "dom0/blk/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/fs/vfs.h"
#include "dom0/unpack/unpack.h"

#define PIECE_ORDER (UNPACK_PIECE_SHIFT - PAGE_SHIFT)
#define KEPT_PAGES  1024 /* never taken for decompression */

/* --- a file --- */

static int file_read(struct image_file *f, uint64_t offset, void *buf, size_t len)
{
    int64_t n = vfs_pread(f->priv, buf, len, offset);

    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_EIO;
}

static int file_write(struct image_file *f, uint64_t offset, const void *buf, size_t len)
{
    int64_t n = vfs_pwrite(f->priv, buf, len, offset);

    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_ENOSPC;
}

static int file_resize(struct image_file *f, uint64_t size)
{
    return vfs_truncate(f->priv, size);
}

/* One flush covers all files, and the file system's own tables. */
static int file_flush(struct image_file *f)
{
    (void)f;
    return vfs_flush();
}

static void file_close(struct image_file *f)
{
    vfs_close(f->priv);
    free(f);
}

static uint64_t file_hole(struct image_file *f, uint64_t offset, uint64_t len)
{
    struct vfs_extent extent;

    offset += -offset % BLK_SECTOR_SIZE;
    len &= ~(uint64_t)(BLK_SECTOR_SIZE - 1);
    if (!len || !imgfile_inside(f->size, offset, len) || vfs_map(f->priv, offset, len, &extent))
        return 0;
    return extent.sector == VFS_HOLE ? extent.len : 0;
}

static int file_punch(struct image_file *f, uint64_t offset, uint64_t len)
{
    return vfs_punch(f->priv, offset, len);
}

static const struct image_file_ops file_ops = {file_read,  file_write, file_resize, file_flush,
                                               file_close, file_hole,  file_punch};

/* --- the environment --- */

static int open_error(const char *path, int rc, char *why)
{
    char holder[VFS_WHO_MAX];

    if (rc == -XEN_EBUSY && vfs_holder(path, holder, sizeof holder))
        snprintf(why, IMAGE_WHY_MAX, "in use by %s", holder);
    else
        snprintf(why, IMAGE_WHY_MAX, "%s", vfs_strerror(rc));
    return rc;
}

static int env_open(const struct image_env *env, const char *path, unsigned flags,
                    struct image_file **out, char *why)
{
    struct image_file *f = calloc(1, sizeof *f);
    struct vfs_file *file;
    int rc;

    if (!f)
        return -XEN_ENOMEM;
    rc =
        vfs_open(path,
                 VFS_READ | (env->who ? VFS_LOCK : 0) | (flags & IMAGE_FILE_WRITE ? VFS_WRITE : 0) |
                     (flags & IMAGE_FILE_CREATE ? VFS_CREATE | VFS_EXCL : 0),
                 env->who ? env->who : "a look at it", &file);
    if (rc < 0) {
        free(f);
        return open_error(path, rc, why);
    }
    f->ops = &file_ops;
    f->priv = file;
    f->size = vfs_size(file);
    f->writable = flags & IMAGE_FILE_WRITE;
    *out = f;
    return 0;
}

/* Numbers that are not the same twice: nobody has to be kept from guessing them. */
static uint32_t env_random(void)
{
    static uint64_t state;

    state = (state ^ clock_ns()) * 0x9e3779b97f4a7c15ull + 1;
    return (uint32_t)(state >> 32);
}

static void *piece_alloc(void)
{
    if (mm_free_pages() < KEPT_PAGES + (1ul << PIECE_ORDER))
        return NULL;
    return page_alloc(PIECE_ORDER);
}

static void piece_free(void *piece)
{
    page_free(piece, PIECE_ORDER);
}

void images_env(struct image_env *env, const char *who, bool (*stopped)(void))
{
    *env = (struct image_env){.who = who,
                              .open = env_open,
                              .remove = vfs_unlink,
                              .random = env_random,
                              .yield = thread_yield,
                              .stopped = stopped,
                              .piece_alloc = piece_alloc,
                              .piece_free = piece_free};
}

/* --- bases and children --- */

static bool is_child(const char *file, const char *path)
{
    enum image_format format = image_format_by_name(file);
    char why[IMAGE_WHY_MAX];
    struct image_env env;
    struct image_info info;
    struct image *im;
    bool found;

    images_env(&env, NULL, NULL);
    if (format == IMAGE_RAW || image_open(&env, file, format, IMAGE_ALONE, &im, why) < 0)
        return false;
    image_info(im, &info);
    found = !strcmp(info.base, path);
    image_close(im);
    return found;
}

bool images_child(const char *path, const char *but, char child[IMAGE_PATH_MAX])
{
    struct vfs_dirent *entries;
    unsigned count;
    bool found = false;

    if (vfs_list(IMAGES_HOME, &entries, &count) < 0)
        return false;
    for (unsigned i = 0; i < count && !found; i++) {
        snprintf(child, IMAGE_PATH_MAX, IMAGES_HOME "/%s", entries[i].name);
        found = entries[i].stat.type == VFS_FILE && strcmp(child, path) &&
                (!but || strcmp(child, but)) && is_child(child, path);
    }
    free(entries);
    return found;
}

int images_open(const struct image_env *env, const char *path, enum image_format format,
                unsigned flags, const char *child, struct image **out, char *why)
{
    char other[IMAGE_PATH_MAX];
    int rc = image_open(env, path, format, flags, out, why);

    /* Opened first: from now on nobody makes a child of it. */
    if (rc == 0 && (flags & IMAGE_WRITE) && images_child(path, child, other)) {
        image_close(*out);
        snprintf(why, IMAGE_WHY_MAX,
                 "%.200s: it is the base of %.200s: use it read-only, or make a child of it", path,
                 other);
        rc = -XEN_EBUSY;
    }
    return rc;
}

int images_map(const struct image_extent *e, bool write, struct vfs_extent *extent)
{
    return write ? vfs_map_new(e->file->priv, e->offset, e->len, extent)
                 : vfs_map(e->file->priv, e->offset, e->len, extent);
}

int images_keep(struct image_file *f, uint64_t offset, uint64_t sector, uint64_t len)
{
    return vfs_keep(f->priv, offset, sector, len);
}

void images_drop(struct image_file *f, uint64_t sector, uint64_t len)
{
    vfs_drop(f->priv, sector, len);
}

uint64_t images_allocated(const struct image *im)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; image_file_at(im, i); i++)
        bytes += vfs_allocated(image_file_at(im, i)->priv);
    return bytes;
}
