/* SPDX-License-Identifier: MIT */
/* Reading and writing nodes of the store, and device states on top of them. See xenbus.h. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "clock.h"
#include "hypercall.h"
#include "thread.h"
#include "xenbus.h"
#include "xenbus_internal.h"

/* A request of one path, whose answer says only "OK". */
static int path_request(uint32_t type, const char *path)
{
    struct xenbus_part part = {path, strlen(path) + 1};
    char *reply;
    int rc = xenbus_request(type, &part, 1, &reply, NULL);

    free(reply);
    return rc;
}

char *xs_read(const char *path)
{
    struct xenbus_part part = {path, strlen(path) + 1};
    char *reply;

    xenbus_request(XS_READ, &part, 1, &reply, NULL);
    return reply;
}

int xs_read_u64(const char *path, uint64_t *value)
{
    char *text = xs_read(path), *end;
    int rc = 0;

    if (!text) {
        return xs_last_error();
    }
    *value = strtoull(text, &end, 0);
    if (end == text || *end) {
        rc = -XEN_EINVAL;
    }
    free(text);
    return rc;
}

int xs_write(const char *path, const char *value)
{
    struct xenbus_part parts[] = {{path, strlen(path) + 1}, {value, strlen(value)}};
    char *reply;
    int rc = xenbus_request(XS_WRITE, parts, 2, &reply, NULL);

    free(reply);
    return rc;
}

int xs_printf(const char *path, const char *fmt, ...)
{
    char value[256];
    va_list ap;
    int length;

    va_start(ap, fmt);
    length = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    return length < (int)sizeof(value) ? xs_write(path, value) : -XEN_E2BIG;
}

int xs_mkdir(const char *path)
{
    return path_request(XS_MKDIR, path);
}

int xs_rm(const char *path)
{
    return path_request(XS_RM, path);
}

char **xs_ls(const char *path, unsigned *count)
{
    struct xenbus_part part = {path, strlen(path) + 1};
    uint32_t length, names = 0;
    char *reply, *text, **list;

    *count = 0;
    if (xenbus_request(XS_DIRECTORY, &part, 1, &reply, &length)) {
        return NULL;
    }
    for (uint32_t i = 0; i < length; i++) {
        names += reply[i] == '\0';
    }
    /* Pointers first, the names behind them. */
    list = malloc((names + 1) * sizeof(*list) + length + 1);
    if (list) {
        text = memcpy(list + names + 1, reply, length + 1);
        for (uint32_t i = 0; i < names; i++) {
            list[i] = text;
            text += strlen(text) + 1;
        }
        list[names] = NULL;
        *count = names;
    }
    free(reply);
    return list;
}

enum xenbus_state xenbus_state(const char *dir)
{
    char path[XENSTORE_REL_PATH_MAX];
    uint64_t state;

    snprintf(path, sizeof(path), "%s/state", dir);
    if (xs_read_u64(path, &state) || state > XenbusStateReconfigured) {
        return XenbusStateUnknown;
    }
    return (enum xenbus_state)state;
}

int xenbus_set_state(const char *dir, enum xenbus_state state)
{
    char path[XENSTORE_REL_PATH_MAX];

    snprintf(path, sizeof(path), "%s/state", dir);
    return xs_printf(path, "%d", (int)state);
}

struct state_watch {
    struct waitq wait;
    bool changed;
};

static void state_changed(const char *path, const char *token, void *arg)
{
    struct state_watch *watch = arg;

    (void)path;
    (void)token;
    watch->changed = true;
    waitq_wake(&watch->wait);
}

enum xenbus_state xenbus_wait_state(const char *dir, unsigned mask, uint64_t ns)
{
    struct state_watch watch = {WAITQ_INIT, false};
    uint64_t deadline = waitq_deadline(ns);
    char path[XENSTORE_REL_PATH_MAX];
    char token[24];
    enum xenbus_state state;

    snprintf(path, sizeof(path), "%s/state", dir);
    snprintf(token, sizeof(token), "wait %p", (void *)&watch);
    if (xs_watch(path, token, state_changed, &watch)) {
        return XenbusStateUnknown;
    }
    for (;;) {
        uint64_t now = clock_ns();

        watch.changed = false;
        state = xenbus_state(dir);
        if (mask & (1U << state)) {
            break;
        }
        if (now >= deadline) {
            state = XenbusStateUnknown;
            break;
        }
        wait_event_timeout(&watch.wait, watch.changed, deadline - now);
    }
    xs_unwatch(path, token);
    return state;
}
