/* SPDX-License-Identifier: MIT */
#include "dom0/builder/domctl.h"

#include <string.h>
#include <xen/errno.h>

#include <rt/hypercall.h>
#include <rt/thread.h>

/* The hypervisor's own "call again"; <xen/errno.h> hides it, as it should never come out. */
#ifndef XEN_ERESTART
#define XEN_ERESTART 85
#endif

/* Limits of a new domain, as xl gives them. */
#define EVENT_PORT_MAX 1023
#define GRANT_FRAMES   64
#define MAPTRACK       1024

static void begin(struct xen_domctl *op, uint32_t cmd, domid_t domid)
{
    memset(op, 0, sizeof *op);
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
}

static int call(struct xen_domctl *op)
{
    return (int)hypercall_domctl(op);
}

int domctl_create(const uint8_t uuid[16], unsigned max_vcpus, uint32_t pool, domid_t *domid)
{
    struct xen_domctl op;
    int rc;

    /* Domain number 0 asks for any free one. */
    begin(&op, XEN_DOMCTL_createdomain, 0);
    memcpy(op.u.createdomain.handle, uuid, 16);
    op.u.createdomain.max_vcpus = max_vcpus;
    op.u.createdomain.cpupool_id = pool;
    op.u.createdomain.max_evtchn_port = EVENT_PORT_MAX;
    op.u.createdomain.max_grant_frames = GRANT_FRAMES;
    op.u.createdomain.max_maptrack_frames = MAPTRACK;
    op.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
    rc = call(&op);
    if (rc == 0)
        *domid = op.domain;
    return rc;
}

int domctl_max_vcpus(domid_t domid, unsigned max_vcpus)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_max_vcpus, domid);
    op.u.max_vcpus.max = max_vcpus;
    return call(&op);
}

int domctl_max_mem(domid_t domid, uint64_t kib)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_max_mem, domid);
    op.u.max_mem.max_memkb = kib;
    return call(&op);
}

int domctl_set_paging_pool(domid_t domid, uint64_t bytes)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_set_paging_mempool_size, domid);
    op.u.paging_mempool.size = bytes;
    return call(&op);
}

int domctl_pause(domid_t domid)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_pausedomain, domid);
    return call(&op);
}

int domctl_unpause(domid_t domid)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_unpausedomain, domid);
    return call(&op);
}

int domctl_destroy(domid_t domid)
{
    struct xen_domctl op;
    int rc;

    for (;;) {
        begin(&op, XEN_DOMCTL_destroydomain, domid);
        rc = call(&op);
        if (rc != -XEN_ERESTART && rc != -XEN_EAGAIN)
            return rc;
        thread_yield();
    }
}

int domctl_info(domid_t domid, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op;
    int rc;

    begin(&op, XEN_DOMCTL_getdomaininfo, domid);
    rc = call(&op);
    if (rc < 0)
        return rc;
    /* For a number that is free, Xen may answer with the next domain. */
    if (op.u.getdomaininfo.domain != domid)
        return -XEN_ESRCH;
    *info = op.u.getdomaininfo;
    return 0;
}

int domctl_vcpu_info(domid_t domid, unsigned vcpu, struct xen_domctl_getvcpuinfo *info)
{
    struct xen_domctl op;
    int rc;

    begin(&op, XEN_DOMCTL_getvcpuinfo, domid);
    op.u.getvcpuinfo.vcpu = vcpu;
    rc = call(&op);
    if (rc == 0)
        *info = op.u.getvcpuinfo;
    return rc;
}

int domctl_hypercall_page(domid_t domid, xen_pfn_t mfn)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_hypercall_init, domid);
    op.u.hypercall_init.gmfn = mfn;
    return call(&op);
}

int domctl_set_context(domid_t domid, unsigned vcpu, const struct vcpu_guest_context *context)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_setvcpucontext, domid);
    op.u.vcpucontext.vcpu = vcpu;
    /* The handle's type has no const; setvcpucontext only reads. */
    set_xen_guest_handle(op.u.vcpucontext.ctxt, (struct vcpu_guest_context *)context);
    return call(&op);
}

static void bitmap(struct xenctl_bitmap *map, uint64_t *bits)
{
    set_xen_guest_handle(map->bitmap, (uint8_t *)bits);
    map->nr_bits = 64;
}

int domctl_set_affinity(domid_t domid, unsigned vcpu, uint64_t *hard, uint64_t *soft)
{
    struct xen_domctl op;

    begin(&op, XEN_DOMCTL_setvcpuaffinity, domid);
    op.u.vcpuaffinity.vcpu = vcpu;
    if (hard) {
        op.u.vcpuaffinity.flags |= XEN_VCPUAFFINITY_HARD;
        bitmap(&op.u.vcpuaffinity.cpumap_hard, hard);
    }
    if (soft) {
        op.u.vcpuaffinity.flags |= XEN_VCPUAFFINITY_SOFT;
        bitmap(&op.u.vcpuaffinity.cpumap_soft, soft);
    }
    return call(&op);
}

int domctl_get_affinity(domid_t domid, unsigned vcpu, uint64_t *hard, uint64_t *soft)
{
    struct xen_domctl op;

    *hard = *soft = 0;
    begin(&op, XEN_DOMCTL_getvcpuaffinity, domid);
    op.u.vcpuaffinity.vcpu = vcpu;
    op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    bitmap(&op.u.vcpuaffinity.cpumap_hard, hard);
    bitmap(&op.u.vcpuaffinity.cpumap_soft, soft);
    return call(&op);
}

int domctl_shadow(domid_t domid, struct xen_domctl_shadow_op *s)
{
    struct xen_domctl op;
    int rc;

    begin(&op, XEN_DOMCTL_shadow_op, domid);
    op.u.shadow_op = *s;
    rc = call(&op);
    *s = op.u.shadow_op;
    return rc;
}

int domctl_gfns(domid_t domid, uint64_t *gfns)
{
    long rc = hypercall_memory_op(XENMEM_maximum_gpfn, &domid);

    if (rc < 0)
        return (int)rc;
    *gfns = (uint64_t)rc + 1;
    return 0;
}

static int share_op(struct xen_domctl *op, domid_t domid, uint32_t sched_id, uint32_t cmd)
{
    if (sched_id == XEN_SCHEDULER_ARINC653 || sched_id == XEN_SCHEDULER_RTDS ||
        sched_id == XEN_SCHEDULER_NULL)
        return -XEN_EOPNOTSUPP;
    begin(op, XEN_DOMCTL_scheduler_op, domid);
    op->u.scheduler_op.sched_id = sched_id;
    op->u.scheduler_op.cmd = cmd;
    return 0;
}

/* credit and credit2 have the same two fields at the same places; so have Penumbra's own. */
_Static_assert(sizeof(struct xen_domctl_sched_credit) == sizeof(struct xen_domctl_sched_credit2),
               "scheduler parameters");

int domctl_get_share(domid_t domid, uint32_t sched_id, unsigned *weight, unsigned *cap)
{
    struct xen_domctl op;
    int rc = share_op(&op, domid, sched_id, XEN_DOMCTL_SCHEDOP_getinfo);

    if (rc == 0)
        rc = call(&op);
    if (rc == 0) {
        *weight = op.u.scheduler_op.u.credit2.weight;
        *cap = op.u.scheduler_op.u.credit2.cap;
    }
    return rc;
}

int domctl_set_share(domid_t domid, uint32_t sched_id, unsigned weight, unsigned cap)
{
    struct xen_domctl op;
    int rc = share_op(&op, domid, sched_id, XEN_DOMCTL_SCHEDOP_putinfo);

    if (rc < 0)
        return rc;
    op.u.scheduler_op.u.credit2.weight = (uint16_t)weight;
    op.u.scheduler_op.u.credit2.cap = (uint16_t)cap;
    return call(&op);
}
