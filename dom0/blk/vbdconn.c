/* SPDX-License-Identifier: MIT */
/*
 * The connection of a disk: one ring, or one for each of the guest's processors
 * ("multi-queue-max-queues" in <xen/io/blkif.h>), all served by the disk's thread.
 *
 * The front end's nodes belong to the guest: nothing is taken from them but numbers, parsed
 * strictly, and grant references and ports mean something only in that guest's own tables.
 */

#include "dom0/blk/vbd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rt/event.h>
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

bool vbd_read_number(const struct vbd *v, const char *name, uint32_t *value)
{
    char path[VBD_PATH + 16];
    char *text;
    uint64_t n = 0;
    bool good;

    snprintf(path, sizeof(path), "%s/%s", v->front, name);
    text = store_read(path);
    good = text && *text;
    for (const char *p = text; good && *p; p++) {
        n = n * 10 + (uint64_t)(*p - '0');
        good = *p >= '0' && *p <= '9' && n <= UINT32_MAX;
    }
    free(text);
    *value = (uint32_t)n;
    return good;
}

static bool protocol_known(const struct vbd *v)
{
    char path[VBD_PATH + 16];

    snprintf(path, sizeof(path), "%s/protocol", v->front);
    char *text = store_read(path);
    bool known = !text || strcmp(text, "x86_64-abi") == 0;
    free(text);
    return known;
}

static void on_event(evtchn_port_t port, void *arg)
{
    struct vbd_ring *r = arg;

    (void)port;
    r->event = true;
    waitq_wake(&r->vbd->wake);
}

bool vbd_has_event(const struct vbd *v)
{
    for (unsigned i = 0; i < v->nrings; i++) {
        if (v->rings[i].event) {
            return true;
        }
    }
    return false;
}

/* Maps a ring and binds its port, or says why not. */
static bool connect_ring(struct vbd *v, struct vbd_ring *r, grant_ref_t ref, evtchn_port_t remote)
{
    int error = grant_map(v->domid, &ref, 1, false, &r->map);

    if (error) {
        vbd_complain(v, "ring-ref %u is no page that it lends us (error %d)", ref, -error);
        return false;
    }
    r->vbd = v;
    r->event = true;
    error = blkring_start(&r->ring, r->map.va);
    if (error) {
        vbd_complain(v, "bad indices in its ring");
    } else {
        r->port = event_bind_interdomain(v->domid, remote, on_event, r);
        if (r->port < 0) {
            vbd_complain(v, "event-channel %u is no port for us (error %d)", remote, -r->port);
            error = r->port;
        }
    }
    if (error) {
        grant_unmap(&r->map);
        return false;
    }
    return true;
}

/* The next ring; with several, its nodes lie in a folder of their own. */
static bool add_ring(struct vbd *v, bool several)
{
    char dir[16] = "", name[40];
    uint32_t ref, port;
    bool good;

    if (several) {
        snprintf(dir, sizeof(dir), "queue-%u/", v->nrings);
    }
    snprintf(name, sizeof(name), "%sring-ref", dir);
    good = vbd_read_number(v, name, &ref);
    snprintf(name, sizeof(name), "%sevent-channel", dir);
    if (!good || !vbd_read_number(v, name, &port)) {
        vbd_complain(v, "no %sring-ref or event-channel in %s", dir, v->front);
        return false;
    }
    if (!connect_ring(v, &v->rings[v->nrings], ref, port)) {
        return false;
    }
    if (v->nrings++ == 0) {
        v->info.ring_ref = ref;
        v->info.event_channel = port;
    }
    return true;
}

static bool add_rings(struct vbd *v)
{
    uint32_t count = 1;
    bool several = vbd_read_number(v, "multi-queue-num-queues", &count);

    if (several && (count == 0 || count > VBD_RINGS)) {
        vbd_complain(v, "multi-queue-num-queues is %u, not 1 to %u", count, VBD_RINGS);
        return false;
    }
    /* Linux and others write a single ring's nodes as if there were no others. */
    several = several && count > 1;
    for (uint32_t i = 0; i < (several ? count : 1); i++) {
        if (!add_ring(v, several)) {
            return false;
        }
    }
    return true;
}

static void drop_rings(struct vbd *v)
{
    while (v->nrings > 0) {
        struct vbd_ring *r = &v->rings[--v->nrings];

        event_close((evtchn_port_t)r->port);
        grant_unmap(&r->map);
        r->event = false;
    }
    v->info.ring_ref = 0;
    v->info.event_channel = 0;
}

void vbd_connect(struct vbd *v)
{
    uint32_t persistent = 0;

    if (!protocol_known(v)) {
        vbd_complain(v, "unknown protocol; only x86_64-abi is served");
    } else if (add_rings(v)) {
        v->connected = true;
        if (vbd_read_number(v, "feature-persistent", &persistent) && persistent == 1) {
            v->kept = calloc(1, sizeof(*v->kept)); /* without memory it works as well */
        }
        vbdnodes_set_state(v, XenbusStateConnected);
        return;
    }
    drop_rings(v);
    vbdnodes_set_state(v, XenbusStateClosing);
}

/* For front ends that never flush: what was allocated long ago is to be found after a power cut. */
void vbd_flush_tables(struct vbd *v)
{
    int error = vbd_is_dirty(v) ? image_flush(v->image) : 0;

    if (error) {
        vbd_complain(v, "flush of %s: %s", v->info.file, vfs_strerror(error));
    }
}

void vbd_disconnect(struct vbd *v)
{
    if (!v->connected) {
        return;
    }
    vbdio_settle(v);
    vbd_flush_tables(v);
    drop_rings(v);
    vbdpages_drop(v);
    vbddev_free_spare(v);
    v->connected = false;
}
