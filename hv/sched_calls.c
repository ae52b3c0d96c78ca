/* SPDX-License-Identifier: MIT */
/*
 * sched_op, set_timer_op and vcpu_op: what a vCPU asks about its own running, and bringing up
 * others.
 */
#include "hv/hypercall.h"

#include <string.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/log.h"
#include "mm/guest.h"
#include "mm/heap.h"

#define POLL_PORTS_MAX 128
#define PERIOD_MIN_NS  1000000UL

/* ---- sched_op ---- */

static long block(struct vcpu *v)
{
    v->info->evtchn_upcall_mask = 0;
    timer_stop(&v->poll_timer);
    v->polling = false;
    sched_block_current();
    return 0;
}

/* Sleeps until one of the ports is pending or the timeout passes. 0 in either case. */
static long poll(struct vcpu *v, uint64_t arg)
{
    uint32_t ports[POLL_PORTS_MAX];
    struct sched_poll p;
    long due;

    if (guest_read(&p, arg, sizeof p))
        return -XEN_EFAULT;
    if (p.nr_ports > POLL_PORTS_MAX)
        return refuse(v->domain, -XEN_EINVAL, "poll of %u ports", p.nr_ports);
    if (guest_read(ports, (uint64_t)p.ports.p, p.nr_ports * sizeof ports[0]))
        return -XEN_EFAULT;
    due = evtchn_any_pending(v->domain, ports, p.nr_ports);
    if (due)
        return due < 0 ? due : 0;
    if (p.timeout && p.timeout <= arch_time_ns())
        return 0;
    if (p.timeout)
        timer_set(&v->poll_timer, p.timeout);
    v->polling = true;
    sched_poll_current();
    /* An event that came before `polling` was seen by the sender: look again (pairs with
     * evtchn_send). One that interrupts was announced, and is not again. */
    if (evtchn_any_pending(v->domain, ports, p.nr_ports) > 0 || evtchn_upcall_due(v))
        sched_wake(v);
    return 0;
}

static long shutdown_call(struct vcpu *v, uint64_t arg)
{
    struct sched_shutdown s;

    if (guest_read(&s, arg, sizeof s))
        return -XEN_EFAULT;
    if (s.reason > SHUTDOWN_MAX)
        return refuse(v->domain, -XEN_EINVAL, "shutdown reason %u", s.reason);
    domain_shutdown(v->domain, s.reason);
    return 0;
}

static long remote_shutdown(struct vcpu *v, uint64_t arg)
{
    struct sched_remote_shutdown s;
    struct domain *d;

    if (guest_read(&s, arg, sizeof s))
        return -XEN_EFAULT;
    if (!v->domain->privileged)
        return -XEN_EPERM;
    if (s.reason > SHUTDOWN_MAX)
        return -XEN_EINVAL;
    d = domain_get(s.domain_id);
    if (!d)
        return -XEN_ESRCH;
    domain_shutdown(d, s.reason);
    domain_put(d);
    return 0;
}

/* arg: SCHEDOP_*, pointer. */
long hypercall_sched_op(struct vcpu *v, struct hypercall *call)
{
    struct sched_shutdown s;

    switch (call->arg[0]) {
    case SCHEDOP_yield:
        sched_yield_current();
        return 0;
    case SCHEDOP_block:
        return block(v);
    case SCHEDOP_poll:
        return poll(v, call->arg[1]);
    case SCHEDOP_shutdown:
        return shutdown_call(v, call->arg[1]);
    case SCHEDOP_remote_shutdown:
        return remote_shutdown(v, call->arg[1]);
    case SCHEDOP_shutdown_code:
        if (guest_read(&s, call->arg[1], sizeof s))
            return -XEN_EFAULT;
        if (!v->domain->is_shut_down)
            v->domain->shutdown_code = (uint8_t)s.reason;
        return 0;
    default:
        return refuse(v->domain, -XEN_ENOSYS, "sched_op %lu", call->arg[0]);
    }
}

/* The oldest form, number 6: the reason is the argument itself. */
long hypercall_sched_op_compat(struct vcpu *v, struct hypercall *call)
{
    switch (call->arg[0]) {
    case SCHEDOP_yield:
        sched_yield_current();
        return 0;
    case SCHEDOP_block:
        return block(v);
    case SCHEDOP_shutdown:
        domain_shutdown(v->domain, (unsigned)call->arg[1] & 0xff);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- timers ---- */

/* arg: absolute system time in ns; 0 stops. A time that is past fires at once. */
long hypercall_set_timer_op(struct vcpu *v, struct hypercall *call)
{
    int64_t deadline = (int64_t)call->arg[0];

    if (deadline == 0)
        timer_stop(&v->singleshot);
    else
        timer_set(&v->singleshot, deadline < 0 ? 0 : (uint64_t)deadline);
    return 0;
}

static long set_singleshot(struct vcpu *v, uint64_t arg)
{
    struct vcpu_set_singleshot_timer t;

    if (guest_read(&t, arg, sizeof t))
        return -XEN_EFAULT;
    if ((t.flags & VCPU_SSHOTTMR_future) && t.timeout_abs_ns < arch_time_ns())
        return -XEN_ETIME;
    timer_set(&v->singleshot, t.timeout_abs_ns);
    return 0;
}

static long set_periodic(struct vcpu *v, uint64_t arg)
{
    struct vcpu_set_periodic_timer t;

    if (guest_read(&t, arg, sizeof t))
        return -XEN_EFAULT;
    if (t.period_ns < PERIOD_MIN_NS || t.period_ns > INT64_MAX / 2)
        return refuse(v->domain, -XEN_EINVAL, "timer period of %lu ns", (unsigned long)t.period_ns);
    v->periodic_ns = t.period_ns;
    timer_set(&v->periodic, arch_time_ns() + t.period_ns);
    return 0;
}

/* ---- vcpu_op ---- */

static long initialise(struct vcpu *v, uint64_t arg)
{
    struct vcpu_guest_context *ctx;
    long err = -XEN_EFAULT;

    if (v->initialised)
        return -XEN_EEXIST;
    ctx = heap_alloc(sizeof *ctx);
    if (!ctx)
        return -XEN_ENOMEM;
    if (!guest_read(ctx, arg, sizeof *ctx)) {
        spin_lock(&v->domain->lock);
        err = v->initialised ? -XEN_EEXIST : arch_vcpu_set_context(v, ctx);
        if (!err)
            v->initialised = true;
        spin_unlock(&v->domain->lock);
    }
    heap_free(ctx);
    return err;
}

/* The domain's lock is held: two vCPUs that register a third one's would both hold a page for it.
 */
static long move_info(struct vcpu *v, const struct vcpu_register_vcpu_info *reg)
{
    struct frame_hold hold;
    struct vcpu_info *info;

    if (v->info_hold.va)
        return refuse(v->domain, -XEN_EINVAL, "vcpu_info of vCPU %u is registered already", v->id);
    if (v != current_vcpu() && v->sched.up)
        return refuse(v->domain, -XEN_EINVAL, "vCPU %u is up", v->id);
    if (!paging_hold(v->domain->paging, gfn_of(reg->mfn), true, &hold))
        return refuse(v->domain, -XEN_EINVAL, "frame %lx for vcpu_info", (unsigned long)reg->mfn);
    info = (struct vcpu_info *)((char *)hold.va + reg->offset);
    *info = *v->info;
    v->info_hold = hold;
    /* Senders read v->info without a lock: they see the old place or the new; what went to the old
     * is announced again by the caller. */
    __atomic_store_n(&v->info, info, __ATOMIC_SEQ_CST);
    return 0;
}

/* vcpu_info moves to a page of the guest's, for good. The old contents go along and everything is
 * announced again. */
static long register_info(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_vcpu_info reg;
    long err;

    if (guest_read(&reg, arg, sizeof reg))
        return -XEN_EFAULT;
    if (reg.offset > PAGE_SIZE - sizeof *v->info || reg.offset % sizeof(uint64_t))
        return refuse(v->domain, -XEN_EINVAL, "vcpu_info at offset %u", reg.offset);
    spin_lock(&v->domain->lock);
    err = move_info(v, &reg);
    spin_unlock(&v->domain->lock);
    if (err)
        return err;
    evtchn_vcpu_info_moved(v);
    arch_vcpu_update_time(v);
    return 0;
}

static long give_runstate(struct vcpu *v, uint64_t va)
{
    struct vcpu_runstate_info info;

    sched_runstate(v, &info);
    return guest_write(va, &info, sizeof info);
}

static long register_runstate(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_runstate_memory_area area;

    if (guest_read(&area, arg, sizeof area))
        return -XEN_EFAULT;
    v->runstate_va = (uint64_t)area.addr.h.p;
    return v == current_vcpu() ? give_runstate(v, v->runstate_va) : 0;
}

/* Written now if it is the caller's own, and whenever the vCPU begins to run. 0 ends it. */
static long register_time(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_time_memory_area area;

    if (guest_read(&area, arg, sizeof area))
        return -XEN_EFAULT;
    if (!arch_guest_range(area.addr.p, sizeof(struct vcpu_time_info)))
        return refuse(v->domain, -XEN_EFAULT, "time area at %lx", area.addr.p);
    v->time_va = area.addr.p;
    if (v == current_vcpu())
        arch_vcpu_update_time(v);
    return 0;
}

static long up(struct vcpu *v)
{
    if (!v->initialised)
        return refuse(v->domain, -XEN_EINVAL, "vCPU %u has no context", v->id);
    sched_vcpu_up(v);
    return 0;
}

static long vcpu_control(struct vcpu *v, struct vcpu *target, uint64_t cmd, uint64_t arg)
{
    switch (cmd) {
    case VCPUOP_initialise:
        return initialise(target, arg);
    case VCPUOP_up:
        return up(target);
    case VCPUOP_down:
        sched_vcpu_down(target);
        return 0;
    case VCPUOP_is_up:
        return target->sched.up;
    case VCPUOP_get_runstate_info:
        return give_runstate(target, arg);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(target, arg);
    case VCPUOP_register_vcpu_info:
        return register_info(target, arg);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time(target, arg);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "vcpu_op %lu", cmd);
    }
}

/* arg: VCPUOP_*, vCPU, pointer. The one-shot timer is the calling vCPU's only, as in Xen. */
long hypercall_vcpu_op(struct vcpu *v, struct hypercall *call)
{
    uint32_t id = (uint32_t)call->arg[1];
    struct vcpu *target;

    if (id >= v->domain->vcpu_max || !v->domain->vcpu[id])
        return -XEN_ENOENT;
    target = v->domain->vcpu[id];
    switch (call->arg[0]) {
    case VCPUOP_set_periodic_timer:
        return set_periodic(target, call->arg[2]);
    case VCPUOP_set_singleshot_timer:
        return target == v ? set_singleshot(v, call->arg[2]) : -XEN_EINVAL;
    case VCPUOP_stop_periodic_timer:
        target->periodic_ns = 0;
        timer_stop(&target->periodic);
        return 0;
    case VCPUOP_stop_singleshot_timer:
        if (target != v)
            return -XEN_EINVAL;
        timer_stop(&v->singleshot);
        return 0;
    default:
        return vcpu_control(v, target, call->arg[0], call->arg[2]);
    }
}
