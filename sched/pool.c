/* SPDX-License-Identifier: MIT */
/*
 * Pools of pCPUs, which domains are in them, and the domains' parameters.
 *
 * A pCPU follows its `pool` in sched_run(): there it stops what it runs in the old pool's queue,
 * and joins the new one's. So nobody else ever touches what it runs. From the moment that a pCPU is
 * no member any more, no vCPU of the pool has it in its affinity.
 */
#include "sched/sched.h"

#include <stddef.h>
#include <stdio.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/boot_info.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "sched/sched_priv.h"
#include "sched/trace.h"

static struct sched_pool pools[CPUPOOL_MAX]; /* the first is Pool-0 */

/* ---- look-ups (lock held) ---- */

static struct sched_pool *find(unsigned id)
{
    for (unsigned i = 0; i < CPUPOOL_MAX; i++)
        if (pools[i].exists && pools[i].id == id)
            return &pools[i];
    return NULL;
}

/* The pool with the lowest number from `id` on. */
static struct sched_pool *find_from(unsigned id)
{
    struct sched_pool *best = NULL;

    for (unsigned i = 0; i < CPUPOOL_MAX; i++)
        if (pools[i].exists && pools[i].id >= id && (!best || pools[i].id < best->id))
            best = &pools[i];
    return best;
}

static uint64_t free_pcpus(void)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < CPUPOOL_MAX; i++)
        used |= pools[i].pcpus;
    return arch_pcpu_mask() & ~used;
}

/* ---- vCPUs in a pool (lock held) ---- */

/* Where a vCPU may run: where it wishes, and if its pool has nothing of that, anywhere in it. */
static void apply_affinity(struct vcpu *v, uint64_t now)
{
    struct sched_vcpu *s = &v->sched;
    struct sched_pool *p = v->domain->sched.pool;
    uint64_t may = s->hard_affinity & p->pcpus;

    if (!may)
        may = p->pcpus;
    if (may == s->entity.affinity && s->soft_affinity == s->entity.preferred)
        return;
    policy_set_affinity(&p->queue, &s->entity, may, s->soft_affinity, now);
    if (s->entity.state == SCHED_RUNNING)
        sched_tell(s->entity.pcpu);
    else if (s->entity.state == SCHED_QUEUED)
        sched_kick_for(v, now, true);
}

void sched_pool_enter_vcpu(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    policy_add(&d->pool->queue, &v->sched.entity, &d->group,
               d->weight ? d->weight : SCHED_WEIGHT_DEFAULT);
    apply_affinity(v, arch_time_ns());
}

static void pcpus_changed(struct sched_pool *p)
{
    uint64_t now = arch_time_ns();

    for (struct domain *d = p->domains; d; d = d->sched.next)
        for (unsigned i = 0; i < d->vcpu_max; i++)
            if (d->vcpu[i])
                apply_affinity(d->vcpu[i], now);
    sched_tell_idle(p);
}

/* ---- domains in a pool (lock held) ---- */

static void domain_join(struct domain *d, struct sched_pool *p)
{
    d->sched.pool = p;
    d->sched.next = p->domains;
    p->domains = d;
    p->domain_count++;
    d->sched.group = (struct sched_group){.cap = 0};
    if (d->sched.cap && p->queue.policy->caps)
        policy_set_cap(&p->queue, &d->sched.group, d->sched.cap, arch_time_ns());
}

static void domain_leave(struct domain *d)
{
    struct domain **link = &d->sched.pool->domains;

    while (*link != d)
        link = &(*link)->sched.next;
    *link = d->sched.next;
    d->sched.pool->domain_count--;
}

long sched_domain_init(struct domain *d, unsigned pool)
{
    struct sched_pool *p;
    long rc = 0;

    sched_lock();
    p = find(pool);
    if (!p)
        rc = -XEN_ESRCH;
    else if (!p->pcpus)
        rc = -XEN_ENODEV;
    else
        domain_join(d, p);
    sched_unlock();
    return rc ? refuse(d, rc, "pool %u, which %s", pool, p ? "has no pCPU" : "does not exist") : 0;
}

void sched_domain_remove(struct domain *d)
{
    sched_lock();
    domain_leave(d);
    sched_unlock();
}

/* ---- boot ---- */

static void pool_start(struct sched_pool *p, unsigned id, const struct sched_policy *policy);

/* " wfq rr .." */
static void list_policies(char *buf, size_t size)
{
    const struct sched_policy *p;
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned i = 0; (p = policy_list(i)) && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, " %s", p->name);
}

static const struct sched_policy *boot_policy(void)
{
    const struct sched_policy *policy = policy_list(0);
    char name[16], all[80];

    if (boot_option("sched", name, sizeof name) && !policy_find(name)) {
        list_policies(all, sizeof all);
        log_warn("sched=%s: there is no such scheduler, %s is used; there are:%s\n", name,
                 policy->name, all);
    } else if (boot_option("sched", name, sizeof name)) {
        policy = policy_find(name);
    }
    log_info("scheduler: %s\n", policy->name);
    return policy;
}

void sched_pools_init(void)
{
    for (unsigned i = 0; i < CPUPOOL_MAX; i++)
        pools[i].exists = false;
    pool_start(&pools[0], 0, boot_policy());
}

void sched_pool_join(unsigned pcpu)
{
    struct sched_pcpu *c = &sched_pcpus[pcpu];

    c->pool = c->joined = &pools[0];
    pools[0].pcpus |= 1UL << pcpu;
    policy_pcpu_online(&pools[0].queue, pcpu);
    pcpus_changed(&pools[0]);
}

/* ---- pools ---- */

/* A new period of budgets: whoever idles looks again; the others do at the end of their quanta,
 * which they have from now on. */
static void release(void *arg)
{
    struct sched_pool *p = arg;

    sched_lock();
    trace_release(arch_time_ns());
    policy_release(&p->queue, arch_time_ns());
    sched_tell_all(p);
    sched_unlock();
}

static void pool_start(struct sched_pool *p, unsigned id, const struct sched_policy *policy)
{
    p->exists = true;
    p->id = id;
    p->pcpus = 0;
    p->domains = NULL;
    p->domain_count = 0;
    policy_queue_init(&p->queue, policy);
    timer_init(&p->release_timer, release, p);
}

long sched_pool_create(unsigned *id, uint32_t policy_id)
{
    const struct sched_policy *policy = policy_find_id(policy_id);
    struct sched_pool *p = NULL;
    unsigned wish = *id;
    long rc = 0;

    if (!policy)
        return refuse(NULL, -XEN_EINVAL, "scheduler %u is not known", policy_id);
    sched_lock();
    if (wish == SCHED_ANY)
        for (wish = 1; find(wish); wish++)
            continue;
    for (unsigned i = 0; i < CPUPOOL_MAX && !p; i++)
        if (!pools[i].exists)
            p = &pools[i];
    if (find(wish))
        rc = -XEN_EEXIST;
    else if (!p)
        rc = -XEN_ENOSPC;
    else
        pool_start(p, wish, policy);
    sched_unlock();
    if (rc)
        return refuse(NULL, rc, "pool %u cannot be made", wish);
    *id = wish;
    return 0;
}

long sched_pool_destroy(unsigned id)
{
    struct sched_pool *p;
    long rc = 0;

    sched_lock();
    p = find(id);
    if (!p)
        rc = -XEN_ENOENT;
    else if (p == &pools[0] || p->domains || p->pcpus || p->queue.online)
        rc = -XEN_EBUSY;
    else
        p->exists = false;
    sched_unlock();
    if (rc)
        return refuse(NULL, rc, "pool %u", id);
    timer_stop(&p->release_timer);
    return 0;
}

long sched_pool_add_pcpu(unsigned id, unsigned pcpu)
{
    struct sched_pool *p;
    uint64_t ready;
    long rc = 0;

    if (pcpu != SCHED_ANY && (pcpu >= PCPU_MAX || !(arch_pcpu_mask() >> pcpu & 1)))
        return refuse(NULL, -XEN_EINVAL, "there is no pCPU %u", pcpu);
    sched_lock();
    p = find(id);
    ready = free_pcpus() & (pcpu == SCHED_ANY ? ~0UL : 1UL << pcpu);
    if (!p) {
        rc = -XEN_ENOENT;
    } else if (!ready) {
        rc = -XEN_ENODEV;
    } else {
        pcpu = (unsigned)__builtin_ctzl(ready);
        p->pcpus |= 1UL << pcpu;
        sched_pcpus[pcpu].pool = p;
        pcpus_changed(p);
        sched_tell(pcpu);
    }
    sched_unlock();
    return rc ? refuse(NULL, rc, "pCPU %u into pool %u", pcpu, id) : 0;
}

long sched_pool_remove_pcpu(unsigned id, unsigned pcpu)
{
    struct sched_pool *p;
    long rc = 0;

    if (pcpu != SCHED_ANY && (pcpu >= PCPU_MAX || !(arch_pcpu_mask() >> pcpu & 1)))
        return refuse(NULL, -XEN_EINVAL, "there is no pCPU %u", pcpu);
    sched_lock();
    p = find(id);
    if (p && pcpu == SCHED_ANY && p->pcpus)
        pcpu = 63 - (unsigned)__builtin_clzl(p->pcpus);
    if (!p) {
        rc = -XEN_ENOENT;
    } else if (pcpu == SCHED_ANY || !(p->pcpus >> pcpu & 1)) {
        rc = -XEN_ENODEV;
    } else if (p->pcpus == 1UL << pcpu && p->domains) {
        rc = -XEN_EBUSY;
    } else {
        p->pcpus &= ~(1UL << pcpu);
        sched_pcpus[pcpu].pool = NULL;
        pcpus_changed(p);
        sched_tell(pcpu);
    }
    sched_unlock();
    if (rc)
        return refuse(NULL, rc, "pCPU %u out of pool %u", pcpu, id);
    while (pcpu != arch_pcpu_id() &&
           __atomic_load_n(&sched_pcpus[pcpu].joined, __ATOMIC_ACQUIRE) == p)
        arch_cpu_relax();
    return 0;
}

/* The domain does not run meanwhile: all its vCPUs are asleep in the old queue. */
static void move(struct domain *d, struct sched_pool *to)
{
    struct sched_pool *from = d->sched.pool;

    for (unsigned i = 0; i < d->vcpu_max; i++)
        policy_remove(&from->queue, &d->vcpu[i]->sched.entity);
    domain_leave(d);
    domain_join(d, to);
    for (unsigned i = 0; i < d->vcpu_max; i++) {
        d->vcpu[i]->sched.hard_affinity = d->vcpu[i]->sched.soft_affinity = ~0UL;
        sched_pool_enter_vcpu(d->vcpu[i]);
        d->vcpu[i]->sched.unserved_said = false;
    }
    sched_tell_idle(from);
}

long sched_pool_move(struct domain *d, unsigned id)
{
    struct sched_pool *p;

    if (current_vcpu() && d == current_vcpu()->domain)
        return refuse(d, -XEN_EPERM, "a domain cannot move itself to pool %u", id);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_pause(d->vcpu[i]);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_wait_off_pcpu(d->vcpu[i]);
    sched_lock();
    p = find(id);
    if (p && p->pcpus && p != d->sched.pool)
        move(d, p);
    sched_unlock();
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_unpause(d->vcpu[i]);
    return d->sched.pool == p ? 0 : refuse(d, -XEN_ENOENT, "pool %u is none to move to", id);
}

long sched_pool_set_min_run(unsigned id, uint64_t ns)
{
    struct sched_pool *p;
    long rc = 0;

    sched_lock();
    p = find(id);
    if (!p)
        rc = -XEN_ENOENT;
    else if (ns > p->queue.policy->quantum_ns)
        rc = -XEN_EINVAL;
    else
        p->queue.min_run_ns = ns;
    sched_unlock();
    return rc ? refuse(NULL, rc, "a smallest run time of %lu ns in pool %u", ns, id) : 0;
}

long sched_pool_info(unsigned id, struct sched_pool_info *out)
{
    const struct sched_pool *p;

    sched_lock();
    p = find_from(id);
    if (p)
        *out = (struct sched_pool_info){p->id, p->queue.policy, p->pcpus, p->domain_count,
                                        p->queue.min_run_ns};
    sched_unlock();
    return p ? 0 : -XEN_ENOENT;
}

uint64_t sched_pool_free_pcpus(void)
{
    uint64_t mask;

    sched_lock();
    mask = free_pcpus();
    sched_unlock();
    return mask;
}

unsigned sched_pool_of(const struct domain *d)
{
    return d->sched.pool->id;
}

/* ---- parameters ---- */

long sched_set_params(struct domain *d, unsigned weight, unsigned cap)
{
    struct sched_domain *s = &d->sched;
    const struct sched_policy *policy;
    unsigned old_weight, old_cap;

    if (weight < 1 || weight > SCHED_WEIGHT_MAX || cap > 100 * VCPU_MAX)
        return refuse(d, -XEN_EINVAL, "weight %u, cap %u", weight, cap);
    sched_lock();
    policy = s->pool->queue.policy;
    sched_get_params(d, &old_weight, &old_cap);
    if ((weight != old_weight && !policy->weights) || (cap != old_cap && !policy->caps)) {
        sched_unlock();
        return refuse(d, -XEN_EOPNOTSUPP, "weight %u, cap %u: %s has no such thing", weight, cap,
                      policy->name);
    }
    trace_params(d->id, weight, cap, arch_time_ns());
    s->weight = weight;
    for (unsigned i = 0; i < d->vcpu_max; i++)
        if (d->vcpu[i])
            policy_set_weight(&s->pool->queue, &d->vcpu[i]->sched.entity, weight);
    if (cap != old_cap) {
        s->cap = cap;
        policy_set_cap(&s->pool->queue, &s->group, cap, arch_time_ns());
        sched_tell_all(s->pool);
    }
    sched_unlock();
    return 0;
}

void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap)
{
    *weight = d->sched.weight ? d->sched.weight : SCHED_WEIGHT_DEFAULT;
    *cap = d->sched.cap;
}

long sched_set_affinity(struct vcpu *v, const uint64_t *hard, const uint64_t *soft)
{
    struct sched_vcpu *s = &v->sched;
    uint64_t pcpus;

    sched_lock();
    pcpus = v->domain->sched.pool->pcpus;
    if (hard && !(*hard & pcpus)) {
        sched_unlock();
        return refuse(v->domain, -XEN_EINVAL, "no pCPU of %lx is in the pool's, %lx", *hard, pcpus);
    }
    if (hard)
        s->hard_affinity = *hard;
    if (soft)
        s->soft_affinity = *soft;
    apply_affinity(v, arch_time_ns());
    sched_tell_idle(v->domain->sched.pool);
    sched_unlock();
    return 0;
}
