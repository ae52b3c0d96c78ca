/* SPDX-License-Identifier: MIT */
/* Between the store client's files (xenbus.c, xenbus_nodes.c, xenbus_watch.c) only. */
#ifndef RT_XENBUS_INTERNAL_H
#define RT_XENBUS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request's payload in parts, as they are sent one after the other. */
struct xenbus_part {
    const void *bytes;
    size_t size;
};

/* One request and its answer: *reply is malloc'd and NUL-terminated, NULL on error; length may be
 * NULL. Returns 0 or the error, which is also the last error. */
int xenbus_request(uint32_t type, const struct xenbus_part *parts, unsigned count, char **reply,
                   uint32_t *length);

/* Waits for the next watch event; the caller frees *payload, in which the two others point. False:
 * no token in it. */
bool xenbus_next_event(const char **path, const char **token, char **payload);

/* Starts the thread "xenwatch". */
void xenbus_start_watching(void);

#endif
