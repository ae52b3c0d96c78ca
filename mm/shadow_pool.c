/* SPDX-License-Identifier: MIT */
/*
 * The bounded pool of shadow tables of a domain.
 *
 * A shadow is made (four frames: the table and three pages of links) when first needed, until
 * pool_max exist; then the least recently used one is emptied and used again. "Used" is what the
 * hypervisor sees (made, filled, walked in a fault) and what the processor says: it sets A in the
 * upper entries through which it walks, so a shadow whose parents have A set gets a second chance.
 * Reclaiming goes in small batches, so that one TLB flush serves several tables.
 *
 * A free table is all zero and waits in a queue with its stamp (S3): a processor may still have its
 * address in a paging-structure cache.
 */
#include "mm/rmap.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"
#include "mm/heap.h"
#include "mm/tlb.h"

/* Shadows made at creation for each vCPU: enough for one instruction's worst needs, whatever others
 * take. */
#define RESERVE 24

#define BATCH 8

#define POOL_BYTES     (PAGE_SIZE << SHADOW_ORDER) /* a shadow with its links */
#define POOL_PAGES_MAX (1U << 20)

/* ---- LRU list ---- */

static void lru_remove(struct paging *p, struct shadow *s)
{
    if (s->newer)
        s->newer->older = s->older;
    else
        p->newest = s->older;
    if (s->older)
        s->older->newer = s->newer;
    else
        p->oldest = s->newer;
}

static void lru_insert(struct paging *p, struct shadow *s)
{
    s->newer = NULL;
    s->older = p->newest;
    if (s->older)
        s->older->newer = s;
    else
        p->oldest = s;
    p->newest = s;
}

void pool_touch(struct paging *p, struct shadow *s)
{
    if (p->newest == s)
        return;
    lru_remove(p, s);
    lru_insert(p, s);
}

/* ---- free queue ---- */

static void queue_append(struct paging *p, struct shadow *s)
{
    s->level = 0;
    s->older = NULL;
    if (p->free_last)
        p->free_last->older = s;
    else
        p->free_first = s;
    p->free_last = s;
    p->pool_free++;
}

static struct shadow *queue_take(struct paging *p)
{
    struct shadow *s = p->free_first;

    p->free_first = s->older;
    if (!p->free_first)
        p->free_last = NULL;
    p->pool_free--;
    return s;
}

/* ---- frames ---- */

static void drop_frames(struct shadow *s)
{
    if (s->table)
        frame_free(s->mfn, SHADOW_ORDER);
    *s = (struct shadow){0};
}

/* Adds one more shadow to the free queue; false: no memory or the pool is full. */
static bool pool_grow(struct paging *p)
{
    if (p->pool_made >= p->pool_max)
        return false;
    struct shadow *s = &p->shadow[p->pool_made + 1];

    s->mfn = frame_alloc(SHADOW_ORDER, DOMID_XEN, FRAME_ALLOC_ZERO);
    if (!mfn_valid(s->mfn))
        return false;
    s->table = frame_map(s->mfn);
    p->pool_made++;
    frame_of(s->mfn)->gfn_hint = p->pool_made; /* for entry_shadow() */
    queue_append(p, s);
    return true;
}

long pool_init(struct paging *p, unsigned pages)
{
    p->pool_min = PAGING_POOL_MIN;
    p->pool_max = pages < p->pool_min ? p->pool_min : pages;
    p->shadow = heap_calloc(p->pool_max + 1, sizeof(struct shadow));
    if (!p->shadow)
        return -XEN_ENOMEM;
    while (p->pool_made < RESERVE)
        if (!pool_grow(p))
            return -XEN_ENOMEM;
    return 0;
}

void pool_free(struct paging *p)
{
    for (unsigned i = 1; i <= p->pool_made; i++) {
        ASSERT(p->shadow[i].level == 0);
        drop_frames(&p->shadow[i]);
    }
    p->pool_made = p->pool_free = 0;
    p->free_first = p->free_last = NULL;
    heap_free(p->shadow);
    p->shadow = NULL;
}

/* ---- size ---- */

unsigned paging_pool_tables(const struct paging *p)
{
    return p->pool_max;
}

uint64_t paging_pool_bytes(const struct paging *p)
{
    return p->pool_max * POOL_BYTES;
}

/* The array may move only while no shadow is in use: then nobody points into it but the queue. */
long paging_set_pool_bytes(struct paging *p, uint64_t bytes)
{
    uint64_t pages = bytes / POOL_BYTES;
    struct shadow *fresh;

    if (pages < p->pool_min || pages > POOL_PAGES_MAX)
        return -XEN_EINVAL;
    if (pages == p->pool_max)
        return 0;
    if (p->pool_free != p->pool_made || pages < p->pool_made)
        return -XEN_EBUSY;
    fresh = heap_calloc(pages + 1, sizeof *fresh);
    if (!fresh)
        return -XEN_ENOMEM;
    memcpy(fresh, p->shadow, (p->pool_made + 1) * sizeof *fresh);
    heap_free(p->shadow);
    p->shadow = fresh;
    p->pool_max = (unsigned)pages;
    p->pool_free = 0;
    p->free_first = p->free_last = NULL;
    for (unsigned i = 1; i <= p->pool_made; i++)
        queue_append(p, &fresh[i]);
    return 0;
}

long paging_set_vcpus(struct paging *p, unsigned vcpus)
{
    uint64_t least = PAGING_POOL_MIN + (uint64_t)PAGING_POOL_VCPU * (vcpus - 1);
    long err = p->pool_max < least ? paging_set_pool_bytes(p, least * POOL_BYTES) : 0;

    if (!err)
        p->pool_min = (unsigned)least;
    while (!err && p->pool_made < RESERVE * vcpus)
        err = pool_grow(p) ? 0 : -XEN_ENOMEM;
    return err;
}

/* ---- reclaim ---- */

/* Did a processor walk through it since we looked last? Forgets it by that. */
static bool was_walked(struct shadow *s)
{
    bool walked = false;

    for (uint64_t *entry = s->parents; entry; entry = *entry_next(entry)) {
        if (__atomic_load_n(entry, __ATOMIC_RELAXED) & PTE_A) {
            __atomic_fetch_and(entry, ~PTE_A, __ATOMIC_RELAXED);
            walked = true;
        }
    }
    return walked;
}

/* Frees up to BATCH shadows from the old end; false: none could be. */
static bool reclaim(struct paging *p)
{
    unsigned freed = 0, chances = p->pool_made;
    unsigned wanted = p->pool_made / 16 < BATCH ? p->pool_made / 16 + 1 : BATCH;

    for (struct shadow *s = p->oldest, *next; s && freed < wanted; s = next) {
        next = s->newer;
        if (s->busy || s->users)
            continue;
        if (chances && was_walked(s)) {
            chances--;
            pool_touch(p, s); /* it comes round again if nothing else is found */
            if (!next)
                next = s;
            continue;
        }
        shadow_release(p, s);
        p->count.reclaimed++;
        freed++;
    }
    return freed != 0;
}

struct shadow *pool_take(struct paging *p, struct gfn_record *r, gfn_t gfn, unsigned level)
{
    if (!p->pool_free && !pool_grow(p) && !reclaim(p))
        return NULL;
    struct shadow *s = queue_take(p);

    tlb_wait_safe(s->stamp);
    s->gfn = gfn;
    s->record = r;
    s->level = (uint8_t)level;
    s->live = false;
    s->parents = NULL;
    s->used = 0;
    s->users = 0;
    s->busy = false;
    s->sibling = r->shadows;
    r->shadows = s;
    lru_insert(p, s);
    if (level == LEVELS) {
        arch_root_init(s->table);
        s->table[M2P_SLOT] = m2p_root_entry(p);
    }
    p->count.shadows++;
    p->count.made++;
    return s;
}

void pool_put(struct paging *p, struct shadow *s)
{
    struct shadow **at = &s->record->shadows;

    ASSERT(!s->used && !s->parents && !s->users && !s->live);
    while (*at != s)
        at = &(*at)->sibling;
    *at = s->sibling;
    if (s->level == LEVELS)
        memset(&s->table[HOLE_FIRST], 0, (HOLE_LAST - HOLE_FIRST + 1) * sizeof(uint64_t));
    lru_remove(p, s);
    s->stamp = tlb_stamp();
    queue_append(p, s);
    p->count.shadows--;
}
