/* SPDX-License-Identifier: MIT */
/* Watches, the thread that serves them, and obedience to control/shutdown. See xenbus.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "console.h"
#include "hypercall.h"
#include "start.h"
#include "thread.h"
#include "xenbus.h"
#include "xenbus_internal.h"

struct watch {
    struct watch *next;
    char wire_token[20]; /* unique; what the store sends back */
    char *path, *token;
    xs_watch_fn fn;
    void *arg;
    bool running; /* its function is being called */
    bool gone;    /* to be freed after that */
};

static struct watch *watches;
static void (*shutdown_hook)(unsigned reason);

void start_set_shutdown_hook(void (*hook)(unsigned reason))
{
    shutdown_hook = hook;
}

static void watch_free(struct watch *w)
{
    free(w->path);
    free(w->token);
    free(w);
}

static void watch_unlink(struct watch *w)
{
    struct watch **at = &watches;

    while (*at && *at != w) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = w->next;
    }
}

static int watch_request(uint32_t type, const struct watch *w)
{
    struct xenbus_part parts[] = {{w->path, strlen(w->path) + 1},
                                  {w->wire_token, strlen(w->wire_token) + 1}};
    char *reply;
    int rc = xenbus_request(type, parts, 2, &reply, NULL);

    free(reply);
    return rc;
}

int xs_watch(const char *path, const char *token, xs_watch_fn fn, void *arg)
{
    static unsigned serial;
    struct watch *w = calloc(1, sizeof(*w));
    int rc;

    if (!w) {
        return -XEN_ENOMEM;
    }
    w->path = strdup(path);
    w->token = strdup(token);
    if (!w->path || !w->token) {
        watch_free(w);
        return -XEN_ENOMEM;
    }
    snprintf(w->wire_token, sizeof(w->wire_token), "w%u", serial++);
    w->fn = fn;
    w->arg = arg;
    /* Before the request: its first event may come at once. */
    w->next = watches;
    watches = w;
    rc = watch_request(XS_WATCH, w);
    if (rc) {
        watch_unlink(w);
        watch_free(w);
    }
    return rc;
}

int xs_unwatch(const char *path, const char *token)
{
    for (struct watch *w = watches; w; w = w->next) {
        if (strcmp(w->path, path) == 0 && strcmp(w->token, token) == 0) {
            int rc;

            watch_unlink(w);
            rc = watch_request(XS_UNWATCH, w);
            w->gone = true;
            if (!w->running) {
                watch_free(w);
            }
            return rc;
        }
    }
    return -XEN_ENOENT;
}

static struct watch *watch_by_wire_token(const char *token)
{
    for (struct watch *w = watches; w; w = w->next) {
        if (strcmp(w->wire_token, token) == 0) {
            return w;
        }
    }
    return NULL;
}

static void watch_deliver(const char *path, const char *token)
{
    struct watch *w = watch_by_wire_token(token);

    /* An event that was on its way when its watch ended is dropped. */
    if (!w) {
        return;
    }
    w->running = true;
    w->fn(path, w->token, w->arg);
    w->running = false;
    if (w->gone) {
        watch_free(w);
    }
}

/* --- control/shutdown --------------------------------------------------------------------- */

static void shutdown_wanted(const char *path, const char *token, void *arg)
{
    char *order = xs_read(path);
    unsigned reason;

    (void)token;
    (void)arg;
    if (!order) {
        return;
    }
    if (strcmp(order, "poweroff") == 0 || strcmp(order, "halt") == 0) {
        reason = SHUTDOWN_poweroff;
    } else if (strcmp(order, "reboot") == 0) {
        reason = SHUTDOWN_reboot;
    } else {
        if (*order) {
            printf("control/shutdown: \"%s\" is not supported\n", order);
            xs_write(path, "");
        }
        free(order);
        return;
    }
    free(order);
    /* The empty value tells the tools that the order was seen. */
    xs_write(path, "");
    if (shutdown_hook) {
        shutdown_hook(reason);
    }
    console_flush();
    start_shutdown(reason);
}

static void watcher(void *arg)
{
    (void)arg;
    xs_watch("control/shutdown", "shutdown", shutdown_wanted, NULL);
    xs_write("control/feature-poweroff", "1");
    xs_write("control/feature-reboot", "1");
    for (;;) {
        const char *path, *token;
        char *payload;

        if (xenbus_next_event(&path, &token, &payload)) {
            watch_deliver(path, token);
        }
        free(payload);
    }
}

void xenbus_start_watching(void)
{
    if (!thread_create("xenwatch", watcher, NULL)) {
        printf("xenbus: no memory for watches; this domain cannot be shut down from outside\n");
    }
}
