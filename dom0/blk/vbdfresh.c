/* SPDX-License-Identifier: MIT */
/*
 * Writes into holes of an image's file. Their blocks are the file's only when the guest's data is
 * in them: so nothing has to be written there first, and nobody finds what others had there,
 * whether the write fails, the power goes, or a read is faster. Until then the file has a hole, and
 * a second write to the same place waits for the first one.
 */
#include "dom0/blk/vbd.h"

#include <stdlib.h>
#include <xen/errno.h>

#include "dom0/fs/vfs.h"

/* A run of blocks that one request writes. */
struct vbd_fresh {
    struct vbd_fresh *next;
    const struct vbd_io *io;
    struct image_file *file;
    uint64_t offset; /* in the file */
    uint64_t sector; /* on the device */
    uint64_t len;
};

int vbdfresh_add(const struct vbd_io *io, struct image_file *file, uint64_t offset,
                 const struct vfs_extent *extent)
{
    struct vbd *v = io->vbd;
    struct vbd_fresh *f = malloc(sizeof(*f));

    if (!f) {
        images_drop(file, extent->sector, extent->len);
        return -XEN_ENOMEM;
    }
    *f = (struct vbd_fresh){v->fresh, io, file, offset, extent->sector, extent->len};
    v->fresh = f;
    return 0;
}

bool vbdfresh_find(const struct vbd_io *io, const struct image_extent *e, uint64_t *sector,
                   uint64_t *bytes)
{
    for (const struct vbd_fresh *f = io->vbd->fresh; f; f = f->next) {
        if (f->io == io && f->file == e->file && e->offset >= f->offset &&
            e->offset - f->offset < f->len) {
            uint64_t in = e->offset - f->offset;

            *sector = f->sector + in / BLKREQ_SECTOR;
            *bytes = f->len - in < e->len ? f->len - in : e->len;
            return true;
        }
    }
    return false;
}

bool vbdfresh_overlaps(const struct vbd_io *io, const struct image_extent *e)
{
    for (const struct vbd_fresh *f = io->vbd->fresh; f; f = f->next) {
        if (f->io != io && f->file == e->file && e->offset < f->offset + f->len &&
            f->offset < e->offset + e->len) {
            return true;
        }
    }
    return false;
}

int vbdfresh_end(const struct vbd_io *io)
{
    struct vbd_fresh **link = &io->vbd->fresh;
    int first = 0;

    while (*link) {
        struct vbd_fresh *f = *link;
        int error = 0;

        if (f->io != io) {
            link = &f->next;
            continue;
        }
        *link = f->next;
        if (io->status) {
            images_drop(f->file, f->sector, f->len);
        } else {
            error = images_keep(f->file, f->offset, f->sector, f->len);
        }
        first = first ? first : error;
        free(f);
    }
    return first;
}
