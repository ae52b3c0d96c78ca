/* SPDX-License-Identifier: MIT */
/*
 * memory_op: what a domain owns (hv/reservation.c, hv/exchange.c), its memory map
 * (hv/memory_map.c), the limits, the machine-to-phys table's place, and resources that domain 0
 * maps for a domain that it builds.
 */
#include <stdint.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>
#include "hv/domain.h"
#include "hv/exchange.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/memory_map.h"
#include "hv/reservation.h"
#include "mm/guest.h"

#define MACH2PHYS_BYTES (1UL << 39) /* root slot 256 is the table's */

/* How far frame numbers go: the machine's memory for domain 0, its own space for another. */
static uint64_t highest_frame(const struct domain *d)
{
    return (d->privileged ? frame_max_mfn() : p2m_max_gfn(d->paging)) - 1;
}

static long machphys_mapping(struct domain *d, uint64_t arg)
{
    struct xen_machphys_mapping m = {
        .v_start = HYPERVISOR_VIRT_START,
        .v_end = HYPERVISOR_VIRT_START + MACH2PHYS_BYTES,
        .max_mfn = m2p_entries(d->paging) - 1,
    };

    return guest_write(arg, &m, sizeof m) ? -XEN_EFAULT : 0;
}

/* The two reservations and the highest gfn, of the caller or, for domain 0, of another. */
static long query(struct vcpu *v, unsigned op, uint64_t arg)
{
    struct domain *d;
    domid_t id;
    long rc;

    if (guest_read(&id, arg, sizeof id))
        return -XEN_EFAULT;
    d = domain_get_for(v->domain, id);
    if (!d)
        return -XEN_ESRCH;
    if (d != v->domain && !v->domain->privileged) {
        rc = refuse(v->domain, -XEN_EPERM, "memory_op %u on domain %u", op, id);
    } else if (op == XENMEM_maximum_reservation) {
        rc = (long)d->max_pages;
    } else {
        paging_lock(d->paging);
        rc = (long)(op == XENMEM_current_reservation ? p2m_ram_count(d->paging)
                                                     : p2m_max_gfn(d->paging) - 1);
        paging_unlock(d->paging);
    }
    domain_put(d);
    return rc;
}

/* The frame number by which the caller of mmu_update (with foreigndom) names frame `index` of d's
 * grant table. */
static long grant_frame_gfn(struct domain *d, uint64_t index, xen_pfn_t *out)
{
    mfn_t mfn = grant_table_frame(d, (unsigned)index);
    gfn_t gfn;

    if (!mfn_valid(mfn))
        return -XEN_ENOMEM;
    paging_lock(d->paging);
    gfn = p2m_gfn_of(d->paging, mfn);
    paging_unlock(d->paging);
    if (!gfn_valid(gfn))
        return -XEN_ENOMEM;
    *out = gfn.n;
    return 0;
}

static long acquire_frames(struct domain *d, struct xen_mem_acquire_resource *r)
{
    uint64_t list = (uint64_t)r->frame_list.p;

    if (!r->nr_frames || r->frame >= GRANT_FRAMES || r->nr_frames > GRANT_FRAMES - r->frame)
        return refuse(d, -XEN_EINVAL, "frames %lu + %u of its grant table", r->frame, r->nr_frames);
    for (uint64_t i = 0; i < r->nr_frames; i++) {
        xen_pfn_t frame;
        long rc = grant_frame_gfn(d, r->frame + i, &frame);

        if (rc)
            return rc;
        if (guest_write_item(&frame, list, i))
            return -XEN_EFAULT;
    }
    return 0;
}

/* Grant-table frames, version 1 only. Without a list: the size. */
static long acquire_resource(struct vcpu *v, uint64_t arg)
{
    struct xen_mem_acquire_resource r;
    struct domain *d;
    long rc;

    if (!v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "acquire_resource");
    if (guest_read(&r, arg, sizeof r))
        return -XEN_EFAULT;
    if (r.pad)
        return -XEN_EINVAL;
    if (r.domid == DOMID_SELF || r.domid == v->domain->id)
        return refuse(v->domain, -XEN_EPERM, "acquire_resource of its own");
    d = domain_get(r.domid);
    if (!d)
        return -XEN_ESRCH;
    if (r.type != XENMEM_resource_grant_table) {
        rc = -XEN_EOPNOTSUPP;
    } else if (r.id != XENMEM_resource_grant_table_id_shared) {
        rc = -XEN_EINVAL;
    } else if (r.frame_list.p) {
        rc = acquire_frames(d, &r);
    } else if (r.nr_frames) {
        rc = -XEN_EINVAL;
    } else {
        r.nr_frames = GRANT_FRAMES;
        rc = guest_write(arg, &r, sizeof r) ? -XEN_EFAULT : 0;
    }
    domain_put(d);
    return rc;
}

/* Changes of a translated guest's map, which Xen refuses to a PV guest once it has read what it is
 * asked. Each structure begins with the domain. */
static long physmap_op(struct vcpu *v, unsigned op, uint64_t arg)
{
    union {
        domid_t domid;
        struct xen_add_to_physmap add;
        struct xen_add_to_physmap_batch batch;
        struct xen_remove_from_physmap remove;
    } u;
    size_t size = op == XENMEM_add_to_physmap         ? sizeof u.add
                  : op == XENMEM_add_to_physmap_batch ? sizeof u.batch
                                                      : sizeof u.remove;
    struct domain *d;
    long rc;

    if (guest_read(&u, arg, size))
        return -XEN_EFAULT;
    if (op == XENMEM_add_to_physmap && u.add.space == XENMAPSPACE_gmfn_foreign)
        return -XEN_ENOSYS;
    d = domain_get_for(v->domain, u.domid);
    if (!d)
        return -XEN_ESRCH;
    rc = d == v->domain || v->domain->privileged ? -XEN_EACCES : -XEN_EPERM;
    domain_put(d);
    return refuse(v->domain, rc, "memory_op %u is for translated guests", op);
}

static __attribute__((noinline)) long other_op(struct vcpu *v, unsigned op, uint64_t arg)
{
    switch (op) {
    case XENMEM_exchange:
        return exchange_op(v, arg);
    case XENMEM_claim_pages:
        return reservation_claim(v, arg);
    case XENMEM_maximum_ram_page:
        return (long)highest_frame(v->domain);
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return query(v, op, arg);
    case XENMEM_machphys_mapping:
        return machphys_mapping(v->domain, arg);
    case XENMEM_memory_map:
        return memory_map_get(v, arg);
    case XENMEM_set_memory_map:
        return memory_map_set(v, arg);
    case XENMEM_machine_memory_map:
        return memory_map_machine(v, arg);
    case XENMEM_acquire_resource:
        return acquire_resource(v, arg);
    case XENMEM_add_to_physmap:
    case XENMEM_add_to_physmap_batch:
    case XENMEM_remove_from_physmap:
        return physmap_op(v, op, arg);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "memory_op %u", op);
    }
}

/* Balloon drivers come here page by page. */
long hypercall_memory_op(struct vcpu *v, struct hypercall *call)
{
    unsigned op = call->arg[0] & MEMOP_CMD_MASK;

    if (op == XENMEM_increase_reservation || op == XENMEM_decrease_reservation ||
        op == XENMEM_populate_physmap)
        return reservation_op(v, call);
    return other_op(v, op, call->arg[1]);
}
