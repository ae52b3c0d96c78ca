/* SPDX-License-Identifier: MIT */
/*
 * Event channels with the 2-level ABI. The hypervisor sets a port's pending bit, the bit of its
 * word in the selector of the vCPU it is bound to, and that vCPU's upcall flag, in this order; the
 * upcall takes them back in the opposite order, so that whatever arrives in between is seen now or
 * raises the next upcall.
 */
#include "event.h"

#include <stddef.h>

#include "hypercall.h"
#include "smp.h"
#include "start.h"

#define WORDS (EVENT_PORTS / 64)

static struct {
    event_fn fn;
    void *arg;
} handlers[EVENT_PORTS];

/* Which ports each vCPU serves: pending words mix the ports of all. */
static uint64_t served[SMP_MAX][WORDS];

static bool bit_test_and_clear(volatile void *bits, unsigned n)
{
    uint64_t mask = 1UL << (n % 64);

    return __atomic_fetch_and((volatile uint64_t *)bits + n / 64, ~mask, __ATOMIC_SEQ_CST) & mask;
}

static void bit_set(volatile void *bits, unsigned n)
{
    __atomic_fetch_or((volatile uint64_t *)bits + n / 64, 1UL << (n % 64), __ATOMIC_SEQ_CST);
}

static void event_serve(unsigned vcpu, evtchn_port_t port)
{
    for (unsigned v = 0; v < SMP_MAX; v++) {
        bit_test_and_clear(served[v], port);
    }
    bit_set(served[vcpu], port);
}

void event_init(void)
{
    for (unsigned port = 0; port < 64 * 64; port++) {
        bit_set(shared_info->evtchn_mask, port);
    }
}

static void event_deliver(evtchn_port_t port)
{
    bit_test_and_clear(shared_info->evtchn_pending, port);
    if (handlers[port].fn) {
        handlers[port].fn(port, handlers[port].arg);
    } else {
        event_mask(port);
    }
}

static void event_scan_word(unsigned word, unsigned vcpu)
{
    for (;;) {
        uint64_t pending = __atomic_load_n(&shared_info->evtchn_pending[word], __ATOMIC_ACQUIRE);
        uint64_t masked = __atomic_load_n(&shared_info->evtchn_mask[word], __ATOMIC_ACQUIRE);

        pending &= ~masked & __atomic_load_n(&served[vcpu][word], __ATOMIC_ACQUIRE);
        if (!pending) {
            return;
        }
        event_deliver(word * 64 + (unsigned)__builtin_ctzl(pending));
    }
}

void event_upcall(void)
{
    struct vcpu_info *info = smp_self()->info;
    unsigned vcpu = smp_id();

    while (__atomic_exchange_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST)) {
        uint64_t words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

        for (; words; words &= words - 1) {
            unsigned word = (unsigned)__builtin_ctzl(words);

            if (word < WORDS) {
                event_scan_word(word, vcpu);
            }
        }
    }
}

bool event_upcalls_save(void)
{
    struct vcpu_info *info = smp_self()->info;
    bool saved = info->evtchn_upcall_mask;

    info->evtchn_upcall_mask = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return saved;
}

void event_upcalls_restore(bool saved)
{
    struct vcpu_info *info = smp_self()->info;

    if (saved) {
        return;
    }
    __atomic_store_n(&info->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
    /* Pending while masked: any hypercall delivers it on return. */
    if (__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_SEQ_CST)) {
        hypercall_xen_version(XENVER_version, NULL);
    }
}

void event_mask(evtchn_port_t port)
{
    bit_set(shared_info->evtchn_mask, port);
}

/* By hypercall: it also raises the upcall of the right vCPU if the port is pending. */
void event_unmask(evtchn_port_t port)
{
    struct evtchn_unmask op = {.port = port};

    hypercall_event_channel_op(EVTCHNOP_unmask, &op);
}

bool event_clear(evtchn_port_t port)
{
    return bit_test_and_clear(shared_info->evtchn_pending, port);
}

static int event_install(evtchn_port_t port, unsigned vcpu, event_fn fn, void *arg)
{
    if (port >= EVENT_PORTS) {
        return -XEN_ENOSPC;
    }
    handlers[port].fn = fn;
    handlers[port].arg = arg;
    event_serve(vcpu, port);
    event_unmask(port);
    return (int)port;
}

/* The end of each bind function: a port beyond the handlers is given back. */
static int event_bound(long rc, evtchn_port_t port, event_fn fn, void *arg)
{
    if (rc) {
        return (int)rc;
    }
    rc = event_install(port, 0, fn, arg);
    if (rc < 0) {
        event_close(port);
    }
    return (int)rc;
}

int event_set_handler(evtchn_port_t port, event_fn fn, void *arg)
{
    int rc = event_install(port, 0, fn, arg);

    return rc < 0 ? rc : 0;
}

int event_alloc_unbound(domid_t remote, event_fn fn, void *arg)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = remote};
    long rc = hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    return event_bound(rc, op.port, fn, arg);
}

int event_bind_interdomain(domid_t remote, evtchn_port_t remote_port, event_fn fn, void *arg)
{
    struct evtchn_bind_interdomain op = {.remote_dom = remote, .remote_port = remote_port};
    long rc = hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    return event_bound(rc, op.local_port, fn, arg);
}

int event_bind_pirq(uint32_t pirq, event_fn fn, void *arg)
{
    struct evtchn_bind_pirq op = {.pirq = pirq};
    long rc = hypercall_event_channel_op(EVTCHNOP_bind_pirq, &op);

    return event_bound(rc, op.port, fn, arg);
}

int event_bind_virq(uint32_t virq, event_fn fn, void *arg)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = smp_id()};
    long rc = hypercall_event_channel_op(EVTCHNOP_bind_virq, &op);

    if (rc) {
        return (int)rc;
    }
    return event_install(op.port, op.vcpu, fn, arg);
}

int event_bind_ipi(unsigned vcpu, event_fn fn, void *arg)
{
    struct evtchn_bind_ipi op = {.vcpu = vcpu};
    long rc;

    if (vcpu >= SMP_MAX) {
        return -XEN_EINVAL;
    }
    rc = hypercall_event_channel_op(EVTCHNOP_bind_ipi, &op);
    if (rc) {
        return (int)rc;
    }
    return event_install(op.port, vcpu, fn, arg);
}

int event_send(evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};

    return (int)hypercall_event_channel_op(EVTCHNOP_send, &op);
}

int event_close(evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};

    event_mask(port);
    if (port < EVENT_PORTS) {
        handlers[port].fn = NULL;
    }
    return (int)hypercall_event_channel_op(EVTCHNOP_close, &op);
}
