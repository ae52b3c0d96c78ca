/* SPDX-License-Identifier: MIT */
/*
 * memory_op with the real p2m and frame allocator: what a domain gets, where, what it gives back,
 * and that nothing is lost whatever goes wrong. "Guest" memory is the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>

#include "hv/boot_info.h"
#include "hv/domain.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "hv/memory_map.h"
#include "mm/heap.h"
#include "tests/unit/fake_arch.h"
#include "tests/unit/memory_world.h"

/* ---- tests ---- */

static void test_populate(void **state)
{
    (void)state;
    number_list(0, 512);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 2, 9), 2);
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 512);
    number_list(5000, 1);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 100, 0), 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(list[i], 1024 + i);
    assert_int_equal(owned(&guest), 1124);

    /* A hole that is made is filled first, by the guest itself too. */
    list[0] = 7;
    list[1] = 700;
    assert_int_equal(reserve(&guest_vcpu, XENMEM_decrease_reservation, DOMID_SELF, 2, 0), 2);
    assert_int_equal(owned(&guest), 1122);
    number_list(9000, 1);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, 2, 0), 2);
    assert_int_equal(list[0], 7);
    assert_int_equal(list[1], 700);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_increase_reservation, DOMID_SELF, 1, 0), 1);
    assert_int_equal(list[0], 1124);
}

static void test_give_back(void **state)
{
    (void)state;
    number_list(0, 1);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1024, 0), 1024);
    number_list(0, 1);
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1024, 0), 1024);
    assert_int_equal(owned(&guest), 0);
    /* Twice: nothing there. */
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1024, 0), 0);
    /* A block with a hole in it stops there. */
    list[0] = 0;
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 2), 1);
    list[0] = 1;
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1, 0), 1);
    list[0] = 0;
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1, 2), 0);
    list[0] = ~0UL - 1;
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1, 3), 0);
}

static void test_domain0(void **state)
{
    (void)state;
    number_list(0, 1);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, DOMID_SELF, 2, 4), 2);
    for (unsigned e = 0; e < 2; e++)
        for (unsigned i = 0; i < 16; i++) {
            struct p2m_ref ref = p2m_lookup(control.paging, gfn_of(list[e] + i));

            assert_int_equal(ref.type, P2M_RAM);
            assert_int_equal(ref.mfn.n, list[e] + i);
        }
    assert_int_equal(owned(&control), 32);
}

static void test_limits(void **state)
{
    (void)state;
    number_list(0, 1);
    guest.max_pages = 10;
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 12, 0), 10);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 0), 0);
    guest.max_pages = 5;
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 0), 0);
    guest.max_pages = 100000; /* more than there are gfns */
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1024, 0), 1024);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1024, 0), 1200 - 1034);
    assert_int_equal(owned(&guest), 1200);
    guest.dying = true;
    assert_int_equal(reserve(&control_vcpu, XENMEM_decrease_reservation, 1, 1, 0), 0);
}

static void test_no_memory(void **state)
{
    mfn_t taken[FRAMES];
    unsigned n = 0;

    (void)state;
    while (n < FRAMES && mfn_valid(taken[n] = frame_alloc(0, DOMID_XEN, 0)))
        n++;
    for (unsigned i = 0; i < n; i += 2)
        frame_free(taken[i], 0);
    /* Every other frame is free: an order-6 extent comes in pieces. */
    number_list(0, 64);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 2, 6), 2);
    assert_int_equal(owned(&guest), 128);
    number_list(0, 64);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, DOMID_SELF, 1, 1), 0);
    assert_int_equal(owned(&control), 0);
    for (unsigned i = 0; i < n; i += 2)
        taken[i] = frame_alloc(0, DOMID_XEN, 0);
    /* None is free: what was put for the extent before is taken back. */
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 3), 0);
    assert_int_equal(owned(&guest), 128);
    for (unsigned i = 0; i < n; i++)
        if (mfn_valid(taken[i]))
            frame_free(taken[i], 0);
}

static void test_half_of_an_extent(void **state)
{
    mfn_t taken[FRAMES];
    unsigned n = 0;

    (void)state;
    /* The p2m's own first chunk exists already. */
    list[0] = 0;
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 0), 1);
    while (n < FRAMES && mfn_valid(taken[n] = frame_alloc(0, DOMID_XEN, 0)))
        n++;
    for (unsigned i = 0; i < 10; i += 2)
        frame_free(taken[i], 0);
    list[0] = 100;
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 1, 1, 4), 0);
    assert_int_equal(owned(&guest), 1);
    assert_int_equal(list[0], 100);
    for (unsigned i = 0; i < n; i++)
        if (i >= 10 || i % 2)
            frame_free(taken[i], 0);
}

static void test_bad_arguments(void **state)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    (void)state;
    assert_int_equal(op(&guest_vcpu, XENMEM_populate_physmap, NULL), 0);
    assert_int_equal(op(&guest_vcpu, XENMEM_populate_physmap, &r), 0); /* no list */
    assert_int_equal(op(&guest_vcpu, XENMEM_increase_reservation, &r), 1);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, ~0UL, 0), 0);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, 1, 10), 0);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, 1, ~0U), 0);
    assert_int_equal(reserve(&control_vcpu, XENMEM_populate_physmap, 7, 1, 0), 0);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, 0, 1, 0), 0);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_decrease_reservation, 0, 1, 0), 0);
    assert_int_equal(op(&guest_vcpu, XENMEM_populate_physmap | 5 << 6, &r),
                     5); /* progress beyond the end */
    assert_int_equal(owned(&guest), 1);
    assert_int_equal(owned(&control), 0);
}

/* The list ends in a page that is not there: what was done counts, nothing else happened. */
static void test_bad_list(void **state)
{
    (void)state;
    number_list(0, 1);
    bad_start = (const char *)&list[3];
    bad_end = (const char *)&list[8];
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, 6, 0), 3);
    assert_int_equal(owned(&guest), 3);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_increase_reservation, DOMID_SELF, 6, 0), 3);
    assert_int_equal(owned(&guest), 6);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_decrease_reservation, DOMID_SELF, 6, 0), 3);
}

static void test_continuation(void **state)
{
    (void)state;
    preempt_every = 1;
    number_list(0, 1);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_populate_physmap, DOMID_SELF, 300, 0), 300);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(list[i], i);
    assert_true(preempt_asked >= 299);
    assert_int_equal(reserve(&guest_vcpu, XENMEM_decrease_reservation, DOMID_SELF, 300, 0), 300);
    assert_int_equal(owned(&guest), 0);
}

static void test_queries(void **state)
{
    struct xen_machphys_mapping m;
    struct xen_add_to_physmap add = {.domid = DOMID_SELF};
    domid_t self = DOMID_SELF, one = 1, none = 9, zero = 0;

    (void)state;
    number_list(0, 1);
    reserve(&control_vcpu, XENMEM_populate_physmap, 1, 50, 0);
    assert_int_equal(op(&control_vcpu, XENMEM_current_reservation, &one), 50);
    assert_int_equal(op(&guest_vcpu, XENMEM_current_reservation, &self), 50);
    assert_int_equal(op(&guest_vcpu, XENMEM_maximum_reservation, &one), 1200);
    assert_int_equal(op(&guest_vcpu, XENMEM_maximum_reservation, &zero), -XEN_EPERM);
    assert_int_equal(op(&control_vcpu, XENMEM_maximum_reservation, &none), -XEN_ESRCH);
    assert_int_equal(op(&control_vcpu, XENMEM_maximum_reservation, NULL), -XEN_EFAULT);
    assert_int_equal(op(&guest_vcpu, XENMEM_maximum_gpfn, &self), 1199);
    assert_int_equal(op(&control_vcpu, XENMEM_maximum_ram_page, NULL), FRAMES - 1);
    assert_int_equal(op(&guest_vcpu, XENMEM_maximum_ram_page, NULL), 1199); /* not the machine's */
    assert_int_equal(op(&guest_vcpu, XENMEM_machphys_mapping, &m), 0);
    assert_int_equal(m.v_start, 0xffff800000000000);
    assert_true(m.max_mfn >= 1199);
    assert_int_equal(op(&guest_vcpu, 63, &m), -XEN_ENOSYS);
    assert_int_equal(op(&guest_vcpu, XENMEM_add_to_physmap, &add), -XEN_EACCES);
}

static void test_memory_map(void **state)
{
    uint8_t map[3][20], back[3][20];
    struct xen_foreign_memory_map set = {.domid = 1, .map = {.nr_entries = 3, .buffer.p = map}};
    struct xen_memory_map get = {.nr_entries = 3, .buffer.p = back};

    (void)state;
    memset(map, 0x5a, sizeof map);
    assert_int_equal(op(&guest_vcpu, XENMEM_memory_map, &get), -XEN_ENOSYS);
    assert_int_equal(op(&guest_vcpu, XENMEM_set_memory_map, &set), -XEN_EPERM);
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), 0);
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), 0); /* the first is freed */
    assert_int_equal(op(&guest_vcpu, XENMEM_memory_map, &get), 0);
    assert_int_equal(get.nr_entries, 3);
    assert_memory_equal(map, back, sizeof map);
    get.nr_entries = 2;
    memset(back, 0, sizeof back);
    assert_int_equal(op(&guest_vcpu, XENMEM_memory_map, &get), 0);
    assert_int_equal(get.nr_entries, 2);
    assert_int_equal(back[2][0], 0);
    set.map.nr_entries = 129;
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), -XEN_EINVAL);
    set.map.nr_entries = 3;
    set.map.buffer.p = NULL;
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), -XEN_EFAULT);
    set.domid = 5;
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), -XEN_ESRCH);
    guest.dying = true;
    set.domid = 1;
    set.map.buffer.p = map;
    assert_int_equal(op(&control_vcpu, XENMEM_set_memory_map, &set), 0);

    boot_info.range_count = 2;
    boot_info.ranges[1] = (struct boot_range){0x1000, 0x3000, 2};
    assert_int_equal(op(&control_vcpu, XENMEM_machine_memory_map, &get), 0);
    assert_int_equal(back[1][1], 0x10);
    assert_int_equal(back[1][9], 0x20);
    assert_int_equal(back[1][16], 2);
    assert_int_equal(op(&guest_vcpu, XENMEM_machine_memory_map, &get), -XEN_EPERM);
}

static void test_acquire_resource(void **state)
{
    struct xen_mem_acquire_resource r = {.domid = 1, .type = XENMEM_resource_grant_table};
    xen_pfn_t frame = 0;
    gfn_t gfn;

    (void)state;
    guest.shared_mfn = frame_alloc(0, DOMID_XEN, 0);
    paging_lock(guest.paging);
    gfn = p2m_window_add(guest.paging, P2M_SPECIAL, guest.shared_mfn, false);
    paging_unlock(guest.paging);
    assert_true(gfn_valid(gfn));

    assert_int_equal(op(&guest_vcpu, XENMEM_acquire_resource, &r), -XEN_EPERM);
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), 0);
    assert_int_equal(r.nr_frames, GRANT_FRAMES);
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EINVAL);
    r.nr_frames = 1;
    r.frame_list.p = &frame;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), 0);
    assert_int_equal(frame, gfn.n);
    r.nr_frames = 2;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_ENOMEM);
    r.frame = ~0UL;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EINVAL);
    r.frame = 0;
    r.id = XENMEM_resource_grant_table_id_status;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EINVAL);
    r.type = XENMEM_resource_ioreq_server;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EOPNOTSUPP);
    r.pad = 1;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EINVAL);
    r.pad = 0;
    r.domid = DOMID_SELF;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_EPERM);
    r.domid = 6;
    assert_int_equal(op(&control_vcpu, XENMEM_acquire_resource, &r), -XEN_ESRCH);
}

static void test_claim(void **state)
{
    struct xen_memory_reservation r = {.nr_extents = 100, .domid = 1};

    (void)state;
    assert_int_equal(op(&guest_vcpu, XENMEM_claim_pages, &r), -XEN_EPERM);
    assert_int_equal(op(&control_vcpu, XENMEM_claim_pages, &r), 0);
    r.nr_extents = FRAMES;
    assert_int_equal(op(&control_vcpu, XENMEM_claim_pages, &r), -XEN_ENOMEM);
    r.extent_order = 1;
    assert_int_equal(op(&control_vcpu, XENMEM_claim_pages, &r), -XEN_EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_populate),      T(test_give_back),  T(test_domain0),
        T(test_limits),        T(test_no_memory),  T(test_half_of_an_extent),
        T(test_bad_arguments), T(test_bad_list),   T(test_continuation),
        T(test_queries),       T(test_memory_map), T(test_acquire_resource),
        T(test_claim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
