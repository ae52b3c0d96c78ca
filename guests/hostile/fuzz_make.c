/* SPDX-License-Identifier: MIT */
/*
 * Calls with structures as the interface wants them, filled mostly with what this guest has:
 * frames, tables, grants to itself, ports, and now and then with something wild. What is not made
 * here: the end of this guest, and what would make it deaf or mute.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/xenbus.h>

#include "fuzz.h"
#include "fuzz_pool.h"
#include "hostile.h"

#define TAKE(r, type) ((type *)fuzz_take((r), sizeof(type)))

/* ---- calls, one a function ---- */

static void make_mmu_update(struct racer *r, struct fuzz_call *c)
{
    struct mmu_update *u = fuzz_take(r, 32 * sizeof *u);
    unsigned n = fuzz_some_count(r, 8);

    for (unsigned i = 0; i < n; i++)
        u[i] = (struct mmu_update){fuzz_some_slot(r) | (race_pick(r, 4) ? 0 : race_pick(r, 4)),
                                   fuzz_some_entry(r)};
    c->a[0] = (uint64_t)u;
    c->a[1] = n;
    c->a[2] = race_pick(r, 2) ? (uint64_t)fuzz_take(r, 4) : 0;
    c->a[3] = fuzz_rarely(r) ? fuzz_wild(r) : DOMID_SELF;
}

static void make_mmuext_op(struct racer *r, struct fuzz_call *c)
{
    struct mmuext_op *op = fuzz_take(r, 32 * sizeof *op);
    unsigned n = fuzz_some_count(r, 4);

    for (unsigned i = 0; i < n; i++) {
        op[i].cmd = race_pick(r, 22);
        op[i].arg1.mfn = fuzz_some_frame(r);
        op[i].arg2.src_mfn = fuzz_some_frame(r);
        if (op[i].cmd == MMUEXT_NEW_BASEPTR) /* what maps this code, or nothing at all */
            op[i].arg1.mfn = fuzz_rarely(r) ? 1UL << 40 : virt_to_mfn(pool.roots[race_pick(r, 3)]);
        if (op[i].cmd == MMUEXT_CLEAR_PAGE || op[i].cmd == MMUEXT_COPY_PAGE)
            op[i].arg1.mfn = pool.frames[race_pick(r, PAGES)];
        if (op[i].cmd >= MMUEXT_TLB_FLUSH_LOCAL && op[i].cmd <= MMUEXT_INVLPG_ALL) {
            op[i].arg1.linear_addr = fuzz_some_address(r);
            uint64_t *mask = TAKE(r, uint64_t);

            *mask = race_random(r);
            op[i].arg2.vcpumask.p = fuzz_rarely(r) ? (void *)fuzz_wild(r) : mask;
        }
        if (op[i].cmd == MMUEXT_SET_LDT) {
            op[i].arg1.linear_addr = fuzz_some_address(r) & PAGE_MASK;
            op[i].arg2.nr_ents = race_pick(r, 4) * 700;
        }
    }
    c->a[0] = (uint64_t)op;
    c->a[1] = n;
    c->a[3] = fuzz_rarely(r) ? fuzz_wild(r) : DOMID_SELF;
}

static void make_update_va(struct racer *r, struct fuzz_call *c)
{
    c->a[0] = fuzz_some_address(r);
    c->a[1] = fuzz_some_entry(r);
    c->a[2] = race_pick(r, 4) | (race_pick(r, 2) ? UVMF_ALL : 0);
    if (race_pick(r, 4) == 0)
        c->a[2] |= (uint64_t)TAKE(r, uint64_t);
    c->a[3] = fuzz_some_domain(r);
}

/* Only its spare frames: the others are what it lives on. */
static void make_memory_op(struct racer *r, struct fuzz_call *c)
{
    static const unsigned ops[] = {
        XENMEM_populate_physmap,     XENMEM_populate_physmap, XENMEM_decrease_reservation,
        XENMEM_increase_reservation, XENMEM_exchange,         XENMEM_exchange,
        XENMEM_current_reservation,  XENMEM_maximum_gpfn,     XENMEM_add_to_physmap,
        XENMEM_remove_from_physmap,  XENMEM_machphys_mapping, XENMEM_memory_map,
        XENMEM_maximum_reservation,  XENMEM_claim_pages,      XENMEM_acquire_resource,
        XENMEM_set_memory_map};
    unsigned op = ops[race_pick(r, sizeof ops / sizeof *ops)];
    struct xen_memory_exchange *x = TAKE(r, struct xen_memory_exchange);
    xen_pfn_t *in = fuzz_take(r, 8 * sizeof *in), *out = fuzz_take(r, 8 * sizeof *out);
    unsigned order = race_pick(r, 3);

    if (c->depth && (op == XENMEM_decrease_reservation || op == XENMEM_exchange))
        op = XENMEM_current_reservation; /* nobody would note what is gone */

    for (unsigned i = 0; i < 8; i++) {
        in[i] = pool.frames[race_pick(r, PAGES)];
        out[i] = virt_to_pfn(pool.pages[race_pick(r, PAGES)]);
    }
    x->in.nr_extents = 1 + race_pick(r, 4);
    x->in.domid = x->out.domid = fuzz_some_domain(r);
    set_xen_guest_handle(x->in.extent_start, in);
    set_xen_guest_handle(x->out.extent_start, out);
    if (op == XENMEM_exchange) {
        x->in.nr_extents = 1UL << order;
        x->out.nr_extents = fuzz_rarely(r) ? fuzz_wild(r) : 1;
        x->out.extent_order = order;
        x->nr_exchanged = fuzz_rarely(r) ? fuzz_wild(r) : 0;
    } else if (op == XENMEM_populate_physmap || op == XENMEM_increase_reservation) {
        x->in.extent_order = order;
        x->in.nr_extents = 1;
    }
    c->a[0] = op | (fuzz_rarely(r) ? race_pick(r, 8) << 6 : 0);
    c->a[1] = fuzz_rarely(r) ? fuzz_wild(r) : (uint64_t)x;
}

static void make_map(struct racer *r, struct fuzz_call *c)
{
    struct gnttab_map_grant_ref *m = TAKE(r, struct gnttab_map_grant_ref);

    m->host_addr = fuzz_some_address(r) & PAGE_MASK;
    m->flags = GNTMAP_host_map | (race_pick(r, 2) ? GNTMAP_readonly : 0) |
               (race_pick(r, 4) ? 0 : GNTMAP_device_map);
    m->ref =
        fuzz_rarely(r) ? (grant_ref_t)fuzz_wild(r) : (grant_ref_t)pool.refs[race_pick(r, REFS)];
    m->dom = fuzz_rarely(r) ? fuzz_some_domain(r) : pool.self;
    if (race_pick(r, 4) == 0) {
        m->host_addr = fuzz_some_slot(r);
        m->flags |= GNTMAP_contains_pte;
    }
    c->a[0] = GNTTABOP_map_grant_ref;
    c->a[1] = (uint64_t)m;
}

static void make_unmap(struct racer *r, struct fuzz_call *c)
{
    struct gnttab_unmap_grant_ref *u = TAKE(r, struct gnttab_unmap_grant_ref);
    struct gnttab_unmap_and_replace *x = TAKE(r, struct gnttab_unmap_and_replace);

    u->handle = race_pick(r, 4) ? pool.handles[race_pick(r, 64)] : race_pick(r, 128);
    u->host_addr = race_pick(r, 4) ? fuzz_some_address(r) & PAGE_MASK : fuzz_some_slot(r);
    u->host_addr = race_pick(r, 4) ? u->host_addr : 0;
    x->handle = u->handle;
    x->host_addr = u->host_addr;
    x->new_addr = fuzz_some_address(r) & PAGE_MASK;
    c->a[0] = race_pick(r, 4) ? GNTTABOP_unmap_grant_ref : GNTTABOP_unmap_and_replace;
    c->a[1] = c->a[0] == GNTTABOP_unmap_grant_ref ? (uint64_t)u : (uint64_t)x;
}

static void make_copy(struct racer *r, struct fuzz_call *c)
{
    struct gnttab_copy *g = TAKE(r, struct gnttab_copy);

    g->flags = (uint16_t)race_pick(r, 4);
    g->len = (uint16_t)race_pick(r, 4000);
    g->source.offset = (uint16_t)race_pick(r, 128);
    g->dest.offset = (uint16_t)race_pick(r, 128);
    g->source.domid = g->flags & GNTCOPY_source_gref ? pool.self : DOMID_SELF;
    g->dest.domid = g->flags & GNTCOPY_dest_gref ? pool.self : DOMID_SELF;
    g->source.u.gmfn = fuzz_some_frame(r);
    g->dest.u.gmfn = pool.frames[race_pick(r, PAGES)];
    if (g->flags & GNTCOPY_source_gref)
        g->source.u.ref = (grant_ref_t)pool.refs[race_pick(r, REFS)];
    if (g->flags & GNTCOPY_dest_gref)
        g->dest.u.ref = (grant_ref_t)pool.refs[race_pick(r, REFS)];
    c->a[0] = GNTTABOP_copy;
    c->a[1] = (uint64_t)g;
}

static void make_grant_query(struct racer *r, struct fuzz_call *c)
{
    static const unsigned ops[] = {GNTTABOP_query_size,  GNTTABOP_setup_table,
                                   GNTTABOP_get_version, GNTTABOP_set_version,
                                   GNTTABOP_transfer,    GNTTABOP_swap_grant_ref,
                                   GNTTABOP_cache_flush, GNTTABOP_get_status_frames};
    uint32_t *words = fuzz_take(r, 64);
    void *list = fuzz_take(r, 64 * sizeof(uint64_t));

    c->a[0] = ops[race_pick(r, 8)];
    c->a[1] = (uint64_t)words;
    words[0] = c->a[0] == GNTTABOP_set_version ? 1 : fuzz_some_domain(r);
    if (c->a[0] == GNTTABOP_setup_table) {
        words[1] = fuzz_rarely(r) ? (uint32_t)fuzz_wild(r) : 1 + race_pick(r, 4);
        memcpy(&words[4], &list, sizeof list);
    } else if (c->a[0] == GNTTABOP_swap_grant_ref) {
        words[0] = (uint32_t)pool.refs[race_pick(r, REFS)];
        words[1] = (uint32_t)pool.refs[race_pick(r, REFS)];
    }
}

static void make_grant_op(struct racer *r, struct fuzz_call *c)
{
    switch (race_pick(r, 8)) {
    case 0:
    case 1:
    case 2:
        make_map(r, c);
        break;
    case 3:
    case 4:
        make_unmap(r, c);
        break;
    case 5:
    case 6:
        make_copy(r, c);
        break;
    default:
        make_grant_query(r, c);
    }
    c->a[2] = 1; /* what follows the structure is not its own */
}

static void make_event_op(struct racer *r, struct fuzz_call *c)
{
    static const unsigned ops[] = {EVTCHNOP_alloc_unbound, EVTCHNOP_bind_interdomain,
                                   EVTCHNOP_bind_virq,     EVTCHNOP_bind_ipi,
                                   EVTCHNOP_close,         EVTCHNOP_send,
                                   EVTCHNOP_status,        EVTCHNOP_unmask,
                                   EVTCHNOP_bind_vcpu,     EVTCHNOP_init_control};
    uint32_t *words = fuzz_take(r, 64);
    evtchn_port_t port = pool.ports[race_pick(r, 32)];

    c->a[0] = ops[race_pick(r, 10)];
    c->a[1] = (uint64_t)words;
    words[0] = port;
    words[1] = race_pick(r, 5);
    if (c->a[0] == EVTCHNOP_alloc_unbound) {
        words[0] = DOMID_SELF | (uint32_t)fuzz_some_domain(r) << 16;
    } else if (c->a[0] == EVTCHNOP_bind_interdomain) {
        words[0] = fuzz_some_domain(r);
        words[1] = port;
    } else if (c->a[0] == EVTCHNOP_bind_virq) {
        words[0] = race_pick(r, 26);
    } else if (c->a[0] == EVTCHNOP_bind_ipi) {
        words[0] = race_pick(r, 9);
    } else if (c->a[0] == EVTCHNOP_status) {
        words[0] = fuzz_some_domain(r);
        words[1] = port;
    }
    if (c->a[0] == EVTCHNOP_close && !port)
        c->a[0] = EVTCHNOP_unmask; /* nothing of its own to close */
}

static void make_vcpu_op(struct racer *r, struct fuzz_call *c)
{
    static const unsigned ops[] = {VCPUOP_is_up,
                                   VCPUOP_get_runstate_info,
                                   VCPUOP_register_runstate_memory_area,
                                   VCPUOP_set_periodic_timer,
                                   VCPUOP_stop_periodic_timer,
                                   VCPUOP_set_singleshot_timer,
                                   VCPUOP_stop_singleshot_timer,
                                   VCPUOP_register_vcpu_time_memory_area,
                                   VCPUOP_up};
    uint64_t *words = fuzz_take(r, 64);
    unsigned page = race_pick(r, PAGES);

    c->a[0] = ops[race_pick(r, 9)];
    c->a[1] = fuzz_rarely(r)                           ? fuzz_wild(r)
              : c->a[0] == VCPUOP_set_singleshot_timer ? r->id
                                                       : race_pick(r, 3);
    c->a[2] = (uint64_t)words;
    words[0] = fuzz_rarely(r) ? fuzz_wild(r) : clock_ns() + race_pick(r, 1000000);
    if (c->a[0] == VCPUOP_set_periodic_timer)
        words[0] = fuzz_rarely(r) ? fuzz_wild(r) : 1000000 + race_pick(r, 1000000);
    else if (c->a[0] == VCPUOP_register_runstate_memory_area)
        words[0] = fuzz_is_harmless(pool.entries[page]) ? SCRATCH + page * PAGE_SIZE : 0;
}

static void make_sched_op(struct racer *r, struct fuzz_call *c)
{
    struct sched_poll *p = TAKE(r, struct sched_poll);
    evtchn_port_t *list = fuzz_take(r, 8 * sizeof *list);

    c->a[0] = race_pick(r, 2) ? SCHEDOP_yield : SCHEDOP_poll;
    c->a[1] = (uint64_t)p;
    p->nr_ports = fuzz_rarely(r) ? (unsigned)fuzz_wild(r) : race_pick(r, 8);
    p->timeout = clock_ns() + 1; /* never waits for long */
    for (unsigned i = 0; i < 8; i++)
        list[i] = pool.ports[race_pick(r, 32)];
    set_xen_guest_handle(p->ports, list);
}

static uint64_t some_descriptor(struct racer *r)
{
    static const uint64_t descriptors[] = {0,
                                           0x00cff2000000ffffUL,
                                           0x00affa000000ffffUL,
                                           0x0000890000000067UL,
                                           0x0000ec0000000000UL,
                                           0x00cf92000000ffffUL};

    return fuzz_rarely(r) ? race_random(r) : descriptors[race_pick(r, 6)];
}

static void make_descriptor(struct racer *r, struct fuzz_call *c)
{
    xen_pfn_t *list = fuzz_take(r, 14 * sizeof *list);

    if (c->nr == __HYPERVISOR_update_descriptor) {
        c->a[0] = pool.frames[race_pick(r, PAGES)] << PAGE_SHIFT | race_pick(r, 512) * 8;
        c->a[1] = some_descriptor(r);
        return;
    }
    for (unsigned i = 0; i < 14; i++)
        list[i] = fuzz_rarely(r) ? fuzz_some_frame(r) : pool.frames[race_pick(r, PAGES)];
    c->a[0] = (uint64_t)list;
    c->a[1] = fuzz_rarely(r) ? fuzz_wild(r) : race_pick(r, 14 * 512);
}

static void make_multicall(struct racer *r, struct fuzz_call *c)
{
    struct multicall_entry *m = fuzz_take(r, 4 * sizeof *m);
    unsigned n = 1 + race_pick(r, 4);

    for (unsigned i = 0; i < n; i++) {
        struct fuzz_call member = {.depth = 1};

        fuzz_make(r, &member);
        m[i].op = member.nr;
        for (unsigned k = 0; k < 4; k++)
            m[i].args[k] = member.a[k];
    }
    c->a[0] = (uint64_t)m;
    c->a[1] = n;
}

/* Small ones: numbers, and a buffer. */
static void make_small(struct racer *r, struct fuzz_call *c)
{
    c->a[0] = race_pick(r, 8);
    c->a[1] = fuzz_rarely(r) ? fuzz_wild(r) : (uint64_t)fuzz_take(r, 1024);
    switch (c->nr) {
    case __HYPERVISOR_set_segment_base: /* GS is what the runtime finds its vCPU by */
        c->a[0] = SEGBASE_FS;
        c->a[1] = fuzz_rarely(r) ? fuzz_wild(r) : fuzz_some_address(r);
        break;
    case __HYPERVISOR_set_debugreg:
        c->a[1] = c->a[0] < 4 ? fuzz_some_address(r) : 0;
        break;
    case __HYPERVISOR_vm_assist:
        c->a[1] = c->a[0];
        c->a[0] = race_pick(r, 2);
        break;
    case __HYPERVISOR_set_timer_op:
        c->a[0] = fuzz_rarely(r) ? fuzz_wild(r) : clock_ns() + race_pick(r, 1000000);
        break;
    case __HYPERVISOR_physdev_op:
        c->a[0] = race_pick(r, 32);
        break;
    default:
        break;
    }
}

static const struct {
    unsigned nr, weight;
    void (*make)(struct racer *r, struct fuzz_call *c);
} makers[] = {
    {__HYPERVISOR_mmu_update, 10, make_mmu_update},
    {__HYPERVISOR_mmuext_op, 8, make_mmuext_op},
    {__HYPERVISOR_update_va_mapping, 8, make_update_va},
    {__HYPERVISOR_update_va_mapping_otherdomain, 1, make_update_va},
    {__HYPERVISOR_memory_op, 6, make_memory_op},
    {__HYPERVISOR_grant_table_op, 10, make_grant_op},
    {__HYPERVISOR_event_channel_op, 6, make_event_op},
    {__HYPERVISOR_multicall, 4, make_multicall},
    {__HYPERVISOR_vcpu_op, 4, make_vcpu_op},
    {__HYPERVISOR_sched_op, 2, make_sched_op},
    {__HYPERVISOR_update_descriptor, 3, make_descriptor},
    {__HYPERVISOR_set_gdt, 2, make_descriptor},
    {__HYPERVISOR_set_segment_base, 1, make_small},
    {__HYPERVISOR_set_debugreg, 1, make_small},
    {__HYPERVISOR_get_debugreg, 1, make_small},
    {__HYPERVISOR_xen_version, 1, make_small},
    {__HYPERVISOR_vm_assist, 1, make_small},
    {__HYPERVISOR_set_timer_op, 1, make_small},
    {__HYPERVISOR_physdev_op, 1, make_small},
    {__HYPERVISOR_fpu_taskswitch, 1, make_small},
};

void fuzz_make(struct racer *r, struct fuzz_call *c)
{
    const unsigned count = sizeof makers / sizeof *makers;
    unsigned sum = 0, at, i;

    for (i = 0; i < count; i++)
        sum += makers[i].weight;
    do {
        at = race_pick(r, sum);
        for (i = 0; at >= makers[i].weight; i++)
            at -= makers[i].weight;
    } while (c->depth && makers[i].nr == __HYPERVISOR_multicall);
    c->nr = makers[i].nr;
    memset(c->a, 0, sizeof c->a);
    makers[i].make(r, c);
}
