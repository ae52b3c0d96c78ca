/* SPDX-License-Identifier: MIT */
/*
 * Watches and their events. A domain is told of a change only if it may read the node or its
 * parent, before or after (XSA-115). A guest that does not take its events loses none for good:
 * when the queue is full the watch is marked, and fires again, on its own path, once there is room.
 */

#include "dom0/store/core.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static struct store_watch *find(struct store_conn *conn, const char *path, const char *token)
{
    struct store_watch *w = conn->watches;

    while (w && (w->fn || strcmp(w->path, path) != 0 || strcmp(w->token, token) != 0)) {
        w = w->next;
    }
    return w;
}

int store_watch_add(struct store_conn *conn, const char *path, const char *token, store_watch_fn fn,
                    void *arg, struct store_watch **out)
{
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;

    if (token_size > STORE_TOKEN_MAX) {
        return -XEN_E2BIG;
    }
    if (!fn && find(conn, path, token)) {
        return -XEN_EEXIST;
    }
    if (conn->domid != 0 && conn->nwatches >= STORE_QUOTA_WATCHES) {
        return store_refuse(conn->store, conn->domid, STORE_Q_WATCHES, path, -XEN_E2BIG);
    }
    struct store_watch *w = calloc(1, sizeof(*w) + path_size + token_size);
    if (!w) {
        return -XEN_ENOMEM;
    }
    w->conn = conn;
    w->fn = fn;
    w->arg = arg;
    w->token = w->path + path_size;
    memcpy(w->path, path, path_size);
    memcpy(w->token, token, token_size);
    w->next = conn->watches;
    conn->watches = w;
    conn->nwatches++;
    *out = w;
    return 0;
}

int store_watch_remove(struct store_conn *conn, const char *path, const char *token)
{
    struct store_watch *w = find(conn, path, token);

    if (!w) {
        return -XEN_ENOENT;
    }
    store_watch_free(w);
    return 0;
}

/* Forgets the events of a watch that is about to go. */
static void purge_local(struct store *s, const struct store_watch *w)
{
    struct store_local_event **link = &s->local;

    while (*link) {
        struct store_local_event *e = *link;

        if (e->watch == w) {
            *link = e->next;
            free(e);
        } else {
            link = &e->next;
        }
    }
    s->local_tail = link;
}

/* Frees a watch that is in no list any more. */
static void release(struct store_watch *w)
{
    w->conn->nwatches--;
    purge_local(w->conn->store, w);
    free(w);
}

void store_watch_free(struct store_watch *w)
{
    struct store_watch **link = &w->conn->watches;

    while (*link != w) {
        link = &(*link)->next;
    }
    *link = w->next;
    release(w);
}

void store_watch_drop_all(struct store_conn *conn)
{
    struct store_watch *w = conn->watches;

    conn->watches = NULL;
    while (w) {
        struct store_watch *next = w->next;

        release(w);
        w = next;
    }
}

/* Queues an event of domain 0's own. */
static int local_event(struct store_watch *w, const char *path)
{
    struct store *s = w->conn->store;

    for (struct store_local_event *e = s->local; e; e = e->next) {
        if (e->watch == w && strcmp(e->path, path) == 0) {
            return 0;
        }
    }
    struct store_local_event *e = malloc(sizeof(*e) + strlen(path) + 1);
    if (!e) {
        return -XEN_ENOMEM;
    }
    e->next = NULL;
    e->watch = w;
    strcpy(e->path, path);
    *s->local_tail = e;
    s->local_tail = &e->next;
    return 0;
}

static void queue_event(struct store_watch *w, const char *path)
{
    struct store *s = w->conn->store;
    const char *shown = path;
    int error;

    if (w->relative) {
        /* The watch is below /local/domain/N/, so is what it sees: leave out four slashes. */
        for (unsigned slashes = 0; slashes < 4; shown++) {
            slashes += *shown == '/';
        }
    }
    error = w->fn ? local_event(w, path) : store_conn_event(w->conn, shown, w->token);
    if (error) {
        w->lost = true;
        if (error == -XEN_ENOSPC) {
            store_refuse(s, w->conn->domid, STORE_Q_EVENTS, path, error);
        }
    }
    if (s->kick) {
        s->kick();
    }
}

void store_watch_first(struct store_watch *w)
{
    w->lost = false;
    queue_event(w, w->path);
}

void store_watch_retry(struct store_conn *conn)
{
    for (struct store_watch *w = conn->watches; w; w = w->next) {
        if (w->lost) {
            store_watch_first(w);
            if (w->lost) {
                return;
            }
        }
    }
}

static bool readable(struct store_node *root, domid_t domid, const char *path)
{
    struct store_node *n = store_tree_find(root, path, 0);

    if (n && (store_perm_of(n, domid) & STORE_READ)) {
        return true;
    }
    n = store_tree_find(root, path, 1);
    return n && (store_perm_of(n, domid) & STORE_READ);
}

/* May the domain know that `what` has changed? */
static bool may_know(struct store *s, struct store_node *before, domid_t domid, const char *what)
{
    return readable(s->root, domid, what) || readable(before, domid, what);
}

void store_watch_fire(struct store *s, const char *path, struct store_node *before, bool removed)
{
    for (struct store_conn *conn = s->conns; conn; conn = conn->next) {
        int allowed = -1; /* for `path`: looked up once, not for each watch */

        for (struct store_watch *w = conn->watches; w; w = w->next) {
            if (w->lost) {
                continue; /* it will fire anyway */
            }
            if (store_path_within(path, w->path)) {
                if (allowed < 0) {
                    allowed = may_know(s, before, conn->domid, path);
                }
                if (allowed) {
                    queue_event(w, path);
                }
            } else if (removed && store_path_within(w->path, path) &&
                       store_tree_find(before, w->path, 0) &&
                       may_know(s, before, conn->domid, w->path)) {
                queue_event(w, w->path); /* below a removed node: it sees its own node go */
            }
        }
    }
}

void store_watch_fire_special(struct store *s, const char *name)
{
    for (struct store_watch *w = s->self->watches; w; w = w->next) {
        if (strcmp(w->path, name) == 0) {
            queue_event(w, name);
        }
    }
}

bool store_watch_dispatch(struct store *s)
{
    bool any = false;

    store_watch_retry(s->self);
    while (s->local) {
        struct store_local_event *e = s->local;

        s->local = e->next;
        if (!s->local) {
            s->local_tail = &s->local;
        }
        /* The callback may remove any watch, this one too. */
        e->watch->fn(e->path, e->watch->arg);
        free(e);
        any = true;
    }
    return any;
}
