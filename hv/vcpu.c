/* SPDX-License-Identifier: MIT */
/*
 * vCPUs: what each has besides registers and scheduling state: its timers, its place in
 * shared_info, its page-table roots.
 */
#include "hv/vcpu.h"

#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/evtchn.h"
#include "mm/heap.h"

static void singleshot_fired(void *arg)
{
    evtchn_raise_virq(arg, VIRQ_TIMER);
}

/* The next period counts from the last deadline, so that it does not drift; periods that were
 * missed are one event. */
static void periodic_fired(void *arg)
{
    struct vcpu *v = arg;
    uint64_t now = arch_time_ns(), next = v->periodic.deadline + v->periodic_ns;

    evtchn_raise_virq(v, VIRQ_TIMER);
    if (v->periodic_ns)
        timer_set(&v->periodic, next > now ? next : now + v->periodic_ns);
}

static void poll_timed_out(void *arg)
{
    sched_wake(arg);
}

long vcpu_create(struct domain *d, unsigned id, struct vcpu **out)
{
    struct vcpu *v = heap_alloc(sizeof *v);
    long err;

    if (!v)
        return -XEN_ENOMEM;
    v->domain = d;
    v->id = id;
    v->info = &d->shared->vcpu_info[id];
    timer_init(&v->singleshot, singleshot_fired, v);
    timer_init(&v->periodic, periodic_fired, v);
    timer_init(&v->poll_timer, poll_timed_out, v);
    err = arch_vcpu_init(v);
    if (err) {
        heap_free(v);
        return err;
    }
    paging_vcpu_init(d->paging, &v->paging);
    sched_vcpu_init(v);
    for (unsigned i = 0; i < d->pause_count; i++)
        sched_pause(v);
    arch_vcpu_update_time(v);
    *out = v;
    return 0;
}

uint64_t vcpu_pcpus(const struct domain *d, uint64_t vcpus)
{
    uint64_t pcpus = 0;

    for (unsigned i = 0; i < d->vcpu_max; i++) {
        const struct vcpu *v = d->vcpu[i];

        /* The switch sets the pCPU, then on_pcpu, then loads the root (sched.c, switch_vcpus). */
        if (v && (vcpus >> i & 1) && __atomic_load_n(&v->sched.on_pcpu, __ATOMIC_SEQ_CST))
            pcpus |= 1UL << __atomic_load_n(&v->sched.pcpu, __ATOMIC_RELAXED);
    }
    return pcpus;
}

void vcpu_stop_timers(struct vcpu *v)
{
    v->periodic_ns = 0;
    timer_stop(&v->singleshot);
    timer_stop(&v->periodic);
    timer_stop(&v->poll_timer);
}

void vcpu_release(struct vcpu *v)
{
    paging_vcpu_release(v->domain->paging, &v->paging);
    if (v->info_hold.va) {
        /* Late senders find the first place again; its frame is ours until the domain is freed. */
        __atomic_store_n(&v->info, &v->domain->shared->vcpu_info[v->id], __ATOMIC_SEQ_CST);
        paging_release(&v->info_hold);
        v->info_hold.va = NULL;
    }
}

void vcpu_free(struct vcpu *v)
{
    arch_vcpu_free(v);
    heap_free(v);
}
