/* SPDX-License-Identifier: MIT */
/*
 * domctl: domain 0 makes, describes, changes and destroys domains (<xen/domctl.h>, interface
 * version 15h). The argument is copied once; operations that answer in it change the copy, which is
 * then written back.
 */
#include <string.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/hypercall_page.h"
#include "hv/log.h"
#include "hv/memory_map.h"
#include "hv/wallclock.h"
#include "mm/guest.h"

#define TSC_MODE_DEFAULT       0
#define TSC_MODE_NEVER_EMULATE 2

/* Limits of Xen's interface that a domain may ask for; more than we have is cut, as for "default".
 */
static unsigned limit(int32_t wanted, unsigned most)
{
    return wanted < 0 || (uint32_t)wanted > most ? most : (unsigned)wanted;
}

static long check_create(const struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;

    if (op->domain >= DOMID_FIRST_RESERVED && op->domain != DOMID_INVALID)
        return refuse(NULL, -XEN_EINVAL, "domain number %u is reserved", op->domain);
    if (c->flags || c->iommu_opts || c->vmtrace_size)
        return refuse(NULL, -XEN_EINVAL, "createdomain with flags %x", c->flags);
    if (c->arch.emulation_flags)
        return -XEN_EOPNOTSUPP;
    if (c->arch.misc_flags)
        return -XEN_EINVAL;
    if (c->max_vcpus < 1 || c->max_vcpus > VCPU_MAX)
        return refuse(NULL, -XEN_EINVAL, "createdomain with %u vCPUs", c->max_vcpus);
    /* Version 1 is all there is; a domain that may have 2 is content with 1. */
    if ((c->grant_opts & ~XEN_DOMCTL_GRANT_version_mask) ||
        XEN_DOMCTL_GRANT_version(c->grant_opts) < 1 || XEN_DOMCTL_GRANT_version(c->grant_opts) > 2)
        return -XEN_EINVAL;
    if (!c->max_grant_frames)
        return -XEN_EINVAL;
    return 0;
}

static long create(struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;
    struct domain_params params = {
        .id = op->domain ? op->domain : DOMID_INVALID,
        .pool = c->cpupool_id,
        .max_grant_frames = limit((int32_t)c->max_grant_frames, GRANT_FRAMES),
        .max_maptrack_frames = limit((int32_t)c->max_maptrack_frames, MAPTRACK_FRAMES),
    };
    struct domain *d;
    long rc = check_create(op);

    if (rc)
        return rc;
    memcpy(params.handle, c->handle, sizeof params.handle);
    rc = domain_create(&params, &d);
    if (rc)
        return rc == -XEN_EEXIST ? -XEN_EINVAL : rc;
    op->domain = d->id;
    domain_put(d);
    return 0;
}

static long destroy(struct vcpu *caller, struct domain *d)
{
    long rc;

    if (d == caller->domain)
        return refuse(d, -XEN_EINVAL, "it may not destroy itself");
    rc = domain_destroy(d);
    if (!rc)
        memory_map_release(d);
    return rc;
}

/* The number asked for or the next higher one, as Xen answers. */
static long get_info(struct xen_domctl *op)
{
    struct domain *d;

    if (op->domain >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    d = domain_next(op->domain);
    if (!d)
        return -XEN_ESRCH;
    control_domain_info(d, &op->u.getdomaininfo);
    op->domain = d->id;
    domain_put(d);
    return 0;
}

static long pause(struct vcpu *caller, struct domain *d)
{
    if (d == caller->domain)
        return refuse(d, -XEN_EINVAL, "it may not pause itself");
    if (!d->controller_paused) {
        d->controller_paused = true;
        domain_pause(d);
    }
    return 0;
}

static long unpause(struct domain *d)
{
    if (!d->controller_paused)
        return refuse(d, -XEN_EINVAL, "it is not paused");
    d->controller_paused = false;
    domain_unpause(d);
    return 0;
}

/* A limit below what the domain has is fine: it cannot get more then. */
static long max_mem(struct domain *d, uint64_t kib)
{
    uint64_t pages = kib >> (PAGE_SHIFT - 10);
    long rc = 0;

    paging_lock(d->paging);
    if (!paging_is_direct(d->paging) && pages + EXCHANGE_GFNS > p2m_max_gfn(d->paging))
        rc = p2m_set_max(d->paging, pages + EXCHANGE_GFNS);
    paging_unlock(d->paging);
    if (rc)
        return refuse(d, rc, "a limit of %lu KiB", kib);
    spin_lock(&d->lock);
    d->max_pages = pages;
    spin_unlock(&d->lock);
    return 0;
}

/* Shadow tables: the builder sets it, before the domain runs. */
static long set_pool(struct domain *d, uint64_t bytes)
{
    long rc;

    paging_lock(d->paging);
    rc = paging_set_pool_bytes(d->paging, bytes);
    paging_unlock(d->paging);
    return rc ? refuse(d, rc, "a paging pool of %lu bytes", bytes) : 0;
}

static long hypercall_page(struct domain *d, uint64_t gfn)
{
    struct frame_hold hold;
    void *page = paging_hold(d->paging, gfn_of(gfn), true, &hold);

    if (!page)
        return refuse(d, -XEN_EACCES, "no memory at gfn %lx for the hypercall page", gfn);
    hypercall_page_init(page);
    paging_release(&hold);
    return 0;
}

/* RDTSC is never emulated; the default promises nothing else on a machine with a constant rate. */
static long set_tsc(struct vcpu *caller, struct domain *d, const struct xen_domctl_tsc_info *info)
{
    if (d == caller->domain ||
        (info->tsc_mode != TSC_MODE_DEFAULT && info->tsc_mode != TSC_MODE_NEVER_EMULATE))
        return refuse(d, -XEN_EINVAL, "tsc_mode %u", info->tsc_mode);
    return 0;
}

static void get_tsc(struct domain *d, struct xen_domctl_tsc_info *info)
{
    *info = (struct xen_domctl_tsc_info){
        .tsc_mode = TSC_MODE_NEVER_EMULATE,
        .gtsc_khz = arch_cpu_khz(),
        .elapsed_nsec = arch_time_ns() - d->created_ns,
    };
}

/* Operations on a living domain. *copy_back: the answer is in *op. */
static long living(struct vcpu *caller, struct domain *d, struct xen_domctl *op, bool *copy_back)
{
    switch (op->cmd) {
    case XEN_DOMCTL_pausedomain:
        return pause(caller, d);
    case XEN_DOMCTL_unpausedomain:
        return unpause(d);
    case XEN_DOMCTL_max_vcpus:
        return d == caller->domain ? -XEN_EINVAL : domain_set_max_vcpus(d, op->u.max_vcpus.max);
    case XEN_DOMCTL_max_mem:
        return max_mem(d, op->u.max_mem.max_memkb);
    case XEN_DOMCTL_setvcpucontext:
        return domctl_set_context(caller, d, op);
    case XEN_DOMCTL_getvcpucontext:
        return domctl_get_context(caller, d, op);
    case XEN_DOMCTL_setvcpuaffinity:
        return domctl_affinity(d, op, true);
    case XEN_DOMCTL_getvcpuaffinity:
        return domctl_affinity(d, op, false);
    case XEN_DOMCTL_scheduler_op:
        *copy_back = true;
        return domctl_scheduler(d, op);
    case XEN_DOMCTL_hypercall_init:
        return hypercall_page(d, op->u.hypercall_init.gmfn);
    case XEN_DOMCTL_set_address_size:
        return op->u.address_size.size == 64 ? 0 : -XEN_EINVAL;
    case XEN_DOMCTL_get_address_size:
        *copy_back = true;
        op->u.address_size.size = 64;
        return 0;
    case XEN_DOMCTL_settscinfo:
        return set_tsc(caller, d, &op->u.tsc_info);
    case XEN_DOMCTL_gettscinfo:
        *copy_back = true;
        get_tsc(d, &op->u.tsc_info);
        return 0;
    case XEN_DOMCTL_settimeoffset:
        d->time_offset = (uint64_t)op->u.settimeoffset.time_offset_seconds;
        wallclock_show(d);
        return 0;
    case XEN_DOMCTL_get_paging_mempool_size:
        *copy_back = true;
        paging_lock(d->paging);
        op->u.paging_mempool.size = paging_pool_bytes(d->paging);
        paging_unlock(d->paging);
        return 0;
    case XEN_DOMCTL_set_paging_mempool_size:
        return set_pool(d, op->u.paging_mempool.size);
    case XEN_DOMCTL_shadow_op:
        *copy_back = true;
        return domctl_shadow(caller, d, op);
    case XEN_DOMCTL_setdomainhandle:
        memcpy(d->handle, op->u.setdomainhandle.handle, sizeof d->handle);
        return 0;
    default:
        return refuse(d, -XEN_ENOSYS, "domctl %u", op->cmd);
    }
}

static long dispatch(struct vcpu *caller, struct xen_domctl *op, bool *copy_back)
{
    struct domain *d;
    long rc;

    if (op->cmd == XEN_DOMCTL_createdomain || op->cmd == XEN_DOMCTL_getdomaininfo) {
        *copy_back = true;
        return op->cmd == XEN_DOMCTL_createdomain ? create(op) : get_info(op);
    }
    d = domain_get_dying_too(op->domain);
    if (!d)
        return refuse(NULL, -XEN_ESRCH, "domctl %u: no domain %u", op->cmd, op->domain);
    if (op->cmd == XEN_DOMCTL_destroydomain) {
        rc = destroy(caller, d);
    } else if (op->cmd == XEN_DOMCTL_getvcpuinfo) {
        *copy_back = true;
        rc = domctl_vcpu_info(d, op);
    } else if (d->dying) {
        rc = refuse(d, -XEN_EINVAL, "domctl %u on a dying domain", op->cmd);
    } else {
        rc = living(caller, d, op, copy_back);
    }
    domain_put(d);
    return rc;
}

long hypercall_domctl(struct vcpu *v, struct hypercall *call)
{
    struct xen_domctl op;
    bool copy_back = false;
    long rc;

    if (guest_read(&op, call->arg[0], sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return refuse(v->domain, -XEN_EACCES, "domctl interface %x", op.interface_version);
    if (!control_trylock())
        return -XEN_ERESTART;
    rc = dispatch(v, &op, &copy_back);
    control_unlock();
    if (!rc && copy_back && guest_write(call->arg[0], &op, sizeof op))
        rc = -XEN_EFAULT;
    return rc;
}
