/* SPDX-License-Identifier: MIT */
/* The store's start and end, and the coming and going of domains. */

#include "dom0/store/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int store_init(struct store *s, void (*log)(const char *line))
{
    memset(s, 0, sizeof(*s));
    s->log = log;
    s->local_tail = &s->local;
    s->gen = 1;
    s->root = store_node_new("", 0, NULL);
    s->self = s->root ? store_conn_new(s, 0) : NULL;
    if (!s->self || store_account_add(s, 0, 1)) {
        store_fini(s);
        return -XEN_ENOMEM;
    }
    s->root->gen = s->gen;
    return 0;
}

void store_fini(struct store *s)
{
    while (s->conns) {
        store_conn_free(s->conns);
    }
    while (s->domains) {
        struct store_domain *d = s->domains;

        s->domains = d->next;
        free(d);
    }
    store_node_put(s->root);
    s->root = NULL;
}

int store_domain_introduce(struct store *s, domid_t domid, struct store_conn **conn)
{
    struct store_domain *d = store_account(s, domid);

    if (!d) {
        return -XEN_ENOMEM;
    }
    if (domid == 0 || d->introduced) {
        return -XEN_EEXIST;
    }
    *conn = store_conn_new(s, domid);
    if (!*conn) {
        return -XEN_ENOMEM;
    }
    d->introduced = true;
    store_watch_fire_special(s, "@introduceDomain");
    return 0;
}

/* Is there anything of the domain in this subtree? */
static bool concerns(const struct store_node *n, domid_t domid)
{
    for (unsigned i = 0; i < n->nperms; i++) {
        if (n->perms[i].domid == domid) {
            return true;
        }
    }
    for (uint32_t i = 0; i < n->nchildren; i++) {
        if (concerns(n->children[i], domid)) {
            return true;
        }
    }
    return false;
}

/* Takes the domain out of the subtree in that slot, which its tree owns after this. */
static void forget_perms(struct store *s, struct store_node *n, domid_t domid)
{
    unsigned kept = 1;

    for (unsigned i = 1; i < n->nperms; i++) {
        if (n->perms[i].domid != domid) {
            n->perms[kept++] = n->perms[i];
        }
    }
    if (kept != n->nperms) {
        n->nperms = kept;
        n->gen = ++s->gen;
    }
}

/*
 * Depth first over the nodes that concern the domain: `path` (of length len) is where we are. The
 * nodes that it owns go, with what is below them; in the others its entries go.
 */
static void forget(struct store *s, char *path, size_t len, domid_t domid)
{
    struct store_node *n = store_tree_find(s->root, len ? path : "/", 0);

    if (len > 0 && n->perms[0].domid == domid) {
        struct store_change c = {.what = STORE_DO_RM, .path = path};

        store_change(s->self, 0, &c);
        return;
    }
    struct store_node *own = store_tree_own(&s->root, len ? path : "/", 0);
    if (own) {
        n = own;
        forget_perms(s, n, domid);
    } else {
        store_logf(s, "store: no memory to take d%u out of the permissions of %s", domid, path);
    }
    for (uint32_t i = 0; i < n->nchildren;) {
        struct store_node *child = n->children[i];
        size_t size = strlen(child->name);
        uint32_t before = n->nchildren;

        if (!concerns(child, domid)) {
            i++;
            continue;
        }
        path[len] = '/';
        memcpy(path + len + 1, child->name, size + 1);
        forget(s, path, len + 1 + size, domid);
        path[len] = '\0';
        n = store_tree_find(s->root, len ? path : "/", 0);
        i += n->nchildren == before;
    }
}

static void drop_account(struct store *s, domid_t domid)
{
    for (struct store_domain **link = &s->domains; *link; link = &(*link)->next) {
        struct store_domain *d = *link;

        if (d->domid == domid) {
            *link = d->next;
            free(d);
            return;
        }
    }
}

void store_domain_release(struct store *s, domid_t domid)
{
    struct store_domain *d = store_domain_find(s, domid);
    bool introduced = d && d->introduced;
    char *path = s->self->path;

    if (domid == 0) {
        return;
    }
    for (struct store_conn *conn = s->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->domid == domid) {
            store_conn_free(conn);
        }
    }
    /* What is under way may name the domain, in a permission to be set: it has to start anew. */
    store_txn_doom_all(s);
    path[0] = '\0';
    forget(s, path, 0, domid);
    drop_account(s, domid);
    if (introduced) {
        store_watch_fire_special(s, "@releaseDomain");
    }
}
