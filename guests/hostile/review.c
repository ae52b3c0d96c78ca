/* SPDX-License-Identifier: MIT */
/*
 * Questions from reading the hypervisor as somebody who owns a guest: what of its stack gets out,
 * what outlives a loan, and what keeps a processor inside it.
 */
#include "hostile.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xen/event_channel.h>
#include <xen/vcpu.h>

#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/smp.h>
#include <rt/start.h>

/* Between the state and the times of a run state lie four bytes that nobody fills on purpose. */
static void gaps(void)
{
    static struct vcpu_register_runstate_memory_area area;
    static struct vcpu_runstate_info info[2];
    static char text[1024];
    uint32_t leaked = 0, gap;
    long failed = 0;

    for (unsigned i = 0; i < 16; i++) {
        hypercall_xen_version(i % 8, text); /* leaves something on the stack */
        memset(&info[0], 0xa5, sizeof info[0]);
        failed |= hypercall_vcpu_op(VCPUOP_get_runstate_info, 0, &info[0]);
        memcpy(&gap, (char *)&info[0] + sizeof info[0].state, sizeof gap);
        leaked |= gap;
    }
    expect("run states", failed, 0);
    area.addr.v = &info[1];
    expect("run-state area", hypercall_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), 0);
    for (unsigned i = 0; i < 16; i++) {
        hypercall_sched_op(SCHEDOP_yield, NULL);
        memcpy(&gap, (char *)&info[1] + sizeof info[1].state, sizeof gap);
        leaked |= gap;
    }
    area.addr.v = NULL;
    hypercall_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area);
    expect("bytes of the hypervisor's stack", leaked, 0);
}

static struct evtchn_status status_of(unsigned port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    hypercall_event_channel_op(EVTCHNOP_status, &s);
    return s;
}

/* The number of this domain: that of the one that may bind a port made for itself. */
static domid_t own_number(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_close c;
    domid_t number;

    expect("a port", hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &a), 0);
    c.port = a.port;
    number = status_of(a.port).u.unbound.dom;
    hypercall_event_channel_op(EVTCHNOP_close, &c);
    return number;
}

/* A page lent by another (by itself, here) is not the borrower's to give to the hypervisor for
 * good: a write to cr2 would reach it long after it was taken back. */
static void lent_pages(void)
{
    static char page[4096] __attribute__((aligned(4096)));
    struct vcpu_register_vcpu_info reg = {0};
    struct gnttab_copy copy = {.flags = 0, .len = 8};
    struct mmuext_op clear = {.cmd = MMUEXT_CLEAR_PAGE};
    grant_ref_t ref;
    struct grant_mapping map = {0};
    xen_ulong_t alias;
    domid_t me = own_number();
    int rc = grant_access(me, virt_to_mfn(page), false);

    ref = (grant_ref_t)rc;
    expect("its own page lent to itself", rc > 0, 1);
    expect("mapped", grant_map(me, &ref, 1, false, &map), 0);
    alias = (*pt_walk(pt_kernel_root(), (unsigned long)map.va, false) & PTE_ADDR) >> 12;
    reg.mfn = alias;
    expect_refused("vcpu_info in a lent page",
                   hypercall_vcpu_op(VCPUOP_register_vcpu_info, 1, &reg));
    expect_refused("a descriptor table in a lent page", hypercall_set_gdt(&alias, 512));
    clear.arg1.mfn = alias;
    expect_refused("clearing it by its frame number",
                   hypercall_mmuext_op(&clear, 1, NULL, DOMID_SELF));
    copy.source.domid = copy.dest.domid = DOMID_SELF;
    copy.source.u.gmfn = virt_to_mfn(page);
    copy.dest.u.gmfn = alias;
    expect("copying", hypercall_grant_table_op(GNTTABOP_copy, &copy, 1), 0);
    expect_refused("copying there by its frame number", copy.status);
    expect("given back", grant_unmap(&map), 0);
    expect("taken back", grant_end(ref), 0);
}

/* ---- copies whose page goes away ---- */

#define FLAP_UPDATES 64
#define FLAP_COPIES  20000

static char target[4096] __attribute__((aligned(4096)));
static volatile bool flapping;
static volatile unsigned flappers;

/* The hypervisor sets A so that it can go on; this takes it away again, as fast as it can. */
static void flap(void *arg)
{
    static struct mmu_update updates[FLAP_UPDATES];
    uint64_t *entry = arg;

    for (unsigned i = 0; i < FLAP_UPDATES; i++)
        updates[i] = (struct mmu_update){
            .ptr = virt_to_mfn(entry) << 12 | ((uintptr_t)entry & 4095),
            .val = virt_to_mfn(target) << 12 | PTE_P | PTE_RW | PTE_US | PTE_NX};
    __atomic_add_fetch(&flappers, 1, __ATOMIC_SEQ_CST);
    while (flapping)
        hypercall_mmu_update(updates, FLAP_UPDATES, NULL, DOMID_SELF);
    __atomic_sub_fetch(&flappers, 1, __ATOMIC_SEQ_CST);
}

static void copies(void)
{
    unsigned vcpus = smp_vcpus(), faults = 0;
    uint64_t *entry = pt_walk(pt_kernel_root(), (unsigned long)target, false);

    flapping = true;
    for (unsigned i = 1; i < vcpus; i++)
        expect("a vCPU", smp_boot_vcpu(i, flap, entry), 0);
    for (unsigned i = 0; i < FLAP_COPIES; i++)
        faults += hypercall_xen_version(XENVER_extraversion, target) < 0;
    flapping = false;
    while (flappers)
        hypercall_sched_op(SCHEDOP_yield, NULL);
    printf("hostile: %u copies, %u given up\n", FLAP_COPIES, faults);
}

/* ---- many ports ---- */

static void ports(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    struct sched_shutdown end = {.reason = SHUTDOWN_poweroff};
    unsigned pairs = 0, closed = 0;

    while (hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &a) == 0) {
        b.remote_port = a.port;
        if (hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &b))
            break;
        pairs++;
    }
    printf("hostile: %u pairs of ports\n", pairs);
    expect("all of them are its own", pairs > 1000, 1);
    expect("reset", hypercall_event_channel_op(EVTCHNOP_reset, &reset), 0);
    for (unsigned port = 1; port < 4096; port++)
        closed += status_of(port).status == EVTCHNSTAT_closed;
    expect("closed", closed, 4095);
    /* Its console and store are deaf from now on: it ends as it is. */
    printf("hostile: ports %s\n", closed == 4095 ? "survived" : "FAILED");
    hypercall_sched_op(SCHEDOP_shutdown, &end);
}

const struct question review_questions[] = {
    {"gaps", "what it gets of the hypervisor's stack", gaps},
    {"lent-pages", "keeps a lent page by giving it to the hypervisor", lent_pages},
    {"copies", "takes pages away under the hypervisor's copies", copies},
    {"ports", "opens all ports and closes them by one call", ports},
    {NULL, NULL, NULL},
};
