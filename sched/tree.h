/* SPDX-License-Identifier: MIT */
/*
 * A balanced tree (AVL) of nodes in the order of their keys, in which each node also has a mask of
 * the pCPUs that it may run on: "the first one for pCPU p" is found in O(log n) whatever the masks
 * are, because each node knows the masks of all below it. Nodes of equal keys keep the order in
 * which they came. Nodes are embedded, so nothing is allocated.
 *
 * G. M. Adelson-Velsky, E. M. Landis, "An algorithm for the organization of information", 1962: of
 * n nodes none is deeper than 1.44 log2(n + 2).
 */
#ifndef SCHED_TREE_H
#define SCHED_TREE_H

#include <stddef.h>
#include <stdint.h>

struct tree_node {
    uint64_t key, mask; /* set before the insertion, unchanged until the removal */
    uint64_t below;     /* masks of this node and of all below it */
    struct tree_node *child[2], *parent;
    int height;
};

struct tree {
    struct tree_node *root, *first;
};

void tree_insert(struct tree *t, struct tree_node *n);
void tree_remove(struct tree *t, struct tree_node *n);
struct tree_node *tree_search(struct tree_node *root, uint64_t bit);
/* Calls fn for each node; it may lower all keys by the same amount, which changes no order. */
void tree_each(struct tree_node *root, void (*fn)(struct tree_node *n, void *arg), void *arg);

/* The first node whose mask has `bit` (exactly one), NULL: none. */
static inline struct tree_node *tree_first(const struct tree *t, uint64_t bit)
{
    struct tree_node *n = t->first;
    return !n || (n->mask & bit) ? n : tree_search(t->root, bit);
}

#endif
