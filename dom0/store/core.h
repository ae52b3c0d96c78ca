/* SPDX-License-Identifier: MIT */
/*
 * Inside of the store: the data structures and what its files offer each other. For dom0/store
 * and its tests only; everybody else uses store.h.
 *
 * The tree is persistent in the functional sense: a node that is shared between two trees is never
 * changed but copied, along its path, when one of the trees changes. A snapshot costs one
 * reference, so that a transaction simply works on its own tree, an operation that fails half way
 * is undone by going back to the old root, and what a watcher may learn is decided by looking at
 * the tree before and after.
 *
 *   path.c     paths: checking, relative to absolute
 *   tree.c     nodes: sharing, finding, inserting, removing
 *   perm.c     permissions: who may do what, their text form
 *   quota.c    accounts of domains, limits, refusals
 *   ops.c      the operations on a tree, with their checks
 *   txn.c      transactions, conflicts
 *   watch.c    watches, events
 *   conn.c     connections: messages in and out, bounds
 *   wire.c     the protocol of <xen/io/xs_wire.h>
 *   domain.c   domains come and go
 *   api.c      store.h
 *   ring.c     shared-memory transport (needs a hypervisor)
 */
#ifndef DOM0_STORE_CORE_H
#define DOM0_STORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/io/xs_wire.h>
#include "dom0/store/store.h"

/* Limits of each domain but domain 0; the first five as in Xen's xenstored. */
enum {
    STORE_QUOTA_NODES = 1000,
    STORE_QUOTA_WATCHES = 128,
    STORE_QUOTA_TRANSACTIONS = 10,
    STORE_QUOTA_NODE_SIZE = 2048,
    STORE_QUOTA_REPLIES = 20,        /* answered, but not yet taken by the guest */
    STORE_QUOTA_PERMS = 5,           /* per node */
    STORE_QUOTA_TXN_NODES = 1024,    /* nodes that one transaction may touch */
    STORE_QUOTA_TXN_BYTES = 1 << 18, /* what the changes of one domain's transactions may hold */
    STORE_QUOTA_EVENT_BYTES = 1 << 16,
    STORE_TOKEN_MAX = 1000, /* so that the longest path and a token fit in a message */
    STORE_DEPTH_MAX = 32,   /* components of a path; bounds recursion */
    STORE_TXN_CHANGES = 256 /* changes by its own domain that a transaction survives */
};

/* ---- nodes (tree.c) ---- */

struct store_node {
    unsigned refs;
    unsigned nperms;
    uint64_t gen; /* of the last change of value, permissions or list of children */
    struct store_perm perms[STORE_PERMS_MAX];
    uint32_t len;
    char *value; /* len bytes and a NUL; NULL when empty */
    uint32_t nchildren, room;
    uint32_t names_len;           /* of the children's names, a NUL each */
    struct store_node **children; /* sorted by name */
    char name[];
};

struct store_node *store_node_new(const char *name, size_t len, const struct store_node *parent);
struct store_node *store_node_get(struct store_node *n);
void store_node_put(struct store_node *n);
int store_node_set_value(struct store_node *n, const void *value, size_t len);

/* The node at a checked absolute path less its last `up` components, or NULL. */
struct store_node *store_tree_find(struct store_node *root, const char *path, unsigned up);
/* The deepest node on the path that exists; *missing is the count of components below it. */
struct store_node *store_tree_nearest(struct store_node *root, const char *path, unsigned *missing);
/*
 * Makes the existing node at `path`, less its last `up` components, this tree's own, to be changed;
 * NULL without memory.
 */
struct store_node *store_tree_own(struct store_node **root, const char *path, unsigned up);
/* Puts `child` below `parent` (own), taking over the reference. -XEN_ENOMEM or 0. */
int store_node_insert(struct store_node *parent, struct store_node *child);
/* Takes the child of that name from `parent` (own); the caller gets the reference. */
struct store_node *store_node_detach(struct store_node *parent, const char *name, size_t len);

/* ---- paths (path.c) ---- */

/*
 * Checks a path as a client gave it and writes the absolute form to out[STORE_PATH_ROOM]. A
 * relative path starts at /local/domain/N. 0, or -XEN_EINVAL for what can be no path.
 */
#define STORE_PATH_ROOM (XENSTORE_ABS_PATH_MAX + 1)
int store_path_resolve(domid_t domid, const char *in, char *out);
/* Is `path` equal to `top` or below it? */
bool store_path_within(const char *path, const char *top);
/* The next component of *path (after its '/') and its length; NULL at the end. Advances *path. */
const char *store_path_next(const char **path, size_t *len);
/* The count of components: 0 for "/". */
unsigned store_path_depth(const char *path);
/* A decimal number that fits a domain id and nothing after it. */
bool store_parse_domid(const char *text, domid_t *domid);

/* ---- permissions (perm.c) ---- */

unsigned store_perm_of(const struct store_node *n, domid_t domid);
/* "b5" and the like. */
bool store_perm_parse(const char *text, struct store_perm *perm);
char store_perm_letter(unsigned access);

/* ---- domains and their accounts (quota.c, domain.c) ---- */

enum store_quota {
    STORE_Q_NODES,
    STORE_Q_WATCHES,
    STORE_Q_TRANSACTIONS,
    STORE_Q_NODE_SIZE,
    STORE_Q_PERMS,
    STORE_Q_TXN_NODES,
    STORE_Q_TXN_BYTES,
    STORE_Q_EVENTS,
    STORE_Q_PATH,
};

struct store_domain {
    struct store_domain *next;
    domid_t domid;
    bool introduced;
    unsigned nodes;   /* that it owns in the live tree */
    unsigned refused; /* bit per store_quota: already logged */
};

struct store_watch {
    struct store_watch *next;
    struct store_conn *conn;
    bool relative;     /* its events leave out /local/domain/N/ */
    bool lost;         /* an event found no room: it is to fire again when there is some */
    store_watch_fn fn; /* domain 0's own */
    void *arg;
    char *token;
    char path[];
};

/* An event of domain 0's own, waiting for its callback. */
struct store_local_event {
    struct store_local_event *next;
    struct store_watch *watch;
    char path[];
};

struct store {
    struct store_node *root;
    uint64_t gen;
    struct store_domain *domains;
    struct store_conn *conns;
    struct store_conn *self; /* domain 0's own, without a transport */
    struct store_local_event *local, **local_tail;
    /* Takes one line, without its newline; not to sleep. */
    void (*log)(const char *line);
    /* Called when a connection has something to send, or domain 0 an event; may be NULL. */
    void (*kick)(void);
};

int store_init(struct store *s, void (*log)(const char *line));
void store_fini(struct store *s);
void store_logf(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The account of a domain, NULL if it has none; store_account makes it (NULL: no memory). */
struct store_domain *store_domain_find(struct store *s, domid_t domid);
struct store_domain *store_account(struct store *s, domid_t domid);
/* Adds to a domain's count of nodes; -XEN_ENOMEM or 0 (never fails for delta < 0). */
int store_account_add(struct store *s, domid_t domid, int delta);
/* Counts everything anew, after an operation was undone. */
void store_recount(struct store *s);
unsigned store_tree_count(const struct store_node *n);
/* Logs a refusal, the first of its kind of this domain, and returns `error`. */
int store_refuse(struct store *s, domid_t domid, enum store_quota quota, const char *path,
                 int error);

/* Connects a domain (ring.c then moves its bytes): -XEN_EEXIST, -XEN_ENOMEM or 0. */
int store_domain_introduce(struct store *s, domid_t domid, struct store_conn **conn);
void store_domain_release(struct store *s, domid_t domid);

/* ---- operations (ops.c) ---- */

struct store_change {
    struct store_change *next;
    enum { STORE_DO_WRITE, STORE_DO_MKDIR, STORE_DO_RM, STORE_DO_PERMS } what;
    unsigned nperms;
    struct store_perm perms[STORE_PERMS_MAX];
    const char *path; /* absolute, checked */
    const char *value;
    size_t len;
};

struct store_txn;

/*
 * Each operation acts as conn's domain, in the transaction with that number or on the live tree
 * when it is 0. store_node_read: the node, for reading now (NULL with *error set).
 */
const struct store_node *store_node_read(struct store_conn *conn, uint32_t tx, const char *path,
                                         int *error);
int store_change(struct store_conn *conn, uint32_t tx, const struct store_change *change);

/*
 * The bare change of a tree (with every check of permission and size). `live`: nodes count in
 * their owners' accounts; otherwise *created is what a transaction has made so far.
 */
struct store_target {
    struct store *store;
    struct store_node **root;
    domid_t actor;
    bool live;
    unsigned *created;
};
int store_target_change(const struct store_target *t, const struct store_change *change);
/* The error for a node that is missing or that the domain may not use so. */
int store_access_error(struct store_node *root, domid_t domid, const char *path, unsigned want);

/* ---- transactions (txn.c) ---- */

struct store_access {
    struct store_access *next;
    char path[];
};

struct store_txn {
    struct store_txn *next;
    uint32_t id;
    bool doomed;             /* will end with -XEN_EAGAIN whatever it does */
    struct store_node *base; /* the tree when it started */
    struct store_node *root; /* the tree as it sees it */
    unsigned created;
    unsigned own_changes; /* conn->changes when it started */
    struct store_access *seen;
    struct store_change *changes, **changes_tail;
    unsigned touched; /* entries of seen */
    size_t bytes;     /* of both lists, part of conn->txn_bytes */
};

struct store_txn *store_txn_find(struct store_conn *conn, uint32_t id);
int store_txn_start(struct store_conn *conn, uint32_t *id);
int store_txn_end(struct store_conn *conn, uint32_t id, bool commit);
void store_txn_drop_all(struct store_conn *conn);
/* Notes that the transaction has looked at `path`: base of the check for conflicts. */
int store_txn_note(struct store_conn *conn, struct store_txn *tx, const char *path);
int store_txn_change(struct store_conn *conn, struct store_txn *tx,
                     const struct store_change *change);
/* All transactions of all domains fail from now on. */
void store_txn_doom_all(struct store *s);
/* Called after a domain's change of the live tree: its old transactions let go of the past. */
void store_txn_age(struct store_conn *conn);

/* ---- watches (watch.c) ---- */

int store_watch_add(struct store_conn *conn, const char *path, const char *token, store_watch_fn fn,
                    void *arg, struct store_watch **out);
int store_watch_remove(struct store_conn *conn, const char *path, const char *token);
void store_watch_free(struct store_watch *w);
void store_watch_drop_all(struct store_conn *conn);
/* Tells every watcher that may know that `path` has changed; `before` is the tree before. */
void store_watch_fire(struct store *s, const char *path, struct store_node *before, bool removed);
/* "@introduceDomain" and "@releaseDomain": domain 0 only. */
void store_watch_fire_special(struct store *s, const char *name);
/* Queues an event of the watch for its own path, as at its start. */
void store_watch_first(struct store_watch *w);
/* The same for those whose events were lost, while there is room. */
void store_watch_retry(struct store_conn *conn);
/* Calls domain 0's callbacks for what has happened; true if there was any. */
bool store_watch_dispatch(struct store *s);

/* ---- connections (conn.c) ---- */

/* Events that wait, by path and token: a guest that reads none must not make them slow to find. */
#define STORE_EVENT_LISTS 64

struct store_msg {
    struct store_msg *next;
    struct store_msg *next_alike; /* of the same list in conn->waiting */
    bool event;
    uint32_t hash, size, sent;
    unsigned char data[];
};

struct store_conn {
    struct store_conn *next;
    struct store *store;
    domid_t domid;
    unsigned changes; /* of the live tree that it has made */

    struct store_watch *watches;
    unsigned nwatches;
    struct store_txn *txns;
    unsigned ntxns;
    uint32_t last_txn;
    size_t txn_bytes;

    struct store_msg *out, **out_tail;
    unsigned replies; /* in `out` */
    size_t event_bytes;
    struct store_msg *waiting[STORE_EVENT_LISTS]; /* events in `out`, none of their bytes sent */

    struct xsd_sockmsg header;
    uint32_t got; /* bytes of header and payload that have come */
    char payload[XENSTORE_PAYLOAD_MAX + 1];
    char path[STORE_PATH_ROOM]; /* of the request at hand: too large for a thread's stack */
};

struct store_conn *store_conn_new(struct store *s, domid_t domid);
void store_conn_free(struct store_conn *conn);
/* How many bytes of input would be taken now; 0 while too many replies wait. */
size_t store_conn_wants(const struct store_conn *conn);
/* Takes n bytes, n <= store_conn_wants(). -XEN_EMSGSIZE: a message too long, the end of it. */
int store_conn_input(struct store_conn *conn, const void *data, size_t n);
/* What is to be sent next (not more than one message); 0 if nothing. */
size_t store_conn_output(struct store_conn *conn, const void **data);
/* n bytes of that have been sent. */
void store_conn_sent(struct store_conn *conn, size_t n);
void store_conn_reply(struct store_conn *conn, uint32_t type, const void *data, size_t len);
/* Queues an event; one that waits already with the same path and token is enough. */
int store_conn_event(struct store_conn *conn, const char *path, const char *token);

/* ---- protocol (wire.c) ---- */

/* Handles the message in conn->header and conn->payload, and queues the reply. */
void store_wire_handle(struct store_conn *conn);
const char *store_wire_error(int error);

#endif
