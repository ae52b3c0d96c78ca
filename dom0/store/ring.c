/* SPDX-License-Identifier: MIT */
/*
 * The store's service thread: maps the guests' store pages, listens to their event channels, and
 * serves them in turn.
 */

#include "dom0/store/api.h"
#include "dom0/store/core.h"
#include "dom0/store/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <rt/event.h>
#include <rt/mm.h>
#include <rt/thread.h>

struct client {
    struct client *next;
    struct store_ring ring;
    domid_t domid;
    int port;     /* 0 once closed */
    bool pending; /* set by the event handler, too */
};

static struct client *clients;
static struct waitq wake = WAITQ_INIT;
static bool kicked; /* something is to be sent, or a callback to be called */

static void log_line(const char *line)
{
    printf("%s\n", line);
}

static void kick(void)
{
    kicked = true;
    waitq_wake(&wake);
}

static void on_event(evtchn_port_t port, void *arg)
{
    struct client *c = arg;

    (void)port;
    c->pending = true;
    waitq_wake(&wake);
}

static void close_port(struct client *c)
{
    if (c->port > 0) {
        event_close((evtchn_port_t)c->port);
        c->port = 0;
    }
}

static void serve(struct client *c)
{
    c->pending = false;
    switch (store_ring_pump(&c->ring)) {
    case STORE_RING_IDLE:
        break;
    case STORE_RING_MOVED:
        c->pending = true;
        event_send((evtchn_port_t)c->port);
        break;
    case STORE_RING_BROKEN:
        close_port(c);
        break;
    }
}

static bool work_waits(void)
{
    if (kicked) {
        return true;
    }
    for (struct client *c = clients; c; c = c->next) {
        if (c->pending) {
            return true;
        }
    }
    return false;
}

/* Each domain gets a bounded piece of work in each round, and other threads run between rounds. */
static void service(void *unused)
{
    (void)unused;
    for (;;) {
        bool all;

        wait_event(&wake, work_waits());
        all = kicked;
        kicked = false;
        store_watch_dispatch(store_instance());
        for (struct client *c = clients; c; c = c->next) {
            if (all || c->pending) {
                serve(c);
            }
        }
        thread_yield();
    }
}

int store_service_start(void)
{
    struct store *s = store_instance();
    int error = store_init(s, log_line);

    if (error) {
        return error;
    }
    s->kick = kick;
    /* The places that are always there, so that the first domain leaves nothing new behind. */
    error = store_mkdir("/local/domain");
    error = error ? error : store_mkdir("/vm");
    if (error) {
        return error;
    }
    return thread_create("xenstore", service, NULL) ? 0 : -XEN_ENOMEM;
}

static int connect(struct client *c, xen_pfn_t mfn, evtchn_port_t remote_port)
{
    struct store_conn *conn;
    void *page = map_frames(&mfn, 1, c->domid, MAP_WRITE, NULL);
    int error;

    if (!page) {
        return -XEN_EFAULT;
    }
    error = store_domain_introduce(store_instance(), c->domid, &conn);
    if (!error) {
        error = store_ring_start(&c->ring, page, conn);
        if (error) {
            store_domain_release(store_instance(), c->domid);
        }
    }
    if (error) {
        unmap_frames(page, 1);
        return error;
    }
    c->port = event_bind_interdomain(c->domid, remote_port, on_event, c);
    if (c->port < 0) {
        store_domain_release(store_instance(), c->domid);
        unmap_frames(page, 1);
        return c->port;
    }
    return 0;
}

int store_introduce(domid_t domid, xen_pfn_t mfn, evtchn_port_t remote_port)
{
    struct client *c = calloc(1, sizeof(*c));
    int error;

    if (!c) {
        return -XEN_ENOMEM;
    }
    c->domid = domid;
    error = connect(c, mfn, remote_port);
    if (error) {
        free(c);
        return error;
    }
    c->pending = true;
    c->next = clients;
    clients = c;
    waitq_wake(&wake);
    return 0;
}

void store_release(domid_t domid)
{
    for (struct client **link = &clients; *link; link = &(*link)->next) {
        struct client *c = *link;

        if (c->domid == domid) {
            *link = c->next;
            close_port(c);
            unmap_frames(c->ring.page, 1);
            free(c);
            break;
        }
    }
    store_domain_release(store_instance(), domid);
}
