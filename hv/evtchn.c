/* SPDX-License-Identifier: MIT */
/*
 * The port table and delivery. Delivery by the 2-level rules of <xen/xen.h> and
 * <xen/event_channel.h>, each step by a locked instruction, in this order:
 *
 *     sender: set pending[port]; if it was clear and mask[port] is clear:
 *             set the port's bit in the vCPU's evtchn_pending_sel; if that was clear:
 *             set evtchn_upcall_pending; if that was clear: wake and interrupt the vCPU
 *     guest:  clear upcall_pending; take pending_sel; look at pending words
 *
 * The guest looks in the opposite order, so that whatever it has not seen announces itself again.
 * All of this memory is the guest's to write: a wrong bit there costs that guest its events and
 * nobody else anything.
 *
 * A send reads its own port, finds the peer by domain number (with a reference, so the peer cannot
 * go away), and checks that the peer's port points back. If that port is closed in the same moment,
 * the event may still be set there: as after any close, a spurious event.
 */
#include "hv/evtchn_priv.h"

#include <stddef.h>
#include <xen/errno.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "io/irq.h"
#include "mm/heap.h"

#define BITS_PER_WORD (8 * sizeof(xen_ulong_t))

/* ---- bits in guest memory ---- */

static bool test_bit(const xen_ulong_t *words, uint32_t bit)
{
    return __atomic_load_n(&words[bit / BITS_PER_WORD], __ATOMIC_RELAXED) >> (bit % BITS_PER_WORD) &
           1;
}

static bool test_and_set_bit(xen_ulong_t *words, uint32_t bit)
{
    xen_ulong_t mask = 1UL << (bit % BITS_PER_WORD);
    return __atomic_fetch_or(&words[bit / BITS_PER_WORD], mask, __ATOMIC_SEQ_CST) & mask;
}

static bool test_and_clear_bit(xen_ulong_t *words, uint32_t bit)
{
    xen_ulong_t mask = 1UL << (bit % BITS_PER_WORD);
    return __atomic_fetch_and(&words[bit / BITS_PER_WORD], ~mask, __ATOMIC_SEQ_CST) & mask;
}

/* ---- ports ---- */

static struct port *port_slot(const struct domain *d, uint32_t port)
{
    struct port *bucket;

    if (port >= EVTCHN_MAX)
        return NULL;
    bucket = __atomic_load_n(&d->evtchn->bucket[port / PORT_BUCKET], __ATOMIC_ACQUIRE);
    return bucket ? &bucket[port % PORT_BUCKET] : NULL;
}

bool evtchn_port_valid(const struct domain *d, uint32_t port)
{
    return port_slot(d, port) != NULL;
}

struct port evtchn_port_read(const struct domain *d, uint32_t port)
{
    struct port *slot = port_slot(d, port), copy = {.state = EVTCHNSTAT_closed};

    if (slot)
        __atomic_load(slot, &copy, __ATOMIC_ACQUIRE);
    return copy;
}

void evtchn_port_write(struct domain *d, uint32_t port, struct port value)
{
    struct port *slot = port_slot(d, port);
    struct evtchn_table *t = d->evtchn;

    t->open += (value.state != EVTCHNSTAT_closed) - (slot->state != EVTCHNSTAT_closed);
    if (value.state == EVTCHNSTAT_closed && port < t->lowest)
        t->lowest = port;
    __atomic_store(slot, &value, __ATOMIC_RELEASE);
}

long evtchn_port_alloc(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;

    if (d->dying)
        return refuse(d, -XEN_EINVAL, "dying");
    for (uint32_t port = t->lowest; port < EVTCHN_MAX; port++) {
        struct port **bucket = &t->bucket[port / PORT_BUCKET];
        if (!*bucket) {
            struct port *fresh = heap_calloc(PORT_BUCKET, sizeof *fresh);
            if (!fresh)
                return refuse(d, -XEN_ENOMEM, "ports");
            __atomic_store_n(bucket, fresh, __ATOMIC_RELEASE);
        }
        if ((*bucket)[port % PORT_BUCKET].state == EVTCHNSTAT_closed) {
            t->lowest = port;
            return port;
        }
    }
    return refuse(d, -XEN_ENOSPC, "all ports are in use");
}

void evtchn_lock_pair(struct domain *a, struct domain *b)
{
    if (!b || b == a)
        spin_lock(&a->event_lock);
    else if (a->id < b->id)
        spin_lock_pair(&a->event_lock, &b->event_lock);
    else
        spin_lock_pair(&b->event_lock, &a->event_lock);
}

void evtchn_unlock_pair(struct domain *a, struct domain *b)
{
    if (!b || b == a)
        spin_unlock(&a->event_lock);
    else if (a->id < b->id)
        spin_unlock_pair(&a->event_lock, &b->event_lock);
    else
        spin_unlock_pair(&b->event_lock, &a->event_lock);
}

/* The port and what hangs on it; event locks of d and of the peer (if there is one) held. */
static void close_locked(struct domain *d, struct domain *peer, uint32_t port)
{
    struct port p = evtchn_port_read(d, port), back;

    switch (p.state) {
    case EVTCHNSTAT_interdomain:
        back = peer ? evtchn_port_read(peer, p.peer) : (struct port){.state = EVTCHNSTAT_closed};
        if (back.state == EVTCHNSTAT_interdomain && back.remote == d->id && back.peer == port) {
            back.state = EVTCHNSTAT_unbound;
            back.peer = 0;
            evtchn_port_write(peer, p.peer, back);
        }
        break;
    case EVTCHNSTAT_virq:
        for (unsigned i = 0; i < d->vcpu_max; i++)
            if (d->vcpu[i] && d->vcpu[i]->virq_port[p.peer] == port)
                d->vcpu[i]->virq_port[p.peer] = 0;
        break;
    case EVTCHNSTAT_pirq:
        irq_unbind(p.peer);
        d->evtchn->pirq_port[p.peer] = 0;
        break;
    }
    evtchn_port_write(d, port, (struct port){.state = EVTCHNSTAT_closed});
    if (d->shared)
        test_and_clear_bit(d->shared->evtchn_pending, port);
}

/* Which other domain's lock a close needs is known only under our own lock, and may change while we
 * take both: look again then. A peer that is dying is not found: it finds at its own end that our
 * port does not point back any more. */
long evtchn_port_close(struct domain *d, uint32_t port)
{
    struct domain *peer = NULL;
    domid_t looked_up = DOMID_INVALID;
    struct port p;

    for (;;) {
        evtchn_lock_pair(d, peer);
        p = evtchn_port_read(d, port);
        if (p.state != EVTCHNSTAT_interdomain || p.remote == d->id || p.remote == looked_up)
            break;
        evtchn_unlock_pair(d, peer);
        if (peer)
            domain_put(peer);
        looked_up = p.remote;
        peer = domain_get(looked_up);
    }
    if (p.state != EVTCHNSTAT_closed)
        close_locked(d, p.remote == d->id ? d : peer, port);
    evtchn_unlock_pair(d, peer);
    if (peer)
        domain_put(peer);
    return p.state == EVTCHNSTAT_closed ? refuse(d, -XEN_EINVAL, "port %u is not open", port) : 0;
}

/* Continued from the beginning: what is closed already costs nothing. */
long evtchn_close_all(struct domain *d)
{
    for (uint32_t port = 1; port < EVTCHN_MAX; port++) {
        if (evtchn_port_read(d, port).state == EVTCHNSTAT_closed)
            continue;
        evtchn_port_close(d, port);
        if (hypercall_preempt())
            return -XEN_ERESTART;
    }
    return 0;
}

/* ---- delivery ---- */

/*
 * The vCPU's upcall is due. It is interrupted even if it has upcalls masked just now: it may be
 * about to unmask them, by a plain store before a plain load of upcall_pending, and processors let
 * the load go first (Intel SDM 3A 8.2.3.4). Then it has read 0 although the store, which comes out
 * after our read of the mask, would have told us to interrupt it.
 */
static void announce(struct vcpu *v, struct vcpu_info *info)
{
    if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        sched_kick(v);
}

static void announce_port(struct domain *d, uint32_t port, unsigned vcpu)
{
    struct vcpu *v = vcpu < d->vcpu_max ? d->vcpu[vcpu] : NULL;
    struct vcpu_info *info = v ? __atomic_load_n(&v->info, __ATOMIC_ACQUIRE) : NULL;

    if (info && !test_and_set_bit(&info->evtchn_pending_sel, port / BITS_PER_WORD))
        announce(v, info);
}

/* SCHEDOP_poll waits for ports whether masked or not; which ones it looks up itself. */
static void wake_pollers(struct domain *d)
{
    for (unsigned i = 0; i < d->vcpu_max; i++)
        if (d->vcpu[i] && __atomic_load_n(&d->vcpu[i]->polling, __ATOMIC_RELAXED))
            sched_wake(d->vcpu[i]);
}

void evtchn_set_pending(struct domain *d, uint32_t port, unsigned vcpu)
{
    if (!d->shared || test_and_set_bit(d->shared->evtchn_pending, port))
        return;
    if (!test_bit(d->shared->evtchn_mask, port))
        announce_port(d, port, vcpu);
    wake_pollers(d);
}

void evtchn_port_unmask(struct domain *d, uint32_t port, unsigned vcpu)
{
    if (d->shared && test_and_clear_bit(d->shared->evtchn_mask, port) &&
        test_bit(d->shared->evtchn_pending, port))
        announce_port(d, port, vcpu);
}

long evtchn_send(struct domain *d, uint32_t port)
{
    struct port p = evtchn_port_read(d, port), back;
    struct domain *peer;

    switch (p.state) {
    case EVTCHNSTAT_interdomain:
        peer = p.remote == d->id ? d : domain_get(p.remote);
        if (!peer)
            return 0; /* dying: as good as unbound */
        back = evtchn_port_read(peer, p.peer);
        if (back.state == EVTCHNSTAT_interdomain && back.remote == d->id && back.peer == port)
            evtchn_set_pending(peer, p.peer, back.vcpu);
        if (peer != d)
            domain_put(peer);
        return 0;
    case EVTCHNSTAT_ipi:
        evtchn_set_pending(d, port, p.vcpu);
        return 0;
    case EVTCHNSTAT_unbound:
        return 0; /* the binder gets an event at once */
    default:
        return refuse(d, -XEN_EINVAL, "port %u cannot send", port);
    }
}

bool evtchn_virq_is_global(unsigned virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

static void raise_virq_port(struct domain *d, uint32_t port, unsigned virq)
{
    struct port p = evtchn_port_read(d, port);

    if (p.state == EVTCHNSTAT_virq && p.peer == virq)
        evtchn_set_pending(d, port, p.vcpu);
}

void evtchn_raise_virq(struct vcpu *v, unsigned virq)
{
    uint32_t port = __atomic_load_n(&v->virq_port[virq], __ATOMIC_RELAXED);
    if (port)
        raise_virq_port(v->domain, port, virq);
}

/* A global VIRQ was bound at vCPU 0; its port may notify another one since. */
void evtchn_raise_global_virq(struct domain *d, unsigned virq)
{
    if (d->vcpu_max && d->vcpu[0])
        evtchn_raise_virq(d->vcpu[0], virq);
}

void evtchn_raise_pirq(struct domain *d, unsigned pirq)
{
    uint32_t port =
        pirq < PIRQ_MAX ? __atomic_load_n(&d->evtchn->pirq_port[pirq], __ATOMIC_RELAXED) : 0;
    struct port p = evtchn_port_read(d, port);

    if (port && p.state == EVTCHNSTAT_pirq && p.peer == pirq)
        evtchn_set_pending(d, port, p.vcpu);
}

long evtchn_any_pending(struct domain *d, const uint32_t *ports, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!evtchn_port_valid(d, ports[i]))
            return refuse(d, -XEN_EINVAL, "port %u does not exist", ports[i]);
    for (unsigned i = 0; i < count; i++)
        if (d->shared && test_bit(d->shared->evtchn_pending, ports[i]))
            return 1;
    return 0;
}

/* A sender that still writes to the old place set its pending bit before the pointer changed, so
 * the guest, told to look at everything, finds it. */
void evtchn_vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_info *info = v->info;

    __atomic_store_n(&info->evtchn_pending_sel, ~0UL, __ATOMIC_SEQ_CST);
    announce(v, info);
}

/* ---- life ---- */

long evtchn_domain_init(struct domain *d)
{
    spin_lock_init(&d->event_lock, LOCK_EVTCHN);
    d->evtchn = heap_alloc(sizeof *d->evtchn);
    if (!d->evtchn)
        return refuse(d, -XEN_ENOMEM, "event channels");
    d->evtchn->lowest = 1; /* port 0 is never used */
    return 0;
}

long evtchn_domain_unbind(struct domain *d)
{
    return evtchn_close_all(d);
}

void evtchn_domain_free(struct domain *d)
{
    if (!d->evtchn)
        return;
    for (unsigned i = 0; i < EVTCHN_MAX / PORT_BUCKET; i++)
        heap_free(d->evtchn->bucket[i]);
    heap_free(d->evtchn);
    d->evtchn = NULL;
}

unsigned evtchn_count(struct domain *d)
{
    return __atomic_load_n(&d->evtchn->open, __ATOMIC_RELAXED);
}
