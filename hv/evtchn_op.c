/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_event_channel_op: checks and bindings. The argument is copied once and written back
 * once where the interface says so; each operation works on the copy. The FIFO interface is not
 * offered: -ENOSYS for its three calls makes guests use the 2-level one.
 */
#include <stddef.h>
#include <xen/errno.h>
#include "hv/evtchn_priv.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "io/irq.h"
#include "mm/guest.h"

union evtchn_arg {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
};

/* The domain that a call is about: the caller, or any for dom0. With a reference. */
static long get_target(struct domain *caller, domid_t id, struct domain **out)
{
    struct domain *d = domain_get_for(caller, id);

    if (!d)
        return refuse(caller, -XEN_ESRCH, "no domain %u", id);
    if (d != caller && !caller->privileged) {
        domain_put(d);
        return refuse(caller, -XEN_EPERM, "domain %u is another one", id);
    }
    *out = d;
    return 0;
}

static bool vcpu_exists(const struct domain *d, uint32_t vcpu)
{
    return vcpu < d->vcpu_max && d->vcpu[vcpu];
}

/* The next free port gets this value; event lock held. The port or -errno. */
static long new_port(struct domain *d, struct port value)
{
    long port = evtchn_port_alloc(d);
    if (port >= 0)
        evtchn_port_write(d, (uint32_t)port, value);
    return port;
}

static long alloc_unbound(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_alloc_unbound *a = &arg->alloc_unbound;
    struct domain *caller = v->domain, *d;
    long port = get_target(caller, a->dom, &d);

    if (port)
        return port;
    spin_lock(&d->event_lock);
    port = new_port(
        d, (struct port){.state = EVTCHNSTAT_unbound,
                         .remote = a->remote_dom == DOMID_SELF ? caller->id : a->remote_dom});
    spin_unlock(&d->event_lock);
    domain_put(d);
    if (port < 0)
        return port;
    a->port = (evtchn_port_t)port;
    return 0;
}

/* Both event locks held. */
static long connect(struct domain *local, struct domain *remote, uint32_t remote_port)
{
    struct port far = evtchn_port_read(remote, remote_port);
    long port;

    if (far.state != EVTCHNSTAT_unbound || far.remote != local->id)
        return refuse(local, -XEN_EINVAL, "d%u port %u is not for us", remote->id, remote_port);
    port = new_port(local, (struct port){.state = EVTCHNSTAT_interdomain,
                                         .remote = remote->id,
                                         .peer = (uint16_t)remote_port});
    if (port < 0)
        return port;
    far.state = EVTCHNSTAT_interdomain;
    far.remote = local->id;
    far.peer = (uint16_t)port;
    evtchn_port_write(remote, remote_port, far);
    return port;
}

static long bind_interdomain(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_bind_interdomain *a = &arg->bind_interdomain;
    struct domain *local = v->domain, *remote = domain_get_for(local, a->remote_dom);
    long port;

    if (!remote)
        return refuse(local, -XEN_ESRCH, "no domain %u", a->remote_dom);
    evtchn_lock_pair(local, remote);
    port = connect(local, remote, a->remote_port);
    evtchn_unlock_pair(local, remote);
    domain_put(remote);
    if (port < 0)
        return port;
    /* What the other side sent before this moment went nowhere. */
    evtchn_set_pending(local, (uint32_t)port, 0);
    a->local_port = (evtchn_port_t)port;
    return 0;
}

static long bind_virq(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_bind_virq *a = &arg->bind_virq;
    struct domain *d = v->domain;
    uint32_t *bound;
    long port;

    if (a->virq >= NR_VIRQS || (evtchn_virq_is_global(a->virq) && a->vcpu != 0))
        return refuse(d, -XEN_EINVAL, "virq %u, vcpu %u", a->virq, a->vcpu);
    if (!vcpu_exists(d, a->vcpu))
        return refuse(d, -XEN_ENOENT, "no vcpu %u", a->vcpu);
    bound = &d->vcpu[a->vcpu]->virq_port[a->virq];
    spin_lock(&d->event_lock);
    port = *bound ? refuse(d, -XEN_EEXIST, "virq %u has port %u", a->virq, *bound)
                  : new_port(d, (struct port){.state = EVTCHNSTAT_virq,
                                              .vcpu = (uint8_t)a->vcpu,
                                              .peer = (uint16_t)a->virq});
    if (port >= 0)
        __atomic_store_n(bound, (uint32_t)port, __ATOMIC_RELEASE);
    spin_unlock(&d->event_lock);
    if (port < 0)
        return port;
    a->port = (evtchn_port_t)port;
    return 0;
}

static long bind_ipi(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_bind_ipi *a = &arg->bind_ipi;
    struct domain *d = v->domain;
    long port;

    if (!vcpu_exists(d, a->vcpu))
        return refuse(d, -XEN_ENOENT, "no vcpu %u", a->vcpu);
    spin_lock(&d->event_lock);
    port = new_port(d, (struct port){.state = EVTCHNSTAT_ipi, .vcpu = (uint8_t)a->vcpu});
    spin_unlock(&d->event_lock);
    if (port < 0)
        return port;
    a->port = (evtchn_port_t)port;
    return 0;
}

/* Event lock held. The port is open before delivery starts, so that no interrupt finds it closed.
 */
static long bind_pirq_locked(struct domain *d, uint32_t pirq)
{
    uint16_t *bound = &d->evtchn->pirq_port[pirq];
    long port, err;

    if (*bound)
        return refuse(d, -XEN_EEXIST, "pirq %u has port %u", pirq, *bound);
    port = new_port(d, (struct port){.state = EVTCHNSTAT_pirq, .peer = (uint16_t)pirq});
    if (port < 0)
        return port;
    __atomic_store_n(bound, (uint16_t)port, __ATOMIC_RELEASE);
    err = irq_bind(pirq);
    if (!err)
        return port;
    *bound = 0;
    evtchn_port_write(d, (uint32_t)port, (struct port){.state = EVTCHNSTAT_closed});
    return err;
}

static long bind_pirq(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_bind_pirq *a = &arg->bind_pirq;
    struct domain *d = v->domain;
    long port;

    if (a->pirq >= PIRQ_MAX)
        return refuse(d, -XEN_EINVAL, "pirq %u", a->pirq);
    if (!d->privileged)
        return refuse(d, -XEN_EPERM, "pirq %u", a->pirq);
    spin_lock(&d->event_lock);
    port = bind_pirq_locked(d, a->pirq);
    spin_unlock(&d->event_lock);
    if (port < 0)
        return port;
    a->port = (evtchn_port_t)port;
    return 0;
}

static long close_port(struct vcpu *v, union evtchn_arg *arg)
{
    return evtchn_port_close(v->domain, arg->close.port);
}

static long send(struct vcpu *v, union evtchn_arg *arg)
{
    return evtchn_send(v->domain, arg->send.port);
}

static void describe(struct port p, struct evtchn_status *a)
{
    a->status = p.state;
    a->vcpu = p.vcpu;
    switch (p.state) {
    case EVTCHNSTAT_unbound:
        a->u.unbound.dom = p.remote;
        break;
    case EVTCHNSTAT_interdomain:
        a->u.interdomain.dom = p.remote;
        a->u.interdomain.port = p.peer;
        break;
    case EVTCHNSTAT_pirq:
        a->u.pirq = p.peer;
        break;
    case EVTCHNSTAT_virq:
        a->u.virq = p.peer;
        break;
    }
}

static long status(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_status *a = &arg->status;
    struct domain *d;
    long err = get_target(v->domain, a->dom, &d);

    if (err)
        return err;
    if (evtchn_port_valid(d, a->port))
        describe(evtchn_port_read(d, a->port), a);
    else
        err = refuse(v->domain, -XEN_EINVAL, "d%u has no port %u", d->id, a->port);
    domain_put(d);
    return err;
}

static long bind_vcpu(struct vcpu *v, union evtchn_arg *arg)
{
    struct evtchn_bind_vcpu *a = &arg->bind_vcpu;
    struct domain *d = v->domain;
    struct port p;
    long err = 0;

    if (!vcpu_exists(d, a->vcpu))
        return refuse(d, -XEN_ENOENT, "no vcpu %u", a->vcpu);
    spin_lock(&d->event_lock);
    p = evtchn_port_read(d, a->port);
    if (p.state == EVTCHNSTAT_closed || p.state == EVTCHNSTAT_ipi ||
        (p.state == EVTCHNSTAT_virq && !evtchn_virq_is_global(p.peer))) {
        err = refuse(d, -XEN_EINVAL, "port %u stays at its vcpu", a->port);
    } else {
        p.vcpu = (uint8_t)a->vcpu;
        evtchn_port_write(d, a->port, p);
    }
    spin_unlock(&d->event_lock);
    return err;
}

static long unmask(struct vcpu *v, union evtchn_arg *arg)
{
    uint32_t port = arg->unmask.port;

    if (!evtchn_port_valid(v->domain, port))
        return refuse(v->domain, -XEN_EINVAL, "no port %u", port);
    evtchn_port_unmask(v->domain, port, evtchn_port_read(v->domain, port).vcpu);
    return 0;
}

static long reset(struct vcpu *v, union evtchn_arg *arg)
{
    struct domain *d;
    long err = get_target(v->domain, arg->reset.dom, &d);

    if (err)
        return err;
    if (d != v->domain && !d->controller_paused)
        err = refuse(v->domain, -XEN_EINVAL, "d%u runs", d->id);
    else
        err = evtchn_close_all(d);
    domain_put(d);
    return err;
}

static const struct {
    long (*fn)(struct vcpu *v, union evtchn_arg *arg);
    uint8_t size;
    bool answers; /* the argument is written back */
} ops[] = {
    [EVTCHNOP_bind_interdomain] = {bind_interdomain, sizeof(struct evtchn_bind_interdomain), true},
    [EVTCHNOP_bind_virq] = {bind_virq, sizeof(struct evtchn_bind_virq), true},
    [EVTCHNOP_bind_pirq] = {bind_pirq, sizeof(struct evtchn_bind_pirq), true},
    [EVTCHNOP_close] = {close_port, sizeof(struct evtchn_close), false},
    [EVTCHNOP_send] = {send, sizeof(struct evtchn_send), false},
    [EVTCHNOP_status] = {status, sizeof(struct evtchn_status), true},
    [EVTCHNOP_alloc_unbound] = {alloc_unbound, sizeof(struct evtchn_alloc_unbound), true},
    [EVTCHNOP_bind_ipi] = {bind_ipi, sizeof(struct evtchn_bind_ipi), true},
    [EVTCHNOP_bind_vcpu] = {bind_vcpu, sizeof(struct evtchn_bind_vcpu), false},
    [EVTCHNOP_unmask] = {unmask, sizeof(struct evtchn_unmask), false},
    [EVTCHNOP_reset] = {reset, sizeof(struct evtchn_reset), false},
};

long evtchn_op(struct vcpu *v, unsigned cmd, uint64_t arg)
{
    union evtchn_arg copy;
    long err;

    if (cmd >= sizeof ops / sizeof ops[0] || !ops[cmd].fn)
        return -XEN_ENOSYS;
    err = guest_read(&copy, arg, ops[cmd].size);
    if (err)
        return err;
    err = ops[cmd].fn(v, &copy);
    /* A port whose number cannot be told stays open: the guest may close it, it can count them. */
    if (!err && ops[cmd].answers)
        err = guest_write(arg, &copy, ops[cmd].size);
    return err;
}

long hypercall_event_channel_op(struct vcpu *v, struct hypercall *call)
{
    return evtchn_op(v, (unsigned)call->arg[0], call->arg[1]);
}
