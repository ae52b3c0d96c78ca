/* SPDX-License-Identifier: MIT */
/*
 * A disk's thread: follows the front end's state (<xen/io/xenbus.h>), connects and disconnects its
 * ring, and drives its requests.
 *
 * The front end's nodes belong to the guest: nothing is taken from them but a state, a grant
 * reference and a port, parsed strictly, and the last two mean something only in that guest's own
 * tables.
 */

#include "dom0/blk/vbd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rt/event.h>
#include <xen/errno.h>
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

struct waitq vbd_changed = WAITQ_INIT;

/* A disk that was idle so long has its image's tables written. */
#define FLUSH_NS 2000000000ull

void vbd_complain(struct vbd *v, const char *fmt, ...)
{
    char text[160];
    va_list args;

    if (v->lines++ >= VBD_LINES) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    printf("blk: d%u %s: %s\n", v->domid, v->info.vdev, text);
    if (v->lines == VBD_LINES) {
        printf("blk: d%u %s: no more lines about this disk\n", v->domid, v->info.vdev);
    }
}

/* A node of the front end as a decimal number; false if it is missing or none. */
static bool read_number(const struct vbd *v, const char *name, uint32_t *value)
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
    struct vbd *v = arg;

    (void)port;
    v->event = true;
    waitq_wake(&v->wake);
}

/* Maps the ring and binds the port, or says why not. */
static bool connect_ring(struct vbd *v, grant_ref_t ref, evtchn_port_t remote)
{
    int error = grant_map(v->domid, &ref, 1, false, &v->ring_map);

    if (error) {
        vbd_complain(v, "ring-ref %u is no page that it lends us (error %d)", ref, -error);
        return false;
    }
    error = blkring_start(&v->ring, v->ring_map.va);
    if (error) {
        vbd_complain(v, "bad indices in its ring");
    } else {
        v->port = event_bind_interdomain(v->domid, remote, on_event, v);
        if (v->port < 0) {
            vbd_complain(v, "event-channel %u is no port for us (error %d)", remote, -v->port);
            error = v->port;
        }
    }
    if (error) {
        grant_unmap(&v->ring_map);
        return false;
    }
    return true;
}

static void connect(struct vbd *v)
{
    uint32_t ref, port;

    if (!read_number(v, "ring-ref", &ref) || !read_number(v, "event-channel", &port)) {
        vbd_complain(v, "no ring-ref or event-channel in %s", v->front);
        vbdnodes_set_state(v, XenbusStateClosing);
        return;
    }
    if (!protocol_known(v)) {
        vbd_complain(v, "unknown protocol; only x86_64-abi is served");
        vbdnodes_set_state(v, XenbusStateClosing);
        return;
    }
    if (!connect_ring(v, ref, port)) {
        vbdnodes_set_state(v, XenbusStateClosing);
        return;
    }
    v->connected = true;
    v->event = true;
    v->info.ring_ref = ref;
    v->info.event_channel = port;
    vbdnodes_set_state(v, XenbusStateConnected);
}

bool vbd_is_dirty(const struct vbd *v)
{
    return v->image && image_is_dirty(v->image);
}

void vbd_take_size(struct vbd *v)
{
    v->info.sectors = v->image ? image_size(v->image) / BLKREQ_SECTOR : 0;
    v->disk.sectors = v->info.sectors;
}

/* For front ends that never flush: what was allocated long ago is to be found after a power cut. */
static void flush_tables(struct vbd *v)
{
    int error = vbd_is_dirty(v) ? image_flush(v->image) : 0;

    if (error) {
        vbd_complain(v, "flush of %s: %s", v->info.file, vfs_strerror(error));
    }
}

/* Ends the connection when all that the device has of it is back. */
static void disconnect(struct vbd *v)
{
    if (!v->connected) {
        return;
    }
    vbdio_settle(v);
    flush_tables(v);
    event_close((evtchn_port_t)v->port);
    grant_unmap(&v->ring_map);
    v->connected = false;
    v->info.ring_ref = 0;
    v->info.event_channel = 0;
}

static void follow_front(struct vbd *v)
{
    uint32_t state;

    v->front_changed = false;
    if (!read_number(v, "state", &state) || state > XenbusStateReconfigured) {
        state = XenbusStateUnknown;
    }
    v->info.front_state = state;
    switch (state) {
    case XenbusStateInitialising:
        /* From the start; or again, after the guest's boot loader has closed the disk. */
        disconnect(v);
        vbdnodes_set_state(v, v->unplug ? XenbusStateClosed : XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (v->info.back_state == XenbusStateInitWait) {
            connect(v);
        }
        break;
    case XenbusStateClosing:
        disconnect(v);
        vbdnodes_set_state(v, XenbusStateClosing);
        break;
    case XenbusStateUnknown:
    case XenbusStateClosed:
        disconnect(v);
        vbdnodes_set_state(v, XenbusStateClosed);
        break;
    default:
        break;
    }
}

/* The disk is to go: a front end that has it is asked to let go of it, and may take its time. */
static void begin_closing(struct vbd *v)
{
    v->closing = true;
    vbdnodes_set_offline(v);
    vbdnodes_set_state(v, v->connected ? XenbusStateClosing : XenbusStateClosed);
}

static void serve_call(struct vbd *v)
{
    vbdio_settle(v);
    v->call.rc = v->call.fn(v, v->call.arg);
    v->call.state = VBD_CALL_DONE;
    waitq_wake(&vbd_changed);
}

int vbd_call(struct vbd *v, int (*fn)(struct vbd *v, void *arg), void *arg)
{
    int rc;

    v->users++;
    wait_event(&vbd_changed, v->call.state == VBD_CALL_NONE);
    v->call = (struct vbd_call){.fn = fn, .arg = arg, .state = VBD_CALL_WANTED};
    waitq_wake(&v->wake);
    wait_event(&vbd_changed, v->call.state == VBD_CALL_DONE);
    rc = v->call.rc;
    v->call.state = VBD_CALL_NONE;
    v->users--;
    waitq_wake(&vbd_changed);
    return rc;
}

static bool has_work(const struct vbd *v)
{
    return v->stop || v->front_changed || v->done || v->call.state == VBD_CALL_WANTED ||
           (v->unplug && !v->closing) || (v->connected && v->event);
}

void vbd_run(void *arg)
{
    struct vbd *v = arg;

    while (!v->stop) {
        if (!vbd_is_dirty(v)) {
            wait_event(&v->wake, has_work(v));
        } else if (!wait_event_timeout(&v->wake, has_work(v), FLUSH_NS)) {
            flush_tables(v);
        }
        vbdio_finish_all(v);
        if (v->front_changed) {
            follow_front(v);
        }
        if (v->unplug && !v->closing) {
            begin_closing(v);
        }
        if (v->call.state == VBD_CALL_WANTED) {
            serve_call(v);
        }
        if (v->connected && v->event && !vbdio_start_all(v)) {
            vbd_complain(v, "bad index in its ring; the disk is closed");
            disconnect(v);
            vbdnodes_set_state(v, XenbusStateClosing);
        }
        thread_yield();
    }
    disconnect(v);
    v->gone = true;
    waitq_wake(&vbd_changed);
}
