/* SPDX-License-Identifier: MIT */
/*
 * Domains: the table of them, making and destroying, pausing, the end that a guest brings upon
 * itself.
 */
#include "hv/domain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/sched.h>
#include "hv/arch.h"
#include "hv/console.h"
#include "hv/evtchn.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "sched/trace.h"

struct domain *dom0;

/* All domains, by number. A domain stays listed, as a zombie, until its last reference goes. */
static struct spinlock table_lock = SPINLOCK_INIT(LOCK_DOMAINS);
static struct domain *table;
static unsigned table_count;
static domid_t last_id; /* numbers are given in turn, so that one is reused late */

/* ---- the table ---- */

/* A reference, unless the last one is going already. */
static bool try_get(struct domain *d)
{
    int32_t refs = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);

    while (refs > 0)
        if (__atomic_compare_exchange_n(&d->refs, &refs, refs + 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

static struct domain *lookup(domid_t id, bool or_next)
{
    struct domain *d;

    spin_lock(&table_lock);
    for (d = table; d; d = d->next)
        if ((d->id == id || (or_next && d->id > id)) && try_get(d))
            break;
    spin_unlock(&table_lock);
    return d;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = lookup(id, false);

    if (d && d->dying) {
        domain_put(d);
        return NULL;
    }
    return d;
}

struct domain *domain_get_dying_too(domid_t id)
{
    return lookup(id, false);
}

struct domain *domain_next(domid_t id)
{
    return lookup(id, true);
}

struct domain *domain_get_for(struct domain *caller, domid_t id)
{
    return domain_get(id == DOMID_SELF ? caller->id : id);
}

unsigned domain_count(void)
{
    return table_count;
}

static bool id_used(domid_t id)
{
    for (const struct domain *d = table; d; d = d->next)
        if (d->id == id)
            return true;
    return false;
}

/* A number that is asked for, or the next free one; then the domain is in the table. */
static long table_insert(struct domain *d, domid_t wanted)
{
    struct domain **at = &table;
    long err = 0;

    spin_lock(&table_lock);
    if (table_count >= DOMAIN_MAX) {
        err = -XEN_ENOMEM;
    } else if (wanted < DOMID_FIRST_RESERVED) {
        err = id_used(wanted) ? -XEN_EEXIST : 0;
        d->id = wanted;
    } else {
        do
            last_id = last_id + 1u >= DOMID_FIRST_RESERVED ? 1 : (domid_t)(last_id + 1);
        while (id_used(last_id));
        d->id = last_id;
    }
    if (!err) {
        while (*at && (*at)->id < d->id)
            at = &(*at)->next;
        d->next = *at;
        *at = d;
        table_count++;
    }
    spin_unlock(&table_lock);
    return err;
}

static void table_remove(struct domain *d)
{
    struct domain **at = &table;

    spin_lock(&table_lock);
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    table_count--;
    spin_unlock(&table_lock);
}

/* ---- making ---- */

/* Enough shadow pages for every table of a guest that maps its memory twice, and a floor for small
 * ones. */
static unsigned default_shadow_pages(uint64_t max_pages)
{
    return 512 + (unsigned)(max_pages / 128);
}

static void free_parts(struct domain *d)
{
    for (unsigned i = 0; i < d->vcpu_max; i++)
        if (d->vcpu[i])
            vcpu_free(d->vcpu[i]);
    if (d->grant)
        grant_domain_free(d);
    if (d->evtchn)
        evtchn_domain_free(d);
    if (d->paging)
        paging_free(d->paging);
    if (d->shared)
        frame_put(frame_of(d->shared_mfn));
    heap_free(d);
}

/* shared_info: our frame, in the domain's window. One reference is ours, one the window's. */
static long make_shared_info(struct domain *d)
{
    d->shared_mfn = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
    if (!mfn_valid(d->shared_mfn))
        return -XEN_ENOMEM;
    d->shared = frame_map(d->shared_mfn);
    for (unsigned i = 0; i < VCPU_MAX; i++)
        d->shared->vcpu_info[i].evtchn_upcall_mask = 1;
    wallclock_show(d);
    if (!frame_get(frame_of(d->shared_mfn), DOMID_XEN))
        panic("shared_info frame is not ours");
    paging_lock(d->paging);
    d->shared_gfn = p2m_window_add(d->paging, P2M_SPECIAL, d->shared_mfn, false);
    paging_unlock(d->paging);
    if (gfn_valid(d->shared_gfn))
        return 0;
    frame_put(frame_of(d->shared_mfn));
    return -XEN_ENOMEM;
}

static long make_parts(struct domain *d, const struct domain_params *params)
{
    unsigned pool =
        params->shadow_pages ? params->shadow_pages : default_shadow_pages(params->max_pages);
    long err;

    d->paging = paging_create(d->id, params->max_pages + (params->privileged ? 0 : EXCHANGE_GFNS),
                              params->privileged ? PAGING_DIRECT : 0, pool);
    if (!d->paging)
        return -XEN_ENOMEM;
    err = make_shared_info(d);
    if (!err)
        err = evtchn_domain_init(d);
    if (!err)
        err = grant_domain_init(d, params->max_grant_frames, params->max_maptrack_frames);
    if (!err)
        err = sched_domain_init(d, params->pool);
    return err;
}

long domain_create(const struct domain_params *params, struct domain **out)
{
    struct domain *d = heap_alloc(sizeof *d);
    long err;

    if (!d)
        return -XEN_ENOMEM;
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    spin_lock_init(&d->event_lock, LOCK_EVTCHN);
    d->privileged = params->privileged;
    d->hypercalls = hypercall_allowed(params->privileged);
    d->max_pages = params->max_pages;
    d->created_ns = arch_time_ns();
    d->controller_paused = true;
    d->pause_count = 1;
    d->refs = 0; /* nobody gets it before it is whole */
    memcpy(d->handle, params->handle, sizeof d->handle);
    err = table_insert(d, params->id);
    if (err) {
        heap_free(d);
        return err;
    }
    err = make_parts(d, params);
    if (err) {
        if (d->paging)
            while (paging_teardown(d->paging) == -XEN_ERESTART)
                continue;
        table_remove(d);
        free_parts(d);
        return err;
    }
    /* One for the table, gone with domain_destroy(), one for the caller. */
    __atomic_store_n(&d->refs, 2, __ATOMIC_RELEASE);
    trace_domain(TRACE_DOMAIN_CREATED, d->id, d->created_ns);
    *out = d;
    return 0;
}

long domain_set_max_vcpus(struct domain *d, unsigned count)
{
    long err = 0;

    if (count < 1 || count > VCPU_MAX)
        return refuse(d, -XEN_EINVAL, "%u vCPUs; 1 to %u are possible", count, VCPU_MAX);
    spin_lock(&d->lock);
    if (d->vcpu_max && d->vcpu_max != count)
        err = -XEN_EINVAL;
    for (unsigned i = 0; i < count && !err; i++) {
        if (!d->vcpu[i])
            err = vcpu_create(d, i, &d->vcpu[i]);
        if (!err && i >= d->vcpu_max)
            d->vcpu_max = i + 1;
    }
    if (!err) {
        paging_lock(d->paging);
        err = paging_set_vcpus(d->paging, count);
        paging_unlock(d->paging);
    }
    spin_unlock(&d->lock);
    return err;
}

/* ---- pausing ---- */

void domain_pause(struct domain *d)
{
    spin_lock(&d->lock);
    d->pause_count++;
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_pause(d->vcpu[i]);
    spin_unlock(&d->lock);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        if (d->vcpu[i] != current_vcpu())
            sched_wait_off_pcpu(d->vcpu[i]);
}

void domain_unpause(struct domain *d)
{
    spin_lock(&d->lock);
    ASSERT(d->pause_count > 0);
    d->pause_count--;
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_unpause(d->vcpu[i]);
    spin_unlock(&d->lock);
}

/* ---- the end ---- */

/* Domain 0 is the machine: its end is the machine's. */
static void __attribute__((noreturn)) machine_end(unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        log_info("Domain 0 powers the machine off\n");
        arch_power_off();
    case SHUTDOWN_crash:
        panic("domain 0 crashed; without the control domain nothing can go on");
    default:
        log_info("Domain 0 restarts the machine\n");
        arch_reboot();
    }
}

void domain_shutdown(struct domain *d, unsigned reason)
{
    struct vcpu *v = current_vcpu();
    bool first;

    if (d == dom0)
        machine_end(reason);
    spin_lock(&d->lock);
    first = !d->is_shut_down;
    if (first) {
        d->is_shut_down = true;
        d->shutdown_code = (uint8_t)reason;
        d->pause_count++;
        for (unsigned i = 0; i < d->vcpu_max; i++)
            sched_pause(d->vcpu[i]);
    }
    spin_unlock(&d->lock);
    if (!first)
        return;
    if (v && v->domain == d)
        v->hypercall_since = 1; /* long ago: what it is doing goes no further */
    console_flush(d);
    evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    struct vcpu *v = current_vcpu();
    char why[160];
    va_list ap;

    if (d->is_shut_down)
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    log_printf(d == dom0 ? LOG_ERROR : LOG_INFO, "Domain %d crashed: %s\n", d->id, why);
    if (v && v->domain == d)
        arch_vcpu_dump(v);
    domain_shutdown(d, SHUTDOWN_crash);
}

/* ---- destroying ---- */

enum destroy_step { STEP_STOP, STEP_EVENTS, STEP_GRANTS, STEP_VCPUS, STEP_MEMORY, STEP_DONE };

static void stop(struct domain *d)
{
    spin_lock(&d->lock);
    d->dying = true;
    spin_unlock(&d->lock);
    domain_pause(d);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        vcpu_stop_timers(d->vcpu[i]);
}

static long destroy_one_step(struct domain *d)
{
    switch ((enum destroy_step)d->destroy_step) {
    case STEP_STOP:
        stop(d);
        return 0;
    case STEP_EVENTS:
        return evtchn_domain_unbind(d);
    case STEP_GRANTS:
        return grant_domain_release(d);
    case STEP_VCPUS:
        for (unsigned i = 0; i < d->vcpu_max; i++)
            vcpu_release(d->vcpu[i]);
        return 0;
    case STEP_MEMORY:
        return paging_teardown(d->paging);
    default:
        return 0;
    }
}

/* The caller (domctl) has a reference and the control lock; it calls again while the answer is
 * -XEN_ERESTART. */
long domain_destroy(struct domain *d)
{
    long err;

    if (d == dom0)
        return refuse(d, -XEN_EINVAL, "domain 0 cannot be destroyed");
    while (d->destroy_step < STEP_DONE) {
        err = destroy_one_step(d);
        if (err)
            return err;
        d->destroy_step++;
    }
    if (d->destroy_step == STEP_DONE) {
        d->destroy_step++;
        domain_put(d); /* the table's */
    }
    return 0;
}

/* The last reference: no vCPU of it runs, nobody can find it any more. */
void domain_put(struct domain *d)
{
    if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    table_remove(d);
    for (unsigned i = 0; i < d->vcpu_max; i++)
        sched_vcpu_remove(d->vcpu[i]);
    sched_domain_remove(d);
    trace_domain(TRACE_DOMAIN_DESTROYED, d->id, arch_time_ns());
    free_parts(d);
}
