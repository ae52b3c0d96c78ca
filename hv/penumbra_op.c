/* SPDX-License-Identifier: MIT */
/*
 * __HYPERVISOR_arch_2 (hv/public/penumbra.h): domain 0 looks into a domain's paging, says how the
 * domain's stores to page tables are caught, and traces the scheduler (hv/trace_op.c). The argument
 * is copied once; the answer is put into the copy, which is then written back.
 */
#include <xen/errno.h>
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/public/penumbra.h"
#include "hv/trace_op.h"
#include "mm/guest.h"

static void add_vcpu(const struct vcpu *v, struct penumbra_counters *c)
{
    c->hypercalls += v->count.hypercalls;
    c->updates += v->count.updates;
    c->stores_mov += v->count.stores[STORE_MOV];
    c->stores_xchg += v->count.stores[STORE_XCHG];
    c->stores_cmpxchg += v->count.stores[STORE_CMPXCHG];
    c->stores_logic += v->count.stores[STORE_LOGIC];
    c->stores_bit += v->count.stores[STORE_BIT];
    c->stores_refused += v->count.stores_refused;
    c->tables_dropped += v->count.tables_dropped;
}

static long get_counters(struct domain *d, struct penumbra_counters *c)
{
    struct paging_counters p;

    paging_get_counters(d->paging, &p);
    *c = (struct penumbra_counters){
        .faults_guest = p.faults_guest,
        .faults_fill = p.faults_fill,
        .faults_store = p.faults_store,
        .faults_ad = p.faults_ad,
        .shadows = p.shadows,
        .shadows_made = p.made,
        .shadows_reclaimed = p.reclaimed,
        .pool = paging_pool_tables(d->paging),
        .flushes = p.flushes,
        .flushes_avoided = p.flushes_avoided,
    };
    for (unsigned i = 0; i < d->vcpu_max; i++)
        add_vcpu(d->vcpu[i], c);
    return 0;
}

/* An address that a guest may own: canonical, and not in the hypervisor's part. */
static bool guests_address(uint64_t va)
{
    return va < 1UL << 47 || va >= HYPERVISOR_VIRT_END;
}

static long walk(struct domain *d, struct penumbra_walk *w)
{
    if (!guests_address(w->va) || w->user > 1)
        return refuse(d, -XEN_EINVAL, "walk of address %lx, root %u", w->va, w->user);
    if (w->vcpu >= d->vcpu_max)
        return refuse(d, -XEN_ENOENT, "walk on vCPU %u", w->vcpu);
    if (d->dying) /* its tables are being taken apart */
        return refuse(d, -XEN_ESRCH, "walk in a dying domain");
    paging_lock(d->paging);
    paging_walk(d->paging, &d->vcpu[w->vcpu]->paging, w);
    paging_unlock(d->paging);
    return 0;
}

static long set_store_mode(struct domain *d, const struct penumbra_store_mode *m)
{
    if (m->mode >= PENUMBRA_STORES_MODES)
        return refuse(d, -XEN_EINVAL, "store mode %u", m->mode);
    __atomic_store_n(&d->store_mode, m->mode, __ATOMIC_RELAXED);
    return 0;
}

static long get_store_mode(const struct domain *d, struct penumbra_store_mode *m)
{
    uint32_t assists = __atomic_load_n(&d->vm_assist, __ATOMIC_RELAXED);

    *m = (struct penumbra_store_mode){
        .mode = __atomic_load_n(&d->store_mode, __ATOMIC_RELAXED),
        .assist = d->privileged || (assists & 1u << VMASST_TYPE_writable_pagetables),
    };
    return 0;
}

static long dispatch(struct domain *d, struct penumbra_op *op)
{
    switch (op->cmd) {
    case PENUMBRA_OP_counters:
        return get_counters(d, &op->u.counters);
    case PENUMBRA_OP_walk:
        return walk(d, &op->u.walk);
    case PENUMBRA_OP_get_store_mode:
        return get_store_mode(d, &op->u.store_mode);
    case PENUMBRA_OP_set_store_mode:
        return set_store_mode(d, &op->u.store_mode);
    default:
        return refuse(d, -XEN_ENOSYS, "operation %u of our own", op->cmd);
    }
}

static long on_domain(struct penumbra_op *op)
{
    struct domain *d = domain_get_dying_too(op->domid);
    long rc;

    if (!d)
        return refuse(NULL, -XEN_ESRCH, "arch_2: no domain %u", op->domid);
    rc = dispatch(d, op);
    domain_put(d);
    return rc;
}

static long on_trace(struct penumbra_op *op)
{
    long rc;

    if (!control_trylock())
        return -XEN_ERESTART;
    rc = trace_op(&op->u.trace);
    control_unlock();
    return rc;
}

/* arg: struct penumbra_op. */
long hypercall_arch_2(struct vcpu *v, struct hypercall *call)
{
    struct penumbra_op op;
    long rc;

    if (guest_read(&op, call->arg[0], sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != PENUMBRA_INTERFACE_VERSION)
        return refuse(v->domain, -XEN_EACCES, "arch_2 interface %u", op.interface_version);
    switch (op.cmd) {
    case PENUMBRA_OP_trace:
        rc = on_trace(&op);
        break;
    case PENUMBRA_OP_scheduler:
        rc = sysctl_describe_scheduler(&op.u.scheduler);
        break;
    default:
        rc = on_domain(&op);
    }
    if (!rc && guest_write(call->arg[0], &op, sizeof op))
        rc = -XEN_EFAULT;
    return rc;
}
