/* SPDX-License-Identifier: MIT */
/*
 * Finding a virtual disk in the store and shaking hands with its back end: we wait for its
 * InitWait, publish ring and event channel, say Initialised; it maps them, publishes the size, says
 * Connected, and so do we.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfront.h"
#include "blkfront_internal.h"
#include "event.h"
#include "grant.h"
#include "hv/lib/ctype.h"
#include "hypercall.h"
#include "mm.h"
#include "xenbus.h"

#define TIMEOUT_NS 30000000000UL
#define PATH_MAX_  256

/* Device numbers of xvdX, as Linux and the Xen tools count them. */
#define XVD_MAJOR    202
#define XVD_PER_DISK 16

static struct blkfront *open_disks;

/* --- which disk ---------------------------------------------------------------------------- */

/* "xvdb" is 202 << 8 | 16; anything else is no name of this kind. */
static bool name_to_number(const char *name, unsigned long *number)
{
    if (strncmp(name, "xvd", 3) != 0 || !is_lower(name[3]) || name[4]) {
        return false;
    }
    *number = (XVD_MAJOR << 8) + (unsigned long)(name[3] - 'a') * XVD_PER_DISK;
    return true;
}

/* Writes the directory name of the disk that is meant. */
static int find_disk(const char *which, char *number, size_t size)
{
    unsigned count;
    char **disks = xs_ls("device/vbd", &count), *end;
    unsigned long wanted = 0, place = 0;
    int rc = -XEN_ENODEV;

    if (!disks) {
        return xs_last_error() == -XEN_ENOENT ? -XEN_ENODEV : xs_last_error();
    }
    if (which && !name_to_number(which, &wanted)) {
        place = wanted = strtoul(which, &end, 10);
        count = *end ? 0 : count;
    }
    for (unsigned i = 0; i < count; i++) {
        if (strtoul(disks[i], NULL, 10) == wanted && which) {
            snprintf(number, size, "%s", disks[i]);
            rc = 0;
        }
    }
    if (rc && place < count && (!which || is_digit(*which))) {
        snprintf(number, size, "%s", disks[place]);
        rc = 0;
    }
    free(disks);
    return rc;
}

/* --- the handshake ------------------------------------------------------------------------- */

static void disk_event(evtchn_port_t port, void *arg)
{
    struct blkfront *disk = arg;

    (void)port;
    waitq_wake(&disk->wait);
}

static int read_u64(const char *dir, const char *name, uint64_t *value)
{
    char path[PATH_MAX_];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return xs_read_u64(path, value);
}

static int write_u64(const char *dir, const char *name, uint64_t value)
{
    char path[PATH_MAX_];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return xs_printf(path, "%lu", value);
}

static int wait_backend(const struct blkfront *disk, unsigned states)
{
    unsigned gone = 1U << XenbusStateClosing | 1U << XenbusStateClosed;
    enum xenbus_state state = xenbus_wait_state(disk->backend_dir, states | gone, TIMEOUT_NS);

    if (state == XenbusStateUnknown) {
        return -XEN_ETIMEDOUT;
    }
    return states & (1U << state) ? 0 : -XEN_EIO;
}

static int publish(const struct blkfront *disk)
{
    char path[PATH_MAX_];
    int rc;

    do {
        rc = xs_begin();
        if (rc) {
            return rc;
        }
        snprintf(path, sizeof(path), "%s/protocol", disk->dir);
        rc = write_u64(disk->dir, "ring-ref", disk->ring_ref);
        rc = rc ? rc : write_u64(disk->dir, "event-channel", disk->port);
        rc = rc ? rc : xs_write(path, XEN_IO_PROTO_ABI_X86_64);
        if (rc) {
            xs_end(true);
            return rc;
        }
        rc = xs_end(false);
    } while (rc == -XEN_EAGAIN);
    return rc ? rc : xenbus_set_state(disk->dir, XenbusStateInitialised);
}

/* What the back end tells about the disk once it is connected. */
static int read_geometry(struct blkfront *disk)
{
    uint64_t sector_size, info = 0, flush = 0, barrier = 0, discard = 0, indirect = 0;

    if (read_u64(disk->backend_dir, "sectors", &disk->sectors) ||
        read_u64(disk->backend_dir, "sector-size", &sector_size) || sector_size < BLKFRONT_SECTOR ||
        sector_size % BLKFRONT_SECTOR ||
        __builtin_mul_overflow(disk->sectors, sector_size / BLKFRONT_SECTOR, &disk->sectors)) {
        return -XEN_EIO;
    }
    read_u64(disk->backend_dir, "info", &info);
    read_u64(disk->backend_dir, "feature-flush-cache", &flush);
    disk->readonly = info & VDISK_READONLY;
    disk->can_flush = flush == 1;
    read_u64(disk->backend_dir, "feature-barrier", &barrier);
    disk->can_barrier = barrier == 1;
    read_u64(disk->backend_dir, "feature-discard", &discard);
    disk->can_discard = discard == 1;
    read_u64(disk->backend_dir, "feature-max-indirect-segments", &indirect);
    disk->max_segs = indirect >= BLKFRONT_SEGS ? BLKFRONT_SEGS : BLKIF_MAX_SEGMENTS_PER_REQUEST;
    return 0;
}

static bool is_open(const struct blkfront *disk)
{
    const struct blkfront *d = open_disks;

    while (d && d != disk) {
        d = d->next;
    }
    return d;
}

/* What the back end says by now: it wants the disk back, is gone, or the size has changed. It may
 * be closed here while this waits for the store. */
static void take_news(struct blkfront *disk, const char *dir)
{
    enum xenbus_state state = xenbus_state(dir);
    uint64_t sectors;

    if (state == XenbusStateConnected && read_u64(dir, "sectors", &sectors) == 0) {
        if (is_open(disk)) {
            disk->sectors = sectors;
        }
    } else if (is_open(disk)) {
        disk->leaving = true;
        disk->gone = state == XenbusStateUnknown;
        waitq_wake(&disk->wait);
    }
}

/* The back end's state was written. */
static void backend_changed(const char *path, const char *token, void *arg)
{
    char dir[PATH_MAX_];

    (void)token;
    snprintf(dir, sizeof(dir), "%s", path);
    if (strrchr(dir, '/')) {
        *strrchr(dir, '/') = '\0';
    }
    take_news(arg, dir);
}

void blkfront_ask(struct blkfront *disk)
{
    take_news(disk, disk->backend_dir);
}

/* The watch's path and token. */
static void watch_names(const struct blkfront *disk, char path[PATH_MAX_], char token[32])
{
    snprintf(path, PATH_MAX_, "%s/state", disk->backend_dir);
    snprintf(token, 32, "disk %p", (const void *)disk);
}

static int make_ring(struct blkfront *disk)
{
    blkif_sring_t *sring = page_alloc(0);
    int rc;

    if (!sring) {
        return -XEN_ENOMEM;
    }
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&disk->ring, sring, PAGE_SIZE);
    rc = grant_access(disk->backend, virt_to_mfn(sring), false);
    if (rc < 0) {
        return rc;
    }
    disk->ring_ref = (grant_ref_t)rc;
    rc = event_alloc_unbound(disk->backend, disk_event, disk);
    if (rc < 0) {
        return rc;
    }
    disk->port = (evtchn_port_t)rc;
    return 0;
}

static int connect(struct blkfront *disk)
{
    char path[PATH_MAX_];
    uint64_t backend;
    int rc = read_u64(disk->dir, "backend-id", &backend);

    if (rc) {
        return rc;
    }
    disk->backend = (domid_t)backend;
    snprintf(path, sizeof(path), "%s/backend", disk->dir);
    disk->backend_dir = xs_read(path);
    if (!disk->backend_dir) {
        return xs_last_error();
    }
    rc = wait_backend(disk, 1U << XenbusStateInitWait);
    rc = rc ? rc : make_ring(disk);
    rc = rc ? rc : publish(disk);
    rc = rc ? rc : wait_backend(disk, 1U << XenbusStateConnected);
    rc = rc ? rc : read_geometry(disk);
    return rc ? rc : xenbus_set_state(disk->dir, XenbusStateConnected);
}

/* --- open and close ------------------------------------------------------------------------ */

static void release(struct blkfront *disk)
{
    if (disk->port) {
        event_close(disk->port);
    }
    for (unsigned i = 0; i < BLKFRONT_SLOTS; i++) {
        if (disk->slots[i].indirect && grant_end(disk->slots[i].indirect_ref) == 0) {
            page_free(disk->slots[i].indirect, 0);
        }
    }
    /* A back end that keeps the ring mapped keeps the page: better lost than shared. */
    if (disk->ring.sring && (!disk->ring_ref || grant_end(disk->ring_ref) == 0)) {
        page_free(disk->ring.sring, 0);
    }
    free(disk->backend_dir);
    free(disk);
}

struct blkfront *blkfront_open(const char *which, int *rc)
{
    struct blkfront *disk = NULL;
    char number[24], path[PATH_MAX_], token[32];
    int ignored = 0;

    rc = rc ? rc : &ignored;
    *rc = find_disk(which, number, sizeof(number));
    for (struct blkfront *d = open_disks; d && !*rc; d = d->next) {
        if (strcmp(d->dir + strlen("device/vbd/"), number) == 0) {
            *rc = -XEN_EBUSY;
        }
    }
    if (*rc) {
        return NULL;
    }
    disk = calloc(1, sizeof(*disk));
    if (!disk) {
        *rc = -XEN_ENOMEM;
        return NULL;
    }
    snprintf(disk->dir, sizeof(disk->dir), "device/vbd/%s", number);
    disk->handle = (blkif_vdev_t)strtoul(number, NULL, 10);
    disk->free_slots = BLKFRONT_SLOTS;
    waitq_init(&disk->wait);
    *rc = connect(disk);
    if (*rc) {
        xenbus_set_state(disk->dir, XenbusStateClosed);
        release(disk);
        return NULL;
    }
    disk->next = open_disks;
    open_disks = disk;
    watch_names(disk, path, token);
    xs_watch(path, token, backend_changed, disk);
    return disk;
}

void blkfront_close(struct blkfront *disk)
{
    struct blkfront **at = &open_disks;
    unsigned gone = 1U << XenbusStateClosed | 1U << XenbusStateUnknown;
    char path[PATH_MAX_], token[32];

    watch_names(disk, path, token);
    xs_unwatch(path, token);
    if (!disk->gone) {
        xenbus_set_state(disk->dir, XenbusStateClosing);
        xenbus_wait_state(disk->backend_dir, 1U << XenbusStateClosing | gone, TIMEOUT_NS);
        xenbus_set_state(disk->dir, XenbusStateClosed);
        xenbus_wait_state(disk->backend_dir, 1U << XenbusStateInitWait | gone, TIMEOUT_NS);
    }
    while (*at != disk) {
        at = &(*at)->next;
    }
    *at = disk->next;
    release(disk);
}
