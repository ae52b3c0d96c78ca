/* SPDX-License-Identifier: MIT */
#include "dom0/image/imgfile.h"

#include <string.h>
#include <xen/errno.h>

int imgfile_read(struct image_file *f, uint64_t offset, void *buf, size_t len)
{
    if (!imgfile_inside(f->size, offset, len))
        return -XEN_EIO;
    return len ? f->ops->read(f, offset, buf, len) : 0;
}

int imgfile_read_zero(struct image_file *f, uint64_t offset, void *buf, size_t len)
{
    uint64_t there = offset < f->size ? f->size - offset : 0;
    size_t n = len < there ? len : (size_t)there;

    memset((char *)buf + n, 0, len - n);
    return imgfile_read(f, n ? offset : 0, buf, n);
}

int imgfile_resize(struct image_file *f, uint64_t size)
{
    int rc;

    if (!f->writable)
        return -XEN_EROFS;
    rc = size == f->size ? 0 : f->ops->resize(f, size);
    if (rc == 0)
        f->size = size;
    return rc;
}

int imgfile_write(struct image_file *f, uint64_t offset, const void *buf, size_t len)
{
    if (!f->writable)
        return -XEN_EROFS;
    if (offset > INT64_MAX - len)
        return -XEN_EOVERFLOW;
    if (offset + len > f->size) {
        int rc = imgfile_resize(f, offset + len);

        if (rc < 0)
            return rc;
    }
    return f->ops->write(f, offset, buf, len);
}

int imgfile_zero(struct image_file *f, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[4096];
    int rc = 0;

    while (rc == 0 && len > 0) {
        size_t n = len < sizeof zeros ? (size_t)len : sizeof zeros;

        rc = imgfile_write(f, offset, zeros, n);
        offset += n;
        len -= n;
    }
    return rc;
}

int imgfile_flush(struct image_file *f)
{
    return f->writable ? f->ops->flush(f) : 0;
}

uint64_t imgfile_hole(struct image_file *f, uint64_t offset, uint64_t len)
{
    return f->ops->hole && imgfile_inside(f->size, offset, len) ? f->ops->hole(f, offset, len) : 0;
}

int imgfile_punch(struct image_file *f, uint64_t offset, uint64_t len)
{
    if (!f->ops->punch)
        return 0;
    return imgfile_inside(f->size, offset, len) ? f->ops->punch(f, offset, len) : -XEN_EIO;
}

void imgfile_close(struct image_file *f)
{
    if (f)
        f->ops->close(f);
}
