/* SPDX-License-Identifier: MIT */
/* A token bucket in integers; fractions of a unit are kept as time not yet accounted for. */

#include "dom0/console/bucket.h"

#define NS_PER_SEC 1000000000ull

void bucket_init(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
    b->rate = rate;
    b->burst = burst;
    b->level = burst;
    b->last_ns = now_ns;
}

uint64_t bucket_level(struct bucket *b, uint64_t now_ns)
{
    uint64_t room = b->burst - b->level;
    uint64_t gone, units;

    if (now_ns <= b->last_ns) {
        return b->level;
    }
    gone = now_ns - b->last_ns;
    /* Long enough to fill it? Asked first, so that the product below cannot overflow. */
    if (gone / NS_PER_SEC > b->burst / b->rate) {
        b->level = b->burst;
        b->last_ns = now_ns;
        return b->level;
    }
    units = gone / NS_PER_SEC * b->rate + gone % NS_PER_SEC * b->rate / NS_PER_SEC;
    if (units >= room) {
        b->level = b->burst;
        b->last_ns = now_ns;
    } else {
        b->level += units;
        b->last_ns += units * NS_PER_SEC / b->rate;
    }
    return b->level;
}

void bucket_take(struct bucket *b, uint64_t n)
{
    b->level -= n;
}

uint64_t bucket_wait_ns(const struct bucket *b, uint64_t n)
{
    return n <= b->level ? 0 : (n - b->level) * NS_PER_SEC / b->rate + 1;
}
