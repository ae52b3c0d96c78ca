/* SPDX-License-Identifier: MIT */
/* Disks come and go: files, nodes and threads. */

#include "dom0/blk/blkback.h"
#include "dom0/blk/vbd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include "dom0/config/diskspec.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

#define BACKENDS "/local/domain/0/backend/vbd"

static struct vbd *disks; /* in the order of attachment */

int blkback_start(void)
{
    return store_mkdir(BACKENDS);
}

static int fail(int error, char *why, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(int error, char *why, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, size, fmt, args);
    va_end(args);
    return error;
}

static struct vbd *find(domid_t domid, unsigned vdev_number)
{
    struct vbd *v = disks;

    while (v && (v->domid != domid || v->info.vdev_number != vdev_number)) {
        v = v->next;
    }
    return v;
}

static int open_image(struct vbd *v, const struct diskspec *disk, char *why, size_t size)
{
    char reason[IMAGE_WHY_MAX];
    int error = images_open(&v->env, v->info.file, disk->format, v->info.readonly ? 0 : IMAGE_WRITE,
                            NULL, &v->image, reason);

    if (error) {
        return fail(error, why, size, "%s", reason);
    }
    image_set_settle(v->image, vbdio_settle, v);
    v->info.sectors = image_size(v->image) / BLKREQ_SECTOR;
    v->disk.sectors = v->info.sectors;
    v->disk.readonly = v->info.readonly;
    v->dev = vfs_blkdev();
    return 0;
}

/* A batch of nodes of one directory; the first error is kept. */
struct batch {
    const char *dir;
    int error;
};

static void put(struct batch *b, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void put(struct batch *b, const char *name, const char *fmt, ...)
{
    char path[VBD_PATH + 32], value[320];
    va_list args;

    if (b->error) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    snprintf(path, sizeof(path), "%s/%s", b->dir, name);
    b->error = store_write(path, value);
}

/* The directory of one end: `owner` may write, `reader` may read. */
static struct batch open_dir(const char *dir, domid_t owner, domid_t reader)
{
    const struct store_perm perms[] = {{owner, STORE_NONE}, {reader, STORE_READ}};
    struct batch b = {.dir = dir, .error = store_mkdir(dir)};

    if (!b.error) {
        b.error = store_set_perms(dir, perms, 2);
    }
    return b;
}

/* As xl does it, the back end first: the front end shall find it complete. */
static int make_nodes(struct vbd *v)
{
    struct batch b = open_dir(v->back, 0, v->domid);

    put(&b, "frontend", "%s", v->front);
    put(&b, "frontend-id", "%u", v->domid);
    put(&b, "params", "%s", v->info.file);
    put(&b, "type", "file");
    put(&b, "format", "%s", image_format_name(v->info.format));
    put(&b, "dev", "%s", v->info.vdev);
    put(&b, "mode", "%s", v->info.readonly ? "r" : "w");
    put(&b, "device-type", "disk");
    put(&b, "online", "1");
    put(&b, "removable", "0");
    put(&b, "bootable", "1");
    put(&b, "feature-flush-cache", "1");
    put(&b, "sectors", "%llu", (unsigned long long)v->info.sectors);
    put(&b, "sector-size", "%u", BLKREQ_SECTOR);
    put(&b, "info", "%u", v->info.readonly ? VDISK_READONLY : 0);
    put(&b, "state", "%u", v->info.back_state);
    if (b.error) {
        return b.error;
    }
    b = open_dir(v->front, v->domid, 0);
    put(&b, "backend", "%s", v->back);
    put(&b, "backend-id", "0");
    put(&b, "virtual-device", "%u", v->info.vdev_number);
    put(&b, "device-type", "disk");
    put(&b, "state", "%u", XenbusStateInitialising);
    return b.error;
}

/* Removes a node, and its parent if that is empty then. */
static void remove_with_parent(const char *path)
{
    char parent[VBD_PATH], **names;
    unsigned count;

    store_rm(path);
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = '\0';
    if (store_ls(parent, &names, &count) == 0) {
        free(names);
        if (count == 0) {
            store_rm(parent);
        }
    }
}

static void remove_nodes(struct vbd *v)
{
    remove_with_parent(v->back);
    remove_with_parent(v->front);
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
    int error = make_nodes(v);

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
        remove_nodes(v);
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
    v->info.format = disk->format;
    snprintf(v->who, sizeof(v->who), "%s", who);
    images_env(&v->env, v->who, NULL);
    v->info.back_state = XenbusStateInitWait;
    snprintf(v->info.vdev, sizeof(v->info.vdev), "%s", disk->vdev);
    snprintf(v->info.file, sizeof(v->info.file), "%s", disk->target);
    snprintf(v->front, sizeof(v->front), "/local/domain/%u/device/vbd/%u", domid,
             disk->vdev_number);
    snprintf(v->back, sizeof(v->back), BACKENDS "/%u/%u", domid, disk->vdev_number);
    snprintf(v->info.backend_path, sizeof(v->info.backend_path), "%s", v->back);
    waitq_init(&v->wake);
    return v;
}

/* The last one: those before it keep their order. */
static void append(struct vbd *v)
{
    struct vbd **link = &disks;

    while (*link) {
        link = &(*link)->next;
    }
    *link = v;
}

static void unlink_vbd(struct vbd *v)
{
    struct vbd **link = &disks;

    while (*link != v) {
        link = &(*link)->next;
    }
    *link = v->next;
}

int blkback_attach(domid_t domid, const struct diskspec *disk, const char *who, char *why,
                   size_t size)
{
    struct vbd *v;
    int error;

    if (find(domid, disk->vdev_number)) {
        return fail(-XEN_EEXIST, why, size, "%s: the domain has a disk of that name already",
                    disk->vdev);
    }
    v = vbd_new(domid, disk, who);
    if (!v) {
        return fail(-XEN_ENOMEM, why, size, "%s: no memory", disk->vdev);
    }
    append(v); /* before anything waits, so that its name is taken */
    error = open_image(v, disk, why, size);
    if (!error) {
        error = bring_up(v);
        if (error) {
            image_close(v->image);
            fail(error, why, size, "%s: cannot set it up: %s", disk->vdev, vfs_strerror(error));
        }
    }
    if (error) {
        unlink_vbd(v);
        free(v);
    }
    return error;
}

static void detach(struct vbd *v)
{
    /* No more news of the front end; what it still has in flight completes first. */
    store_unwatch(v->watch);
    v->stop = true;
    waitq_wake(&v->wake);
    wait_event(&v->wake, v->gone);
    remove_nodes(v);
    int error = image_close(v->image);
    if (error) {
        vbd_complain(v, "%s could not be closed: %s", v->info.file, vfs_strerror(error));
    }
    unlink_vbd(v);
    free(v);
}

void blkback_detach(domid_t domid, unsigned vdev_number)
{
    struct vbd *v = find(domid, vdev_number);

    if (v && !v->stop) {
        detach(v);
    }
}

void blkback_detach_all(domid_t domid)
{
    for (struct vbd *v = disks; v;) {
        if (v->domid == domid && !v->stop) {
            detach(v);
            v = disks; /* the list may have changed while it waited */
        } else {
            v = v->next;
        }
    }
}

unsigned blkback_list(domid_t domid, struct blkback_info *out, unsigned max)
{
    unsigned n = 0;

    for (struct vbd *v = disks; v && n < max; v = v->next) {
        if (v->domid == domid) {
            out[n++] = v->info;
        }
    }
    return n;
}
