/* SPDX-License-Identifier: MIT */
/* Disks come and go: files and threads. */

#include "dom0/blk/blkback.h"
#include "dom0/blk/blkshare.h"
#include "dom0/blk/vbd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include "dom0/config/diskspec.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

struct vbd *vbd_all;

#define UNPLUG_NS 10000000000ull /* for a guest to let go of a disk: as long as xl waits */

int blkback_start(void)
{
    int rc = blkshare_start(vfs_blkdev());

    return rc ? rc : store_mkdir(VBD_BACKENDS);
}

int blkback_fail(int error, char *why, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, size, fmt, args);
    va_end(args);
    return error;
}

static struct vbd *find(domid_t domid, unsigned vdev_number)
{
    struct vbd *v = vbd_all;

    while (v && (v->domid != domid || v->info.vdev_number != vdev_number)) {
        v = v->next;
    }
    return v;
}

struct vbd *blkback_find(domid_t domid, unsigned vdev_number)
{
    struct vbd *v = find(domid, vdev_number);

    return v && !v->leaving ? v : NULL;
}

int blkback_open(struct vbd *v, const struct diskspec *disk, struct image **image, char *why,
                 size_t size)
{
    char reason[IMAGE_WHY_MAX];
    int error = images_open(&v->env, disk->target, disk->format, v->info.readonly ? 0 : IMAGE_WRITE,
                            NULL, image, reason);

    if (error) {
        return blkback_fail(error, why, size, "%s", reason);
    }
    image_set_settle(*image, vbdio_settle, v);
    return 0;
}

static void on_front_state(const char *path, void *arg)
{
    struct vbd *v = arg;

    (void)path;
    v->front_changed = true;
    waitq_wake(&v->wake);
}

/* Nodes, watch and thread of a disk whose file is open. */
static int bring_up(struct vbd *v)
{
    char path[VBD_PATH + 16];
    int error = vbdnodes_make(v);

    if (!error) {
        snprintf(path, sizeof(path), "%s/state", v->front);
        v->watch = store_watch(path, on_front_state, v);
        error = v->watch ? 0 : -XEN_ENOMEM;
    }
    if (!error) {
        snprintf(path, sizeof(path), "blk%u-%s", v->domid, v->info.vdev);
        error = thread_create(path, vbd_run, v) ? 0 : -XEN_ENOMEM;
        if (error) {
            store_unwatch(v->watch);
        }
    }
    if (error) {
        vbdnodes_remove(v);
    }
    return error;
}

static struct vbd *vbd_new(domid_t domid, const struct diskspec *disk, const char *who)
{
    struct vbd *v = calloc(1, sizeof(*v));

    if (!v) {
        return NULL;
    }
    v->domid = domid;
    v->info.vdev_number = disk->vdev_number;
    v->info.readonly = disk->readonly;
    v->info.cdrom = disk->cdrom;
    v->info.format = disk->format;
    v->disk.readonly = disk->readonly;
    v->disk.no_discard = disk->no_discard;
    v->dev = blkshare_get(domid);
    if (!v->dev) {
        free(v);
        return NULL;
    }
    snprintf(v->who, sizeof(v->who), "%s", who);
    images_env(&v->env, v->who, NULL);
    v->info.back_state = XenbusStateInitWait;
    snprintf(v->info.vdev, sizeof(v->info.vdev), "%s", disk->vdev);
    snprintf(v->info.file, sizeof(v->info.file), "%s", disk->target);
    snprintf(v->front, sizeof(v->front), "/local/domain/%u/device/vbd/%u", domid,
             disk->vdev_number);
    snprintf(v->back, sizeof(v->back), VBD_BACKENDS "/%u/%u", domid, disk->vdev_number);
    snprintf(v->info.backend_path, sizeof(v->info.backend_path), "%s", v->back);
    waitq_init(&v->wake);
    return v;
}

/* The last one: those before it keep their order. */
static void append(struct vbd *v)
{
    struct vbd **link = &vbd_all;

    while (*link) {
        link = &(*link)->next;
    }
    *link = v;
}

static void unlink_vbd(struct vbd *v)
{
    struct vbd **link = &vbd_all;

    while (*link != v) {
        link = &(*link)->next;
    }
    *link = v->next;
}

static void vbd_free(struct vbd *v)
{
    unlink_vbd(v);
    blkshare_put(v->domid);
    free(v);
}

/* What the configuration says of the domain's share, with any of its disks. */
static void set_share(domid_t domid, const struct diskspec *disk)
{
    const struct blkshare share = {.weight = disk->weight, .iops = disk->iops, .bps = disk->bps};

    blkshare_set(domid, &share);
}

int blkback_attach(domid_t domid, const struct diskspec *disk, const char *who, char *why,
                   size_t size)
{
    struct vbd *v;
    int error;

    if (find(domid, disk->vdev_number)) {
        return blkback_fail(-XEN_EEXIST, why, size,
                            "%s: the domain has a disk of that name already", disk->vdev);
    }
    v = vbd_new(domid, disk, who);
    if (!v) {
        return blkback_fail(-XEN_ENOMEM, why, size, "%s: no memory", disk->vdev);
    }
    append(v); /* before anything waits, so that its name is taken */
    error = *disk->target ? blkback_open(v, disk, &v->image, why, size) : 0;
    if (!error) {
        vbd_take_size(v);
        set_share(domid, disk);
        error = bring_up(v);
        if (error) {
            image_close(v->image);
            blkback_fail(error, why, size, "%s: cannot set it up: %s", disk->vdev,
                         vfs_strerror(error));
        }
    }
    if (error) {
        vbd_free(v);
    }
    return error;
}

static void detach(struct vbd *v)
{
    v->leaving = true;
    wait_event(&vbd_changed, v->users == 0);
    /* No more news of the front end; what it still has in flight completes first. */
    store_unwatch(v->watch);
    v->stop = true;
    waitq_wake(&v->wake);
    wait_event(&vbd_changed, v->gone);
    vbdnodes_remove(v);
    int error = image_close(v->image);
    if (error) {
        vbd_complain(v, "%s could not be closed: %s", v->info.file, vfs_strerror(error));
    }
    vbd_free(v);
    waitq_wake(&vbd_changed);
}

static bool let_go(domid_t domid, unsigned vdev_number)
{
    const struct vbd *v = blkback_find(domid, vdev_number);

    return !v || (v->closing && v->info.back_state == XenbusStateClosed);
}

int blkback_detach(domid_t domid, unsigned vdev_number, bool force)
{
    struct vbd *v = blkback_find(domid, vdev_number);

    if (!v) {
        return -XEN_ENOENT;
    }
    if (!force) {
        v->unplug = true;
        waitq_wake(&v->wake);
        if (!wait_event_timeout(&vbd_changed, let_go(domid, vdev_number), UNPLUG_NS)) {
            return -XEN_EBUSY;
        }
        v = blkback_find(domid, vdev_number);
    }
    if (v) {
        detach(v);
    }
    return 0;
}

static struct vbd *first_of(domid_t domid)
{
    struct vbd *v = vbd_all;

    while (v && v->domid != domid) {
        v = v->next;
    }
    return v;
}

void blkback_detach_all(domid_t domid)
{
    struct vbd *v;

    blkshare_hurry(domid);
    while ((v = first_of(domid)) != NULL) {
        if (v->leaving) { /* by somebody else */
            unsigned vdev_number = v->info.vdev_number;

            wait_event(&vbd_changed, !find(domid, vdev_number));
        } else {
            detach(v);
        }
    }
}

bool blkback_of_file(const char *file, struct blkback_info *out)
{
    const struct vbd *v = vbd_all;

    while (v && strcmp(v->info.file, file) != 0) {
        v = v->next;
    }
    if (v) {
        *out = v->info;
    }
    return v;
}

unsigned blkback_list(domid_t domid, struct blkback_info *out, unsigned max)
{
    unsigned n = 0;

    for (struct vbd *v = vbd_all; v && n < max; v = v->next) {
        if (v->domid == domid) {
            out[n++] = v->info;
        }
    }
    return n;
}
