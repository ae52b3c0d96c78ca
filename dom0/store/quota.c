/* SPDX-License-Identifier: MIT */
/* Accounts: how many nodes each domain owns, and the first refusal of each kind in the log. */

#include "dom0/store/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void store_logf(struct store *s, const char *fmt, ...)
{
    char line[256];
    va_list args;

    if (!s->log) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    s->log(line);
}

struct store_domain *store_domain_find(struct store *s, domid_t domid)
{
    struct store_domain *d = s->domains;

    while (d && d->domid != domid) {
        d = d->next;
    }
    return d;
}

struct store_domain *store_account(struct store *s, domid_t domid)
{
    struct store_domain *d = store_domain_find(s, domid);

    if (!d) {
        d = calloc(1, sizeof(*d));
        if (d) {
            d->domid = domid;
            d->next = s->domains;
            s->domains = d;
        }
    }
    return d;
}

int store_account_add(struct store *s, domid_t domid, int delta)
{
    struct store_domain *d = store_account(s, domid);

    if (!d) {
        return -XEN_ENOMEM;
    }
    d->nodes += (unsigned)delta;
    return 0;
}

static void count_below(struct store *s, const struct store_node *n)
{
    struct store_domain *d = store_domain_find(s, n->perms[0].domid);

    if (d) {
        d->nodes++;
    }
    for (uint32_t i = 0; i < n->nchildren; i++) {
        count_below(s, n->children[i]);
    }
}

void store_recount(struct store *s)
{
    for (struct store_domain *d = s->domains; d; d = d->next) {
        d->nodes = 0;
    }
    count_below(s, s->root);
}

unsigned store_tree_count(const struct store_node *n)
{
    unsigned count = 1;

    for (uint32_t i = 0; i < n->nchildren; i++) {
        count += store_tree_count(n->children[i]);
    }
    return count;
}

static const struct {
    const char *name;
    unsigned limit;
} quotas[] = {
    [STORE_Q_NODES] = {"nodes", STORE_QUOTA_NODES},
    [STORE_Q_WATCHES] = {"watches", STORE_QUOTA_WATCHES},
    [STORE_Q_TRANSACTIONS] = {"transactions", STORE_QUOTA_TRANSACTIONS},
    [STORE_Q_NODE_SIZE] = {"bytes per node", STORE_QUOTA_NODE_SIZE},
    [STORE_Q_PERMS] = {"permissions per node", STORE_QUOTA_PERMS},
    [STORE_Q_TXN_NODES] = {"nodes per transaction", STORE_QUOTA_TXN_NODES},
    [STORE_Q_TXN_BYTES] = {"bytes in transactions", STORE_QUOTA_TXN_BYTES},
    [STORE_Q_EVENTS] = {"bytes of unread events", STORE_QUOTA_EVENT_BYTES},
    [STORE_Q_PATH] = {"bytes in a path", XENSTORE_ABS_PATH_MAX},
};

int store_refuse(struct store *s, domid_t domid, enum store_quota quota, const char *path,
                 int error)
{
    struct store_domain *d = store_account(s, domid);

    if (d && !(d->refused & (1u << quota))) {
        d->refused |= 1u << quota;
        store_logf(s, "store: d%u refused: quota of %u %s reached at %.128s", domid,
                   quotas[quota].limit, quotas[quota].name, path);
    }
    return error;
}
