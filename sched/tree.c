/* SPDX-License-Identifier: MIT */
#include "sched/tree.h"

static int height(const struct tree_node *n)
{
    return n ? n->height : 0;
}

static void refresh(struct tree_node *n)
{
    struct tree_node *a = n->child[0], *b = n->child[1];
    int ha = height(a), hb = height(b);

    n->height = 1 + (ha > hb ? ha : hb);
    n->below = n->mask | (a ? a->below : 0) | (b ? b->below : 0);
}

/* Puts `now` where `old` hangs; `now` may be NULL. */
static void replace(struct tree *t, const struct tree_node *old, struct tree_node *now)
{
    struct tree_node *parent = old->parent;

    if (!parent)
        t->root = now;
    else
        parent->child[parent->child[1] == old] = now;
    if (now)
        now->parent = parent;
}

/* The child on the other side comes up, n goes down to `side`. */
static struct tree_node *rotate(struct tree *t, struct tree_node *n, int side)
{
    struct tree_node *up = n->child[!side], *middle = up->child[side];

    replace(t, n, up);
    n->child[!side] = middle;
    if (middle)
        middle->parent = n;
    up->child[side] = n;
    n->parent = up;
    refresh(n);
    refresh(up);
    return up;
}

/* The two sides of n are two levels apart; its new top. */
static struct tree_node *balance(struct tree *t, struct tree_node *n)
{
    int deep = height(n->child[1]) > height(n->child[0]);
    struct tree_node *c = n->child[deep];

    if (height(c->child[!deep]) > height(c->child[deep]))
        rotate(t, c, deep);
    return rotate(t, n, !deep);
}

/* After a change below n: up to where nothing changes any more. */
static void retrace(struct tree *t, struct tree_node *n)
{
    while (n) {
        int was_high = n->height, tilt = height(n->child[0]) - height(n->child[1]);
        uint64_t was_below = n->below;

        if (tilt > 1 || tilt < -1)
            n = balance(t, n);
        else
            refresh(n);
        if (n->height == was_high && n->below == was_below)
            break;
        n = n->parent;
    }
}

void tree_insert(struct tree *t, struct tree_node *n)
{
    struct tree_node **link = &t->root, *parent = NULL;
    int first = 1;

    while (*link) {
        int side = n->key >= (*link)->key;
        first &= !side;
        parent = *link;
        link = &parent->child[side];
    }
    *link = n;
    n->parent = parent;
    n->child[0] = n->child[1] = NULL;
    n->height = 1;
    n->below = n->mask;
    if (first)
        t->first = n;
    retrace(t, parent);
}

static struct tree_node *leftmost(struct tree_node *n)
{
    while (n->child[0])
        n = n->child[0];
    return n;
}

/* n has two children: the next one in the order takes its place. */
static void remove_inner(struct tree *t, struct tree_node *n)
{
    struct tree_node *next = leftmost(n->child[1]), *from = next;

    if (next->parent != n) {
        from = next->parent;
        replace(t, next, next->child[1]);
        next->child[1] = n->child[1];
        next->child[1]->parent = next;
    }
    next->child[0] = n->child[0];
    next->child[0]->parent = next;
    next->height = n->height;
    next->below = n->below;
    replace(t, n, next);
    retrace(t, from);
    retrace(t, next); /* the way up may have ended before it, and its mask is another */
}

void tree_remove(struct tree *t, struct tree_node *n)
{
    struct tree_node *right = n->child[1];

    if (t->first == n) /* it has nothing on its left */
        t->first = right ? leftmost(right) : n->parent;
    if (n->child[0] && right) {
        remove_inner(t, n);
    } else {
        replace(t, n, right ? right : n->child[0]);
        retrace(t, n->parent);
    }
}

struct tree_node *tree_search(struct tree_node *n, uint64_t bit)
{
    if (!n || !(n->below & bit))
        return NULL;
    for (;;) {
        struct tree_node *left = n->child[0];

        if (left && (left->below & bit))
            n = left;
        else if (n->mask & bit)
            return n;
        else
            n = n->child[1]; /* it must be there */
    }
}

void tree_each(struct tree_node *n, void (*fn)(struct tree_node *n, void *arg), void *arg)
{
    for (; n; n = n->child[1]) { /* the recursion is as deep as the tree is high */
        tree_each(n->child[0], fn, arg);
        fn(n, arg);
    }
}
