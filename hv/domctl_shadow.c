/* SPDX-License-Identifier: MIT */
/*
 * XEN_DOMCTL_shadow_op: the log of a domain's dirty frames (mm/logdirty.h), and the old way to the
 * size of its shadow pool. Shadow page tables themselves are always on.
 *
 * Switching the log on and off goes on where it stopped by itself. Handing out its bits does not:
 * how far one caller is stands in the domain, and another one's gets -EBUSY meanwhile, as on Xen.
 */
#include <xen/errno.h>
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/guest.h"
#include "mm/logdirty.h"

#define MIB_SHIFT 20

static long enable(struct domain *d)
{
    long rc;

    do
        rc = log_enable(d->paging);
    while (rc == -XEN_ERESTART && !hypercall_preempt());
    if (!rc || rc == -XEN_ERESTART)
        return rc;
    return refuse(d, rc,
                  rc == -XEN_ENOMEM ? "no memory for the log of dirty frames"
                                    : "the log of dirty frames is on already");
}

static long disable(struct domain *d)
{
    long rc;

    d->log_reader = (struct log_reader){0}; /* whoever reads it has nothing left to read */
    do
        rc = log_disable(d->paging);
    while (rc == -XEN_ERESTART && !hypercall_preempt());
    return rc;
}

/* The bits of one step, of gfns below `pages`. */
static long give_step(struct domain *d, const struct xen_domctl_shadow_op *s, uint64_t pages)
{
    uint64_t bits[LOG_WORDS], first = d->log_reader.next, to = (uint64_t)s->dirty_bitmap.p;
    uint64_t count = pages - first < LOG_STEP ? pages - first : LOG_STEP;
    bool clean = s->op == XEN_DOMCTL_SHADOW_OP_CLEAN;

    log_collect(d->paging, first, count, clean, bits);
    if (to && guest_write(guest_item_va(to, first / 8, 1), bits, (count + 7) / 8)) {
        if (clean)
            log_restore(d->paging, first, bits);
        return -XEN_EFAULT;
    }
    d->log_reader.next += LOG_STEP;
    return 0;
}

static long give_bits(struct vcpu *caller, struct domain *d, struct xen_domctl_shadow_op *s)
{
    struct log_reader *at = &d->log_reader;
    uint64_t pages = p2m_max_gfn(d->paging);
    bool clean = s->op == XEN_DOMCTL_SHADOW_OP_CLEAN;
    long rc = 0;

    if (s->mode & ~(uint32_t)XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL)
        return -XEN_EINVAL;
    if (s->pages < pages)
        pages = s->pages;
    if (!at->vcpu) {
        struct log_stats stats = log_stats(d->paging, clean);
        *at = (struct log_reader){.vcpu = caller->id + 1, .op = s->op, .stats = stats};
    }
    while (at->next < pages && !rc) {
        rc = give_step(d, s, pages);
        if (!rc && at->next < pages && hypercall_preempt())
            return -XEN_ERESTART;
    }
    s->pages = pages;
    s->stats.fault_count = at->stats.faults;
    s->stats.dirty_count = at->stats.dirty;
    *at = (struct log_reader){0};
    return rc ? refuse(d, rc, "no buffer for the bits at %lx", (uint64_t)s->dirty_bitmap.p) : 0;
}

static long get_allocation(struct domain *d, struct xen_domctl_shadow_op *s)
{
    paging_lock(d->paging);
    s->mb = (uint32_t)((paging_pool_bytes(d->paging) + (1UL << MIB_SHIFT) - 1) >> MIB_SHIFT);
    paging_unlock(d->paging);
    return 0;
}

static long set_allocation(struct domain *d, uint32_t mb)
{
    long rc = -XEN_EINVAL; /* none at all: shadows are always on */

    if (mb) {
        paging_lock(d->paging);
        rc = paging_set_pool_bytes(d->paging, (uint64_t)mb << MIB_SHIFT);
        paging_unlock(d->paging);
    }
    return rc ? refuse(d, rc, "a paging pool of %u MiB", mb) : 0;
}

static long dispatch(struct vcpu *caller, struct domain *d, struct xen_domctl_shadow_op *s)
{
    switch (s->op) {
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return disable(d);
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        if (s->mode != XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY)
            return refuse(d, -XEN_EINVAL, "shadow mode %x", s->mode);
        return enable(d);
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return enable(d);
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return give_bits(caller, d, s);
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        return get_allocation(d, s);
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        return set_allocation(d, s->mb);
    default:
        return refuse(d, -XEN_EINVAL, "shadow operation %u", s->op);
    }
}

long domctl_shadow(struct vcpu *caller, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_shadow_op *s = &op->u.shadow_op;
    const struct log_reader *at = &d->log_reader;
    bool resuming = at->vcpu == caller->id + 1 && at->op == s->op;

    if (d == caller->domain)
        return refuse(d, -XEN_EINVAL, "the log of its own memory");
    if (!d->vcpu_max)
        return refuse(d, -XEN_EINVAL, "no vCPUs yet");
    if (at->vcpu && !resuming && s->op != XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION &&
        s->op != XEN_DOMCTL_SHADOW_OP_OFF)
        return refuse(d, -XEN_EBUSY, "shadow operation %u before the end of %u", s->op, at->op);
    return dispatch(caller, d, s);
}
