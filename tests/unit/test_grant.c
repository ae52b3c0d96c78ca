/* SPDX-License-Identifier: MIT */
/*
 * Grant tables on the real memory code: domain 1 maps what domain 2 grants, with simulated hardware
 * that shows whether a mapping, or a stale translation of one, is still there. Random work at the
 * end; every test ends with the audit and the count of frames.
 */
#include "tests/unit/shadow_world.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "mm/heap.h"
#include "tests/unit/fake_domain.h"
#include <xen/grant_table.h>

#define VA(n) va_of(3, 1, 2, (n))
#define L4    10
#define L1    13

#define MAPPER  1
#define GRANTER 2

static unsigned preempt_after; /* so many questions are answered with no; 0: always no */

bool hypercall_preempt(void)
{
    return preempt_after && --preempt_after == 0;
}

static struct vcpu *mapper(void)
{
    struct vcpu *v = &fake_domain[MAPPER].v[0];
    v->paging = w.v[0];
    return v;
}

static struct vcpu *granter(void)
{
    return &fake_domain[GRANTER].v[0];
}

static int start(void **state)
{
    (void)state;
    preempt_after = 0;
    world_start(32);
    build_tree(L4, VA(0));
    set_root(0, L4);
    fake_domain_add(MAPPER, 1)->paging = w.p;
    fake_domain_add(GRANTER, 1)->paging = w.other;
    assert_int_equal(grant_domain_init(&fake_domain[MAPPER].d, 4, 1), 0);
    assert_int_equal(grant_domain_init(&fake_domain[GRANTER].d, 4, 1), 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    preempt_after = 0;
    for (unsigned id = MAPPER; id <= GRANTER; id++) {
        if (!fake_domain[id].d.refs)
            continue;
        assert_int_equal(grant_domain_release(&fake_domain[id].d), 0);
        assert_int_equal(grant_map_count(&fake_domain[id].d), 0);
    }
    for (unsigned id = MAPPER; id <= GRANTER; id++) {
        grant_domain_free(&fake_domain[id].d);
        if (fake_domain[id].d.refs)
            fake_domain_remove(id);
    }
    world_stop();
    return 0;
}

/* ---- the granter's side ---- */

static struct grant_entry_v1 *entry(uint32_t ref)
{
    mfn_t mfn = grant_table_frame(&fake_domain[GRANTER].d, ref / 512);
    assert_true(mfn_valid(mfn));
    return (struct grant_entry_v1 *)frame_map(mfn) + ref % 512;
}

static void grant(uint32_t ref, domid_t to, uint32_t gfn, uint16_t flags)
{
    *entry(ref) =
        (struct grant_entry_v1){.flags = GTF_permit_access | flags, .domid = to, .frame = gfn};
}

static uint16_t flags_of(uint32_t ref)
{
    return entry(ref)->flags & (GTF_reading | GTF_writing);
}

static mfn_t granted_mfn(uint64_t gfn)
{
    return p2m_lookup(w.other, gfn_of(gfn)).mfn;
}

/* ---- hypercalls ---- */

static long call(struct vcpu *v, unsigned cmd, void *ops, unsigned count)
{
    struct hypercall c = {.arg = {cmd, (uint64_t)ops, count}};
    return hypercall_grant_table_op(v, &c);
}

static struct gnttab_map_grant_ref map(uint64_t host_addr, uint32_t ref, uint32_t flags)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = host_addr, .flags = flags, .ref = ref, .dom = GRANTER, .status = 99};
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, &op, 1), 0);
    return op;
}

static int unmap(uint64_t host_addr, uint64_t dev_bus_addr, uint32_t handle)
{
    struct gnttab_unmap_grant_ref op = {
        .host_addr = host_addr, .dev_bus_addr = dev_bus_addr, .handle = handle, .status = 99};
    assert_int_equal(call(mapper(), GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

static void expect_frame(uint64_t va, enum access how, mfn_t mfn)
{
    struct result r = cpu_access(0, va, how);

    assert_int_equal(r.outcome, OK);
    assert_int_equal(r.mfn.n, mfn.n);
    check_world();
}

static void expect_nothing(uint64_t va)
{
    assert_int_equal(cpu_access(0, va, READ).outcome, GUEST_FAULT);
    check_world();
}

/* ---- map and unmap ---- */

static void test_map_and_unmap(void **state)
{
    struct gnttab_map_grant_ref op;
    uint32_t refs = frame_of(granted_mfn(20))->refs;
    (void)state;
    grant(9, MAPPER, 20, 0);
    op = map(VA(4), 9, GNTMAP_host_map);
    assert_int_equal(op.status, GNTST_okay);
    expect_frame(VA(4), WRITE, granted_mfn(20));
    assert_int_equal(flags_of(9), GTF_reading | GTF_writing);
    assert_int_equal(frame_of(granted_mfn(20))->refs, refs + 1);
    assert_int_equal(frame_of(granted_mfn(20))->writers, 1);
    assert_int_equal(grant_map_count(&fake_domain[MAPPER].d), 1);
    assert_int_equal(fake_domain[GRANTER].d.refs, 2);
    assert_int_equal(op.dev_bus_addr >> PAGE_SHIFT,
                     (peek(L1, 4) & PTE_ADDR) >> PAGE_SHIFT); /* no machine address */
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_okay);
    expect_nothing(VA(4)); /* the hardware had it cached */
    assert_true(peek(L1, 4) == 0);
    assert_int_equal(flags_of(9), 0);
    assert_int_equal(frame_of(granted_mfn(20))->refs, refs);
    assert_int_equal(frame_of(granted_mfn(20))->writers, 0);
    assert_int_equal(fake_domain[GRANTER].d.refs, 1);
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_bad_handle);
}

static void test_readonly(void **state)
{
    struct gnttab_map_grant_ref op;
    (void)state;
    grant(9, MAPPER, 20, GTF_readonly);
    assert_int_equal(map(VA(4), 9, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(flags_of(9), 0);
    op = map(VA(4), 9, GNTMAP_host_map | GNTMAP_readonly);
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(flags_of(9), GTF_reading);
    assert_int_equal(frame_of(granted_mfn(20))->writers, 0);
    expect_frame(VA(4), READ, granted_mfn(20));
    assert_int_equal(peek(L1, 4) & RW, 0);
    assert_int_equal(cpu_access(0, VA(4), WRITE).outcome, GUEST_FAULT);
    /* Nor through an entry that the guest writes itself. */
    update(L1, 5, peek(L1, 4) | RW | D);
    expect_frame(VA(5), READ, granted_mfn(20));
    assert_int_not_equal(cpu_access(0, VA(5), WRITE).outcome, OK);
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_okay);
    assert_int_not_equal(cpu_access(0, VA(5), READ).outcome,
                         OK); /* every copy of the alias ended */
    update(L1, 5, 0);
}

static void test_contains_pte(void **state)
{
    uint64_t pte = (uint64_t)L1 << PAGE_SHIFT | 4 * 8;
    struct gnttab_map_grant_ref op;
    (void)state;
    grant(9, MAPPER, 20, 0);
    assert_int_equal(map(pte + 1, 9, GNTMAP_host_map | GNTMAP_contains_pte).status,
                     GNTST_general_error);
    assert_int_equal(map(0xfff000, 9, GNTMAP_host_map | GNTMAP_contains_pte).status,
                     GNTST_general_error);
    assert_int_equal(map(1UL << 60, 9, GNTMAP_host_map | GNTMAP_contains_pte).status,
                     GNTST_general_error);
    assert_int_equal(flags_of(9), 0);
    op = map(pte, 9, GNTMAP_host_map | GNTMAP_contains_pte | 5U << 16);
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(peek(L1, 4) >> 9 & 7, 5); /* the guest's own bits */
    expect_frame(VA(4), WRITE, granted_mfn(20));
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_general_error);
    assert_int_equal(unmap(pte + 8, 0, op.handle), GNTST_general_error);
    expect_frame(VA(4), WRITE, granted_mfn(20));
    assert_int_equal(unmap(pte, 0, op.handle), GNTST_okay);
    expect_nothing(VA(4));
}

/* Whatever is wrong, nothing is left behind (stop() looks), and the status tells. */
static void test_refusals(void **state)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = VA(4), .flags = GNTMAP_host_map, .ref = 9, .dom = 7};
    (void)state;
    grant(9, MAPPER, 20, 0);
    grant(10, 5, 20, 0);        /* for another domain */
    grant(11, MAPPER, 9999, 0); /* no such frame */
    *entry(12) =
        (struct grant_entry_v1){.flags = GTF_accept_transfer, .domid = MAPPER, .frame = 20};
    grant(13, MAPPER, 20, GTF_sub_page);
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, &op, 1), 0);
    assert_int_equal(op.status, GNTST_bad_domain);
    op.dom = DOMID_SELF;
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, &op, 1), 0);
    assert_int_equal(op.status, GNTST_bad_domain);
    assert_int_equal(map(VA(4), 9, 0).status, GNTST_bad_gntref);
    assert_int_equal(map(VA(4), 8, GNTMAP_host_map).status, GNTST_general_error); /* unused */
    assert_int_equal(map(VA(4), 10, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(map(VA(4), 11, GNTMAP_host_map).status, GNTST_bad_page);
    assert_int_equal(flags_of(11), 0);
    assert_int_equal(map(VA(4), 12, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(map(VA(4), 13, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(map(VA(4), 512, GNTMAP_host_map).status,
                     GNTST_bad_gntref); /* the table has one frame */
    assert_int_equal(map(VA(4), UINT32_MAX, GNTMAP_host_map).status, GNTST_bad_gntref);
    assert_int_equal(map(va_of(7, 7, 7, 7), 9, GNTMAP_host_map).status,
                     GNTST_general_error); /* no L1 there */
    assert_int_equal(map(0xffff800000000000, 9, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(map(0x1234000000000000, 9, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(flags_of(9), 0);
    assert_int_equal(frame_of(granted_mfn(20))->refs, 1);
    assert_int_equal(grant_map_count(&fake_domain[MAPPER].d), 0);
    assert_int_equal(unmap(VA(4), 0, 0), GNTST_bad_handle);
    assert_int_equal(unmap(VA(4), 0, UINT32_MAX), GNTST_bad_handle);
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, (void *)8, 1), -XEN_EFAULT);
    assert_int_equal(call(mapper(), GNTTABOP_unmap_grant_ref, (void *)8, 1), -XEN_EFAULT);
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, &op, 0x80000000U), -XEN_EINVAL);
    assert_int_equal(call(mapper(), GNTTABOP_dump_table, &op, 1), -XEN_ENOSYS);
    assert_int_equal(call(mapper(), 77, &op, 1), -XEN_ENOSYS);
    assert_int_equal(call(mapper(), GNTTABOP_map_grant_ref, NULL, 0), 0);
}

static void test_wrong_unmaps(void **state)
{
    struct gnttab_map_grant_ref a, b;
    (void)state;
    grant(9, MAPPER, 20, 0);
    grant(10, MAPPER, 21, 0);
    a = map(VA(4), 9, GNTMAP_host_map);
    b = map(VA(5), 10, GNTMAP_host_map);
    assert_int_equal(unmap(VA(5), 0, a.handle), GNTST_general_error);
    assert_int_equal(unmap(VA(6), 0, a.handle), GNTST_general_error);
    assert_int_equal(unmap(0, 0, a.handle), GNTST_okay); /* asks for nothing */
    expect_frame(VA(4), WRITE, granted_mfn(20));
    expect_frame(VA(5), WRITE, granted_mfn(21));
    assert_int_equal(unmap(VA(4), 0, a.handle), GNTST_okay);
    assert_int_equal(unmap(VA(5), 0, b.handle), GNTST_okay);
}

static void test_device_maps(void **state)
{
    struct gnttab_map_grant_ref op;
    (void)state;
    grant(9, MAPPER, 20, 0);
    op = map(VA(4), 9, GNTMAP_host_map | GNTMAP_device_map);
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_okay);
    assert_int_equal(flags_of(9), GTF_reading | GTF_writing); /* the device has it still */
    assert_int_equal(unmap(0, op.dev_bus_addr + PAGE_SIZE, op.handle), GNTST_bad_dev_addr);
    assert_int_equal(unmap(0, op.dev_bus_addr, op.handle), GNTST_okay);
    assert_int_equal(flags_of(9), 0);
    op = map(0, 9, GNTMAP_device_map); /* no virtual address at all */
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(unmap(0, op.dev_bus_addr, op.handle), GNTST_okay);
    assert_int_equal(unmap(0, op.dev_bus_addr, op.handle), GNTST_bad_handle);
}

/* The control domain programs devices: it gets the machine address. */
static void test_bus_address_of_the_direct_domain(void **state)
{
    struct gnttab_map_grant_ref op;
    (void)state;
    w.p->flags |= PAGING_DIRECT;
    grant(9, MAPPER, 20, 0);
    op = map(0, 9, GNTMAP_device_map);
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(op.dev_bus_addr, mfn_to_maddr(granted_mfn(20)));
    assert_int_equal(unmap(0, op.dev_bus_addr, op.handle), GNTST_okay);
    w.p->flags &= ~PAGING_DIRECT;
}

static void test_an_entry_mapped_twice(void **state)
{
    struct gnttab_map_grant_ref a, b, c;
    (void)state;
    grant(9, MAPPER, 20, 0);
    a = map(VA(4), 9, GNTMAP_host_map | GNTMAP_readonly);
    assert_int_equal(flags_of(9), GTF_reading);
    b = map(VA(5), 9, GNTMAP_host_map);
    assert_int_equal(flags_of(9), GTF_reading | GTF_writing);
    c = map(VA(6), 9, GNTMAP_host_map);
    assert_int_equal(unmap(VA(5), 0, b.handle), GNTST_okay);
    assert_int_equal(flags_of(9), GTF_reading | GTF_writing);
    assert_int_equal(unmap(VA(6), 0, c.handle), GNTST_okay);
    assert_int_equal(flags_of(9), GTF_reading);
    /* The granter closes the entry for writing meanwhile. */
    entry(9)->flags |= GTF_readonly;
    assert_int_equal(map(VA(5), 9, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(flags_of(9), GTF_reading);
    assert_int_equal(unmap(VA(4), 0, a.handle), GNTST_okay);
    assert_int_equal(flags_of(9), 0);
}

/* A granter that changes an entry in use changes nothing about who may use it and which frame it
 * is. */
static void test_a_changed_entry(void **state)
{
    struct gnttab_map_grant_ref a, b;
    (void)state;
    grant(9, MAPPER, 20, 0);
    a = map(VA(4), 9, GNTMAP_host_map);
    entry(9)->frame = 21;
    b = map(VA(5), 9, GNTMAP_host_map);
    expect_frame(VA(5), WRITE, granted_mfn(20));
    assert_int_equal(unmap(VA(5), 0, b.handle), GNTST_okay);
    assert_int_equal(unmap(VA(4), 0, a.handle), GNTST_okay);
    b = map(VA(5), 9, GNTMAP_host_map);
    expect_frame(VA(5), WRITE, granted_mfn(21));
    /* Nor who: another domain of the same entry's new user is refused while the first one has it.
     */
    entry(9)->domid = GRANTER;
    struct gnttab_map_grant_ref own = {.flags = GNTMAP_device_map, .ref = 9, .dom = GRANTER};
    assert_int_equal(call(granter(), GNTTABOP_map_grant_ref, &own, 1), 0);
    assert_int_equal(own.status, GNTST_general_error);
    assert_int_equal(unmap(VA(5), 0, b.handle), GNTST_okay);
    assert_int_equal(call(granter(), GNTTABOP_map_grant_ref, &own, 1), 0);
    assert_int_equal(own.status, GNTST_okay); /* its own: allowed, as in Xen */
}

static void test_unmap_and_replace(void **state)
{
    struct gnttab_unmap_and_replace op = {.host_addr = VA(4), .new_addr = VA(5)};
    struct gnttab_map_grant_ref m;
    (void)state;
    grant(9, MAPPER, 20, 0);
    poke(L1, 5, 30, FULL);
    m = map(VA(4), 9, GNTMAP_host_map);
    op.handle = m.handle;
    expect_frame(VA(4), WRITE, granted_mfn(20));
    assert_int_equal(call(mapper(), GNTTABOP_unmap_and_replace, &op, 1), 0);
    assert_int_equal(op.status, GNTST_okay);
    expect_frame(VA(4), WRITE, p2m_lookup(w.p, gfn_of(30)).mfn);
    expect_nothing(VA(5));
    assert_int_equal(flags_of(9), 0);
    /* Not for an entry that was given by its address. */
    m = map((uint64_t)L1 << PAGE_SHIFT | 6 * 8, 9, GNTMAP_host_map | GNTMAP_contains_pte);
    op = (struct gnttab_unmap_and_replace){
        .host_addr = (uint64_t)L1 << PAGE_SHIFT | 6 * 8, .new_addr = VA(4), .handle = m.handle};
    assert_int_equal(call(mapper(), GNTTABOP_unmap_and_replace, &op, 1), 0);
    assert_int_equal(op.status, GNTST_general_error);
    assert_int_equal(unmap(op.host_addr, 0, m.handle), GNTST_okay);
}

/* Free frames and the heap, as they were if nobody kept tables at their largest need. */
static void memory(uint64_t *frames, uint64_t *heap, uint64_t *kept)
{
    struct paging_counters m, g;

    paging_get_counters(w.p, &m);
    paging_get_counters(w.other, &g);
    *kept = grant_handle_pages(&fake_domain[MAPPER].d) + m.window_pages + g.window_pages;
    *frames = frame_free_count() + *kept + m.pool_frames + g.pool_frames;
    *heap = heap_used_bytes() - *kept * PAGE_SIZE;
}

static void test_handles_run_out(void **state)
{
    struct gnttab_map_grant_ref op[200];
    uint64_t frames[2], heap[2], kept[2];
    unsigned count = 0;
    (void)state;
    grant(9, MAPPER, 20, 0);
    memory(&frames[0], &heap[0], &kept[0]);
    do
        op[count] = map(0, 9, GNTMAP_device_map);
    while (op[count].status == GNTST_okay && ++count < 200);
    assert_in_range(count, 50, 199); /* one page of handles */
    assert_int_equal(op[count].status, GNTST_no_space);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(op[i].handle, op[j].handle);
    assert_int_equal(unmap(0, op[7].dev_bus_addr, op[7].handle), GNTST_okay);
    op[7] = map(0, 9, GNTMAP_device_map);
    assert_int_equal(op[7].status, GNTST_okay);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(unmap(0, op[i].dev_bus_addr, op[i].handle), GNTST_okay);
    assert_int_equal(flags_of(9), 0);
    memory(&frames[1], &heap[1], &kept[1]);
    assert_int_equal(frames[1], frames[0]);
    assert_int_equal(heap[1], heap[0]);
    assert_in_range(kept[1], kept[0] + 1, kept[0] + 3);
}

/* One flush for many unmaps, and none that is not needed. */
static void test_batches_share_a_flush(void **state)
{
    struct gnttab_map_grant_ref m[30];
    struct gnttab_unmap_grant_ref u[30] = {0};
    unsigned before;
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        grant(i, MAPPER, 20 + i, 0);
        m[i] = map(VA(i + 100), i, GNTMAP_host_map);
        assert_int_equal(m[i].status, GNTST_okay);
        expect_frame(VA(i + 100), WRITE, granted_mfn(20 + i));
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = VA(i + 100), .handle = m[i].handle};
    }
    fake.pcpu = 0;
    before = fake.flushes[0];
    assert_int_equal(call(mapper(), GNTTABOP_unmap_grant_ref, u, 30), 0);
    assert_int_equal(fake.flushes[0], before + 1);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(u[i].status, GNTST_okay);
        expect_nothing(VA(i + 100));
    }
}

static void test_continuation(void **state)
{
    struct gnttab_map_grant_ref m[100] = {0};
    struct gnttab_unmap_grant_ref u[100] = {0};
    struct hypercall c = {.arg = {GNTTABOP_map_grant_ref, (uint64_t)m, 70}};
    unsigned rounds = 0;
    (void)state;
    grant(9, MAPPER, 20, 0);
    for (unsigned i = 0; i < 70; i++)
        m[i] = (struct gnttab_map_grant_ref){.flags = GNTMAP_device_map, .ref = 9, .dom = GRANTER};
    do
        preempt_after = 7;
    while (++rounds < 100 && hypercall_grant_table_op(mapper(), &c) == -XEN_ERESTART);
    assert_in_range(rounds, 9, 15);
    for (unsigned i = 0; i < 70; i++) {
        assert_int_equal(m[i].status, GNTST_okay);
        assert_int_equal(m[i].handle, i);
        u[i] = (struct gnttab_unmap_grant_ref){
            .dev_bus_addr = m[i].dev_bus_addr, .handle = m[i].handle, .status = 9};
    }
    c = (struct hypercall){.arg = {GNTTABOP_unmap_grant_ref, (uint64_t)u, 70}};
    rounds = 0;
    do
        preempt_after = 1;
    while (++rounds < 100 && hypercall_grant_table_op(mapper(), &c) == -XEN_ERESTART);
    assert_int_equal(rounds, 3);
    for (unsigned i = 0; i < 70; i++)
        assert_int_equal(u[i].status, GNTST_okay);
}

/* S4: a frame that is granted writable is no page table while it is mapped. */
static void test_a_granted_page_table(void **state)
{
    struct paging_vcpu pv;
    struct gnttab_map_grant_ref op;
    (void)state;
    paging_vcpu_init(w.other, &pv);
    ((uint64_t *)frame_map(granted_mfn(20)))[1] = 21UL << PAGE_SHIFT | FULL;
    paging_lock(w.other);
    assert_int_equal(shadow_set_kernel_root(w.other, &pv, gfn_of(20)), 0);
    assert_true(mfn_valid(shadow_root(w.other, &pv)));
    assert_int_equal(p2m_record(w.other, 20)->live, 1);
    paging_unlock(w.other);
    grant(9, MAPPER, 20, 0);
    op = map(VA(4), 9, GNTMAP_host_map);
    assert_int_equal(op.status, GNTST_okay);
    assert_int_equal(p2m_record(w.other, 20)->live, 0);
    expect_frame(VA(4), WRITE, granted_mfn(20));
    assert_int_equal(unmap(VA(4), 0, op.handle), GNTST_okay);
    paging_vcpu_release(w.other, &pv);
}

/* ---- copies ---- */

static char *page_of(struct paging *p, uint64_t gfn)
{
    return frame_map(p2m_lookup(p, gfn_of(gfn)).mfn);
}

static int copy(struct gnttab_copy op)
{
    op.status = 99;
    assert_int_equal(call(mapper(), GNTTABOP_copy, &op, 1), 0);
    return op.status;
}

static void test_copies(void **state)
{
    struct gnttab_copy op = {.source = {.u.ref = 9, .domid = GRANTER, .offset = 100},
                             .dest = {.u.gmfn = 30, .domid = DOMID_SELF, .offset = 4000},
                             .len = 96,
                             .flags = GNTCOPY_source_gref};
    (void)state;
    grant(9, MAPPER, 20, GTF_readonly);
    grant(10, MAPPER, 21, 0);
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        page_of(w.other, 20)[i] = (char)(i * 7);
        page_of(w.p, 30)[i] = 1;
    }
    assert_int_equal(copy(op), GNTST_okay);
    assert_memory_equal(page_of(w.p, 30) + 4000, page_of(w.other, 20) + 100, 96);
    assert_int_equal(page_of(w.p, 30)[3999], 1);
    assert_int_equal(flags_of(9), 0);
    assert_int_equal(frame_of(granted_mfn(20))->refs, 1);
    op.len = 97;
    assert_int_equal(copy(op), GNTST_bad_copy_arg);
    op.len = UINT16_MAX;
    op.dest.offset = UINT16_MAX;
    assert_int_equal(copy(op), GNTST_bad_copy_arg);
    op.len = 0;
    op.dest.offset = PAGE_SIZE;
    assert_int_equal(copy(op), GNTST_okay);
    /* From one grant to another. */
    op = (struct gnttab_copy){.source = {.u.ref = 9, .domid = GRANTER},
                              .dest = {.u.ref = 10, .domid = GRANTER},
                              .len = PAGE_SIZE,
                              .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};
    assert_int_equal(copy(op), GNTST_okay);
    assert_memory_equal(page_of(w.other, 21), page_of(w.other, 20), PAGE_SIZE);
    op.dest.u.ref = 9; /* read-only */
    op.source.u.ref = 10;
    assert_int_equal(copy(op), GNTST_general_error);
    assert_int_equal(flags_of(10), 0);
    /* Overlapping in one frame. */
    op = (struct gnttab_copy){.source = {.u.gmfn = 30, .domid = DOMID_SELF, .offset = 4000},
                              .dest = {.u.gmfn = 30, .domid = DOMID_SELF, .offset = 3990},
                              .len = 96};
    assert_int_equal(copy(op), GNTST_okay);
    assert_memory_equal(page_of(w.p, 30) + 3990, page_of(w.other, 20) + 100, 96);
}

static void test_copy_refusals(void **state)
{
    struct gnttab_copy op = {.source = {.u.gmfn = 20, .domid = GRANTER},
                             .dest = {.u.gmfn = 30, .domid = DOMID_SELF},
                             .len = 8};
    (void)state;
    assert_int_equal(copy(op), GNTST_permission_denied); /* another domain's frame by number */
    op.source.domid = DOMID_SELF;
    op.source.u.gmfn = 5000;
    assert_int_equal(copy(op), GNTST_bad_page);
    op.source.u.gmfn = ~0UL;
    assert_int_equal(copy(op), GNTST_bad_page);
    op.source.u.gmfn = 30;
    op.dest.u.gmfn = 5000;
    assert_int_equal(copy(op), GNTST_bad_page);
    op.dest.u.gmfn = fake_domain[MAPPER].d.paging->window_limit + GFN_WINDOW;
    assert_int_equal(copy(op), GNTST_bad_page);
    op.dest.u.gmfn = 30;
    op.flags = GNTCOPY_source_gref;
    op.source.u.ref = 3;
    op.source.domid = 7;
    assert_int_equal(copy(op), GNTST_bad_domain);
    op.source.domid = GRANTER;
    assert_int_equal(copy(op), GNTST_general_error);
    op.source.u.ref = 512;
    assert_int_equal(copy(op), GNTST_bad_gntref);
    grant(3, MAPPER, 5000, 0);
    op.source.u.ref = 3;
    assert_int_equal(copy(op), GNTST_bad_page);
    assert_int_equal(flags_of(3), 0);
    assert_int_equal(fake_domain[GRANTER].d.refs, 1);
    assert_int_equal(fake_domain[MAPPER].d.refs, 1);
}

/* ---- the rest ---- */

static void test_setup_and_queries(void **state)
{
    xen_pfn_t list[8] = {0};
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 3};
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct gnttab_set_version sv = {.version = 1};
    struct gnttab_get_version gv = {.dom = DOMID_SELF};
    struct gnttab_get_status_frames gs = {.dom = DOMID_SELF};
    (void)state;
    s.frame_list.p = list;
    assert_int_equal(call(granter(), GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.status, GNTST_okay);
    assert_int_equal(q.nr_frames, 1);
    assert_int_equal(q.max_nr_frames, 4);
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_okay);
    for (unsigned i = 0; i < 3; i++) {
        struct p2m_ref ref = p2m_lookup(w.other, gfn_of(list[i]));
        assert_int_equal(ref.type, P2M_SPECIAL);
        assert_int_equal(ref.mfn.n, grant_table_frame(&fake_domain[GRANTER].d, i).n);
    }
    assert_int_equal(list[3], 0);
    s.nr_frames = 5;
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.nr_frames = UINT32_MAX;
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.nr_frames = 2;
    s.frame_list.p = (void *)8;
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_bad_virt_addr);
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 2), -XEN_EINVAL);
    s.dom = MAPPER;
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_permission_denied);
    s.dom = 7;
    assert_int_equal(call(granter(), GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_bad_domain);
    assert_false(mfn_valid(grant_table_frame(&fake_domain[GRANTER].d, 4)));
    assert_false(mfn_valid(grant_table_frame(&fake_domain[GRANTER].d, UINT32_MAX)));

    assert_int_equal(call(granter(), GNTTABOP_set_version, &sv, 1), 0);
    sv.version = 2;
    assert_int_equal(call(granter(), GNTTABOP_set_version, &sv, 1), -XEN_ENOSYS);
    assert_int_equal(sv.version, 1);
    sv.version = 3;
    assert_int_equal(call(granter(), GNTTABOP_set_version, &sv, 1), -XEN_EINVAL);
    assert_int_equal(call(granter(), GNTTABOP_get_version, &gv, 1), 0);
    assert_int_equal(gv.version, 1);
    gv.dom = MAPPER;
    assert_int_equal(call(granter(), GNTTABOP_get_version, &gv, 1), -XEN_EPERM);
    gv.dom = 7;
    assert_int_equal(call(granter(), GNTTABOP_get_version, &gv, 1), -XEN_ESRCH);
    assert_int_equal(call(granter(), GNTTABOP_get_status_frames, &gs, 1), 0);
    assert_int_equal(gs.status, GNTST_general_error);
}

static void test_swap_transfer_flush(void **state)
{
    struct gnttab_swap_grant_ref sw = {.ref_a = 9, .ref_b = 10};
    struct gnttab_transfer tr = {.mfn = 30, .domid = GRANTER, .ref = 1};
    struct gnttab_cache_flush cf = {.offset = 0, .length = 64, .op = GNTTAB_CACHE_CLEAN};
    struct gnttab_map_grant_ref m;
    (void)state;
    grant(9, MAPPER, 20, 0);
    grant(10, 5, 21, GTF_readonly);
    assert_int_equal(call(granter(), GNTTABOP_swap_grant_ref, &sw, 1), 0);
    assert_int_equal(sw.status, GNTST_okay);
    assert_int_equal(entry(10)->frame, 20);
    assert_int_equal(entry(9)->domid, 5);
    m = map(VA(4), 10, GNTMAP_host_map);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(call(granter(), GNTTABOP_swap_grant_ref, &sw, 1), 0);
    assert_int_equal(sw.status, GNTST_eagain);
    unmap(VA(4), 0, m.handle);
    sw.ref_b = 512;
    assert_int_equal(call(granter(), GNTTABOP_swap_grant_ref, &sw, 1), 0);
    assert_int_equal(sw.status, GNTST_bad_gntref);
    assert_int_equal(call(mapper(), GNTTABOP_transfer, &tr, 1), 0);
    assert_int_equal(tr.status, GNTST_bad_page); /* and the page is still the caller's */
    assert_int_equal(p2m_lookup(w.p, gfn_of(30)).type, P2M_RAM);
    assert_int_equal(call(mapper(), GNTTABOP_cache_flush, &cf, 1), 0);
    cf.length = PAGE_SIZE + 1;
    assert_int_equal(call(mapper(), GNTTABOP_cache_flush, &cf, 1), -XEN_EINVAL);
    cf.length = 1;
    cf.op = GNTTAB_CACHE_SOURCE_GREF;
    assert_int_equal(call(mapper(), GNTTABOP_cache_flush, &cf, 1), -XEN_EOPNOTSUPP);
}

/* ---- death ---- */

static void test_the_mapper_dies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 80; i++) {
        grant(i, MAPPER, 20 + i % 40, 0);
        assert_int_equal(
            map(i % 2 ? VA(i) : 0, i, i % 2 ? GNTMAP_host_map : GNTMAP_device_map).status,
            GNTST_okay);
    }
    fake_domain[MAPPER].d.dying = true;
    preempt_after = 2;
    assert_int_equal(grant_domain_release(&fake_domain[MAPPER].d), -XEN_ERESTART);
    preempt_after = 0;
    assert_int_equal(grant_domain_release(&fake_domain[MAPPER].d), 0);
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(flags_of(i), 0);
    assert_int_equal(fake_domain[GRANTER].d.refs, 1);
}

/* The granter's memory is torn down while it is mapped: the frames stay until the unmap, and the
 * entry too. */
static void test_the_granter_dies(void **state)
{
    struct gnttab_map_grant_ref m;
    mfn_t mfn = granted_mfn(20), got;
    uint64_t free_before;
    (void)state;
    grant(9, MAPPER, 20, 0);
    m = map(VA(4), 9, GNTMAP_host_map);
    fake_domain[GRANTER].d.dying = true;
    assert_int_equal(grant_domain_release(&fake_domain[GRANTER].d), 0);
    paging_lock(w.other);
    assert_int_equal(p2m_remove_ram(w.other, gfn_of(20), &got), 0);
    paging_unlock(w.other);
    frame_put(frame_of(got));
    expect_frame(VA(4), WRITE, mfn);
    assert_int_equal(map(VA(5), 9, GNTMAP_host_map).status, GNTST_bad_domain);
    free_before = frame_free_count();
    assert_int_equal(unmap(VA(4), 0, m.handle), GNTST_okay);
    assert_int_equal(frame_free_count(), free_before + 1);
    expect_nothing(VA(4));
}

/* ---- random work ---- */

static uint32_t rng;

static uint32_t rnd(uint32_t limit)
{
    rng = rng * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rng >> 4) * limit >> 28);
}

#define REFS       16
#define SLOTS_USED 12

static struct {
    bool live, readonly;
    uint32_t ref, handle;
    uint64_t bus;
    mfn_t mfn;
} mapped[SLOTS_USED];

static void random_map(unsigned i)
{
    uint32_t ref = rnd(REFS);
    bool readonly = rnd(2), in_use = false, closed = entry(ref)->flags & GTF_readonly;
    struct gnttab_map_grant_ref op;

    for (unsigned j = 0; j < SLOTS_USED; j++)
        in_use |= mapped[j].live && mapped[j].ref == ref;
    if (!in_use)
        grant(ref, MAPPER, 20 + rnd(8), (closed = rnd(3) == 0) ? GTF_readonly : 0);
    op = map(VA(i), ref,
             GNTMAP_host_map | (rnd(2) ? GNTMAP_device_map : 0) | (readonly ? GNTMAP_readonly : 0));
    assert_int_equal(op.status, closed && !readonly ? GNTST_general_error : GNTST_okay);
    if (op.status)
        return;
    mapped[i].live = true;
    mapped[i].readonly = readonly;
    mapped[i].ref = ref;
    mapped[i].handle = op.handle;
    mapped[i].bus = op.dev_bus_addr;
    mapped[i].mfn = granted_mfn(entry(ref)->frame);
}

static void random_check(void)
{
    uint16_t want[REFS] = {0};

    for (unsigned i = 0; i < SLOTS_USED; i++) {
        if (!mapped[i].live)
            continue;
        want[mapped[i].ref] |= mapped[i].readonly ? GTF_reading : GTF_reading | GTF_writing;
    }
    for (unsigned ref = 0; ref < REFS; ref++)
        assert_int_equal(flags_of(ref), want[ref]);
    for (unsigned i = 0; i < SLOTS_USED; i++) {
        struct result r = cpu_access(0, VA(i), rnd(2) ? READ : WRITE);
        if (mapped[i].live && r.outcome == OK)
            assert_int_equal(r.mfn.n, mapped[i].mfn.n);
        else if (!mapped[i].live)
            assert_int_equal(r.outcome, GUEST_FAULT);
        if (mapped[i].live)
            assert_int_equal(cpu_access(0, VA(i), READ).outcome, OK);
        if (mapped[i].live && mapped[i].readonly)
            assert_int_equal(cpu_access(0, VA(i), WRITE).outcome, GUEST_FAULT);
    }
    check_world();
}

static void test_random(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        start(NULL);
        memset(mapped, 0, sizeof mapped);
        rng = round + 1;
        for (unsigned step = 0; step < 300; step++) {
            unsigned i = rnd(SLOTS_USED);
            if (!mapped[i].live) {
                random_map(i);
            } else if (rnd(4) == 0) {
                assert_int_not_equal(unmap(VA((i + 1) % SLOTS_USED), 0, mapped[i].handle),
                                     GNTST_okay);
            } else {
                assert_int_equal(unmap(VA(i), mapped[i].bus, mapped[i].handle), GNTST_okay);
                mapped[i].live = false;
            }
            random_check();
        }
        stop(NULL);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_map_and_unmap),
        CASE(test_readonly),
        CASE(test_contains_pte),
        CASE(test_refusals),
        CASE(test_wrong_unmaps),
        CASE(test_device_maps),
        CASE(test_bus_address_of_the_direct_domain),
        CASE(test_an_entry_mapped_twice),
        CASE(test_a_changed_entry),
        CASE(test_unmap_and_replace),
        CASE(test_handles_run_out),
        CASE(test_batches_share_a_flush),
        CASE(test_continuation),
        CASE(test_a_granted_page_table),
        CASE(test_copies),
        CASE(test_copy_refusals),
        CASE(test_setup_and_queries),
        CASE(test_swap_transfer_flush),
        CASE(test_the_mapper_dies),
        CASE(test_the_granter_dies),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
