/* SPDX-License-Identifier: MIT */
/*
 * gfn -> machine frame, one record a gfn, in two arrays of chunks: the domain's memory from gfn 0
 * (in a direct-mapped domain gfn = mfn), and the window of everything else that has a gfn. Chunks
 * are made when first needed and stay where they are, so records have stable addresses.
 */
#include "mm/rmap.h"

#include <xen/errno.h>
#include <xen/xen.h>

#include "mm/heap.h"

#define GFN_LIMIT (1UL << 30) /* largest RAM gfn + 1: 4 TiB */

static uint64_t chunks_for(uint64_t records)
{
    return (records + CHUNK_RECORDS - 1) >> CHUNK_BITS;
}

long p2m_init(struct paging *p, uint64_t max_frames)
{
    uint64_t limit = p->flags & PAGING_DIRECT ? frame_max_mfn() : max_frames;

    if (limit > GFN_LIMIT)
        return -XEN_EINVAL;
    p->max_frames = max_frames;
    p->ram_limit = chunks_for(limit) << CHUNK_BITS;
    p->ram = heap_calloc(chunks_for(limit) + 1, sizeof *p->ram);
    p->window = heap_calloc(WINDOW_MAX / CHUNK_RECORDS, sizeof *p->window);
    return p->ram && p->window ? 0 : -XEN_ENOMEM;
}

void p2m_free_arrays(struct paging *p)
{
    for (uint64_t i = 0; p->ram && i < p->ram_limit >> CHUNK_BITS; i++)
        heap_free(p->ram[i]);
    for (uint64_t i = 0; p->window && i < p->window_limit >> CHUNK_BITS; i++)
        heap_free(p->window[i]);
    heap_free(p->ram);
    heap_free(p->window);
    p->ram = p->window = NULL;
    p->ram_limit = p->window_limit = 0;
}

uint64_t p2m_max_gfn(const struct paging *p)
{
    return p->flags & PAGING_DIRECT ? frame_max_mfn() : p->max_frames;
}

long p2m_set_max(struct paging *p, uint64_t max_frames)
{
    uint64_t chunks = chunks_for(max_frames), have = p->ram_limit >> CHUNK_BITS;

    if (max_frames > GFN_LIMIT)
        return -XEN_EINVAL;
    if (!(p->flags & PAGING_DIRECT) && chunks > have) {
        if (log_grow(p, max_frames))
            return -XEN_ENOMEM;
        struct gfn_record **bigger = heap_calloc(chunks + 1, sizeof *bigger);
        if (!bigger)
            return -XEN_ENOMEM;
        for (uint64_t i = 0; i < have; i++)
            bigger[i] = p->ram[i];
        heap_free(p->ram);
        p->ram = bigger;
        p->ram_limit = chunks << CHUNK_BITS;
    }
    p->max_frames = max_frames;
    if (p2m_max_gfn(p) > p->m2p_entries)
        p->m2p_entries = p2m_max_gfn(p);
    return 0;
}

enum mmio_access p2m_mmio(const struct paging *p, uint64_t gfn)
{
    if (!(p->flags & PAGING_DIRECT) || gfn >= GFN_WINDOW || frame_of(mfn_of(gfn)))
        return MMIO_DENIED;
    return mmio_access(mfn_of(gfn));
}

struct p2m_ref p2m_lookup(struct paging *p, gfn_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn.n);
    enum mmio_access access;

    if (r && record_type(r) != P2M_HOLE)
        return (struct p2m_ref){record_mfn(r), record_type(r), r->word & GFN_READONLY};
    access = p2m_mmio(p, gfn.n);
    if (access != MMIO_DENIED)
        return (struct p2m_ref){mfn_of(gfn.n), P2M_MMIO, access == MMIO_READ};
    return (struct p2m_ref){INVALID_MFN, P2M_HOLE, true};
}

/* ---- the domain's own memory ---- */

/* The record of a gfn that may become memory, and is none yet. */
static long empty_record(struct paging *p, gfn_t gfn, struct gfn_record **record)
{
    struct gfn_record **chunk;

    if (gfn.n >= p->ram_limit || (!(p->flags & PAGING_DIRECT) && gfn.n >= p->max_frames))
        return -XEN_EINVAL;
    chunk = &p->ram[gfn.n >> CHUNK_BITS];
    if (!*chunk)
        *chunk = heap_calloc(CHUNK_RECORDS, sizeof **chunk);
    if (!*chunk)
        return -XEN_ENOMEM;
    *record = &(*chunk)[gfn.n % CHUNK_RECORDS];
    return record_type(*record) == P2M_HOLE ? 0 : -XEN_EEXIST;
}

static inline long add_memory(struct paging *p, gfn_t gfn, mfn_t mfn, enum p2m_type type,
                              uint64_t pfn)
{
    struct frame *f = frame_of(mfn);
    struct gfn_record *r;
    long err;

    if (!f || p->dying || ((p->flags & PAGING_DIRECT) && gfn.n != mfn.n))
        return -XEN_EINVAL;
    err = empty_record(p, gfn, &r);
    if (!err && p->log.state != LOG_OFF)
        err = log_reserve(p, gfn);
    if (!err)
        err = m2p_set(p, gfn, pfn);
    if (err)
        return err;
    r->word = mfn_to_maddr(mfn) | type;
    p->ram_count++;
    if (type == P2M_RAM)
        f->gfn_hint = (uint32_t)gfn.n;
    if (p->log.state != LOG_OFF)
        log_mark_gfn(p, gfn);
    return 0;
}

long p2m_add_ram_as(struct paging *p, gfn_t gfn, mfn_t mfn, uint64_t pfn)
{
    return add_memory(p, gfn, mfn, P2M_RAM, pfn);
}

long p2m_add_ram(struct paging *p, gfn_t gfn, mfn_t mfn)
{
    return p2m_add_ram_as(p, gfn, mfn, gfn.n);
}

long p2m_add_shared(struct paging *p, gfn_t gfn, mfn_t mfn)
{
    return add_memory(p, gfn, mfn, P2M_SHARED, gfn.n);
}

long p2m_remove_ram(struct paging *p, gfn_t gfn, mfn_t *mfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);

    if (!record_is_memory(r))
        return -XEN_EINVAL;
    alias_end_all(p, r, gfn);
    shadow_release_all(p, r);
    rmap_remove_all(p, r);
    *mfn = record_mfn(r);
    /* Others have a shared frame still, and the last one may write it. */
    if (record_type(r) == P2M_SHARED)
        frame_stamp(frame_of(*mfn));
    r->word = 0;
    r->marks = 0;
    tables_changed(p);
    log_mark_gfn(p, gfn);
    m2p_set(p, gfn, M2P_NONE); /* its page exists: no error */
    p->ram_count--;
    if (gfn.n < p->hole_hint)
        p->hole_hint = gfn.n;
    return 0;
}

bool p2m_is_idle(struct paging *p, gfn_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn.n);

    if (!record_is_ram(r) || r->rmap || !shadow_is_orphan(r))
        return false;
    return __atomic_load_n(&frame_of(record_mfn(r))->refs, __ATOMIC_ACQUIRE) == 1;
}

static bool is_hole(const struct paging *p, uint64_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn);

    return !r || record_type(r) == P2M_HOLE;
}

gfn_t p2m_lowest_hole(struct paging *p, unsigned order)
{
    uint64_t count, gfn;

    if ((p->flags & PAGING_DIRECT) || order > 30)
        return INVALID_GFN;
    while (p->hole_hint < p->max_frames && !is_hole(p, p->hole_hint))
        p->hole_hint++;
    count = 1UL << order;
    gfn = (p->hole_hint + count - 1) & ~(count - 1);
    while (gfn + count <= p->max_frames) {
        uint64_t used = gfn + count;

        while (used > gfn && is_hole(p, used - 1))
            used--;
        if (used == gfn)
            return gfn_of(gfn);
        gfn += count;
    }
    return INVALID_GFN;
}

bool p2m_is_memory(struct paging *p, gfn_t gfn)
{
    return record_is_memory(p2m_record(p, gfn.n));
}

uint64_t p2m_ram_count(const struct paging *p)
{
    return p->ram_count;
}

gfn_t p2m_gfn_of(struct paging *p, mfn_t mfn)
{
    const struct frame *f = frame_of(mfn);
    const struct gfn_record *r;

    if (!f)
        return INVALID_GFN;
    r = p2m_record(p, p->flags & PAGING_DIRECT ? mfn.n : f->gfn_hint);
    if (record_is_ram(r) && record_mfn(r).n == mfn.n)
        return gfn_of(p->flags & PAGING_DIRECT ? mfn.n : f->gfn_hint);
    for (uint64_t i = 0; i < p->window_limit; i++) {
        r = p2m_record(p, GFN_WINDOW + i);
        if (record_type(r) == P2M_SPECIAL && record_mfn(r).n == mfn.n)
            return gfn_of(GFN_WINDOW + i);
    }
    return INVALID_GFN;
}

/* ---- the window ---- */

static bool window_grow(struct paging *p)
{
    struct gfn_record *chunk;

    if (p->window_limit == WINDOW_MAX)
        return false;
    chunk = heap_calloc(CHUNK_RECORDS, sizeof *chunk);
    if (!chunk)
        return false;
    for (unsigned i = 0; i < CHUNK_RECORDS; i++)
        chunk[i].next_free = i + 1 < CHUNK_RECORDS ? p->window_limit + i + 2 : p->window_free;
    p->window[p->window_limit >> CHUNK_BITS] = chunk;
    p->window_free = p->window_limit + 1;
    p->window_limit += CHUNK_RECORDS;
    return true;
}

gfn_t p2m_window_take(struct paging *p, uint64_t word)
{
    struct gfn_record *r;
    gfn_t gfn;

    if (p->dying || (!p->window_free && !window_grow(p)))
        return INVALID_GFN;
    gfn = gfn_of(GFN_WINDOW + p->window_free - 1);
    r = p2m_record(p, gfn.n);
    p->window_free = r->next_free;
    r->next_free = 0;
    r->word = word;
    p->window_live++;
    return gfn;
}

void p2m_window_release(struct paging *p, gfn_t gfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);

    rmap_remove_all(p, r);
    *r = (struct gfn_record){.next_free = p->window_free};
    p->window_free = gfn.n - GFN_WINDOW + 1;
    p->window_live--;
}

gfn_t p2m_window_add(struct paging *p, enum p2m_type type, mfn_t mfn, bool readonly)
{
    ASSERT(type == P2M_SPECIAL || type == P2M_GRANT);
    return p2m_window_take(p, mfn_to_maddr(mfn) | type | (readonly ? GFN_READONLY : 0));
}

long p2m_window_remove(struct paging *p, gfn_t gfn, mfn_t *mfn)
{
    const struct gfn_record *r = gfn.n >= GFN_WINDOW ? p2m_record(p, gfn.n) : NULL;

    if (!r || record_type(r) == P2M_HOLE || record_type(r) == P2M_FOREIGN)
        return -XEN_EINVAL;
    *mfn = record_mfn(r);
    p2m_window_release(p, gfn);
    return 0;
}
