/* SPDX-License-Identifier: MIT */
/*
 * A tree of nodes in the order of their keys, in which each node also has a mask of the pCPUs that
 * it may run on: "the first one for pCPU p" is found in O(log n) whatever the masks are, because
 * each node knows the masks of all below it. Nodes of equal keys keep the order in which they came.
 * Nodes are embedded, so nothing is allocated.
 *
 * It is a treap (C. R. Aragon, R. G. Seidel, "Randomized search trees", 1989): a search tree by
 * key, and a heap by a random number that each node draws when it is inserted. So its shape is that
 * of a tree filled in random order, whatever the keys: the expected depth of a node is below
 * 2 ln n, of the first and the last below ln n + 1; a rotation is seldom needed. A balanced tree
 * proper is less deep, but rebalancing costs a run queue, which takes at one end and puts at the
 * other, more than twice as many instructions.
 */
#ifndef SCHED_TREE_H
#define SCHED_TREE_H

#include <stddef.h>
#include <stdint.h>

struct tree_node {
    uint64_t key, mask; /* set before the insertion, unchanged until the removal */
    uint64_t below;     /* masks of this node and of all below it */
    struct tree_node *child[2], *parent;
    uint64_t rank; /* random; no child has a higher one */
};

/* All zero: empty. */
struct tree {
    struct tree_node *root, *first;
    uint64_t random;
};

void tree_insert(struct tree *t, struct tree_node *n);
void tree_remove(struct tree *t, struct tree_node *n);
struct tree_node *tree_search(struct tree_node *n, uint64_t bit); /* below n; for tree_first() */
/* Calls fn for each node below n, in order; it may lower all keys by the same amount, which changes
 * no order. */
void tree_each(struct tree_node *n, void (*fn)(struct tree_node *n, void *arg), void *arg);

/* The first node whose mask has `bit` (exactly one), NULL: none. */
static inline struct tree_node *tree_first(const struct tree *t, uint64_t bit)
{
    struct tree_node *n = t->first;
    return !n || (n->mask & bit) ? n : tree_search(t->root, bit);
}

#endif
