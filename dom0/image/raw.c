/* SPDX-License-Identifier: MIT */
/*
 * Raw images: the file is the disk. Holes of the file take no space, and are known to the file
 * system alone. Half a sector at the end is the disk's last one, filled up with zeros, where it is
 * only read; a disk that is written ends before it.
 */
#include <xen/errno.h>

#include "dom0/image/impl.h"

static int raw_open(struct image *im, unsigned flags, char *why)
{
    uint64_t size = im->file->size;

    (void)flags;
    if (!im->writable)
        size += IMAGE_SECTOR - 1;
    im->size = size & ~(uint64_t)(IMAGE_SECTOR - 1);
    im->unit = IMAGE_SECTOR;
    if (im->size > IMAGE_SIZE_MAX)
        return image_fail(why, -XEN_EOVERFLOW, "it is too large");
    return 0;
}

static int raw_close(struct image *im)
{
    (void)im;
    return 0;
}

static int raw_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    uint64_t whole = im->file->size & ~(uint64_t)(IMAGE_SECTOR - 1);

    e->kind = offset < whole ? IMAGE_DATA : IMAGE_PACKED;
    e->file = im->file;
    e->offset = offset;
    e->len = offset < whole && len > whole - offset ? whole - offset : len;
    return 0;
}

static int raw_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    return raw_map(im, offset, len, e);
}

static int raw_read_packed(struct image *im, uint64_t offset, void *buf, size_t len)
{
    return imgfile_read_zero(im->file, offset, buf, len);
}

static int raw_resize(struct image *im, uint64_t size)
{
    int rc = imgfile_resize(im->file, size);

    return rc ? rc : imgfile_flush(im->file);
}

static int raw_create(const struct image_env *env, const char *path,
                      const struct image_params *params, char *why)
{
    struct image_file *f;
    int rc;

    if (params->base)
        return image_fail(why, -XEN_EINVAL, "a raw image has no base: make it qcow2");
    rc = env->open(env, path, IMAGE_FILE_WRITE | IMAGE_FILE_CREATE, &f, why);
    if (rc < 0)
        return rc;
    rc = imgfile_resize(f, params->size);
    if (rc == 0)
        rc = imgfile_flush(f);
    imgfile_close(f);
    if (rc < 0)
        env->remove(path);
    return rc;
}

const struct image_driver raw_driver = {
    .open = raw_open,
    .close = raw_close,
    .map = raw_map,
    .map_write = raw_map_write,
    .read_packed = raw_read_packed,
    .resize = raw_resize,
    .create = raw_create,
};
