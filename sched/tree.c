/* SPDX-License-Identifier: MIT */
#include "sched/tree.h"

/* The linear congruential generator of Knuth's MMIX (The Art of Computer Programming, volume 2,
 * 3.3.4). Ranks are only compared, so its low bits, which are bad, hardly ever count. */
static uint64_t draw(struct tree *t)
{
    return t->random = t->random * 6364136223846793005UL + 1442695040888963407UL;
}

static void refresh(struct tree_node *n)
{
    const struct tree_node *a = n->child[0], *b = n->child[1];

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

/* n changes places with its parent, and keeps its place in the order. */
static void rotate_up(struct tree *t, struct tree_node *n)
{
    struct tree_node *p = n->parent;
    int side = p->child[1] == n;
    struct tree_node *middle = n->child[!side];

    replace(t, p, n);
    n->below = p->below;
    p->child[side] = middle;
    if (middle)
        middle->parent = p;
    n->child[!side] = p;
    p->parent = n;
    refresh(p);
}

void tree_insert(struct tree *t, struct tree_node *n)
{
    struct tree_node *p = NULL;
    uint64_t key = n->key, mask = n->mask;
    unsigned side = 0;

    for (struct tree_node *here = t->root; here; here = here->child[side]) {
        here->below |= mask;
        side = key >= here->key;
        p = here;
    }
    if (p)
        p->child[side] = n;
    else
        t->root = n;
    n->child[0] = n->child[1] = NULL;
    n->parent = p;
    n->below = mask;
    n->rank = draw(t);
    if (!t->first || key < t->first->key)
        t->first = n;
    while (n->parent && n->parent->rank < n->rank)
        rotate_up(t, n);
}

static struct tree_node *leftmost(struct tree_node *n)
{
    while (n->child[0])
        n = n->child[0];
    return n;
}

void tree_remove(struct tree *t, struct tree_node *n)
{
    if (t->first == n) /* it has nothing on its left */
        t->first = n->child[1] ? leftmost(n->child[1]) : n->parent;
    while (n->child[0] && n->child[1])
        rotate_up(t, n->child[n->child[1]->rank > n->child[0]->rank]);
    replace(t, n, n->child[0] ? n->child[0] : n->child[1]);
    for (struct tree_node *p = n->parent; p; p = p->parent) {
        uint64_t was = p->below;
        refresh(p);
        if (p->below == was) /* then all above have it from elsewhere, too */
            break;
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
