/* SPDX-License-Identifier: MIT */
/* XENMEM_exchange: what comes for what goes, and that nothing is lost or half done. */
#include "tests/unit/memory_world.h"

static struct xen_memory_exchange x;
static xen_pfn_t out[512];

static long swap(struct vcpu *v, domid_t id, uint64_t in_count, unsigned in_order,
                 uint64_t out_count, unsigned out_order)
{
    x = (struct xen_memory_exchange){
        .in = {.extent_start.p = list,
               .nr_extents = in_count,
               .extent_order = in_order,
               .domid = id},
        .out = {.extent_start.p = out,
                .nr_extents = out_count,
                .extent_order = out_order,
                .domid = id},
    };
    return op(v, XENMEM_exchange, &x);
}

static void populate(struct vcpu *v, uint64_t count)
{
    number_list(0, 1);
    assert_int_equal(reserve(v, XENMEM_populate_physmap, v->domain->id, count, 0), count);
}

static void test_exchange(void **state)
{
    (void)state;
    populate(&guest_vcpu, 1000);
    /* Singles that lie apart for aligned fours. */
    for (unsigned i = 0; i < 16; i++)
        list[i] = 10 + i * 7;
    for (unsigned i = 0; i < 4; i++)
        out[i] = 5000 + i * 100;
    uint64_t free = frame_free_count();
    preempt_every = 2;
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 16, 0, 4, 2), 0);
    assert_int_equal(x.nr_exchanged, 16);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(out[i] % 4, 0);
        for (unsigned k = 0; k < 4; k++) {
            assert_int_equal(p2m_lookup(guest.paging, gfn_of(out[i] + k)).type, P2M_RAM);
            assert_int_equal(m2p_get(guest.paging, gfn_of(out[i] + k)), 5000 + i * 100 + k);
        }
    }
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(p2m_lookup(guest.paging, gfn_of(list[i])).type, P2M_HOLE);
    assert_int_equal(owned(&guest), 1000);
    assert_int_equal(frame_free_count(), free);
    /* And back, into the lowest holes. */
    memcpy(list, out, sizeof out);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 4, 2, 16, 0), 0);
    assert_int_equal(x.nr_exchanged, 4);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(out[i], 10 + i * 7);
    assert_int_equal(owned(&guest), 1000);
    assert_int_equal(frame_free_count(), free);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 0, 0, 0, 0), 0);
}

static void test_exchange_domain0(void **state)
{
    (void)state;
    populate(&control_vcpu, 64);
    out[0] = 40;
    assert_int_equal(swap(&control_vcpu, DOMID_SELF, 8, 0, 1, 3), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(p2m_lookup(control.paging, gfn_of(out[0] + i)).mfn.n, out[0] + i);
        assert_int_equal(m2p_get(control.paging, gfn_of(out[0] + i)), 40 + i);
    }
    assert_int_equal(owned(&control), 64);
    /* Below 64 KiB there is nothing: all is as it was. */
    x.in =
        (struct xen_memory_reservation){.extent_start.p = out, .nr_extents = 1, .extent_order = 3};
    x.out =
        (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = 8, .mem_flags = 16};
    x.nr_exchanged = 0;
    assert_int_equal(op(&control_vcpu, XENMEM_exchange, &x), -XEN_ENOMEM);
    assert_int_equal(x.nr_exchanged, 0);
    assert_int_equal(m2p_get(control.paging, gfn_of(out[0] + 7)), 47);
    assert_int_equal(owned(&control), 64);
}

static void test_exchange_refused(void **state)
{
    struct frame_hold hold;

    (void)state;
    populate(&guest_vcpu, 900);
    number_list(0, 1);
    uint64_t free = frame_free_count();
    assert_int_equal(swap(&guest_vcpu, 0, 4, 0, 1, 2), -XEN_EPERM);
    assert_int_equal(swap(&guest_vcpu, 9, 4, 0, 1, 2), -XEN_ESRCH);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 4, 10, 4, 10), -XEN_EPERM);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 5, 0, 1, 2), -XEN_EINVAL);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, ~0UL, 2, ~0UL, 2), -XEN_EINVAL);
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, ~0UL, 0, ~0UL, 0), -XEN_EFAULT); /* XSA-212 */
    list[2] = 2000;                                                                 /* a hole */
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 4, 0, 1, 2), -XEN_EINVAL);
    list[2] = 1; /* twice the same */
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 4, 0, 1, 2), -XEN_EINVAL);
    list[2] = 2;
    /* In somebody's hands; the chunk before it is done. */
    assert_non_null(paging_hold(guest.paging, gfn_of(6), false, &hold));
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 8, 0, 8, 0), -XEN_EINVAL);
    assert_int_equal(x.nr_exchanged, 6);
    paging_release(&hold);
    number_list(100, 1);
    bad_start = (char *)&out[1];
    bad_end = (char *)&out[2];
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 2, 1, 4, 0), -XEN_EFAULT);
    assert_int_equal(x.nr_exchanged, 0);
    assert_int_equal(m2p_get(guest.paging, gfn_of(101)), 101);
    assert_int_equal(owned(&guest), 900);
    assert_int_equal(frame_free_count(), free);
    guest.dying = true;
    assert_int_equal(swap(&guest_vcpu, DOMID_SELF, 1, 0, 1, 0), -XEN_EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_exchange),
        T(test_exchange_domain0),
        T(test_exchange_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
