/* SPDX-License-Identifier: MIT */
/*
 * The store seen from a guest: xenstore's protocol over the ring in start_info. For threads;
 * several may have requests outstanding. Paths that do not begin with '/' are relative to
 * /local/domain/N. Without a store (the control domain) every call fails with -XEN_ENODEV or NULL.
 *
 * Errors are those of the server (-XEN_ENOENT, -XEN_EACCES, -XEN_EINVAL, -XEN_EAGAIN, -XEN_ENOSPC
 * ...), -XEN_E2BIG for a request above 4096 bytes, -XEN_ENOMEM, and -XEN_EIO if the ring's contents
 * are absurd.
 */
#ifndef RT_XENBUS_H
#define RT_XENBUS_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/xenbus.h>

bool xs_available(void);

/* The node's value, NUL-terminated; the caller frees it. NULL on any error; xs_last_error() tells
 * which. */
char *xs_read(const char *path);

/* The error of the calling thread's last xs_ call that returned NULL. */
int xs_last_error(void);

/* Reads a number (decimal, 0x hexadecimal). 0, or -XEN_EINVAL if it is none, or the error of the
 * read. */
int xs_read_u64(const char *path, uint64_t *value);

int xs_write(const char *path, const char *value);
int xs_printf(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int xs_mkdir(const char *path);
int xs_rm(const char *path);

/* Names of the children, *count of them, NULL-terminated; one free() releases everything. */
char **xs_ls(const char *path, unsigned *count);

/* Between begin and end, all calls of the calling thread belong to the transaction. end returns
 * -XEN_EAGAIN if it has to be repeated; with abort true it just ends. */
int xs_begin(void);
int xs_end(bool abort);

/* From now on fn(path, token, arg) is called, on the thread "xenwatch", for each change at or below
 * path, and once at once. It may wait and use the store. The token is the caller's own; token and
 * path name the watch. */
typedef void (*xs_watch_fn)(const char *path, const char *token, void *arg);
int xs_watch(const char *path, const char *token, xs_watch_fn fn, void *arg);
int xs_unwatch(const char *path, const char *token);

/* The state of a device's end whose directory is `dir`; XenbusStateUnknown if it cannot be read. */
enum xenbus_state xenbus_state(const char *dir);
int xenbus_set_state(const char *dir, enum xenbus_state state);

/* Waits until the state of `dir` is one of those whose bits (1 << state) are in `mask`; gives the
 * state, or XenbusStateUnknown after ns nanoseconds. */
enum xenbus_state xenbus_wait_state(const char *dir, unsigned mask, uint64_t ns);

/* Set-up, called once by the runtime. */
void xenbus_init(void);

#endif
