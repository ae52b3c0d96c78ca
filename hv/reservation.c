/* SPDX-License-Identifier: MIT */
/*
 * Extents are taken one after the other; between two of them the hypercall may be continued. The
 * domain's lock is held for an extent, so that its hole stays a hole and a dying domain gets no
 * memory; the paging lock only for each change.
 *
 * A domU's extent lies in the lowest hole of its gfn space that is large enough; the machine frames
 * behind it need not be contiguous. Domain 0 is mapped directly: what it gets is contiguous, and is
 * named by its machine frame number.
 */
#include "hv/reservation.h"

#include <stdbool.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/guest.h"

#define ORDER_MAX_DOMU 9
#define ORDER_MAX_DOM0 12

struct extents {
    struct domain *caller, *target;
    uint64_t list; /* guest address of frame numbers, 0: none */
    uint64_t count;
    unsigned order;
};

unsigned reservation_order_max(const struct domain *caller)
{
    return caller->privileged ? ORDER_MAX_DOM0 : ORDER_MAX_DOMU;
}

void reservation_take_back(struct domain *d, gfn_t gfn, unsigned order)
{
    for (uint64_t i = 0; i < 1UL << order; i++) {
        mfn_t mfn;
        long rc;

        paging_lock(d->paging);
        rc = p2m_remove_ram(d->paging, gfn_of(gfn.n + i), &mfn);
        paging_unlock(d->paging);
        if (!rc)
            frame_put(frame_of(mfn));
    }
}

/* Puts the block of frames at gfn; pfn, pfn + 1, .. go to the machine-to-phys table. The block is
 * consumed. */
static long put_block(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, uint64_t pfn)
{
    uint64_t i;
    long rc = 0;

    paging_lock(d->paging);
    for (i = 0; i < 1UL << order; i++) {
        rc = p2m_add_ram_as(d->paging, gfn_of(gfn.n + i), mfn_of(mfn.n + i), pfn + i);
        if (rc)
            break;
    }
    paging_unlock(d->paging);
    for (; i < 1UL << order; i++)
        frame_put(frame_of(mfn_of(mfn.n + i)));
    return rc;
}

/* Fills [gfn, gfn + 2^order), from smaller blocks where memory is in pieces. */
static long fill_hole(struct domain *d, gfn_t gfn, unsigned order, uint64_t pfn)
{
    mfn_t mfn = frame_alloc(order, d->id, FRAME_ALLOC_ZERO);
    uint64_t half = 1UL << order >> 1;
    long rc;

    if (mfn_valid(mfn))
        return put_block(d, gfn, mfn, order, pfn);
    if (!order)
        return -XEN_ENOMEM;
    rc = fill_hole(d, gfn, order - 1, pfn);
    if (!rc)
        rc = fill_hole(d, gfn_of(gfn.n + half), order - 1, pfn + half);
    return rc;
}

long reservation_fill(struct domain *d, unsigned order, uint64_t pfn, gfn_t *gfn)
{
    long rc;

    if (d->privileged) {
        mfn_t mfn = frame_alloc(order, d->id, FRAME_ALLOC_ZERO);

        if (!mfn_valid(mfn))
            return -XEN_ENOMEM;
        *gfn = gfn_of(mfn.n);
        rc = put_block(d, *gfn, mfn, order, pfn);
    } else {
        paging_lock(d->paging);
        *gfn = p2m_lowest_hole(d->paging, order);
        paging_unlock(d->paging);
        if (!gfn_valid(*gfn))
            return refuse(d, -XEN_ENOMEM, "no hole of 2^%u frames", order);
        rc = fill_hole(d, *gfn, order, pfn);
    }
    if (rc)
        reservation_take_back(d, *gfn, order);
    return rc;
}

static long populate_locked(struct domain *d, unsigned order, uint64_t pfn, gfn_t *gfn)
{
    uint64_t pages = 1UL << order, owned;

    if (d->dying)
        return -XEN_EINVAL;
    paging_lock(d->paging);
    owned = p2m_ram_count(d->paging);
    paging_unlock(d->paging);
    if (owned > d->max_pages || pages > d->max_pages - owned)
        return refuse(d, -XEN_ENOMEM, "%lu pages and %lu more exceed its limit of %lu", owned,
                      pages, d->max_pages);
    return reservation_fill(d, order, pfn, gfn);
}

/* A frame for one gfn more, and the gfn. Paging lock held. */
static mfn_t take_page(struct domain *d, gfn_t *gfn)
{
    mfn_t mfn = INVALID_MFN;

    if (p2m_ram_count(d->paging) >= d->max_pages)
        return mfn;
    if (!d->privileged) {
        *gfn = p2m_lowest_hole(d->paging, 0);
        if (!gfn_valid(*gfn))
            return mfn;
    }
    mfn = frame_alloc_spare(d->id);
    if (!mfn_valid(mfn))
        mfn = frame_alloc(0, d->id, FRAME_ALLOC_ZERO);
    if (d->privileged)
        *gfn = gfn_of(mfn.n);
    return mfn;
}

/* One page, as a balloon driver asks for it: the same as populate_locked(), with the paging lock
 * taken once. */
static long populate_page(struct domain *d, uint64_t pfn, gfn_t *gfn)
{
    long rc = -XEN_ENOMEM;
    mfn_t mfn;

    if (d->dying)
        return -XEN_EINVAL;
    paging_lock(d->paging);
    mfn = take_page(d, gfn);
    if (mfn_valid(mfn)) {
        rc = p2m_add_ram_as(d->paging, *gfn, mfn, pfn);
        if (rc)
            frame_put(frame_of(mfn));
    }
    paging_unlock(d->paging);
    return rc ? refuse(d, rc, "one page more; its limit is %lu", d->max_pages) : 0;
}

/* One extent for the domain; pfns of increase_reservation are unknown: the machine-to-phys entry is
 * invalid. */
static long populate_one(const struct extents *e, uint64_t i, bool has_pfn)
{
    struct domain *d = e->target;
    uint64_t va = guest_item_va(e->list, i, sizeof(xen_pfn_t));
    xen_pfn_t pfn = ~0UL;
    gfn_t gfn;
    long rc;

    if (has_pfn && guest_read_struct(&pfn, va))
        return -XEN_EFAULT;
    spin_lock(&d->lock);
    if (e->order)
        rc = populate_locked(d, e->order, pfn, &gfn);
    else
        rc = populate_page(d, pfn, &gfn);
    spin_unlock(&d->lock);
    if (rc)
        return rc;

    pfn = gfn.n;
    if (e->list && guest_write(va, &pfn, sizeof pfn)) {
        /* Nobody would know of it. */
        spin_lock(&d->lock);
        reservation_take_back(d, gfn, e->order);
        spin_unlock(&d->lock);
        return -XEN_EFAULT;
    }
    return 0;
}

static long remove_one(const struct extents *e, uint64_t i)
{
    struct domain *d = e->target;
    xen_pfn_t first;
    long rc = 0;

    if (guest_read_item(&first, e->list, i))
        return -XEN_EFAULT;
    spin_lock(&d->lock);
    for (uint64_t k = 0; k < 1UL << e->order && !rc; k++) {
        gfn_t gfn = gfn_of(first + k);
        mfn_t mfn;

        paging_lock(d->paging);
        rc = d->dying ? -XEN_EINVAL : p2m_remove_ram(d->paging, gfn, &mfn);
        paging_unlock(d->paging);
        if (!rc && e->order)
            frame_put(frame_of(mfn));
        else if (!rc)
            frame_put_spare(frame_of(mfn));
    }
    spin_unlock(&d->lock);
    return rc;
}

static long run(const struct extents *e, struct hypercall *call, unsigned op, uint64_t done)
{
    for (; done < e->count; done++) {
        long rc;

        if (done > call->arg[0] >> MEMOP_EXTENT_SHIFT && hypercall_preempt()) {
            call->arg[0] = op | done << MEMOP_EXTENT_SHIFT;
            return -XEN_ERESTART;
        }
        if (op == XENMEM_decrease_reservation)
            rc = remove_one(e, done);
        else
            rc = populate_one(e, done, op == XENMEM_populate_physmap);
        if (rc)
            return refuse(e->target, (long)done, "memory_op %u stopped at extent %lu of %lu: %ld",
                          op, done, e->count, rc);
    }
    return (long)done;
}

long reservation_op(struct vcpu *v, struct hypercall *call)
{
    unsigned op = call->arg[0] & MEMOP_CMD_MASK;
    uint64_t done = call->arg[0] >> MEMOP_EXTENT_SHIFT;
    struct xen_memory_reservation r;
    struct extents e = {.caller = v->domain};
    unsigned order_max = reservation_order_max(v->domain);
    long rc = (long)done;

    if (guest_read(&r, call->arg[1], sizeof r))
        return refuse(v->domain, rc, "memory_op %u: cannot read its argument", op);
    if (r.nr_extents > ~0UL >> MEMOP_EXTENT_SHIFT || done >= r.nr_extents ||
        r.extent_order > order_max)
        return refuse(v->domain, rc, "memory_op %u: %lu extents of order %u", op, r.nr_extents,
                      r.extent_order);
    e.list = (uint64_t)r.extent_start.p;
    e.count = r.nr_extents;
    e.order = r.extent_order;
    if (!e.list && op != XENMEM_increase_reservation)
        return refuse(v->domain, rc, "memory_op %u without a list", op);

    if (r.domid == DOMID_SELF) { /* lives as long as its vCPU is here */
        e.target = v->domain;
        return run(&e, call, op, done);
    }
    e.target = domain_get_for(v->domain, r.domid);
    if (!e.target)
        return refuse(v->domain, rc, "memory_op %u: no domain %u", op, r.domid);
    if (e.target == v->domain || v->domain->privileged)
        rc = run(&e, call, op, done);
    domain_put(e.target);
    return rc;
}

long reservation_claim(struct vcpu *v, uint64_t arg)
{
    struct xen_memory_reservation r;
    struct domain *d;

    if (!v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "claim_pages");
    if (guest_read(&r, arg, sizeof r))
        return -XEN_EFAULT;
    if (r.extent_start.p || r.extent_order || r.mem_flags)
        return -XEN_EINVAL;
    d = domain_get(r.domid);
    if (!d)
        return -XEN_ESRCH;
    domain_put(d);
    return r.nr_extents > frame_free_count() ? -XEN_ENOMEM : 0;
}
