/* SPDX-License-Identifier: MIT */
/* Changes of a disk while the guest has it: another medium, another size. */

#include "dom0/blk/vbd.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>
#include "dom0/config/diskspec.h"
#include "dom0/fs/vfs.h"

/* The medium that goes in; afterwards the one that came out. */
struct medium {
    struct image *image;
    const struct diskspec *disk; /* NULL: none */
};

static int exchange(struct vbd *v, void *arg)
{
    struct medium *m = arg;
    struct image *old = v->image;

    v->image = m->image;
    m->image = old;
    snprintf(v->info.file, sizeof(v->info.file), "%s", m->disk ? m->disk->target : "");
    v->info.format = m->disk ? m->disk->format : IMAGE_RAW;
    vbd_take_size(v);
    return vbdnodes_set_medium(v);
}

int blkback_insert(domid_t domid, unsigned vdev_number, const struct diskspec *disk, char *why,
                   size_t size)
{
    struct vbd *v = blkback_find(domid, vdev_number);
    struct medium m = {.disk = disk};
    int rc = 0;

    if (!v) {
        return blkback_fail(-XEN_ENOENT, why, size, "the domain has no such disk");
    }
    if (!v->info.cdrom) {
        return blkback_fail(-XEN_EINVAL, why, size,
                            "%s is no drive with a medium to change: attach one with devtype=cdrom",
                            v->info.vdev);
    }
    v->users++; /* it stays while the file is being opened */
    if (disk) {
        rc = blkback_open(v, disk, &m.image, why, size);
    }
    if (!rc) {
        rc = vbd_call(v, exchange, &m);
        image_close(m.image); /* it was only read */
        if (rc) {
            blkback_fail(rc, why, size, "cannot tell the guest: %s", vfs_strerror(rc));
        }
    }
    v->users--;
    waitq_wake(&vbd_changed);
    return rc;
}

struct growth {
    uint64_t bytes;
    char why[IMAGE_WHY_MAX];
};

static int grow(struct vbd *v, void *arg)
{
    struct growth *g = arg;
    int rc = image_resize(v->image, g->bytes, g->why);

    if (rc) {
        return rc;
    }
    vbd_take_size(v);
    rc = vbdnodes_set_medium(v);
    snprintf(g->why, sizeof(g->why), "cannot tell the guest: %s", vfs_strerror(rc));
    return rc;
}

bool blkback_resize(const char *file, uint64_t bytes, int *rc, char *why, size_t size)
{
    struct growth g = {.bytes = bytes};
    struct vbd *v = vbd_all;

    while (v && (v->leaving || v->info.readonly || !v->image || strcmp(v->info.file, file) != 0)) {
        v = v->next;
    }
    if (!v) {
        return false;
    }
    *rc = vbd_call(v, grow, &g);
    if (*rc) {
        blkback_fail(*rc, why, size, "%s", g.why);
    }
    return true;
}
