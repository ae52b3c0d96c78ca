/* SPDX-License-Identifier: MIT */
#include "dom0/blk/grantcache.h"

#include <stddef.h>

/* References are small numbers, given out one after the other. */
static uint16_t *bucket(struct grantcache *c, grant_ref_t ref)
{
    return &c->hash[ref % GRANTCACHE_HASH];
}

static struct grantcache_entry *find(struct grantcache *c, grant_ref_t ref)
{
    for (uint16_t i = *bucket(c, ref); i; i = c->entries[i - 1].next) {
        if (c->entries[i - 1].ref == ref) {
            return &c->entries[i - 1];
        }
    }
    return NULL;
}

struct grantcache_entry *grantcache_get(struct grantcache *c, grant_ref_t ref)
{
    struct grantcache_entry *e = find(c, ref);

    if (e) {
        e->users++;
        e->recent = true;
    }
    return e;
}

static void unlink_entry(struct grantcache *c, struct grantcache_entry *e)
{
    uint16_t *link = bucket(c, e->ref);

    while (&c->entries[*link - 1] != e) {
        link = &c->entries[*link - 1].next;
    }
    *link = e->next;
    e->page.va = NULL;
    c->count--;
}

/* The next entry that is free or may go, or NULL: two rounds of the hand find one if there is. */
static struct grantcache_entry *find_room(struct grantcache *c)
{
    for (unsigned n = 0; n < 2 * GRANTCACHE_MAX; n++) {
        struct grantcache_entry *e = &c->entries[c->hand];

        c->hand = (c->hand + 1) % GRANTCACHE_MAX;
        if (!e->page.va || (!e->users && !e->recent)) {
            return e;
        }
        e->recent = false;
    }
    return NULL;
}

struct grantcache_entry *grantcache_add(struct grantcache *c, grant_ref_t ref,
                                        const struct grant_page *page, struct grant_page *evicted)
{
    struct grantcache_entry *e = find(c, ref) ? NULL : find_room(c);
    uint16_t *link = bucket(c, ref);

    evicted->va = NULL;
    if (!e) {
        return NULL;
    }
    if (e->page.va) {
        *evicted = e->page;
        unlink_entry(c, e);
    }
    *e = (struct grantcache_entry){
        .page = *page, .ref = ref, .users = 1, .next = *link, .recent = true};
    *link = (uint16_t)(e - c->entries + 1);
    c->count++;
    return e;
}

void grantcache_put(struct grantcache_entry *e)
{
    e->users--;
}

bool grantcache_take(struct grantcache *c, struct grant_page *page)
{
    for (unsigned i = 0; i < GRANTCACHE_MAX && c->count > 0; i++) {
        struct grantcache_entry *e = &c->entries[i];

        if (e->page.va && !e->users) {
            *page = e->page;
            unlink_entry(c, e);
            return true;
        }
    }
    return false;
}
