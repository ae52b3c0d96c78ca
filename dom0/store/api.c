/* SPDX-License-Identifier: MIT */
/* The calls of store.h that work on the tree, as domain 0. */

#include "dom0/store/core.h"
#include "dom0/store/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store the_store;

struct store *store_instance(void)
{
    return &the_store;
}

/* Only dom0's own code comes here: a bad path is its mistake and gets -XEN_EINVAL. */
static int change(struct store_change *c, const char *path)
{
    int error = store_path_resolve(0, path, the_store.self->path);

    c->path = path;
    return error ? error : store_change(the_store.self, 0, c);
}

char *store_read(const char *path)
{
    int error = store_path_resolve(0, path, the_store.self->path);
    const struct store_node *n =
        error ? NULL : store_node_read(the_store.self, 0, the_store.self->path, &error);
    char *copy = n ? malloc(n->len + 1) : NULL;

    if (copy) {
        memcpy(copy, n->len ? n->value : "", n->len);
        copy[n->len] = '\0';
    }
    return copy;
}

int store_write(const char *path, const char *value)
{
    struct store_change c = {.what = STORE_DO_WRITE, .value = value, .len = strlen(value)};

    return change(&c, path);
}

int store_printf(const char *path, const char *fmt, ...)
{
    char value[512];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(value)) {
        return -XEN_E2BIG;
    }
    return store_write(path, value);
}

int store_mkdir(const char *path)
{
    struct store_change c = {.what = STORE_DO_MKDIR};

    return change(&c, path);
}

int store_rm(const char *path)
{
    struct store_change c = {.what = STORE_DO_RM};

    return change(&c, path);
}

int store_set_perms(const char *path, const struct store_perm *perms, unsigned n)
{
    struct store_change c = {.what = STORE_DO_PERMS, .nperms = n};

    if (n == 0 || n > STORE_PERMS_MAX) {
        return -XEN_EINVAL;
    }
    memcpy(c.perms, perms, n * sizeof(perms[0]));
    return change(&c, path);
}

int store_ls(const char *path, char ***names, unsigned *count)
{
    int error = store_path_resolve(0, path, the_store.self->path);
    const struct store_node *n =
        error ? NULL : store_node_read(the_store.self, 0, the_store.self->path, &error);

    if (error) {
        return error;
    }
    char **list = malloc(n->nchildren * sizeof(*list) + n->names_len + 1);
    if (!list) {
        return -XEN_ENOMEM;
    }
    char *text = (char *)(list + n->nchildren);
    for (uint32_t i = 0; i < n->nchildren; i++) {
        list[i] = strcpy(text, n->children[i]->name);
        text += strlen(text) + 1;
    }
    *names = list;
    *count = n->nchildren;
    return 0;
}

struct store_watch *store_watch(const char *path, store_watch_fn fn, void *arg)
{
    struct store_watch *w;

    if (store_watch_add(the_store.self, path, "", fn, arg, &w)) {
        return NULL;
    }
    store_watch_first(w);
    return w;
}

void store_unwatch(struct store_watch *watch)
{
    store_watch_free(watch);
}

unsigned store_node_count(void)
{
    return store_tree_count(the_store.root);
}

unsigned store_domain_nodes(domid_t domid)
{
    struct store_domain *d = store_domain_find(&the_store, domid);

    return d ? d->nodes : 0;
}
