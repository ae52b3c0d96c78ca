/* SPDX-License-Identifier: MIT */
/* The console service: one thread that serves all rings in turn. */

#include "dom0/console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rt/clock.h>
#include <rt/event.h>
#include <rt/mm.h>
#include <rt/thread.h>
#include <xen/errno.h>
#include "dom0/console/bucket.h"
#include "dom0/console/conlog.h"
#include "dom0/console/conring.h"
#include "dom0/console/filter.h"

#define REPLAY 4096

struct console {
    struct console *next;
    domid_t domid;
    int port;
    bool pending; /* set by the event handler, too */
    bool broken;
    bool attached;
    struct conring ring;
    struct conlog *log;
    struct bucket bucket;
    struct console_sink sink;
    struct filter filter;
    uint64_t shown; /* of the log, by some attachment */
    char input[CONSOLE_INPUT];
    size_t ninput;
};

/* Protects everything below against whoever runs while a sink or the mapping of a page waits. */
static struct mutex lock = MUTEX_INIT;
static struct console *consoles;
static struct waitq wake = WAITQ_INIT;

static struct console *find(domid_t domid)
{
    struct console *c = consoles;

    while (c && c->domid != domid) {
        c = c->next;
    }
    return c;
}

static void on_event(evtchn_port_t port, void *arg)
{
    struct console *c = arg;

    (void)port;
    c->pending = true;
    waitq_wake(&wake);
}

/* The guest has broken its ring: the console is of no use any more, its log is. */
static void give_up(struct console *c)
{
    static const char note[] = "\n[console: bad index in the guest's ring; closed]\n";

    c->broken = true;
    c->pending = false;
    printf("console: d%u: bad index in its console ring; the console is closed\n", c->domid);
    conlog_write(c->log, note, sizeof(note) - 1);
    event_close((evtchn_port_t)c->port);
}

/* Moves up to `most` bytes into the log; true if there was anything. */
static bool take(struct console *c, size_t most)
{
    char buf[512];
    long n;

    if (c->broken || most == 0) {
        return false;
    }
    n = conring_take(&c->ring, buf, most < sizeof(buf) ? most : sizeof(buf));
    if (n < 0) {
        give_up(c);
        return false;
    }
    conlog_write(c->log, buf, (size_t)n);
    return n > 0;
}

static bool give(struct console *c)
{
    long n;

    if (c->broken || c->ninput == 0) {
        return false;
    }
    n = conring_give(&c->ring, c->input, c->ninput);
    if (n < 0) {
        give_up(c);
        return false;
    }
    c->ninput -= (size_t)n;
    memmove(c->input, c->input + n, c->ninput);
    return n > 0;
}

static void show(struct console *c)
{
    char buf[512], note[48];
    uint64_t skipped;
    size_t n;

    while (c->attached && (n = conlog_read(c->log, &c->shown, buf, sizeof(buf), &skipped)) > 0) {
        if (skipped > 0) {
            int len = snprintf(note, sizeof(note), "\r\n[... %llu bytes dropped]\r\n",
                               (unsigned long long)skipped);
            c->sink.output(c->sink.arg, note, (size_t)len);
        }
        filter_feed(&c->filter, buf, n);
    }
}

static void serve(struct console *c)
{
    uint64_t level = bucket_level(&c->bucket, clock_ns());
    uint64_t before = c->log->total;
    bool moved;

    c->pending = false;
    moved = take(c, (size_t)level);
    if (moved) {
        bucket_take(&c->bucket, c->log->total - before);
        c->pending = true; /* there may be more */
    } else if (level == 0 && !c->broken) {
        c->pending = true; /* it waits for the bucket */
    }
    if (give(c) || moved) {
        event_send((evtchn_port_t)c->port);
    }
    show(c);
}

/* Nanoseconds until there is something to do, UINT64_MAX for an event to come, 0 for now. */
static uint64_t next_work(void)
{
    uint64_t soonest = UINT64_MAX;

    for (struct console *c = consoles; c; c = c->next) {
        if (c->pending) {
            /* Not for each byte that the bucket gains: for a good piece at once. */
            bool empty = bucket_level(&c->bucket, clock_ns()) == 0;
            uint64_t ns = empty ? bucket_wait_ns(&c->bucket, CONSOLE_RATE / 64) : 0;

            soonest = ns < soonest ? ns : soonest;
        }
    }
    return soonest;
}

static void service(void *unused)
{
    (void)unused;
    for (;;) {
        uint64_t ns = next_work();

        if (ns == UINT64_MAX) {
            wait_event(&wake, next_work() != UINT64_MAX);
        } else if (ns > 0) {
            wait_event_timeout(&wake, next_work() == 0, ns);
        }
        mutex_lock(&lock);
        for (struct console *c = consoles; c; c = c->next) {
            if (c->pending) {
                serve(c);
            }
        }
        mutex_unlock(&lock);
        thread_yield();
    }
}

int console_service_start(void)
{
    int error = conlog_start();

    if (error) {
        return error;
    }
    return thread_create("console", service, NULL) ? 0 : -XEN_ENOMEM;
}

/* All that a console needs, or nothing. */
static int set_up(struct console *c, const char *name, xen_pfn_t mfn, evtchn_port_t remote_port)
{
    struct xencons_interface *page = map_frames(&mfn, 1, c->domid, MAP_WRITE, NULL);

    if (!page) {
        return -XEN_EFAULT;
    }
    conring_init(&c->ring, page);
    bucket_init(&c->bucket, CONSOLE_RATE, CONSOLE_BURST, clock_ns());
    c->port = event_bind_interdomain(c->domid, remote_port, on_event, c);
    if (c->port < 0) {
        unmap_frames(page, 1);
        return c->port;
    }
    c->log = conlog_open(c->domid, name);
    if (!c->log) {
        event_close((evtchn_port_t)c->port);
        unmap_frames(page, 1);
        return -XEN_ENOMEM;
    }
    c->pending = true;
    return 0;
}

static int add_locked(domid_t domid, const char *name, xen_pfn_t mfn, evtchn_port_t remote_port)
{
    struct console *c;
    int error;

    if (find(domid)) {
        return -XEN_EEXIST;
    }
    c = calloc(1, sizeof(*c));
    if (!c) {
        return -XEN_ENOMEM;
    }
    c->domid = domid;
    error = set_up(c, name, mfn, remote_port);
    if (error) {
        free(c);
        return error;
    }
    c->next = consoles;
    consoles = c;
    return 0;
}

int console_add(domid_t domid, const char *name, xen_pfn_t mfn, evtchn_port_t remote_port)
{
    mutex_lock(&lock);
    int error = add_locked(domid, name, mfn, remote_port);
    mutex_unlock(&lock);
    waitq_wake(&wake);
    return error;
}

static void remove_locked(struct console *c)
{
    struct console **link = &consoles;

    /* The ring holds 2 KiB: what the guest said last is what matters most. */
    for (unsigned i = 0; i < 8 && take(c, 512); i++) {
    }
    show(c);
    if (c->attached) {
        filter_end(&c->filter);
        c->sink.closed(c->sink.arg, "the domain is gone");
    }
    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    if (!c->broken) {
        event_close((evtchn_port_t)c->port);
    }
    unmap_frames(c->ring.page, 1);
    conlog_close(c->log);
    free(c);
}

void console_remove(domid_t domid)
{
    mutex_lock(&lock);
    struct console *c = find(domid);
    if (c) {
        remove_locked(c);
    }
    mutex_unlock(&lock);
}

void console_rename(domid_t domid, const char *name)
{
    mutex_lock(&lock);
    struct console *c = find(domid);
    if (c) {
        snprintf(c->log->name, sizeof(c->log->name), "%s", name);
    }
    mutex_unlock(&lock);
}

int console_attach(domid_t domid, const struct console_sink *sink)
{
    int error = 0;

    mutex_lock(&lock);
    struct console *c = find(domid);
    if (!c || c->attached) {
        error = c ? -XEN_EBUSY : -XEN_ENOENT;
    } else {
        c->sink = *sink;
        c->attached = true;
        filter_init(&c->filter, FILTER_TERMINAL, NULL, sink->output, sink->arg);
        if (c->log->total - c->shown > REPLAY) {
            c->shown = c->log->total - REPLAY;
        }
        c->pending = true;
    }
    mutex_unlock(&lock);
    waitq_wake(&wake);
    return error;
}

void console_detach(domid_t domid)
{
    mutex_lock(&lock);
    struct console *c = find(domid);
    if (c) {
        /* What was typed before the key to leave is the guest's, as far as it fits. */
        if (give(c))
            event_send((evtchn_port_t)c->port);
        c->attached = false;
        c->ninput = 0;
    }
    mutex_unlock(&lock);
}

size_t console_input(domid_t domid, const char *text, size_t n)
{
    size_t room = 0;

    mutex_lock(&lock);
    struct console *c = find(domid);
    if (c && !c->broken) {
        room = sizeof(c->input) - c->ninput;
        room = n < room ? n : room;
        memcpy(c->input + c->ninput, text, room);
        c->ninput += room;
        c->pending = true;
    }
    mutex_unlock(&lock);
    waitq_wake(&wake);
    return room;
}
