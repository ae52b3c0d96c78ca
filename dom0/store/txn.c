/* SPDX-License-Identifier: MIT */
/*
 * Transactions. One works on a tree of its own, which starts as a reference to the live one, and
 * keeps two lists: the paths that it looked at or changed, and its changes. At its end it fails
 * with -XEN_EAGAIN if any of those paths differs in the live tree from what it was at the start;
 * otherwise its changes are done again on the live tree, all or none.
 *
 * Every change of a node gives it a new generation, so that "differs" is one comparison.
 *
 * An open transaction keeps old versions of what is changed meanwhile. What a guest can make dom0
 * hold by this is bounded: after STORE_TXN_CHANGES changes by its own domain a transaction lets go
 * of the past and is doomed.
 */

#include "dom0/store/core.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct store_txn *store_txn_find(struct store_conn *conn, uint32_t id)
{
    struct store_txn *tx = conn->txns;

    while (tx && tx->id != id) {
        tx = tx->next;
    }
    return tx;
}

int store_txn_start(struct store_conn *conn, uint32_t *id)
{
    if (conn->domid != 0 && conn->ntxns >= STORE_QUOTA_TRANSACTIONS) {
        return store_refuse(conn->store, conn->domid, STORE_Q_TRANSACTIONS, "a new transaction",
                            -XEN_ENOSPC);
    }
    struct store_txn *tx = calloc(1, sizeof(*tx));
    if (!tx) {
        return -XEN_ENOMEM;
    }
    do {
        tx->id = ++conn->last_txn;
    } while (tx->id == 0 || store_txn_find(conn, tx->id));
    tx->base = store_node_get(conn->store->root);
    tx->root = store_node_get(conn->store->root);
    tx->own_changes = conn->changes;
    tx->changes_tail = &tx->changes;
    tx->next = conn->txns;
    conn->txns = tx;
    conn->ntxns++;
    *id = tx->id;
    return 0;
}

static void drop(struct store_conn *conn, struct store_txn *tx)
{
    struct store_txn **link = &conn->txns;

    while (*link != tx) {
        link = &(*link)->next;
    }
    *link = tx->next;
    conn->ntxns--;
    conn->txn_bytes -= tx->bytes;
    while (tx->seen) {
        struct store_access *a = tx->seen;

        tx->seen = a->next;
        free(a);
    }
    while (tx->changes) {
        struct store_change *c = tx->changes;

        tx->changes = c->next;
        free(c);
    }
    store_node_put(tx->base);
    store_node_put(tx->root);
    free(tx);
}

void store_txn_drop_all(struct store_conn *conn)
{
    while (conn->txns) {
        drop(conn, conn->txns);
    }
}

/* May the transaction hold so much more? */
static int charge(struct store_conn *conn, struct store_txn *tx, size_t bytes, const char *path)
{
    if (conn->domid != 0 && conn->txn_bytes + bytes > STORE_QUOTA_TXN_BYTES) {
        return store_refuse(conn->store, conn->domid, STORE_Q_TXN_BYTES, path, -XEN_ENOSPC);
    }
    tx->bytes += bytes;
    conn->txn_bytes += bytes;
    return 0;
}

int store_txn_note(struct store_conn *conn, struct store_txn *tx, const char *path)
{
    size_t size = sizeof(struct store_access) + strlen(path) + 1;

    for (struct store_access *a = tx->seen; a; a = a->next) {
        if (strcmp(a->path, path) == 0) {
            return 0;
        }
    }
    if (conn->domid != 0 && tx->touched >= STORE_QUOTA_TXN_NODES) {
        return store_refuse(conn->store, conn->domid, STORE_Q_TXN_NODES, path, -XEN_ENOSPC);
    }
    int error = charge(conn, tx, size, path);
    if (error) {
        return error;
    }
    tx->touched++;
    struct store_access *a = malloc(size);
    if (!a) {
        return -XEN_ENOMEM;
    }
    strcpy(a->path, path);
    a->next = tx->seen;
    tx->seen = a;
    return 0;
}

/* A copy in one block: the change, its path, its value. */
static struct store_change *copy_change(const struct store_change *c, size_t size)
{
    struct store_change *copy = malloc(size);

    if (!copy) {
        return NULL;
    }
    char *text = (char *)(copy + 1);
    size_t path_size = strlen(c->path) + 1;

    *copy = *c;
    copy->next = NULL;
    memcpy(text, c->path, path_size);
    copy->path = text;
    if (c->len > 0) {
        memcpy(text + path_size, c->value, c->len);
    }
    copy->value = text + path_size;
    return copy;
}

int store_txn_change(struct store_conn *conn, struct store_txn *tx, const struct store_change *c)
{
    size_t size = sizeof(*c) + strlen(c->path) + 1 + c->len;
    struct store_target t = {
        .store = conn->store, .root = &tx->root, .actor = conn->domid, .created = &tx->created};
    int error = store_txn_note(conn, tx, c->path);

    error = error ? error : charge(conn, tx, size, c->path);
    if (error) {
        return error;
    }
    struct store_change *copy = copy_change(c, size);
    if (!copy) {
        return -XEN_ENOMEM;
    }
    struct store_node *before = store_node_get(tx->root);
    error = store_target_change(&t, c);
    if (error) {
        store_node_put(tx->root);
        tx->root = before;
        free(copy);
        return error;
    }
    store_node_put(before);
    *tx->changes_tail = copy;
    tx->changes_tail = &copy->next;
    return 0;
}

static uint64_t generation(struct store_node *root, const char *path)
{
    struct store_node *n = store_tree_find(root, path, 0);

    return n ? n->gen : 0;
}

static bool conflicts(const struct store *s, const struct store_txn *tx)
{
    if (tx->doomed) {
        return true;
    }
    if (tx->base == s->root) {
        return false;
    }
    for (struct store_access *a = tx->seen; a; a = a->next) {
        if (generation(tx->base, a->path) != generation(s->root, a->path)) {
            return true;
        }
    }
    return false;
}

static int commit(struct store_conn *conn, struct store_txn *tx)
{
    struct store *s = conn->store;
    struct store_target t = {.store = s, .root = &s->root, .actor = conn->domid, .live = true};

    if (conflicts(s, tx)) {
        return -XEN_EAGAIN;
    }
    struct store_node *before = store_node_get(s->root);
    for (struct store_change *c = tx->changes; c; c = c->next) {
        int error = store_target_change(&t, c);

        if (error) {
            store_node_put(s->root);
            s->root = before;
            store_recount(s);
            /* What was allowed in its own tree is not any more: a conflict, but for the quota. */
            return error == -XEN_ENOSPC || error == -XEN_ENOMEM ? error : -XEN_EAGAIN;
        }
    }
    for (struct store_change *c = tx->changes; c; c = c->next) {
        conn->changes++;
        store_watch_fire(s, c->path, before, c->what == STORE_DO_RM);
    }
    store_node_put(before);
    return 0;
}

int store_txn_end(struct store_conn *conn, uint32_t id, bool do_commit)
{
    struct store_txn *tx = store_txn_find(conn, id);
    int error;

    if (!tx) {
        return -XEN_ENOENT;
    }
    error = do_commit ? commit(conn, tx) : 0;
    drop(conn, tx);
    store_txn_age(conn);
    return error;
}

void store_txn_doom_all(struct store *s)
{
    for (struct store_conn *conn = s->conns; conn; conn = conn->next) {
        for (struct store_txn *tx = conn->txns; tx; tx = tx->next) {
            tx->doomed = true;
        }
    }
}

void store_txn_age(struct store_conn *conn)
{
    if (conn->domid == 0) {
        return;
    }
    for (struct store_txn *tx = conn->txns; tx; tx = tx->next) {
        if (conn->changes - tx->own_changes > STORE_TXN_CHANGES) {
            tx->doomed = true;
            tx->own_changes = conn->changes;
            store_node_put(tx->base);
            store_node_put(tx->root);
            tx->base = store_node_get(conn->store->root);
            tx->root = store_node_get(conn->store->root);
        }
    }
}
