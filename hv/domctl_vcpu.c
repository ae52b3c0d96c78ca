/* SPDX-License-Identifier: MIT */
/*
 * domctl on vCPUs: registers, state, affinity, and the domain's share of the processors.
 */
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "hv/wallclock.h"
#include "mm/guest.h"
#include "mm/heap.h"

/* Numbers below vcpu_max are made, all of them. */
static struct vcpu *find_vcpu(struct domain *d, uint32_t id)
{
    return id < d->vcpu_max ? d->vcpu[id] : NULL;
}

/* Again, as the builder may have cleared the shared page. */
static void show_times(struct domain *d)
{
    wallclock_show(d);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        arch_vcpu_update_time(d->vcpu[i]);
}

long domctl_set_context(struct vcpu *caller, struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long rc = -XEN_EFAULT;

    if (!v || d == caller->domain || !op->u.vcpucontext.ctxt.p)
        return refuse(d, -XEN_EINVAL, "setvcpucontext of vCPU %u", op->u.vcpucontext.vcpu);
    ctx = heap_alloc(sizeof *ctx);
    if (!ctx)
        return -XEN_ENOMEM;
    if (!guest_read(ctx, (uint64_t)op->u.vcpucontext.ctxt.p, sizeof *ctx)) {
        domain_pause(d);
        rc = arch_vcpu_set_context(v, ctx);
        if (!rc) {
            v->initialised = true;
            if (!v->id) {
                __atomic_store_n(&d->vm_assist, ctx->vm_assist & DOMAIN_ASSISTS, __ATOMIC_RELAXED);
                show_times(d);
            }
            if (ctx->flags & VGCF_online)
                sched_vcpu_up(v);
            else
                sched_vcpu_down(v);
        }
        domain_unpause(d);
    }
    heap_free(ctx);
    return rc;
}

long domctl_get_context(struct vcpu *caller, struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = find_vcpu(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long rc = 0;

    if (!v || d == caller->domain)
        return refuse(d, -XEN_EINVAL, "getvcpucontext of vCPU %u", op->u.vcpucontext.vcpu);
    if (!v->initialised)
        return -XEN_ENODATA;
    ctx = heap_alloc(sizeof *ctx); /* zeros: what is not filled says nothing */
    if (!ctx)
        return -XEN_ENOMEM;
    domain_pause(d);
    arch_vcpu_get_context(v, ctx);
    domain_unpause(d);
    if (guest_write((uint64_t)op->u.vcpucontext.ctxt.p, ctx, sizeof *ctx))
        rc = -XEN_EFAULT;
    heap_free(ctx);
    return rc;
}

long domctl_vcpu_info(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
    struct vcpu *v = find_vcpu(d, info->vcpu);

    if (!v)
        return refuse(d, -XEN_EINVAL, "getvcpuinfo of vCPU %u", info->vcpu);
    info->online = v->sched.up;
    info->blocked = v->sched.blocked;
    info->running = v->sched.on_pcpu;
    info->cpu_time = sched_cpu_time(v);
    info->cpu = v->sched.pcpu;
    return 0;
}

/* Xen's rule: what is set is limited to the pCPUs of the domain's pool, must leave one, and is told
 * to the caller as it came into force. */
static long set_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *a)
{
    uint64_t hard, soft;
    long rc = 0;

    if (a->flags & XEN_VCPUAFFINITY_HARD)
        rc = control_bitmap_read(&hard, &a->cpumap_hard);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = control_bitmap_read(&soft, &a->cpumap_soft);
    if (rc)
        return rc;
    return sched_set_affinity(v, a->flags & XEN_VCPUAFFINITY_HARD ? &hard : NULL,
                              a->flags & XEN_VCPUAFFINITY_SOFT ? &soft : NULL);
}

long domctl_affinity(struct domain *d, struct xen_domctl *op, bool set)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    uint32_t which = a->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT);
    struct vcpu *v = find_vcpu(d, a->vcpu);
    long rc = 0;

    if (!v || !which)
        return refuse(d, -XEN_EINVAL, "affinity of vCPU %u, flags %x", a->vcpu, a->flags);
    if (set)
        rc = set_affinity(v, a);
    if (!rc && (which & XEN_VCPUAFFINITY_HARD))
        rc = control_bitmap_write(&a->cpumap_hard,
                                  set ? v->sched.entity.affinity : v->sched.hard_affinity);
    if (!rc && (which & XEN_VCPUAFFINITY_SOFT))
        rc = control_bitmap_write(&a->cpumap_soft,
                                  set ? v->sched.soft_affinity & v->sched.entity.affinity
                                      : v->sched.soft_affinity);
    return rc;
}

/* The parameters have credit2's form, which is credit's too, whatever the scheduler's number: 0 and
 * ~0 leave weight and cap as they are. */
long domctl_scheduler(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;
    struct sched_pool_info pool;
    unsigned weight, cap;
    long rc = sched_pool_info(sched_pool_of(d), &pool);

    if (rc || s->sched_id != pool.policy->id)
        return refuse(d, -XEN_EINVAL, "scheduler %u is not in use", s->sched_id);
    sched_get_params(d, &weight, &cap);
    switch (s->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        s->u.credit2.weight = (uint16_t)weight;
        s->u.credit2.cap = (uint16_t)cap;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        if (s->u.credit2.weight)
            weight = s->u.credit2.weight;
        if (s->u.credit2.cap != 0xffff)
            cap = s->u.credit2.cap;
        rc = sched_set_params(d, weight, cap);
        return rc ? refuse(d, rc, "weight %u, cap %u", weight, cap) : 0;
    default:
        return refuse(d, -XEN_EINVAL, "scheduler command %u", s->cmd);
    }
}
