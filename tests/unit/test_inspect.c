/* SPDX-License-Identifier: MIT */
/* Walks for those who look, counters, and the hypercall that asks for both. */
#include "tests/unit/shadow_world.h"

#include <string.h>
#include <xen/errno.h>

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/control.h"
#include "hv/hypercall.h"
#include "hv/public/penumbra.h"
#include "hv/trace_op.h"

#define VA va_of(3, 1, 2, 4)
/* L4 at gfn 10, L3 11, L2 12, L1 13; data from 20 on. */
#define L4 10
#define L1 13

static struct domain domain;
static struct vcpu vcpus[2];
static int references;

static bool control_busy;
static int control_held;

bool control_trylock(void)
{
    control_held += !control_busy;
    return !control_busy;
}

void control_unlock(void)
{
    control_held--;
}

long sysctl_describe_scheduler(struct penumbra_scheduler *s)
{
    s->id = 6;
    return s->index ? -XEN_ENOENT : 0;
}

long trace_op(struct penumbra_trace *t)
{
    assert_int_equal(control_held, 1);
    t->count = 17;
    return t->cmd == PENUMBRA_TRACE_start ? -XEN_ENOMEM : 0;
}

struct domain *domain_get_dying_too(domid_t id)
{
    references += id == 7;
    return id == 7 ? &domain : NULL;
}

void domain_put(struct domain *d)
{
    assert_ptr_equal(d, &domain);
    references--;
}

size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    if (!va)
        return bytes;
    memcpy(dst, (const void *)va, bytes);
    return 0;
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    memcpy((void *)va, src, bytes);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    world_start(32);
    build_tree(L4, VA);
    memset(vcpus, 0, sizeof vcpus);
    domain = (struct domain){.id = 7, .paging = w.p, .vcpu_max = 2, .vcpu = {&vcpus[0], &vcpus[1]}};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(references, 0);
    world_stop();
    return 0;
}

/* Of a world that is not as it should be. */
static struct penumbra_walk walk_unchecked(vaddr_t va)
{
    struct penumbra_walk walk = {.va = va};

    paging_lock(w.p);
    paging_walk(w.p, &w.v[0], &walk);
    paging_unlock(w.p);
    return walk;
}

static struct penumbra_walk walk_of(vaddr_t va)
{
    struct penumbra_walk walk = walk_unchecked(va);

    check_world();
    return walk;
}

static uint64_t mfn_at(uint64_t gfn)
{
    return p2m_lookup(w.p, gfn_of(gfn)).mfn.n;
}

/* Before the first touch there is no shadow, and looking makes none. */
static void test_walk_makes_nothing(void **state)
{
    (void)state;
    poke(L1, 4, 20, P | RW);
    set_root(0, L4);
    uint64_t made = w.p->count.made;
    struct penumbra_walk walk = walk_of(VA);
    assert_int_equal(walk.steps, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(walk.step[i].table.gfn, L4 + i);
        assert_int_equal(walk.step[i].table.mfn, mfn_at(L4 + i));
        assert_int_equal(walk.step[i].entry, peek(L4 + i, va_slot(VA, 4 - i)));
    }
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(walk.step[i].shadow, 0);
        assert_int_equal(walk.step[i].table.followed, 0);
    }
    assert_true(walk.has_leaf);
    assert_int_equal(walk.leaf.gfn, 20);
    assert_int_equal(walk.leaf.type, PENUMBRA_GFN_ram);
    assert_int_equal(walk.leaf.mappings, 0);
    assert_int_equal(peek(L1, 4) & (A | D), 0); /* S5: nor is A invented */
    assert_int_equal(w.p->count.made, made);
}

static void test_walk_of_what_is_in_use(void **state)
{
    (void)state;
    poke(L1, 4, 20, P | RW);
    poke(L1, 5, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    paging_lock(w.p);
    shadow_pin(w.p, gfn_of(L4), 4);
    paging_unlock(w.p);
    struct penumbra_walk walk = walk_of(VA);
    assert_int_equal(walk.step[0].table.flags, PENUMBRA_FRAME_pinned);
    for (unsigned i = 0; i < 4; i++) {
        const struct penumbra_step *step = &walk.step[i];
        assert_int_equal(step->table.followed, 1u << (4 - i));
        assert_int_equal(step->table.levels, 1u << (4 - i));
        uint64_t target = i < 3 ? walk.step[i + 1].shadow >> 12 : mfn_at(20);
        assert_int_equal((step->shadow_entry & PTE_ADDR) >> 12, target);
    }
    /* D is not set, so it is not writable yet; the other mapping is. */
    assert_int_equal(walk.step[3].shadow_entry & (P | RW), P);
    assert_int_equal(walk.leaf.mappings, 2);
    assert_int_equal(walk.leaf.writable, 1);
    expect_ok(0, VA, WRITE, 20);
    walk = walk_of(VA);
    assert_int_equal(walk.step[3].shadow_entry & (P | RW), P | RW);
    assert_int_equal(walk.leaf.writable, 2);
}

static void test_walk_that_ends(void **state)
{
    (void)state;
    set_root(0, L4);
    struct penumbra_walk walk = walk_of(va_of(3, 1, 2, 9));
    assert_int_equal(walk.steps, 4);
    assert_false(walk.has_leaf);
    walk = walk_of(va_of(3, 1, 9, 0));
    assert_int_equal(walk.steps, 3);
    poke(L4, 5, 1000, FULL); /* a table that is nothing */
    walk = walk_of(va_of(5, 0, 0, 0));
    assert_int_equal(walk.steps, 2);
    assert_int_equal(walk.step[1].table.type, PENUMBRA_GFN_hole);
    assert_int_equal(walk.step[1].table.mfn, ~0UL);
    poke(12, 9, 20, FULL | PTE_PSE);
    walk = walk_of(va_of(3, 1, 9, 0));
    assert_int_equal(walk.steps, 3);
    assert_false(walk.has_leaf);
    poke(L1, 9, 1000, FULL);
    walk = walk_of(va_of(3, 1, 2, 9));
    assert_true(walk.has_leaf);
    assert_int_equal(walk.leaf.type, PENUMBRA_GFN_hole);
}

static void test_walk_of_no_root(void **state)
{
    struct penumbra_walk walk = {.va = VA, .user = 1};

    (void)state;
    set_root(0, L4);
    paging_lock(w.p);
    paging_walk(w.p, &w.v[0], &walk);
    paging_unlock(w.p);
    assert_int_equal(walk.steps, 0);
}

/* A list of any length is counted only so far, for the lock is held. */
static void test_mappings_are_counted_so_far(void **state)
{
    (void)state;
    for (unsigned t = 0; t < 3; t++) {
        poke(12, 100 + t, 30 + t, FULL);
        for (unsigned i = 0; i < SLOTS; i++)
            poke(30 + t, i, 20, P | A);
    }
    set_root(0, L4);
    for (unsigned t = 0; t < 3; t++)
        expect_ok(0, va_of(3, 1, 100 + t, 0), READ, 20);
    assert_int_equal(walk_of(va_of(3, 1, 100, 0)).leaf.mappings, PENUMBRA_MAPPINGS_MAX);
}

/* A held frame cannot be a table; a foreign alias is for one entry. */
static void test_frames_of_others(void **state)
{
    struct frame_hold hold;

    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    assert_non_null(paging_hold(w.p, gfn_of(20), true, &hold));
    assert_int_equal(walk_of(VA).leaf.flags, PENUMBRA_FRAME_held);
    paging_release(&hold);
    assert_int_equal(walk_of(VA).leaf.flags, 0);
    p2m_record(w.p, 20)->word |= GFN_LOGGED;
    assert_int_equal(walk_unchecked(VA).leaf.flags, PENUMBRA_FRAME_logged);
    p2m_record(w.p, 20)->word &= ~GFN_LOGGED;

    mfn_t mfn = paging_alias_get(w.other, gfn_of(3), true);
    paging_lock(w.p);
    assert_int_equal(shadow_update_foreign(w.p, gfn_of(L1), 5 * 8, P | A, mfn, true), 0);
    paging_unlock(w.p);
    struct penumbra_walk walk = walk_of(VA + PAGE_SIZE);
    assert_int_equal(walk.leaf.type, PENUMBRA_GFN_foreign);
    assert_int_equal(walk.leaf.mfn, mfn.n);
    assert_int_equal(walk.leaf.flags, PENUMBRA_FRAME_readonly);
    assert_int_equal(walk.step[3].table.aliases, 1);
    guest_page(L1)[6] = peek(L1, 5); /* behind the shadow's back: only to look */
    assert_true(walk_unchecked(VA + 2 * PAGE_SIZE).leaf.flags & PENUMBRA_FRAME_elsewhere);
    guest_page(L1)[6] = 0;
}

static void test_counters(void **state)
{
    struct paging_counters c;

    (void)state;
    poke(L1, 4, 20, FULL);
    poke(L1, 5, L1, FULL);
    poke(L1, 6, 11, P | A);
    set_root(0, L4);
    expect_ok(0, VA, READ, 20);
    expect_fault(va_of(3, 1, 2, 9), READ, 0);
    /* Through a read-only entry, and through a writable one to a table on the way. */
    struct result r = cpu_access(0, VA + 2 * PAGE_SIZE, WRITE);
    assert_int_equal(r.outcome, STORE);
    assert_true(r.info.read_only);
    assert_false(r.info.guest_writable);
    r = cpu_access(0, VA + PAGE_SIZE, WRITE);
    assert_int_equal(r.outcome, STORE);
    assert_false(r.info.read_only);
    assert_false(r.info.guest_writable);
    paging_get_counters(w.p, &c);
    assert_int_equal(c.faults_guest, 1);
    assert_int_equal(c.faults_store, 2);
    assert_int_equal(c.faults_fill, 1);
    assert_int_equal(c.shadows, 4);
    assert_int_equal(c.made, 4);
    shadow_drop(w.p, gfn_of(L1));
    fake.pcpu = 0;
    arch_tlb_flush_all();
    expect_ok(0, VA, READ, 20);
    paging_get_counters(w.p, &c);
    assert_int_equal(c.shadows, 4);
    assert_int_equal(c.made, 5);
    assert_int_equal(paging_pool_tables(w.p), 32);
}

static void test_flushes_are_counted(void **state)
{
    struct paging_counters before, c;

    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    expect_ok(0, VA, WRITE, 20);
    fake.pcpu = 0;
    arch_tlb_flush_all();
    paging_get_counters(w.p, &before);
    paging_lock(w.p);
    shadow_flush_local(w.p);
    shadow_flush_va_local(w.p, VA);
    shadow_update(w.p, gfn_of(L1), 4 * 8, 0, 0);
    shadow_flush_va_local(w.p, VA);
    shadow_flush_local(w.p);
    shadow_flush_mask(w.p, ~0UL); /* the other pCPU has not flushed yet */
    shadow_flush_mask(w.p, ~0UL);
    paging_unlock(w.p);
    paging_get_counters(w.p, &c);
    assert_int_equal(c.flushes - before.flushes, 3);
    assert_int_equal(c.flushes_avoided - before.flushes_avoided, 3);
}

/* ---- the hypercall ---- */

static struct penumbra_op op;

static long call(unsigned cmd)
{
    struct hypercall c = {.arg = {(uint64_t)&op}};

    op.cmd = cmd;
    op.interface_version = PENUMBRA_INTERFACE_VERSION;
    op.domid = 7;
    return hypercall_arch_2(&vcpus[0], &c);
}

static void test_hypercall_refuses(void **state)
{
    struct hypercall c = {.arg = {0}};

    (void)state;
    assert_int_equal(hypercall_arch_2(&vcpus[0], &c), -XEN_EFAULT);
    c.arg[0] = (uint64_t)&op;
    op = (struct penumbra_op){.cmd = PENUMBRA_OP_counters, .domid = 7};
    assert_int_equal(hypercall_arch_2(&vcpus[0], &c), -XEN_EACCES);
    op.interface_version = PENUMBRA_INTERFACE_VERSION;
    op.domid = 8;
    assert_int_equal(hypercall_arch_2(&vcpus[0], &c), -XEN_ESRCH);
    assert_int_equal(call(0), -XEN_ENOSYS);
    assert_int_equal(call(77), -XEN_ENOSYS);

    op.u.walk = (struct penumbra_walk){.va = 0xffff800000000000UL};
    assert_int_equal(call(PENUMBRA_OP_walk), -XEN_EINVAL);
    op.u.walk = (struct penumbra_walk){.va = 1UL << 47};
    assert_int_equal(call(PENUMBRA_OP_walk), -XEN_EINVAL);
    op.u.walk = (struct penumbra_walk){.va = VA, .user = 2};
    assert_int_equal(call(PENUMBRA_OP_walk), -XEN_EINVAL);
    op.u.walk = (struct penumbra_walk){.va = VA, .vcpu = 2};
    assert_int_equal(call(PENUMBRA_OP_walk), -XEN_ENOENT);
    domain.dying = true;
    op.u.walk = (struct penumbra_walk){.va = VA};
    assert_int_equal(call(PENUMBRA_OP_walk), -XEN_ESRCH);
}

static void test_hypercall_walks(void **state)
{
    (void)state;
    poke(L1, 4, 20, FULL);
    set_root(0, L4);
    vcpus[0].paging = w.v[0];
    op.u.walk = (struct penumbra_walk){.va = VA};
    assert_int_equal(call(PENUMBRA_OP_walk), 0);
    assert_int_equal(op.u.walk.steps, 4);
    assert_int_equal(op.u.walk.leaf.gfn, 20);
    op.u.walk = (struct penumbra_walk){.va = VA, .vcpu = 1};
    assert_int_equal(call(PENUMBRA_OP_walk), 0);
    assert_int_equal(op.u.walk.steps, 0);
}

static void test_hypercall_counts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].count.hypercalls = 10 + i;
        vcpus[i].count.updates = 20;
        for (unsigned f = 0; f < STORE_FORMS; f++)
            vcpus[i].count.stores[f] = 1 + f;
        vcpus[i].count.stores_refused = 3;
        vcpus[i].count.tables_dropped = 4;
    }
    w.p->count.faults_ad = 5;
    w.p->count.reclaimed = 6;
    assert_int_equal(call(PENUMBRA_OP_counters), 0);
    const struct penumbra_counters *c = &op.u.counters;
    assert_int_equal(c->hypercalls, 21);
    assert_int_equal(c->updates, 40);
    assert_int_equal(c->stores_mov, 2);
    assert_int_equal(c->stores_xchg, 4);
    assert_int_equal(c->stores_cmpxchg, 6);
    assert_int_equal(c->stores_logic, 8);
    assert_int_equal(c->stores_bit, 10);
    assert_int_equal(c->stores_refused, 6);
    assert_int_equal(c->tables_dropped, 8);
    assert_int_equal(c->faults_ad, 5);
    assert_int_equal(c->shadows_reclaimed, 6);
    assert_int_equal(c->pool, 32);
    w.p->count.faults_ad = w.p->count.reclaimed = 0;
}

static void test_hypercall_sets_the_mode(void **state)
{
    (void)state;
    assert_int_equal(call(PENUMBRA_OP_get_store_mode), 0);
    assert_int_equal(op.u.store_mode.mode, PENUMBRA_STORES_emulate);
    assert_int_equal(op.u.store_mode.assist, 0);
    op.u.store_mode.mode = PENUMBRA_STORES_refuse;
    assert_int_equal(call(PENUMBRA_OP_set_store_mode), 0);
    op.u.store_mode.mode = PENUMBRA_STORES_MODES;
    assert_int_equal(call(PENUMBRA_OP_set_store_mode), -XEN_EINVAL);
    domain.vm_assist = 1u << VMASST_TYPE_writable_pagetables;
    assert_int_equal(call(PENUMBRA_OP_get_store_mode), 0);
    assert_int_equal(op.u.store_mode.mode, PENUMBRA_STORES_refuse);
    assert_int_equal(op.u.store_mode.assist, 1);
    domain.vm_assist = 0;
    domain.privileged = true; /* as on Xen */
    assert_int_equal(call(PENUMBRA_OP_get_store_mode), 0);
    assert_int_equal(op.u.store_mode.assist, 1);
}

/* The trace is nobody's: the domain is not looked at, and one call is made at a time. */
static void test_hypercall_traces(void **state)
{
    struct hypercall c = {.arg = {(uint64_t)&op}};

    (void)state;
    memset(&op, 0, sizeof op);
    op.u.trace.cmd = PENUMBRA_TRACE_status;
    assert_int_equal(call(PENUMBRA_OP_trace), 0);
    assert_int_equal(op.u.trace.count, 17);
    op.domid = 4711;
    assert_int_equal(hypercall_arch_2(&vcpus[0], &c), 0);
    op.u.trace = (struct penumbra_trace){.cmd = PENUMBRA_TRACE_start};
    assert_int_equal(call(PENUMBRA_OP_trace), -XEN_ENOMEM);
    assert_int_equal(op.u.trace.count, 0); /* not written back */
    control_busy = true;
    assert_int_equal(call(PENUMBRA_OP_trace), -XEN_ERESTART);
    control_busy = false;
    assert_int_equal(control_held, 0);
}

static void test_schedulers(void **state)
{
    (void)state;
    memset(&op, 0, sizeof op);
    assert_int_equal(call(PENUMBRA_OP_scheduler), 0);
    assert_int_equal(op.u.scheduler.id, 6);
    op.u.scheduler.index = 1;
    assert_int_equal(call(PENUMBRA_OP_scheduler), -XEN_ENOENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_schedulers),
        T(test_walk_makes_nothing),
        T(test_walk_of_what_is_in_use),
        T(test_walk_that_ends),
        T(test_walk_of_no_root),
        T(test_mappings_are_counted_so_far),
        T(test_frames_of_others),
        T(test_counters),
        T(test_flushes_are_counted),
        T(test_hypercall_refuses),
        T(test_hypercall_walks),
        T(test_hypercall_counts),
        T(test_hypercall_sets_the_mode),
        T(test_hypercall_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
