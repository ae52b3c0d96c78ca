/* SPDX-License-Identifier: MIT */
/*
 * The operations on a tree, with their checks of permission and size. Each works on a target: the
 * live tree or that of a transaction. They may fail when the tree is changed in part; the caller
 * holds a reference to the tree before and goes back to it.
 */

#include "dom0/store/core.h"

#include <limits.h>
#include <string.h>

int store_access_error(struct store_node *root, domid_t domid, const char *path, unsigned want)
{
    unsigned missing;
    struct store_node *n = store_tree_nearest(root, path, &missing);

    /* Whether a node exists is told only to those who may look around there. */
    if ((store_perm_of(n, domid) & want) != want) {
        return -XEN_EACCES;
    }
    return missing > 0 ? -XEN_ENOENT : 0;
}

static bool size_allowed(const struct store_target *t, const char *path, size_t size)
{
    if (t->actor == 0 || size <= STORE_QUOTA_NODE_SIZE) {
        return true;
    }
    store_refuse(t->store, t->actor, STORE_Q_NODE_SIZE, path, 0);
    return false;
}

static void touch(const struct store_target *t, struct store_node *n)
{
    n->gen = ++t->store->gen;
}

static int set_value(const struct store_target *t, const struct store_change *c,
                     const struct store_node *old)
{
    if (!size_allowed(t, c->path, c->len + old->names_len)) {
        return -XEN_ENOSPC;
    }
    struct store_node *n = store_tree_own(t->root, c->path, 0);
    if (!n) {
        return -XEN_ENOMEM;
    }
    touch(t, n);
    return store_node_set_value(n, c->value, c->len);
}

/* The missing nodes of the path, hanging together, the last one with the value. */
static struct store_node *make_chain(const struct store_target *t, const struct store_change *c,
                                     const struct store_node *parent, unsigned missing)
{
    struct store_node *top = NULL, *last = NULL;
    const char *path = c->path, *name;
    unsigned skip = store_path_depth(path) - missing;
    size_t len;

    while ((name = store_path_next(&path, &len)) != NULL) {
        if (skip > 0) {
            skip--;
            continue;
        }
        struct store_node *n = store_node_new(name, len, last ? last : parent);
        if (!n || (last && store_node_insert(last, n))) {
            store_node_put(n);
            store_node_put(top);
            return NULL;
        }
        if (t->actor != 0) {
            n->perms[0].domid = t->actor;
        }
        touch(t, n);
        top = top ? top : n;
        last = n;
    }
    if (last && store_node_set_value(last, c->value, c->len)) {
        store_node_put(top);
        return NULL;
    }
    return top;
}

static int create_allowed(const struct store_target *t, const struct store_change *c,
                          const struct store_node *parent, unsigned missing)
{
    if (t->actor == 0) {
        return 0;
    }
    struct store_domain *d = store_account(t->store, t->actor);
    if (!d) {
        return -XEN_ENOMEM;
    }
    unsigned pending = t->created ? *t->created : 0;
    if (d->nodes + pending + missing > STORE_QUOTA_NODES) {
        return store_refuse(t->store, t->actor, STORE_Q_NODES, c->path, -XEN_ENOSPC);
    }
    /* The first new name goes into the parent; each of the others into a new node. */
    size_t names = parent->len + parent->names_len + strlen(c->path) + 1;
    return size_allowed(t, c->path, c->len) && size_allowed(t, c->path, names) ? 0 : -XEN_ENOSPC;
}

static int create(const struct store_target *t, const struct store_change *c,
                  const struct store_node *parent, unsigned missing)
{
    int error = create_allowed(t, c, parent, missing);

    if (error) {
        return error;
    }
    struct store_node *chain = make_chain(t, c, parent, missing);
    if (!chain) {
        return -XEN_ENOMEM;
    }
    domid_t owner = chain->perms[0].domid;
    struct store_node *place = store_tree_own(t->root, c->path, missing);
    if (!place || store_node_insert(place, chain)) {
        store_node_put(chain);
        return -XEN_ENOMEM;
    }
    touch(t, place);
    if (t->created) {
        *t->created += missing;
    }
    return t->live ? store_account_add(t->store, owner, (int)missing) : 0;
}

/* WRITE and MKDIR. */
static int put(const struct store_target *t, const struct store_change *c)
{
    unsigned missing;
    struct store_node *n = store_tree_nearest(*t->root, c->path, &missing);

    if (!(store_perm_of(n, t->actor) & STORE_WRITE)) {
        return -XEN_EACCES;
    }
    if (missing > 0) {
        return create(t, c, n, missing);
    }
    return c->what == STORE_DO_MKDIR ? 0 : set_value(t, c, n);
}

/* Takes a removed subtree out of its owners' accounts, which exist. */
static void uncount(struct store *s, const struct store_node *n)
{
    store_account_add(s, n->perms[0].domid, -1);
    for (uint32_t i = 0; i < n->nchildren; i++) {
        uncount(s, n->children[i]);
    }
}

static const char *last_component(const char *path, size_t *len)
{
    const char *name, *last = NULL;
    size_t n;

    while ((name = store_path_next(&path, &n)) != NULL) {
        last = name;
        *len = n;
    }
    return last;
}

static int rm(const struct store_target *t, const struct store_change *c)
{
    size_t len = 0;
    const char *name = last_component(c->path, &len);
    int error = store_access_error(*t->root, t->actor, c->path, STORE_WRITE);

    if (!name) {
        return -XEN_EINVAL; /* the root */
    }
    if (error == -XEN_ENOENT && store_tree_find(*t->root, c->path, 1)) {
        return 0; /* it is gone already */
    }
    if (error) {
        return error;
    }
    struct store_node *parent = store_tree_own(t->root, c->path, 1);
    if (!parent) {
        return -XEN_ENOMEM;
    }
    struct store_node *n = store_node_detach(parent, name, len);
    touch(t, parent);
    if (t->live) {
        uncount(t->store, n);
    }
    store_node_put(n);
    return 0;
}

/*
 * A guest's list loses the entries of domains that do not exist: a later domain of that number
 * shall not find itself with rights that were meant for nobody (XSA-322).
 */
static void apply_perms(const struct store_target *t, const struct store_change *c,
                        struct store_node *n)
{
    n->nperms = 0;
    for (unsigned i = 0; i < c->nperms; i++) {
        struct store_domain *d = store_domain_find(t->store, c->perms[i].domid);

        if (i == 0 || t->actor == 0 || c->perms[i].domid == 0 || (d && d->introduced)) {
            n->perms[n->nperms++] = c->perms[i];
        }
    }
}

static int set_perms(const struct store_target *t, const struct store_change *c)
{
    int error = store_access_error(*t->root, t->actor, c->path, STORE_WRITE);
    struct store_node *n = store_tree_find(*t->root, c->path, 0);

    if (error) {
        return error;
    }
    domid_t owner = n->perms[0].domid;
    if (t->actor != 0 && owner != t->actor) {
        return -XEN_EACCES;
    }
    if (t->actor != 0 && c->perms[0].domid != owner) {
        return -XEN_EPERM;
    }
    if (t->actor != 0 && c->nperms > STORE_QUOTA_PERMS) {
        return store_refuse(t->store, t->actor, STORE_Q_PERMS, c->path, -XEN_ENOSPC);
    }
    n = store_tree_own(t->root, c->path, 0);
    if (!n) {
        return -XEN_ENOMEM;
    }
    apply_perms(t, c, n);
    touch(t, n);
    if (!t->live || c->perms[0].domid == owner) {
        return 0;
    }
    store_account_add(t->store, owner, -1);
    return store_account_add(t->store, c->perms[0].domid, 1);
}

int store_target_change(const struct store_target *t, const struct store_change *c)
{
    switch (c->what) {
    case STORE_DO_WRITE:
    case STORE_DO_MKDIR:
        return put(t, c);
    case STORE_DO_RM:
        return rm(t, c);
    case STORE_DO_PERMS:
        return set_perms(t, c);
    }
    return -XEN_EINVAL;
}

const struct store_node *store_node_read(struct store_conn *conn, uint32_t tx, const char *path,
                                         int *error)
{
    struct store_node *root = conn->store->root;

    *error = 0;
    if (tx != 0) {
        struct store_txn *txn = store_txn_find(conn, tx);

        *error = txn ? store_txn_note(conn, txn, path) : -XEN_ENOENT;
        if (*error) {
            return NULL;
        }
        root = txn->root;
    }
    *error = store_access_error(root, conn->domid, path, STORE_READ);
    return *error ? NULL : store_tree_find(root, path, 0);
}

/* Changes the live tree, or leaves it as it was. */
static int change_live(struct store_conn *conn, const struct store_change *c)
{
    struct store *s = conn->store;
    struct store_target t = {.store = s, .root = &s->root, .actor = conn->domid, .live = true};
    struct store_node *before = store_node_get(s->root);
    int error = store_target_change(&t, c);

    if (error) {
        bool undo = s->root != before; /* otherwise nothing was touched, no account either */

        store_node_put(s->root);
        s->root = before;
        if (undo) {
            store_recount(s);
        }
        return error;
    }
    conn->changes++;
    store_watch_fire(s, c->path, before, c->what == STORE_DO_RM);
    store_node_put(before);
    store_txn_age(conn);
    return 0;
}

int store_change(struct store_conn *conn, uint32_t tx, const struct store_change *c)
{
    struct store_txn *txn;

    if (tx == 0) {
        return change_live(conn, c);
    }
    txn = store_txn_find(conn, tx);
    return txn ? store_txn_change(conn, txn, c) : -XEN_ENOENT;
}
