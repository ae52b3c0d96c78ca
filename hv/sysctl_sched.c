/* SPDX-License-Identifier: MIT */
/*
 * sysctl on pools of pCPUs and on their schedulers' parameters, and which schedulers there are. The
 * work is done by sched/pool.c, whose errors are those of <xen/sysctl.h>.
 */
#include <stdint.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/sysctl.h>
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "hv/public/penumbra.h"
#include "sched/sched.h"

#define US 1000UL    /* ns */
#define MS 1000000UL /* ns */

static long create(struct xen_sysctl_cpupool_op *op)
{
    unsigned id = op->cpupool_id;
    long rc = sched_pool_create(&id, op->sched_id);

    op->cpupool_id = id;
    return rc;
}

/* The pool of that number or the next higher one, so that a caller can go through all of them. */
static long describe(struct xen_sysctl_cpupool_op *op)
{
    struct sched_pool_info pool;
    long rc = sched_pool_info(op->cpupool_id, &pool);

    if (rc)
        return rc;
    op->cpupool_id = pool.id;
    op->sched_id = pool.policy->id;
    op->n_dom = pool.domain_count;
    return control_bitmap_write(&op->cpumap, pool.pcpus);
}

static long move_domain(const struct xen_sysctl_cpupool_op *op)
{
    struct domain *d = op->domid < DOMID_FIRST_RESERVED ? domain_get((domid_t)op->domid) : NULL;
    long rc;

    if (!d)
        return refuse(NULL, -XEN_EINVAL, "no domain %u to move to a pool", op->domid);
    rc = sched_pool_move(d, op->cpupool_id);
    domain_put(d);
    return rc;
}

long sysctl_cpupool(struct xen_sysctl_cpupool_op *op)
{
    switch (op->op) {
    case XEN_SYSCTL_CPUPOOL_OP_CREATE:
        return create(op);
    case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
        return sched_pool_destroy(op->cpupool_id);
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        return describe(op);
    case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
        return sched_pool_add_pcpu(op->cpupool_id, op->cpu);
    case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
        return sched_pool_remove_pcpu(op->cpupool_id, op->cpu);
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        return move_domain(op);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        return control_bitmap_write(&op->cpumap, sched_pool_free_pcpus());
    default:
        return refuse(NULL, -XEN_ENOSYS, "cpupool operation %u", op->op);
    }
}

/* ---- parameters ---- */

/* Xen's rate limit is what a pool's smallest run time is here. credit's time slice is the quantum;
 * that and the migration delay are shown, and cannot be changed. */
static long get_credit(const struct sched_pool_info *pool, struct xen_sysctl_credit_schedule *s)
{
    memset(s, 0, sizeof *s);
    s->tslice_ms = (uint32_t)(pool->policy->quantum_ns / MS);
    s->ratelimit_us = (uint32_t)(pool->min_run_ns / US);
    return 0;
}

static long put_credit(const struct sched_pool_info *pool,
                       const struct xen_sysctl_credit_schedule *s)
{
    if (s->tslice_ms != pool->policy->quantum_ns / MS || s->vcpu_migr_delay_us)
        return refuse(NULL, -XEN_EINVAL,
                      "credit: a time slice of %u ms, a migration delay of %u us", s->tslice_ms,
                      s->vcpu_migr_delay_us);
    return sched_pool_set_min_run(pool->id, s->ratelimit_us * US);
}

long sysctl_scheduler(struct xen_sysctl_scheduler_op *op)
{
    struct sched_pool_info pool;
    bool credit;

    if (sched_pool_info(op->cpupool_id, &pool) || pool.id != op->cpupool_id)
        return refuse(NULL, -XEN_ESRCH, "no pool %u", op->cpupool_id);
    if (op->sched_id != pool.policy->id)
        return refuse(NULL, -XEN_EINVAL, "scheduler %u is not that of the pool", op->sched_id);
    if (!pool.policy->quantum_ns)
        return -XEN_EOPNOTSUPP; /* nobody is ever preempted: there are no parameters */
    credit = op->sched_id == XEN_SCHEDULER_CREDIT;
    switch (op->cmd) {
    case XEN_SYSCTL_SCHEDOP_putinfo:
        return credit ? put_credit(&pool, &op->u.sched_credit)
                      : sched_pool_set_min_run(pool.id, op->u.sched_credit2.ratelimit_us * US);
    case XEN_SYSCTL_SCHEDOP_getinfo:
        if (credit)
            return get_credit(&pool, &op->u.sched_credit);
        op->u.sched_credit2.ratelimit_us = (uint32_t)(pool.min_run_ns / US);
        return 0;
    default:
        return refuse(NULL, -XEN_EINVAL, "scheduler command %u", op->cmd);
    }
}

/* ---- which there are ---- */

uint32_t sysctl_scheduler_id(void)
{
    struct sched_pool_info pool;

    sched_pool_info(0, &pool); /* Pool-0 is always there */
    return pool.policy->id;
}

long sysctl_describe_scheduler(struct penumbra_scheduler *s)
{
    const struct sched_policy *p = policy_list(s->index);

    if (!p)
        return -XEN_ENOENT;
    *s = (struct penumbra_scheduler){
        .index = s->index,
        .id = p->id,
        .weights = p->weights,
        .caps = p->caps,
        .quantum_us = (uint32_t)(p->quantum_ns / US),
        .cap_period_us = (uint32_t)(p->cap_period_ns / US),
    };
    strncpy(s->name, p->name, sizeof s->name - 1);
    return 0;
}
