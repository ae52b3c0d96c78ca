/* SPDX-License-Identifier: MIT */
/* The run queue's tree under random insertions and removals, against a sorted array; and its depth,
 * which is what a pick costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sched/tree.h"

#define NODES 1000

static struct tree_node node[NODES], *sorted[NODES];
static bool in[NODES];
static unsigned count;
static uint32_t rng;

static uint32_t rnd(uint32_t limit)
{
    rng = rng * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rng >> 4) * limit >> 28);
}

/* Behind those of the same key. */
static void model_insert(struct tree_node *n)
{
    unsigned i = count++;

    for (; i > 0 && sorted[i - 1]->key > n->key; i--)
        sorted[i] = sorted[i - 1];
    sorted[i] = n;
}

static void model_remove(const struct tree_node *n)
{
    unsigned i = 0;

    while (sorted[i] != n)
        i++;
    for (count--; i < count; i++)
        sorted[i] = sorted[i + 1];
}

static struct tree_node *model_first(uint64_t bit)
{
    for (unsigned i = 0; i < count; i++)
        if (sorted[i]->mask & bit)
            return sorted[i];
    return NULL;
}

static int check_node(const struct tree_node *n, const struct tree_node *parent)
{
    int a, b;

    if (!n)
        return 0;
    assert_ptr_equal(n->parent, parent);
    a = check_node(n->child[0], n);
    b = check_node(n->child[1], n);
    assert_in_range(a - b + 1, 0, 2);
    assert_int_equal(n->height, 1 + (a > b ? a : b));
    assert_int_equal(n->below, n->mask | (n->child[0] ? n->child[0]->below : 0) |
                                   (n->child[1] ? n->child[1]->below : 0));
    return n->height;
}

static void check_order(struct tree_node *n, void *place)
{
    assert_ptr_equal(sorted[(*(unsigned *)place)++], n);
}

static void check(const struct tree *t)
{
    unsigned place = 0;
    int limit = 1;

    check_node(t->root, NULL);
    tree_each(t->root, check_order, &place);
    assert_int_equal(place, count);
    assert_ptr_equal(t->first, count ? sorted[0] : NULL);
    while ((1UL << limit) < count + 2)
        limit++;
    if (t->root)
        assert_true(t->root->height <= limit * 3 / 2);
    for (unsigned bit = 0; bit < 64; bit += 7)
        assert_ptr_equal(tree_first(t, 1UL << bit), model_first(1UL << bit));
}

static void toggle(struct tree *t, unsigned i, uint32_t keys, bool pinned)
{
    if (in[i]) {
        tree_remove(t, &node[i]);
        model_remove(&node[i]);
    } else {
        node[i].key = rnd(keys);
        node[i].mask = pinned ? 1UL << rnd(64) : ~0UL;
        tree_insert(t, &node[i]);
        model_insert(&node[i]);
    }
    in[i] = !in[i];
}

static void test_random(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct tree t = {0};
        unsigned nodes = round % 3 == 0 ? 8 : round % 3 == 1 ? 100 : NODES;
        uint32_t keys = round % 2 ? 10 : 1U << 28;

        rng = round;
        count = 0;
        for (unsigned i = 0; i < NODES; i++)
            in[i] = false;
        for (unsigned step = 0; step < 2000; step++) {
            toggle(&t, rnd(nodes), keys, round % 5);
            if (nodes < NODES || step % 50 == 0)
                check(&t);
        }
        for (unsigned i = 0; i < nodes; i++)
            if (in[i])
                toggle(&t, i, keys, true);
        assert_null(t.root);
        assert_null(t.first);
    }
}

/* In order, as a queue of equal weights fills up: the first leaves, and comes back last. */
static void test_round_robin(void **state)
{
    struct tree t = {0};
    (void)state;
    count = 0;
    for (unsigned i = 0; i < 100; i++) {
        node[i].key = i;
        node[i].mask = 1;
        tree_insert(&t, &node[i]);
    }
    for (unsigned i = 100; i < 100000; i++) {
        struct tree_node *n = tree_first(&t, 1);
        assert_ptr_equal(n, &node[i % 100]);
        tree_remove(&t, n);
        n->key = i;
        tree_insert(&t, n);
        assert_true(t.root->height <= 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_round_robin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
