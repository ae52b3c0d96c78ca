/* SPDX-License-Identifier: MIT */
/*
 * A disk's thread: follows the front end's state (<xen/io/xenbus.h>), connects and disconnects its
 * rings, and drives its requests.
 */

#include "dom0/blk/vbd.h"

#include <stdarg.h>
#include <stdio.h>
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

bool vbd_is_dirty(const struct vbd *v)
{
    return v->image && image_is_dirty(v->image);
}

void vbd_take_size(struct vbd *v)
{
    v->info.sectors = v->image ? image_size(v->image) / BLKREQ_SECTOR : 0;
    v->disk.sectors = v->info.sectors;
}

static void follow_front(struct vbd *v)
{
    uint32_t state;

    v->front_changed = false;
    if (!vbd_read_number(v, "state", &state) || state > XenbusStateReconfigured) {
        state = XenbusStateUnknown;
    }
    v->info.front_state = state;
    switch (state) {
    case XenbusStateInitialising:
        /* From the start; or again, after the guest's boot loader has closed the disk. */
        vbd_disconnect(v);
        vbdnodes_set_state(v, v->unplug ? XenbusStateClosed : XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (v->info.back_state == XenbusStateInitWait) {
            vbd_connect(v);
        }
        break;
    case XenbusStateClosing:
        vbd_disconnect(v);
        vbdnodes_set_state(v, XenbusStateClosing);
        break;
    case XenbusStateUnknown:
    case XenbusStateClosed:
        vbd_disconnect(v);
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
           (v->unplug && !v->closing) || vbd_has_event(v);
}

void vbd_run(void *arg)
{
    struct vbd *v = arg;

    while (!v->stop) {
        if (!vbd_is_dirty(v)) {
            wait_event(&v->wake, has_work(v));
        } else if (!wait_event_timeout(&v->wake, has_work(v), FLUSH_NS)) {
            vbd_flush_tables(v);
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
        if (vbd_has_event(v) && !vbdio_start_all(v)) {
            vbd_complain(v, "bad index in its ring; the disk is closed");
            vbd_disconnect(v);
            vbdnodes_set_state(v, XenbusStateClosing);
        }
        thread_yield();
    }
    vbd_disconnect(v);
    v->gone = true;
    waitq_wake(&vbd_changed);
}
