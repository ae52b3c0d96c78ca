/* SPDX-License-Identifier: MIT */
/* The nodes of both ends of a disk in the store, as xl makes them. */

#include "dom0/blk/vbd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dom0/config/diskspec.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

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

/* What changes with the medium. */
static void put_medium(struct batch *b, const struct vbd *v)
{
    put(b, "params", "%s", v->info.file);
    put(b, "format", "%s", image_format_name(v->info.format));
    put(b, "sectors", "%llu", (unsigned long long)v->info.sectors);
}

static void put_features(struct batch *b, const struct vbd *v)
{
    struct vfs_df df;

    put(b, "feature-persistent", "1");
    put(b, "feature-max-indirect-segments", "%u", BLKREQ_SEGS);
    put(b, "multi-queue-max-queues", "%u", VBD_RINGS);
    /* A part of a file is given back in blocks of dom0's file system. */
    put(b, "discard-enable", "%d", !v->disk.no_discard);
    if (!v->info.readonly && !v->disk.no_discard && vfs_df(&df) == 0) {
        put(b, "feature-discard", "1");
        put(b, "discard-granularity", "%u", df.block_size);
        put(b, "discard-alignment", "0");
        put(b, "discard-secure", "0");
    }
}

/* The back end first: the front end shall find it complete. */
int vbdnodes_make(struct vbd *v)
{
    struct batch b = open_dir(v->back, 0, v->domid);
    unsigned kind = v->info.cdrom ? VDISK_CDROM | VDISK_REMOVABLE : 0;

    put(&b, "frontend", "%s", v->front);
    put(&b, "frontend-id", "%u", v->domid);
    put(&b, "type", "file");
    put_medium(&b, v);
    put(&b, "dev", "%s", v->info.vdev);
    put(&b, "mode", "%s", v->info.readonly ? "r" : "w");
    put(&b, "device-type", "%s", v->info.cdrom ? "cdrom" : "disk");
    put(&b, "online", "1");
    put(&b, "removable", "%d", v->info.cdrom);
    put(&b, "bootable", "1");
    put(&b, "feature-flush-cache", "1");
    put(&b, "feature-barrier", "1");
    put_features(&b, v);
    put(&b, "sector-size", "%u", BLKREQ_SECTOR);
    put(&b, "info", "%u", kind | (v->info.readonly ? VDISK_READONLY : 0));
    put(&b, "state", "%u", v->info.back_state);
    if (b.error) {
        return b.error;
    }
    b = open_dir(v->front, v->domid, 0);
    put(&b, "backend", "%s", v->back);
    put(&b, "backend-id", "0");
    put(&b, "virtual-device", "%u", v->info.vdev_number);
    put(&b, "device-type", "%s", v->info.cdrom ? "cdrom" : "disk");
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

void vbdnodes_remove(struct vbd *v)
{
    remove_with_parent(v->back);
    remove_with_parent(v->front);
}

void vbdnodes_set_state(struct vbd *v, unsigned state)
{
    struct batch b = {.dir = v->back};

    if (v->info.back_state != state) {
        v->info.back_state = state;
        put(&b, "state", "%u", state);
        waitq_wake(&vbd_changed);
    }
}

void vbdnodes_set_offline(struct vbd *v)
{
    struct batch b = {.dir = v->back};

    put(&b, "online", "0");
}

int vbdnodes_set_medium(struct vbd *v)
{
    struct batch b = {.dir = v->back};

    put_medium(&b, v);
    put(&b, "state", "%u", v->info.back_state);
    return b.error;
}
