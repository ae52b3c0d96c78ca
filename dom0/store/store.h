/* SPDX-License-Identifier: MIT */
/*
 * The xenstore as the rest of dom0 sees it: a tree of small text nodes, with watches, that dom0
 * and the guests share. Everything here acts as domain 0, on absolute paths, and may be called
 * from any thread (threads are cooperative and nothing here but store_service_start sleeps).
 * Guests speak to the same tree through their store rings (ring.c).
 *
 * Errors are negative Xen errno values (<xen/errno.h>).
 */
#ifndef DOM0_STORE_STORE_H
#define DOM0_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

/* What a domain may do to a node. */
enum {
    STORE_NONE = 0,
    STORE_READ = 1,
    STORE_WRITE = 2,
    STORE_BOTH = 3,
};

/*
 * One entry of a node's list of permissions. The first entry names the owner, who may do
 * everything, and its access is that of every domain that no later entry names.
 */
struct store_perm {
    domid_t domid;
    uint8_t access;
};

/* Entries that a node can have. */
#define STORE_PERMS_MAX 8

/*
 * The value of a node, NUL-terminated (values may hold NULs: then it looks shorter), to be freed
 * by the caller; NULL if there is none.
 */
char *store_read(const char *path);

/* Sets a node, and makes it and its missing parents (with the parent's permissions). */
int store_write(const char *path, const char *value);
int store_printf(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes an empty node with its parents; an existing one stays as it is. */
int store_mkdir(const char *path);

/* Removes a node and all below it. That it is not there is no error, that its parent is not is. */
int store_rm(const char *path);

/*
 * The names of a node's children, sorted, as one malloc'd block: *names points to *count pointers
 * followed by the texts, free(*names) releases it all.
 */
int store_ls(const char *path, char ***names, unsigned *count);

/* Replaces the permissions; n is 1 to STORE_PERMS_MAX. */
int store_set_perms(const char *path, const struct store_perm *perms, unsigned n);

/*
 * Calls fn(path, arg) for each change at or below `path`, and once at first. It is called on the
 * store's thread, some time after the change; several changes of one node may come as one call. It
 * may use this API but shall not sleep for long, since guests wait meanwhile. path may also be
 * "@introduceDomain" or "@releaseDomain". NULL without memory.
 */
typedef void (*store_watch_fn)(const char *path, void *arg);
struct store_watch *store_watch(const char *path, store_watch_fn fn, void *arg);
void store_unwatch(struct store_watch *watch);

/*
 * Connects a domain: `mfn` is the frame of its store ring, `remote_port` the event channel that it
 * keeps open for domain 0. Its /local/domain/N should exist by then.
 */
int store_introduce(domid_t domid, xen_pfn_t mfn, evtchn_port_t remote_port);

/*
 * Forgets a domain, introduced or not: connection, watches, transactions, the nodes that it owns,
 * and its number in every permission, so that the next domain of that number inherits nothing.
 * The nodes that dom0 owns below /local/domain/N are left to the caller.
 */
void store_release(domid_t domid);

/* Nodes in the whole tree, and those that count against a domain's quota. */
unsigned store_node_count(void);
unsigned store_domain_nodes(domid_t domid);

/* Starts the service thread; to be called once, before anything else here. */
int store_service_start(void);

#endif
