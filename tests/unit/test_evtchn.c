/* SPDX-License-Identifier: MIT */
/*
 * Event channels: every operation with its errors, delivery bit by bit, and random work of several
 * domains against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <xen/errno.h>
#include "hv/evtchn.h"
#include "hv/hypercall.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "tests/unit/fake_arch.h"
#include "tests/unit/fake_domain.h"
#include <xen/event_channel.h>

#define NONE 9999

static uint64_t heap_before;
static unsigned irq_binds, irq_unbinds;
static long irq_answer;

long irq_bind(unsigned pirq)
{
    (void)pirq;
    if (!irq_answer)
        irq_binds++;
    return irq_answer;
}

void irq_unbind(unsigned pirq)
{
    (void)pirq;
    irq_unbinds++;
}

static unsigned preempt_after; /* so many questions are answered with no; 0: always no */

bool hypercall_preempt(void)
{
    return preempt_after && --preempt_after == 0;
}

static struct vcpu *cpu(domid_t dom, unsigned v)
{
    return &fake_domain[dom].v[v];
}

static struct shared_info *shared(domid_t dom)
{
    return &fake_domain[dom].shared.info;
}

static int start(void **state)
{
    (void)state;
    fake_machine_start(300, 1);
    heap_before = heap_used_bytes();
    irq_binds = irq_unbinds = 0;
    irq_answer = 0;
    for (domid_t id = 0; id < 4; id++)
        assert_int_equal(evtchn_domain_init(fake_domain_add(id, FAKE_VCPUS)), 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (domid_t id = 0; id < 4; id++) {
        if (!fake_domain[id].d.evtchn)
            continue;
        fake_domain[id].d.dying = true;
        evtchn_domain_unbind(&fake_domain[id].d);
        assert_int_equal(evtchn_count(&fake_domain[id].d), 0);
    }
    for (domid_t id = 0; id < 4; id++) {
        evtchn_domain_free(&fake_domain[id].d);
        fake_domain_remove(id);
    }
    assert_int_equal(irq_binds, irq_unbinds);
    assert_int_equal(heap_used_bytes(), heap_before);
    fake_machine_stop();
    return 0;
}

/* ---- hypercalls; each answers the port or -errno ---- */

#define OP(dom, cmd, arg) evtchn_op(cpu(dom, 0), EVTCHNOP_##cmd, (uint64_t)(arg))

static long alloc(domid_t caller, domid_t dom, domid_t remote)
{
    struct evtchn_alloc_unbound a = {.dom = dom, .remote_dom = remote, .port = NONE};
    long err = OP(caller, alloc_unbound, &a);
    return err ? err : (long)a.port;
}

static long bind(domid_t caller, domid_t remote, uint32_t port)
{
    struct evtchn_bind_interdomain a = {
        .remote_dom = remote, .remote_port = port, .local_port = NONE};
    long err = OP(caller, bind_interdomain, &a);
    return err ? err : (long)a.local_port;
}

static long bind_virq(domid_t caller, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq a = {.virq = virq, .vcpu = vcpu, .port = NONE};
    long err = OP(caller, bind_virq, &a);
    return err ? err : (long)a.port;
}

static long bind_ipi(domid_t caller, uint32_t vcpu)
{
    struct evtchn_bind_ipi a = {.vcpu = vcpu, .port = NONE};
    long err = OP(caller, bind_ipi, &a);
    return err ? err : (long)a.port;
}

static long bind_pirq(domid_t caller, uint32_t pirq)
{
    struct evtchn_bind_pirq a = {.pirq = pirq, .port = NONE};
    long err = OP(caller, bind_pirq, &a);
    return err ? err : (long)a.port;
}

static long close_port(domid_t caller, uint32_t port)
{
    struct evtchn_close a = {.port = port};
    return OP(caller, close, &a);
}

static long send(domid_t caller, uint32_t port)
{
    struct evtchn_send a = {.port = port};
    return OP(caller, send, &a);
}

static long bind_vcpu(domid_t caller, uint32_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu a = {.port = port, .vcpu = vcpu};
    return OP(caller, bind_vcpu, &a);
}

static long unmask(domid_t caller, uint32_t port)
{
    struct evtchn_unmask a = {.port = port};
    return OP(caller, unmask, &a);
}

static struct evtchn_status status(domid_t dom, uint32_t port)
{
    struct evtchn_status a = {.dom = DOMID_SELF, .port = port};
    assert_int_equal(OP(dom, status, &a), 0);
    return a;
}

static bool pending(domid_t dom, uint32_t port)
{
    return shared(dom)->evtchn_pending[port / 64] >> (port % 64) & 1;
}

/* As a guest does it; true if the port was pending. */
static bool take(domid_t dom, uint32_t port)
{
    bool was = pending(dom, port);
    shared(dom)->evtchn_pending[port / 64] &= ~(1UL << (port % 64));
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        shared(dom)->vcpu_info[i].evtchn_pending_sel = 0;
        shared(dom)->vcpu_info[i].evtchn_upcall_pending = 0;
    }
    memset(fake_domain[dom].kicks, 0, sizeof fake_domain[dom].kicks);
    memset(fake_domain[dom].wakes, 0, sizeof fake_domain[dom].wakes);
    return was;
}

/* ---- binding ---- */

static void test_ports_from_one_up(void **state)
{
    (void)state;
    assert_int_equal(alloc(0, 1, 0), 1); /* the store's, by the toolstack */
    assert_int_equal(alloc(0, 1, 0), 2); /* the console's */
    assert_int_equal(bind_ipi(1, 0), 3);
    assert_int_equal(close_port(1, 2), 0);
    assert_int_equal(bind_ipi(1, 0), 2); /* the lowest free one */
    assert_int_equal(bind_ipi(1, 0), 4);
    assert_int_equal(evtchn_count(&fake_domain[1].d), 4);
}

static void test_interdomain(void **state)
{
    long port = alloc(0, 1, 0), local;
    struct evtchn_status s = status(1, port);
    (void)state;
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 0);
    assert_int_equal(send(1, port), 0);              /* nobody there */
    assert_int_equal(bind(2, 1, port), -XEN_EINVAL); /* for dom0 only */
    local = bind(0, 1, port);
    assert_true(local > 0);
    assert_true(take(0, local)); /* what was sent before is not lost */
    s = status(1, port);
    assert_int_equal(s.status, EVTCHNSTAT_interdomain);
    assert_int_equal(s.u.interdomain.dom, 0);
    assert_int_equal(s.u.interdomain.port, local);
    assert_int_equal(bind(0, 1, port), -XEN_EINVAL); /* taken */
    assert_int_equal(send(1, port), 0);
    assert_true(take(0, local));
    assert_int_equal(send(0, local), 0);
    assert_true(take(1, port));
    assert_int_equal(close_port(0, local), 0);
    s = status(1, port);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 0);
    local = bind(0, 1, port); /* again, as a restarted back end does */
    assert_true(local > 0);
    assert_int_equal(close_port(1, port), 0);
    s = status(0, local);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 1);
}

static void test_loopback(void **state)
{
    long a = alloc(1, DOMID_SELF, DOMID_SELF), b = bind(1, DOMID_SELF, a);
    (void)state;
    assert_true(a > 0 && b > 0 && a != b);
    take(1, b);
    assert_int_equal(send(1, b), 0);
    assert_true(take(1, a));
    assert_int_equal(send(1, a), 0);
    assert_true(take(1, b));
    assert_int_equal(close_port(1, a), 0);
    assert_int_equal(status(1, b).status, EVTCHNSTAT_unbound);
    assert_int_equal(bind(1, 1, b), a);
    assert_int_equal(bind(1, 1, a), -XEN_EINVAL);
}

static void test_who_may_what(void **state)
{
    struct evtchn_status s = {.dom = 0, .port = 1};
    struct evtchn_reset r = {.dom = 2};
    (void)state;
    assert_int_equal(alloc(1, 2, 1), -XEN_EPERM);
    assert_int_equal(alloc(1, 7, 1), -XEN_ESRCH);
    assert_int_equal(alloc(0, 7, 1), -XEN_ESRCH);
    assert_int_equal(bind(1, 7, 1), -XEN_ESRCH);
    assert_int_equal(alloc(1, 1, 6), 1); /* the remote need not exist yet */
    assert_int_equal(OP(1, status, &s), -XEN_EPERM);
    s.dom = 1;
    assert_int_equal(OP(0, status, &s), 0);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    s.port = 3000;
    assert_int_equal(OP(0, status, &s), -XEN_EINVAL);
    s.port = UINT32_MAX;
    assert_int_equal(OP(0, status, &s), -XEN_EINVAL);
    assert_int_equal(OP(1, reset, &r), -XEN_EPERM);
    assert_int_equal(OP(0, reset, &r), -XEN_EINVAL); /* it runs */
    fake_domain[2].d.controller_paused = true;
    assert_int_equal(OP(0, reset, &r), 0);
}

/* Thousands of ports, each with a peer to look up, are too many for one call. */
static void test_reset_is_continued(void **state)
{
    struct evtchn_reset r = {.dom = DOMID_SELF};
    unsigned calls = 0;
    (void)state;
    for (unsigned i = 0; i < 300; i++)
        assert_true(alloc(1, 1, 2) > 0);
    do {
        unsigned open = evtchn_count(&fake_domain[1].d);
        preempt_after = 100;
        calls++;
        if (OP(1, reset, &r) == 0)
            break;
        assert_int_equal(evtchn_count(&fake_domain[1].d), open - 100);
    } while (calls < 10);
    preempt_after = 0;
    assert_int_equal(calls, 4); /* the last one finds nothing left to do */
    assert_int_equal(evtchn_count(&fake_domain[1].d), 0);
    preempt_after = 1; /* a guest that has no time left gets on, one port a call */
    assert_int_equal(alloc(1, 1, 2), 1);
    assert_int_equal(OP(1, reset, &r), -XEN_ERESTART);
    assert_int_equal(OP(1, reset, &r), 0);
}

static void test_virqs(void **state)
{
    long timer0, timer1, console;
    (void)state;
    timer0 = bind_virq(1, VIRQ_TIMER, 0);
    timer1 = bind_virq(1, VIRQ_TIMER, 1);
    assert_true(timer0 > 0 && timer1 > 0);
    assert_int_equal(bind_virq(1, VIRQ_TIMER, 0), -XEN_EEXIST);
    assert_int_equal(bind_virq(1, VIRQ_TIMER, FAKE_VCPUS), -XEN_ENOENT);
    assert_int_equal(bind_virq(1, NR_VIRQS, 0), -XEN_EINVAL);
    assert_int_equal(bind_virq(1, UINT32_MAX, 0), -XEN_EINVAL);
    assert_int_equal(bind_virq(0, VIRQ_DOM_EXC, 1), -XEN_EINVAL); /* global ones at vCPU 0 */
    assert_int_equal(bind_vcpu(1, timer1, 0), -XEN_EINVAL);       /* per-vCPU ones stay */
    evtchn_raise_virq(cpu(1, 1), VIRQ_TIMER);
    assert_false(pending(1, timer0));
    assert_true(pending(1, timer1));
    assert_int_equal(shared(1)->vcpu_info[1].evtchn_upcall_pending, 1);
    assert_int_equal(shared(1)->vcpu_info[0].evtchn_upcall_pending, 0);
    assert_int_equal(status(1, timer1).vcpu, 1);
    assert_int_equal(status(1, timer1).u.virq, VIRQ_TIMER);
    close_port(1, timer1);
    assert_false(pending(1, timer1)); /* a closed port is not pending */
    evtchn_raise_virq(cpu(1, 1), VIRQ_TIMER);
    assert_int_equal(bind_virq(1, VIRQ_TIMER, 1), timer1);

    evtchn_raise_global_virq(&fake_domain[0].d, VIRQ_CONSOLE); /* not bound */
    console = bind_virq(0, VIRQ_CONSOLE, 0);
    assert_int_equal(bind_vcpu(0, console, 2), 0);
    evtchn_raise_global_virq(&fake_domain[0].d, VIRQ_CONSOLE);
    assert_int_equal(fake_domain[0].kicks[2], 1);
    assert_true(take(0, console));
}

static void test_ipis(void **state)
{
    long port = bind_ipi(1, 3);
    (void)state;
    assert_int_equal(bind_ipi(1, FAKE_VCPUS), -XEN_ENOENT);
    assert_int_equal(bind_vcpu(1, port, 0), -XEN_EINVAL);
    assert_int_equal(status(1, port).status, EVTCHNSTAT_ipi);
    assert_int_equal(status(1, port).vcpu, 3);
    assert_int_equal(send(1, port), 0);
    assert_int_equal(fake_domain[1].kicks[3], 1);
    assert_true(take(1, port));
}

static void test_pirqs(void **state)
{
    long port;
    (void)state;
    assert_int_equal(bind_pirq(1, 3), -XEN_EPERM);
    assert_int_equal(bind_pirq(0, PIRQ_MAX), -XEN_EINVAL);
    irq_answer = -XEN_EPERM;
    assert_int_equal(bind_pirq(0, 3), -XEN_EPERM);
    assert_int_equal(evtchn_count(&fake_domain[0].d), 0);
    irq_answer = 0;
    port = bind_pirq(0, 3);
    assert_int_equal(port, 1);
    assert_int_equal(bind_pirq(0, 3), -XEN_EEXIST);
    assert_int_equal(status(0, port).u.pirq, 3);
    assert_int_equal(bind_vcpu(0, port, 1), 0);
    evtchn_raise_pirq(&fake_domain[0].d, 3);
    assert_int_equal(fake_domain[0].kicks[1], 1);
    assert_true(take(0, port));
    assert_int_equal(close_port(0, port), 0);
    assert_int_equal(irq_unbinds, 1);
    evtchn_raise_pirq(&fake_domain[0].d, 3);
    evtchn_raise_pirq(&fake_domain[0].d, PIRQ_MAX);
    assert_false(pending(0, port));
    assert_false(pending(0, 0));
}

static void test_bad_ports(void **state)
{
    static const uint32_t bad[] = {0, 1, 63, 4095, 4096, 4097, UINT32_MAX};
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(close_port(1, bad[i]), -XEN_EINVAL);
        assert_int_equal(send(1, bad[i]), -XEN_EINVAL);
        assert_int_equal(bind_vcpu(1, bad[i], 0), -XEN_EINVAL);
        assert_int_equal(bind(1, 2, bad[i]), -XEN_EINVAL);
        assert_int_equal(unmask(1, bad[i]), -XEN_EINVAL);
    }
    assert_int_equal(bind_ipi(1, 0), 1);
    assert_int_equal(close_port(1, 0), -XEN_EINVAL);
    assert_int_equal(send(1, 0), -XEN_EINVAL);
    assert_int_equal(unmask(1, 4096), -XEN_EINVAL);
    assert_int_equal(bind_vcpu(1, 1, FAKE_VCPUS), -XEN_ENOENT);
}

static void test_bad_calls(void **state)
{
    struct hypercall call = {.arg = {EVTCHNOP_init_control, 0}};
    (void)state;
    assert_int_equal(hypercall_event_channel_op(cpu(1, 0), &call), -XEN_ENOSYS);
    assert_int_equal(evtchn_op(cpu(1, 0), EVTCHNOP_expand_array, 0), -XEN_ENOSYS);
    assert_int_equal(evtchn_op(cpu(1, 0), EVTCHNOP_set_priority, 0), -XEN_ENOSYS);
    assert_int_equal(evtchn_op(cpu(1, 0), 14, 0), -XEN_ENOSYS);
    assert_int_equal(evtchn_op(cpu(1, 0), UINT32_MAX, 0), -XEN_ENOSYS);
    for (unsigned op = 0; op <= EVTCHNOP_reset; op++)
        assert_int_equal(evtchn_op(cpu(1, 0), op, 8), -XEN_EFAULT);
}

static void test_all_ports(void **state)
{
    (void)state;
    for (uint32_t port = 1; port < EVTCHN_MAX; port++)
        assert_int_equal(bind_ipi(1, 0), port);
    assert_int_equal(bind_ipi(1, 0), -XEN_ENOSPC);
    assert_int_equal(alloc(1, 1, 0), -XEN_ENOSPC);
    assert_int_equal(send(1, 4095), 0);
    assert_true(take(1, 4095));
    assert_int_equal(close_port(1, 77), 0);
    assert_int_equal(bind_ipi(1, 0), 77);
}

/* ---- delivery ---- */

static void test_delivery_bit_by_bit(void **state)
{
    long port = bind_ipi(1, 1);
    struct vcpu_info *vi = &shared(1)->vcpu_info[1];
    (void)state;
    while (port < 130)
        port = bind_ipi(1, 1);
    send(1, port);
    assert_true(pending(1, port));
    assert_true(vi->evtchn_pending_sel == 1UL << (port / 64));
    assert_int_equal(vi->evtchn_upcall_pending, 1);
    assert_int_equal(fake_domain[1].kicks[1], 1);
    send(1, port);     /* pending already: nothing */
    send(1, port - 1); /* the upcall is pending already: no second kick */
    assert_int_equal(fake_domain[1].kicks[1], 1);
    take(1, port);
    take(1, port - 1);
    /* Upcalls masked: it may be about to unmask them. */
    vi->evtchn_upcall_mask = 1;
    send(1, port);
    assert_int_equal(fake_domain[1].kicks[1], 1);
    assert_int_equal(vi->evtchn_upcall_pending, 1);
}

static void test_masked_port(void **state)
{
    long port = bind_ipi(1, 1);
    struct vcpu_info *vi = &shared(1)->vcpu_info[1];
    (void)state;
    shared(1)->evtchn_mask[0] |= 1UL << port;
    send(1, port);
    assert_true(pending(1, port));
    assert_int_equal(vi->evtchn_upcall_pending, 0);
    assert_true(vi->evtchn_pending_sel == 0);
    assert_int_equal(unmask(1, port), 0);
    assert_int_equal(vi->evtchn_upcall_pending, 1);
    assert_int_equal(fake_domain[1].kicks[1], 1);
    take(1, port);
    assert_int_equal(unmask(1, port), 0); /* not masked: nothing */
    shared(1)->evtchn_mask[0] |= 1UL << port;
    assert_int_equal(unmask(1, port), 0); /* not pending: nothing */
    assert_int_equal(vi->evtchn_upcall_pending, 0);
}

static void test_pollers(void **state)
{
    long port = bind_ipi(1, 1);
    uint32_t ports[3] = {2, (uint32_t)port, 3};
    (void)state;
    assert_int_equal(evtchn_any_pending(&fake_domain[1].d, ports, 3), 0);
    cpu(1, 2)->polling = true;
    shared(1)->evtchn_mask[0] = ~0UL;
    send(1, port);
    assert_int_equal(fake_domain[1].wakes[2], 1);
    assert_int_equal(fake_domain[1].wakes[1], 0);
    assert_int_equal(evtchn_any_pending(&fake_domain[1].d, ports, 3), 1);
    assert_int_equal(evtchn_any_pending(&fake_domain[1].d, ports, 0), 0);
    ports[2] = 4096;
    assert_int_equal(evtchn_any_pending(&fake_domain[1].d, ports, 3), -XEN_EINVAL);
}

static void test_info_moves(void **state)
{
    struct vcpu_info fresh = {0};
    long port = bind_ipi(1, 0);
    (void)state;
    cpu(1, 0)->info = &fresh;
    evtchn_vcpu_info_moved(cpu(1, 0));
    assert_true(fresh.evtchn_pending_sel == ~0UL);
    assert_int_equal(fresh.evtchn_upcall_pending, 1);
    fresh.evtchn_pending_sel = 0;
    fresh.evtchn_upcall_pending = 0;
    send(1, port);
    assert_int_equal(fresh.evtchn_upcall_pending, 1);
    assert_int_equal(shared(1)->vcpu_info[0].evtchn_upcall_pending, 0);
}

/* ---- death ---- */

static void test_dying(void **state)
{
    long port = alloc(0, 1, 0), local = bind(0, 1, port), own;
    struct evtchn_status s;
    (void)state;
    bind_virq(1, VIRQ_TIMER, 0);
    own = alloc(0, 0, 1);
    fake_domain[1].d.dying = true;
    assert_int_equal(bind_ipi(1, 0), -XEN_EINVAL); /* a call that was under way */
    assert_int_equal(send(0, local), 0);
    evtchn_domain_unbind(&fake_domain[1].d);
    assert_int_equal(evtchn_count(&fake_domain[1].d), 0);
    s = status(0, local);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 1);
    assert_int_equal(close_port(0, local), 0);
    assert_int_equal(close_port(0, own), 0);
}

/* The peer closes first and uses its port again, before the dying one gets there. */
static void test_dying_after_the_peer_closed(void **state)
{
    long port = alloc(0, 1, 0), local = bind(0, 1, port);
    (void)state;
    fake_domain[1].d.dying = true;
    assert_int_equal(close_port(0, local), 0);
    assert_int_equal(bind(0, 2, alloc(2, 2, 0)), local);
    assert_int_equal(send(1, port), 0); /* still thinks that it is connected */
    take(0, local);
    assert_int_equal(send(1, port), 0);
    assert_false(pending(0, local));
    evtchn_domain_unbind(&fake_domain[1].d);
    assert_int_equal(status(0, local).status, EVTCHNSTAT_interdomain);
    assert_int_equal(status(0, local).u.interdomain.dom, 2);
}

/* ---- random work against a model ---- */

#define MODEL_DOMAINS 4
#define MODEL_PORTS   40

struct model_port {
    unsigned state, vcpu, remote, peer;
};
static struct model_port model[MODEL_DOMAINS][MODEL_PORTS];
static uint32_t rng;

static uint32_t rnd(uint32_t limit)
{
    rng = rng * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rng >> 4) * limit >> 28);
}

static unsigned model_free(unsigned dom)
{
    unsigned port = 1;
    while (port < MODEL_PORTS && model[dom][port].state)
        port++;
    return port;
}

static void model_close(unsigned dom, unsigned port)
{
    struct model_port *p = &model[dom][port];

    if (p->state == EVTCHNSTAT_interdomain) {
        struct model_port *far = &model[p->remote][p->peer];
        far->state = EVTCHNSTAT_unbound;
        far->remote = dom;
    }
    *p = (struct model_port){0};
}

static void model_check(void)
{
    for (unsigned dom = 0; dom < MODEL_DOMAINS; dom++)
        for (unsigned port = 1; port < MODEL_PORTS; port++) {
            struct model_port *p = &model[dom][port];
            struct evtchn_status s = {.dom = DOMID_SELF, .port = port};
            if (OP(dom, status, &s)) {
                assert_int_equal(p->state, EVTCHNSTAT_closed);
                continue;
            }
            assert_int_equal(s.status, p->state);
            if (p->state)
                assert_int_equal(s.vcpu, p->vcpu);
            if (p->state == EVTCHNSTAT_unbound)
                assert_int_equal(s.u.unbound.dom, p->remote);
            if (p->state == EVTCHNSTAT_interdomain) {
                assert_int_equal(s.u.interdomain.dom, p->remote);
                assert_int_equal(s.u.interdomain.port, p->peer);
            }
        }
}

static void model_bind(unsigned dom, unsigned remote, unsigned port)
{
    struct model_port *far = &model[remote][port];
    bool may = far->state == EVTCHNSTAT_unbound && far->remote == dom;
    unsigned local = model_free(dom);
    long got;

    if (local >= MODEL_PORTS)
        return;
    got = bind(dom, remote, port);
    assert_int_equal(got, may ? (long)local : -XEN_EINVAL);
    if (!may)
        return;
    assert_true(take(dom, local));
    model[dom][local] = (struct model_port){EVTCHNSTAT_interdomain, 0, remote, port};
    far->state = EVTCHNSTAT_interdomain;
    far->peer = local;
}

static void model_send(unsigned dom, unsigned port)
{
    struct model_port *p = &model[dom][port];
    bool may = p->state == EVTCHNSTAT_interdomain || p->state == EVTCHNSTAT_ipi ||
               p->state == EVTCHNSTAT_unbound;

    assert_int_equal(send(dom, port), may ? 0 : -XEN_EINVAL);
    if (p->state == EVTCHNSTAT_interdomain) {
        unsigned vcpu = model[p->remote][p->peer].vcpu;
        assert_int_equal(fake_domain[p->remote].kicks[vcpu], 1);
        assert_true(take(p->remote, p->peer));
    } else if (p->state == EVTCHNSTAT_ipi) {
        assert_true(take(dom, port));
    }
}

static void model_step(void)
{
    unsigned dom = rnd(MODEL_DOMAINS), other = rnd(MODEL_DOMAINS), port = 1 + rnd(MODEL_PORTS - 1);
    unsigned fresh = model_free(dom), vcpu = rnd(FAKE_VCPUS);
    struct model_port *p = &model[dom][port];
    bool fixed = p->state == EVTCHNSTAT_closed || p->state == EVTCHNSTAT_ipi;

    switch (rnd(6)) {
    case 0:
        if (fresh == MODEL_PORTS)
            break;
        assert_int_equal(alloc(dom, DOMID_SELF, other), fresh);
        model[dom][fresh] = (struct model_port){EVTCHNSTAT_unbound, 0, other, 0};
        break;
    case 1:
        model_bind(dom, other, port);
        break;
    case 2:
        if (fresh == MODEL_PORTS || rnd(3))
            break;
        assert_int_equal(bind_ipi(dom, vcpu), fresh);
        model[dom][fresh] = (struct model_port){EVTCHNSTAT_ipi, vcpu, 0, 0};
        break;
    case 3:
        if (rnd(2))
            break;
        assert_int_equal(close_port(dom, port), p->state ? 0 : -XEN_EINVAL);
        model_close(dom, port);
        break;
    case 4:
        model_send(dom, port);
        break;
    case 5:
        assert_int_equal(bind_vcpu(dom, port, vcpu), fixed ? -XEN_EINVAL : 0);
        if (!fixed)
            p->vcpu = vcpu;
        break;
    }
}

static void test_random(void **state)
{
    (void)state;
    memset(model, 0, sizeof model);
    rng = 1;
    for (unsigned step = 0; step < 30000; step++) {
        model_step();
        if (step % 20 == 0)
            model_check();
        if (step % 3000 == 2999) {
            struct evtchn_reset r = {.dom = DOMID_SELF};
            unsigned dom = rnd(MODEL_DOMAINS);
            assert_int_equal(OP(dom, reset, &r), 0);
            for (unsigned port = 1; port < MODEL_PORTS; port++)
                model_close(dom, port);
        }
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ports_from_one_up),
        CASE(test_interdomain),
        CASE(test_loopback),
        CASE(test_who_may_what),
        CASE(test_reset_is_continued),
        CASE(test_virqs),
        CASE(test_ipis),
        CASE(test_pirqs),
        CASE(test_bad_ports),
        CASE(test_bad_calls),
        CASE(test_all_ports),
        CASE(test_delivery_bit_by_bit),
        CASE(test_masked_port),
        CASE(test_pollers),
        CASE(test_info_moves),
        CASE(test_dying),
        CASE(test_dying_after_the_peer_closed),
        CASE(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
