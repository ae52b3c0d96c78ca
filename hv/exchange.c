/* SPDX-License-Identifier: MIT */
/*
 * XENMEM_exchange. Extents are exchanged chunk by chunk, a chunk being the larger of the two
 * orders: all of it or nothing; between two chunks the hypercall may be continued, with its
 * progress in the guest's structure, as on Xen.
 *
 * A domU gets gfns in the order that it asks for; the machine frames behind them are no concern of
 * its. They lie in holes of its gfn space, which is a little larger than its memory for this
 * (EXCHANGE_GFNS). Domain 0 is mapped directly and gets contiguous machine frames.
 */
#include "hv/exchange.h"

#include <stdbool.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/reservation.h"
#include "mm/guest.h"
#include "mm/heap.h"

/* One frame that goes, and one extent that comes; a chunk has at most as many extents as frames. */
struct item {
    gfn_t old;
    mfn_t old_mfn;
    uint64_t old_pfn; /* of the machine-to-phys table */
    gfn_t new;
    uint64_t new_pfn;
};

struct exchange {
    struct domain *d;
    uint64_t in, out; /* guest addresses of the lists */
    unsigned in_order, out_order;
    unsigned address_bits;          /* for domain 0: below 1 << this; 0: anywhere */
    unsigned in_extents, frames;    /* of a chunk */
    unsigned out_extents, done_out; /* of a chunk; and those that are in the domain already */
    struct item *item;
};

/* ---- what was asked ---- */

static long check(const struct domain *caller, const struct xen_memory_exchange *x)
{
    unsigned max = reservation_order_max(caller);
    unsigned in = x->in.extent_order, out = x->out.extent_order;

    if (in > max || out > max)
        return refuse(caller, -XEN_EPERM, "exchange of orders %u and %u", in, out);
    if (x->nr_exchanged > x->in.nr_extents || x->in.domid != x->out.domid ||
        ~0UL >> in < x->in.nr_extents || ~0UL >> out < x->out.nr_extents ||
        x->in.nr_extents << in != x->out.nr_extents << out)
        return refuse(caller, -XEN_EINVAL, "exchange of %lu << %u for %lu << %u", x->in.nr_extents,
                      in, x->out.nr_extents, out);
    /* As a whole, before anything is done: no element of a list may lie in the hypervisor's part.
     */
    if (!guest_list_ok((uint64_t)x->in.extent_start.p, x->in.nr_extents, sizeof(xen_pfn_t)) ||
        !guest_list_ok((uint64_t)x->out.extent_start.p, x->out.nr_extents, sizeof(xen_pfn_t)))
        return refuse(caller, -XEN_EFAULT, "lists of an exchange");
    return 0;
}

/* ---- a chunk ---- */

static long read_chunk(struct exchange *e, uint64_t chunk)
{
    xen_pfn_t first, pfn;

    for (unsigned i = 0; i < e->in_extents; i++) {
        if (guest_read_item(&first, e->in, chunk * e->in_extents + i))
            return -XEN_EFAULT;
        for (unsigned k = 0; k < 1u << e->in_order; k++)
            e->item[(i << e->in_order) + k].old = gfn_of(first + k);
    }
    for (unsigned i = 0; i < e->out_extents; i++) {
        if (guest_read_item(&pfn, e->out, chunk * e->out_extents + i))
            return -XEN_EFAULT;
        e->item[i].new_pfn = pfn;
    }
    return 0;
}

/* The first `count` frames come back to where they were. Whoever filled the place meanwhile, or
 * ended the domain, has lost them. */
static void put_back(struct exchange *e, unsigned count)
{
    struct paging *p = e->d->paging;

    paging_lock(p);
    for (unsigned i = 0; i < count; i++) {
        const struct item *m = &e->item[i];

        if (p2m_add_ram(p, m->old, m->old_mfn))
            frame_put(frame_of(m->old_mfn));
        else
            m2p_set(p, m->old, m->old_pfn);
    }
    paging_unlock(p);
}

/* Frames that are mapped, used as tables or held by somebody stay where they are: nobody shall be
 * left with a gfn that has become another's. */
static long take_old(struct exchange *e)
{
    struct paging *p = e->d->paging;
    unsigned i;

    paging_lock(p);
    for (i = 0; i < e->frames; i++) {
        struct item *m = &e->item[i];

        m->old_pfn = m2p_get(p, m->old);
        if (!p2m_is_idle(p, m->old) || p2m_remove_ram(p, m->old, &m->old_mfn))
            break;
    }
    paging_unlock(p);
    if (i == e->frames)
        return 0;
    put_back(e, i);
    return refuse(e->d, -XEN_EINVAL, "frame %lx to exchange is in use, or not its own",
                  e->item[i].old.n);
}

static bool is_reachable(const struct exchange *e, gfn_t gfn)
{
    uint64_t end = gfn.n + (1UL << e->out_order);

    return !paging_is_direct(e->d->paging) || !e->address_bits ||
           e->address_bits >= PAGE_SHIFT + 52 ||
           (e->address_bits > PAGE_SHIFT && end <= 1UL << (e->address_bits - PAGE_SHIFT));
}

static void undo(struct exchange *e)
{
    for (unsigned i = 0; i < e->done_out; i++)
        reservation_take_back(e->d, e->item[i].new, e->out_order);
    put_back(e, e->frames);
}

static long put_new(struct exchange *e)
{
    for (e->done_out = 0; e->done_out < e->out_extents;) {
        struct item *m = &e->item[e->done_out];
        long rc = reservation_fill(e->d, e->out_order, m->new_pfn, &m->new);

        if (!rc)
            e->done_out++;
        if (!rc && !is_reachable(e, m->new))
            rc = refuse(e->d, -XEN_ENOMEM, "no memory below 2^%u", e->address_bits);
        if (rc) {
            undo(e);
            return rc;
        }
    }
    return 0;
}

static long tell(const struct exchange *e, uint64_t chunk)
{
    for (unsigned i = 0; i < e->out_extents; i++) {
        xen_pfn_t gfn = e->item[i].new.n;

        if (guest_write_item(&gfn, e->out, chunk * e->out_extents + i))
            return -XEN_EFAULT;
    }
    return 0;
}

static long exchange_chunk(struct exchange *e, uint64_t chunk)
{
    struct domain *d = e->d;
    long rc = read_chunk(e, chunk);

    if (rc)
        return rc;
    spin_lock(&d->lock);
    rc = d->dying ? -XEN_EINVAL : take_old(e);
    if (!rc)
        rc = put_new(e);
    spin_unlock(&d->lock);
    if (rc)
        return rc;
    rc = tell(e, chunk);
    if (rc) { /* nobody would know of them */
        spin_lock(&d->lock);
        undo(e);
        spin_unlock(&d->lock);
        return rc;
    }
    for (unsigned i = 0; i < e->frames; i++)
        frame_put(frame_of(e->item[i].old_mfn));
    return 0;
}

/* All chunks from *chunk on; it is left at the first that is not done. */
static long run(struct exchange *e, uint64_t *chunk, uint64_t chunks)
{
    uint64_t first = *chunk;
    long rc = 0;

    e->item = heap_calloc(e->frames, sizeof *e->item);
    if (!e->item)
        return -XEN_ENOMEM;
    for (; *chunk < chunks && !rc; *chunk += !rc) {
        if (*chunk > first && hypercall_preempt())
            rc = -XEN_ERESTART;
        else
            rc = exchange_chunk(e, *chunk);
    }
    heap_free(e->item);
    return rc;
}

static long exchange(struct vcpu *v, struct xen_memory_exchange *x)
{
    unsigned in = x->in.extent_order, out = x->out.extent_order;
    unsigned larger = in > out ? in : out;
    struct exchange e = {
        .in = (uint64_t)x->in.extent_start.p,
        .out = (uint64_t)x->out.extent_start.p,
        .in_order = in,
        .out_order = out,
        .address_bits = XENMEMF_get_address_bits(x->out.mem_flags),
        .in_extents = 1u << (larger - in),
        .out_extents = 1u << (larger - out),
        .frames = 1u << larger,
    };
    uint64_t chunk = x->nr_exchanged / e.in_extents;
    long rc;

    e.d = domain_get_for(v->domain, x->in.domid);
    if (!e.d)
        return -XEN_ESRCH;
    if (e.d != v->domain && !v->domain->privileged)
        rc = refuse(v->domain, -XEN_EPERM, "exchange of domain %u's memory", x->in.domid);
    else
        rc = run(&e, &chunk, x->in.nr_extents / e.in_extents);
    domain_put(e.d);
    x->nr_exchanged = chunk * e.in_extents;
    return rc;
}

long exchange_op(struct vcpu *v, uint64_t arg)
{
    struct xen_memory_exchange x;
    long rc;

    if (guest_read(&x, arg, sizeof x))
        return -XEN_EFAULT;
    rc = check(v->domain, &x);
    if (!rc)
        rc = exchange(v, &x);
    if (guest_write(arg + offsetof(struct xen_memory_exchange, nr_exchanged), &x.nr_exchanged,
                    sizeof x.nr_exchanged))
        return -XEN_EFAULT;
    return rc;
}
