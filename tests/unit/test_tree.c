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

static unsigned check_node(const struct tree_node *n, const struct tree_node *parent)
{
    unsigned a, b;

    if (!n)
        return 0;
    assert_ptr_equal(n->parent, parent);
    assert_true(!parent || n->rank <= parent->rank);
    assert_int_equal(n->below, n->mask | (n->child[0] ? n->child[0]->below : 0) |
                                   (n->child[1] ? n->child[1]->below : 0));
    a = check_node(n->child[0], n);
    b = check_node(n->child[1], n);
    return 1 + (a > b ? a : b);
}

static void check_order(struct tree_node *n, void *place)
{
    assert_ptr_equal(sorted[(*(unsigned *)place)++], n);
}

static void check(const struct tree *t)
{
    unsigned place = 0, height = check_node(t->root, NULL), log = 0;

    tree_each(t->root, check_order, &place);
    assert_int_equal(place, count);
    assert_ptr_equal(t->first, count ? sorted[0] : NULL);
    while ((1UL << log) < count + 1)
        log++;
    assert_true(height <= 3 * log + 4); /* of 1,000 nodes in random order, 22 is usual */
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

static unsigned depth(const struct tree_node *n)
{
    unsigned d = 0;

    for (; n; n = n->parent)
        d++;
    return d;
}

/* As a queue of equal weights works: the first leaves, and comes back last. However long that goes
 * on, both ends stay near the root. */
static void test_round_robin(void **state)
{
    static const unsigned sizes[] = {10, 100, 1000};
    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        struct tree t = {0};
        unsigned size = sizes[k], first = 0, last = 0;

        for (unsigned i = 0; i < size; i++) {
            node[i].key = i;
            node[i].mask = 1;
            tree_insert(&t, &node[i]);
        }
        for (unsigned i = size; i < size + 20000; i++) {
            struct tree_node *n = tree_first(&t, 1);
            assert_ptr_equal(n, &node[i % size]);
            first += depth(n);
            tree_remove(&t, n);
            n->key = i;
            tree_insert(&t, n);
            last += depth(n);
        }
        /* ln n + 1 is 3.3, 5.6 and 7.9. */
        assert_in_range(first / 2000, 20, 33 + 23 * k);
        assert_in_range(last / 2000, 20, 33 + 23 * k);
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
