/* SPDX-License-Identifier: MIT */
/*
 * The life of a domain's paging state, the gate to its frames by gfn, and the accessors for the
 * rest of the hypervisor.
 */
#include "mm/paging_priv.h"

#include <stddef.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "mm/heap.h"

/* ---- life ---- */

/* Everything that paging_create() made and teardown has not freed yet. */
static void free_parts(struct paging *p)
{
    while (mfn_valid(p->m2p_l3))
        m2p_teardown(p, 512);
    if (p->shadow)
        pool_free(p);
    log_free(p);
    p2m_free_arrays(p);
    heap_free(p);
}

struct paging *paging_create(uint16_t domid, uint64_t max_frames, unsigned flags,
                             unsigned pool_pages)
{
    struct paging *p = heap_alloc(sizeof *p);

    if (!p)
        return NULL;
    spin_lock_init(&p->lock, LOCK_PAGING);
    p->domid = domid;
    p->flags = flags;
    p->m2p_l3 = INVALID_MFN;
    p->epoch = 1;
    tables_changed(p);
    if (p2m_init(p, max_frames) || m2p_init(p, p2m_max_gfn(p)) || pool_init(p, pool_pages)) {
        free_parts(p);
        return NULL;
    }
    return p;
}

void paging_free(struct paging *p)
{
    if (!p)
        return;
    ASSERT(p->ram_count == 0 && p->window_live == 0);
    free_parts(p);
}

/* A step of teardown does this much: each phase goes over its whole array, at the cost named. */
#define TEARDOWN_BUDGET 2048
#define COST_SHADOW     64
#define COST_FRAME      4

static void teardown_shadow(struct paging *p, uint64_t i)
{
    struct shadow *s = &p->shadow[i];

    if (s->level == 0)
        return;
    s->users = 0;
    shadow_release(p, s);
}

static void teardown_window(struct paging *p, gfn_t gfn)
{
    uint64_t word = p2m_record(p, gfn.n)->word;

    if ((word & GFN_TYPE) == P2M_HOLE)
        return;
    p2m_window_release(p, gfn);
    if ((word & GFN_TYPE) == P2M_SPECIAL)
        frame_put(frame_of(mfn_of(word >> PAGE_SHIFT)));
    else
        paging_alias_put(mfn_of(word >> PAGE_SHIFT), word & GFN_READONLY);
}

static void teardown_ram(struct paging *p, gfn_t gfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);

    if (!record_is_memory(r))
        return;
    r->aliases = 0; /* the window went before */
    struct frame *f = frame_of(record_mfn(r));
    if (record_type(r) == P2M_SHARED)
        frame_stamp(f);
    r->word = 0;
    p->ram_count--;
    frame_put(f);
}

/* Does item `i` of the phase and returns its cost; 0: the phase is over. */
static unsigned teardown_item(struct paging *p, uint64_t i)
{
    switch (p->teardown_phase) {
    case TEARDOWN_SHADOWS:
        if (i >= p->pool_made)
            return 0;
        teardown_shadow(p, i + 1);
        return COST_SHADOW;
    case TEARDOWN_WINDOW:
        if (i >= p->window_limit)
            return 0;
        teardown_window(p, gfn_of(GFN_WINDOW + i));
        return COST_FRAME;
    case TEARDOWN_RAM:
        if (i >= p->ram_limit)
            return 0;
        if (p->ram[i >> CHUNK_BITS])
            teardown_ram(p, gfn_of(i));
        else
            p->teardown_at |= CHUNK_RECORDS - 1;
        return COST_FRAME;
    case TEARDOWN_M2P:
        return mfn_valid(p->m2p_l3) ? m2p_teardown(p, 64) * COST_FRAME : 0;
    default:
        return 0;
    }
}

long paging_teardown(struct paging *p)
{
    unsigned spent = 0;

    paging_lock(p);
    if (CONFIG_DEBUG && !p->dying)
        paging_check(p);
    p->dying = true;
    while (spent < TEARDOWN_BUDGET && p->teardown_phase < TEARDOWN_DONE) {
        unsigned cost = teardown_item(p, p->teardown_at);
        spent += cost;
        p->teardown_at++;
        if (!cost) {
            p->teardown_phase++;
            p->teardown_at = 0;
        }
    }
    long rc = p->teardown_phase == TEARDOWN_DONE ? 0 : -XEN_ERESTART;
    paging_unlock(p);
    if (!rc)
        frame_forget_spares(p->domid);
    return rc;
}

void paging_vcpu_init(struct paging *p, struct paging_vcpu *pv)
{
    (void)p;
    *pv = (struct paging_vcpu){.walked = {{.region = ~0UL}, {.region = ~0UL}}};
}

void paging_vcpu_release(struct paging *p, struct paging_vcpu *pv)
{
    paging_lock(p);
    shadow_put_root(p, &pv->loaded);
    shadow_put_root(p, &pv->kernel_top);
    shadow_put_root(p, &pv->user_top);
    pv->root[0] = pv->root[1] = 0;
    pv->walked[0].region = pv->walked[1].region = ~0UL;
    pv->kernel_root = pv->user_root = gfn_of(0);
    paging_unlock(p);
}

/* ---- accessors ---- */

_Static_assert(offsetof(struct paging, lock) == 0, "paging_lock_of()");

uint64_t *paging_pcpus_of(struct paging *p)
{
    return &p->pcpus;
}

bool paging_is_direct(const struct paging *p)
{
    return p->flags & PAGING_DIRECT;
}

void paging_get_counters(struct paging *p, struct paging_counters *c)
{
    paging_lock(p);
    *c = p->count;
    c->pool_frames = (uint64_t)p->pool_made << SHADOW_ORDER;
    c->window_pages = p->window_limit >> CHUNK_BITS;
    c->window_gfns = p->window_live;
    paging_unlock(p);
}

/* ---- holds ---- */

static bool hold_locked(struct paging *p, gfn_t gfn, bool writable, mfn_t *mfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);

    /* Not a grant's alias: a hold would outlive the unmap, and its granter believe the frame back.
     */
    if (!record_is_memory(r) && !(r && record_type(r) == P2M_SPECIAL))
        return false;
    if (writable && (r->word & GFN_READONLY))
        return false;
    if (writable && record_type(r) == P2M_SHARED && share_break(p, r, gfn))
        return false;
    *mfn = record_mfn(r);
    struct frame *f = frame_of(*mfn);
    /* The record's own reference keeps the frame, and its owner field, as they are under the lock.
     */
    if (!frame_get(f, f->owner))
        return false;
    if (writable) {
        __atomic_fetch_add(&f->writers, 1, __ATOMIC_ACQ_REL);
        shadow_drop(p, gfn);
        log_write(p, r, gfn);
    }
    return true;
}

void *paging_hold(struct paging *p, gfn_t gfn, bool writable, struct frame_hold *hold)
{
    bool held;

    *hold = (struct frame_hold){.mfn = INVALID_MFN, .writable = writable};
    paging_lock(p);
    held = hold_locked(p, gfn, writable, &hold->mfn);
    paging_unlock(p);
    if (held)
        hold->va = frame_map(hold->mfn);
    return hold->va;
}

void paging_release(struct frame_hold *hold)
{
    if (!hold->va)
        return;
    struct frame *f = frame_of(hold->mfn);
    frame_unmap(hold->va);
    if (hold->writable)
        __atomic_fetch_sub(&f->writers, 1, __ATOMIC_ACQ_REL);
    frame_put(f);
    *hold = (struct frame_hold){.mfn = INVALID_MFN};
}
