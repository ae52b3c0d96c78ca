/* SPDX-License-Identifier: MIT */
/*
 * Nodes of the tree. A reference to a node is a reference to the whole tree below it; a node with
 * more than one reference is shared, and then nobody changes it: store_tree_own copies the nodes
 * on the way to a place (each with references to the same children) until the place belongs to
 * one tree only.
 */

#include "dom0/store/core.h"

#include <stdlib.h>
#include <string.h>

struct store_node *store_node_new(const char *name, size_t len, const struct store_node *parent)
{
    struct store_node *n = calloc(1, sizeof(*n) + len + 1);

    if (!n) {
        return NULL;
    }
    n->refs = 1;
    memcpy(n->name, name, len);
    if (parent) {
        n->nperms = parent->nperms;
        memcpy(n->perms, parent->perms, sizeof(n->perms));
    } else {
        n->nperms = 1; /* the root: domain 0's, of no use to others */
    }
    return n;
}

struct store_node *store_node_get(struct store_node *n)
{
    n->refs++;
    return n;
}

void store_node_put(struct store_node *n)
{
    if (!n || --n->refs > 0) {
        return;
    }
    for (uint32_t i = 0; i < n->nchildren; i++) {
        store_node_put(n->children[i]);
    }
    free(n->children);
    free(n->value);
    free(n);
}

int store_node_set_value(struct store_node *n, const void *value, size_t len)
{
    char *copy = NULL;

    if (len > 0) {
        copy = malloc(len + 1);
        if (!copy) {
            return -XEN_ENOMEM;
        }
        memcpy(copy, value, len);
        copy[len] = '\0';
    }
    free(n->value);
    n->value = copy;
    n->len = (uint32_t)len;
    return 0;
}

/* A copy that shares the children; NULL without memory. */
static struct store_node *node_clone(struct store_node *n)
{
    struct store_node *c = store_node_new(n->name, strlen(n->name), n);

    if (!c) {
        return NULL;
    }
    c->gen = n->gen;
    if (n->nchildren > 0) {
        c->children = malloc(n->nchildren * sizeof(n->children[0]));
    }
    if ((n->nchildren > 0 && !c->children) || store_node_set_value(c, n->value, n->len)) {
        store_node_put(c);
        return NULL;
    }
    for (uint32_t i = 0; i < n->nchildren; i++) {
        c->children[i] = store_node_get(n->children[i]);
    }
    c->nchildren = c->room = n->nchildren;
    c->names_len = n->names_len;
    return c;
}

static int name_compare(const struct store_node *n, const char *name, size_t len)
{
    size_t have = strlen(n->name);
    int order = memcmp(n->name, name, have < len ? have : len);

    if (order != 0) {
        return order;
    }
    return have < len ? -1 : have > len;
}

/* Where the child of that name is or would be. */
static uint32_t child_index(const struct store_node *n, const char *name, size_t len, bool *found)
{
    uint32_t low = 0, high = n->nchildren;

    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = name_compare(n->children[mid], name, len);

        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct store_node *store_tree_nearest(struct store_node *root, const char *path, unsigned *missing)
{
    struct store_node *n = root;
    const char *name;
    size_t len;

    *missing = 0;
    while ((name = store_path_next(&path, &len)) != NULL) {
        bool found = false;
        uint32_t i = *missing == 0 ? child_index(n, name, len, &found) : 0;

        if (found) {
            n = n->children[i];
        } else {
            ++*missing;
        }
    }
    return n;
}

struct store_node *store_tree_find(struct store_node *root, const char *path, unsigned up)
{
    struct store_node *n = root;

    for (unsigned depth = store_path_depth(path); n && depth > up; depth--) {
        size_t len;
        const char *name = store_path_next(&path, &len);
        bool found;
        uint32_t i = child_index(n, name, len, &found);

        n = found ? n->children[i] : NULL;
    }
    return n;
}

/* Makes the node in that slot (the root, or a place in an own node) its tree's own. */
static struct store_node *slot_own(struct store_node **slot)
{
    if ((*slot)->refs > 1) {
        struct store_node *copy = node_clone(*slot);

        if (!copy) {
            return NULL;
        }
        store_node_put(*slot);
        *slot = copy;
    }
    return *slot;
}

struct store_node *store_tree_own(struct store_node **root, const char *path, unsigned up)
{
    struct store_node *n = slot_own(root);

    for (unsigned depth = store_path_depth(path); n && depth > up; depth--) {
        size_t len;
        const char *name = store_path_next(&path, &len);
        bool found;
        uint32_t i = child_index(n, name, len, &found);

        n = found && n->children ? slot_own(&n->children[i]) : NULL;
    }
    return n;
}

int store_node_insert(struct store_node *parent, struct store_node *child)
{
    size_t len = strlen(child->name);
    bool found;
    uint32_t at = child_index(parent, child->name, len, &found);

    if (found) {
        return -XEN_EEXIST;
    }
    if (parent->nchildren == parent->room) {
        uint32_t room = parent->room ? parent->room * 2 : 4;
        struct store_node **more = realloc(parent->children, room * sizeof(*more));

        if (!more) {
            return -XEN_ENOMEM;
        }
        parent->children = more;
        parent->room = room;
    }
    memmove(&parent->children[at + 1], &parent->children[at],
            (parent->nchildren - at) * sizeof(parent->children[0]));
    parent->children[at] = child;
    parent->nchildren++;
    parent->names_len += (uint32_t)len + 1;
    return 0;
}

struct store_node *store_node_detach(struct store_node *parent, const char *name, size_t len)
{
    bool found;
    uint32_t at = child_index(parent, name, len, &found);

    if (!found) {
        return NULL;
    }
    struct store_node *child = parent->children[at];
    parent->nchildren--;
    memmove(&parent->children[at], &parent->children[at + 1],
            (parent->nchildren - at) * sizeof(parent->children[0]));
    parent->names_len -= (uint32_t)len + 1;
    return child;
}
