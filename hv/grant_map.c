/* SPDX-License-Identifier: MIT */
/*
 * Mapping and unmapping granted frames. A mapping is, all at once:
 *
 *     a use of the entry in the granter's table      grant_pin / grant_unpin
 *     a hold on the frame                            paging_alias_get / paging_alias_put
 *     an alias gfn in the mapper's window            p2m_window_add / p2m_window_remove
 *     an L1 entry of the mapper with that gfn        shadow_update (host_map only)
 *     a handle                                       struct grant_track
 *
 * made in this order and taken back in the opposite one. Between the alias and the hold on the
 * frame stands a flush of the mapper's translations: only after it does the granter see its entry
 * unused (<xen/grant_table.h>: no stale mappings after a batch).
 */
#include "hv/grant_priv.h"

#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/heap.h"

/* Bits of an L1 entry (Intel SDM vol. 3, 4.5), with guest_avail bits at 9 to 11. */
#define ENTRY_PRESENT     (1UL << 0)
#define ENTRY_WRITE       (1UL << 1)
#define ENTRY_USER        (1UL << 2)
#define ENTRY_ACCESSED    (1UL << 5)
#define ENTRY_DIRTY       (1UL << 6)
#define ENTRY_AVAIL_SHIFT 9
#define ENTRY_AVAIL_MASK  7UL
#define ENTRY_FRAME       0x000ffffffffff000UL

#define MAP_KINDS (GNTMAP_host_map | GNTMAP_device_map)

/* ---- handles (mapper's grant lock held) ---- */

static struct grant_track *track_of(const struct grant_table *gt, uint32_t handle)
{
    uint32_t frame = handle / TRACKS_PER_FRAME;
    return frame < gt->track_frames ? &gt->track[frame][handle % TRACKS_PER_FRAME] : NULL;
}

static bool tracks_grow(struct grant_table *gt)
{
    struct grant_track *page;
    uint32_t first = gt->track_frames * TRACKS_PER_FRAME;

    if (gt->track_frames == gt->track_max)
        return false;
    page = heap_calloc(TRACKS_PER_FRAME, sizeof *page);
    if (!page)
        return false;
    for (uint32_t i = 0; i < TRACKS_PER_FRAME; i++)
        page[i].next_free = i + 1 < TRACKS_PER_FRAME ? first + i + 2 : 0;
    gt->track[gt->track_frames++] = page;
    gt->track_free = first + 1;
    return true;
}

/* A free handle, now busy; NULL: none. */
static struct grant_track *track_alloc(struct grant_table *gt, uint32_t *handle)
{
    struct grant_track *t = NULL;

    spin_lock(&gt->lock);
    if (gt->track_free || tracks_grow(gt)) {
        *handle = gt->track_free - 1;
        t = track_of(gt, *handle);
        gt->track_free = t->next_free;
        t->state = TRACK_BUSY;
        gt->track_live++;
    }
    spin_unlock(&gt->lock);
    return t;
}

static void track_release(struct grant_table *gt, struct grant_track *t, uint32_t handle)
{
    spin_lock(&gt->lock);
    *t = (struct grant_track){.state = TRACK_FREE, .next_free = gt->track_free};
    gt->track_free = handle + 1;
    gt->track_live--;
    spin_unlock(&gt->lock);
}

/* The live mapping behind a handle, now busy: the caller's alone; NULL: there is none. */
static struct grant_track *track_claim(struct grant_table *gt, uint32_t handle)
{
    struct grant_track *t;

    spin_lock(&gt->lock);
    t = track_of(gt, handle);
    if (t && t->state == TRACK_LIVE)
        t->state = TRACK_BUSY;
    else
        t = NULL;
    spin_unlock(&gt->lock);
    return t;
}

static void track_publish(struct grant_table *gt, struct grant_track *t)
{
    spin_lock(&gt->lock);
    t->state = TRACK_LIVE;
    spin_unlock(&gt->lock);
}

void grant_tracks_free(struct grant_table *gt)
{
    for (unsigned i = 0; i < gt->track_frames; i++)
        heap_free(gt->track[i]);
    heap_free(gt->track);
}

static bool is_readonly(const struct grant_track *t)
{
    return t->flags & GNTMAP_readonly;
}

/* What a device is to be told: the machine address for the domain that programs devices, its own
 * alias for any other. */
static uint64_t bus_address(const struct domain *mapper, const struct grant_track *t)
{
    return paging_is_direct(mapper->paging) ? mfn_to_maddr(t->mfn) : t->alias.n << PAGE_SHIFT;
}

/* ---- the mapper's L1 entry (its paging lock held) ---- */

struct l1_slot {
    gfn_t table;
    unsigned offset;
};

/* Where the entry is: given directly, by its address (contains_pte), or by the virtual address that
 * it maps. */
static bool find_slot(struct vcpu *v, uint64_t host_addr, unsigned flags, struct l1_slot *slot)
{
    struct paging *p = v->domain->paging;

    if (!(flags & GNTMAP_contains_pte))
        return shadow_find_l1(p, &v->paging, host_addr, &slot->table, &slot->offset) == 0;
    slot->table = gfn_of(host_addr >> PAGE_SHIFT);
    slot->offset = host_addr & ~PAGE_MASK;
    return host_addr % sizeof(uint64_t) == 0 && p2m_is_memory(p, slot->table);
}

static uint64_t host_entry(const struct grant_track *t, uint32_t flags)
{
    uint64_t entry =
        t->alias.n << PAGE_SHIFT | ENTRY_PRESENT | ENTRY_USER | ENTRY_ACCESSED | ENTRY_DIRTY;

    if (!is_readonly(t))
        entry |= ENTRY_WRITE;
    return entry | (flags >> _GNTMAP_guest_avail0 & ENTRY_AVAIL_MASK) << ENTRY_AVAIL_SHIFT;
}

static bool map_host(struct vcpu *v, uint64_t host_addr, uint32_t flags,
                     const struct grant_track *t)
{
    struct l1_slot slot;
    return find_slot(v, host_addr, flags, &slot) &&
           shadow_update(v->domain->paging, slot.table, slot.offset, host_entry(t, flags), 0) == 0;
}

/* Clears the entry; with new_addr, moves the one that maps new_addr there instead. It must be this
 * mapping's. */
static int16_t unmap_host(struct vcpu *v, uint64_t host_addr, uint64_t new_addr,
                          const struct grant_track *t)
{
    struct paging *p = v->domain->paging;
    struct l1_slot slot, from;
    uint64_t entry = 0;

    if (!find_slot(v, host_addr, t->flags, &slot))
        return GNTST_general_error;
    if ((shadow_load(p, slot.table, slot.offset, sizeof entry) & ENTRY_FRAME) >> PAGE_SHIFT !=
        t->alias.n)
        return GNTST_general_error;
    if (new_addr) {
        if ((t->flags & GNTMAP_contains_pte) || !find_slot(v, new_addr, 0, &from))
            return GNTST_general_error;
        entry = shadow_load(p, from.table, from.offset, sizeof entry);
    }
    if (shadow_update(p, slot.table, slot.offset, entry, 0))
        return GNTST_general_error;
    if (new_addr && shadow_update(p, from.table, from.offset, 0, 0))
        return GNTST_general_error;
    return GNTST_okay;
}

/* ---- map ---- */

/* The alias and the entry; the frame is held. GNTST_*. */
static int16_t map_alias(struct vcpu *v, const struct gnttab_map_grant_ref *op,
                         struct grant_track *t)
{
    struct paging *p = v->domain->paging;
    int16_t status = GNTST_okay;

    paging_lock(p);
    t->alias = p2m_window_add(p, P2M_GRANT, t->mfn, is_readonly(t));
    if (!gfn_valid(t->alias)) {
        status = GNTST_no_space;
    } else if ((op->flags & GNTMAP_host_map) && !map_host(v, op->host_addr, op->flags, t)) {
        p2m_window_remove(p, t->alias, &t->mfn);
        status = GNTST_general_error;
    }
    paging_unlock(p);
    return status;
}

static int16_t map_frame(struct vcpu *v, const struct gnttab_map_grant_ref *op,
                         struct grant_track *t)
{
    uint32_t gfn;
    int16_t status = grant_pin(t->granter, t->ref, v->domain->id, is_readonly(t), true, &gfn);

    if (status != GNTST_okay)
        return status;
    t->mfn = paging_alias_get(t->granter->paging, gfn_of(gfn), is_readonly(t));
    status = GNTST_bad_page;
    if (mfn_valid(t->mfn)) {
        status = map_alias(v, op, t);
        if (status == GNTST_okay)
            return status;
        paging_alias_put(t->mfn, is_readonly(t));
    }
    grant_unpin(t->granter, t->ref, is_readonly(t));
    return status;
}

static int16_t map(struct vcpu *v, struct gnttab_map_grant_ref *op)
{
    struct grant_table *gt = v->domain->grant;
    struct domain *granter;
    struct grant_track *t;
    uint32_t handle;
    int16_t status;

    if (!(op->flags & MAP_KINDS))
        return GNTST_bad_gntref;
    granter = domain_get(op->dom);
    if (!granter)
        return GNTST_bad_domain;
    t = track_alloc(gt, &handle);
    if (!t) {
        domain_put(granter);
        return GNTST_no_space;
    }
    t->granter = granter;
    t->ref = op->ref;
    t->flags = op->flags & (MAP_KINDS | GNTMAP_readonly | GNTMAP_contains_pte);
    status = map_frame(v, op, t);
    if (status != GNTST_okay) {
        track_release(gt, t, handle);
        domain_put(granter);
        return status;
    }
    op->handle = handle;
    op->dev_bus_addr = bus_address(v->domain, t);
    track_publish(gt, t);
    return GNTST_okay;
}

void grant_map_one(struct vcpu *v, void *arg)
{
    struct gnttab_map_grant_ref *op = arg;
    op->status = map(v, op);
}

/* ---- unmap ---- */

/* Mappings of which nothing is left but the frame, the entry's use and the handle: they go after
 * the flush. */
struct finished {
    unsigned count;
    struct {
        struct grant_track *track;
        uint32_t handle;
    } item[GRANT_BATCH];
};

/* Mapper's paging lock held. */
static void end_alias(struct domain *mapper, struct grant_track *t)
{
    if (p2m_window_remove(mapper->paging, t->alias, &t->mfn))
        panic("grant alias %lx is not in the window", t->alias.n);
}

static void add_finished(struct finished *done, struct grant_track *t, uint32_t handle)
{
    done->item[done->count].track = t;
    done->item[done->count].handle = handle;
    done->count++;
}

struct unmap_args {
    uint64_t host_addr, dev_bus_addr, new_addr;
    uint32_t handle;
};

static int16_t unmap_kinds(struct vcpu *v, const struct unmap_args *a, struct grant_track *t)
{
    bool device = a->dev_bus_addr && (t->flags & GNTMAP_device_map);
    int16_t status = GNTST_okay;

    if (device && a->dev_bus_addr != bus_address(v->domain, t))
        return GNTST_bad_dev_addr;
    if (a->host_addr && (t->flags & GNTMAP_host_map)) {
        status = unmap_host(v, a->host_addr, a->new_addr, t);
        if (status == GNTST_okay)
            t->flags &= ~GNTMAP_host_map;
    }
    if (status == GNTST_okay && device)
        t->flags &= ~GNTMAP_device_map;
    return status;
}

static int16_t unmap_begin(struct vcpu *v, const struct unmap_args *a, struct finished *done)
{
    struct domain *d = v->domain;
    struct grant_track *t = track_claim(d->grant, a->handle);
    int16_t status;
    bool over;

    if (!t)
        return GNTST_bad_handle;
    paging_lock(d->paging);
    status = unmap_kinds(v, a, t);
    over = !(t->flags & MAP_KINDS);
    if (over)
        end_alias(d, t);
    paging_unlock(d->paging);
    if (over)
        add_finished(done, t, a->handle);
    else
        track_publish(d->grant, t);
    return status;
}

/* No translation of the mapper's leads to the frames any more: back to their granters. */
static void unmap_finish(struct domain *d, struct finished *done)
{
    paging_lock(d->paging);
    shadow_flush_mask(d->paging, __atomic_load_n(paging_pcpus_of(d->paging), __ATOMIC_ACQUIRE));
    paging_unlock(d->paging);
    for (unsigned i = 0; i < done->count; i++) {
        struct grant_track *t = done->item[i].track;
        struct domain *granter = t->granter;
        paging_alias_put(t->mfn, is_readonly(t));
        grant_unpin(granter, t->ref, is_readonly(t));
        track_release(d->grant, t, done->item[i].handle);
        domain_put(granter);
    }
    done->count = 0;
}

void grant_unmap_batch(struct vcpu *v, struct gnttab_unmap_grant_ref *ops, unsigned count)
{
    struct finished done = {0};

    for (unsigned i = 0; i < count; i++) {
        struct unmap_args a = {.host_addr = ops[i].host_addr,
                               .dev_bus_addr = ops[i].dev_bus_addr,
                               .handle = ops[i].handle};
        ops[i].status = unmap_begin(v, &a, &done);
    }
    unmap_finish(v->domain, &done);
}

void grant_unmap_and_replace_batch(struct vcpu *v, struct gnttab_unmap_and_replace *ops,
                                   unsigned count)
{
    struct finished done = {0};

    for (unsigned i = 0; i < count; i++) {
        struct unmap_args a = {
            .host_addr = ops[i].host_addr, .new_addr = ops[i].new_addr, .handle = ops[i].handle};
        ops[i].status = unmap_begin(v, &a, &done);
    }
    unmap_finish(v->domain, &done);
}

/* ---- a mapper dies ---- */

/* No vCPU of d runs and no call of it is under way, so no handle is busy. Its page tables are torn
 * down later, without their aliases. As a granter it has nothing to do: its frames and entries live
 * on while others have them mapped. */
long grant_domain_release(struct domain *d)
{
    struct grant_table *gt = d->grant;
    uint32_t end = gt->track_frames * TRACKS_PER_FRAME;
    struct finished done = {0};

    while (gt->release_at < end) {
        if (hypercall_preempt())
            return -XEN_ERESTART;
        for (; gt->release_at < end && done.count < GRANT_BATCH; gt->release_at++) {
            struct grant_track *t = track_claim(gt, gt->release_at);
            if (t)
                add_finished(&done, t, gt->release_at);
        }
        paging_lock(d->paging);
        for (unsigned i = 0; i < done.count; i++)
            end_alias(d, done.item[i].track);
        paging_unlock(d->paging);
        unmap_finish(d, &done);
    }
    return 0;
}
