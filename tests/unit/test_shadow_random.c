/* SPDX-License-Identifier: MIT */
/*
 * Random operations of a hostile guest and its neighbours against the reference. The seed of a
 * failing run is printed; `build/unit/shadow_random SEED [STEPS]` repeats it.
 */
#include "tests/unit/shadow_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"

static uint64_t seed = 1, state, steps = 100000;
static unsigned step;
static bool running;
/* How often each outcome and each kind of success came up: a model that only faults tests little.
 */
static uint64_t outcomes[ENDLESS + 1], fresh;

static uint32_t rnd(uint32_t below)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (uint32_t)(state >> 33) % below;
}

static bool one_in(unsigned n)
{
    return rnd(n) == 0;
}

static bool evict(void)
{
    return one_in(4);
}

/* ---- what the guest works with: few slots and few frames, so that everything meets ---- */

#define TABLES 12 /* gfns 1 .. TABLES are mostly used as tables */

static unsigned any_slot(void)
{
    static const unsigned slots[] = {0, 1, 2, 255, 272, 511};

    return slots[rnd(one_in(4) ? 6 : 3)];
}

/* Mostly an address of late, so that caches matter. */
static vaddr_t any_va(void)
{
    static vaddr_t late[8];
    vaddr_t *va = &late[rnd(8)];

    if (one_in(3))
        *va = va_of(any_slot(), any_slot(), any_slot(), any_slot());
    return *va;
}

static uint64_t any_gfn(void)
{
    switch (rnd(24)) {
    case 0:
        return GFNS + rnd(4); /* hole */
    case 1:
        return GFN_WINDOW + rnd(12);
    case 2:
        return 0;
    default:
        return one_in(2) ? 1 + rnd(TABLES) : rnd(GFNS);
    }
}

static uint64_t table_gfn(void)
{
    return one_in(12) ? any_gfn() : 1 + rnd(TABLES);
}

static uint64_t any_entry(void)
{
    uint64_t flags = one_in(8) ? 0 : P;

    flags |= one_in(3) ? 0 : RW;
    flags |= one_in(4) ? 0 : A;
    flags |= one_in(3) ? 0 : D;
    flags |= one_in(6) ? NX : 0;
    flags |= one_in(40) ? PTE_PSE : 0;
    flags |= one_in(2) ? PTE_US : 0;
    flags |= one_in(10) ? 0x3f0000000000118UL | PTE_PCD : 0;
    if (one_in(6))
        return 0;
    return any_gfn() << PAGE_SHIFT | flags;
}

/* What a table is meant for: gfns 1..2 L4, 3..5 L3, 6..8 L2, the rest L1. */
static uint64_t next_table(uint64_t table)
{
    if (table <= 2)
        return 3 + rnd(3);
    if (table <= 5)
        return 6 + rnd(3);
    if (table <= 8)
        return 9 + rnd(TABLES - 8);
    return one_in(3) ? 1 + rnd(TABLES) : rnd(GFNS);
}

/* Mostly something that makes sense in this table, so that walks succeed. */
static uint64_t entry_for(uint64_t table)
{
    if (table == 0 || table > TABLES || one_in(12))
        return any_entry();
    if (one_in(12))
        return 0;
    uint64_t flags = FULL;
    if (one_in(4))
        flags &= ~RW;
    if (one_in(4))
        flags &= ~A;
    if (one_in(3))
        flags &= ~D;
    if (one_in(10))
        flags |= NX;
    return next_table(table) << PAGE_SHIFT | flags;
}

/* The reference's opinion of an entry that the hypercall accepts at once. */
static bool is_ram(uint64_t gfn)
{
    return p2m_lookup(w.p, gfn_of(gfn)).type == P2M_RAM;
}

/* ---- operations ---- */

static void op_update(void)
{
    uint64_t table = table_gfn(), entry = entry_for(table), before = 0;
    unsigned slot = any_slot(), flags = one_in(4) ? SHADOW_PRESERVE_AD : 0;

    if (is_ram(table))
        before = peek(table, slot);
    paging_lock(w.p);
    long rc = shadow_update(w.p, gfn_of(table), slot * 8, entry, flags);
    paging_unlock(w.p);
    if (!is_ram(table))
        assert_int_equal(rc, -XEN_EINVAL);
    else if (rc)
        assert_int_equal(peek(table, slot), before);
    else
        assert_int_equal(peek(table, slot), entry | (flags ? before & (A | D) : 0));
    if (rc == 0 && (entry & P) && p2m_record(w.p, table)->live)
        assert_int_not_equal(p2m_lookup(w.p, gfn_of(entry_gfn(entry))).type, P2M_HOLE);
}

/* What a fault's outcome must be by the reference. */
static void check_outcome(unsigned vcpu, vaddr_t va, enum access how, const struct result *r)
{
    struct reference ref = reference_walk(vcpu, va);
    struct p2m_ref target = p2m_lookup(w.p, gfn_of(ref.gfn));
    bool denied =
        ref.present && ((how == WRITE && !ref.writable) || (how == FETCH && !ref.executable));
    uint32_t user = w.v[vcpu].user_mode ? PF_U : 0;

    assert_int_not_equal(r->outcome, ENDLESS);
    outcomes[r->outcome]++;
    fresh += r->outcome == OK && !r->from_tlb;
    if (r->outcome == OK) {
        if (r->from_tlb)
            return; /* as stale as the guest left it */
        /* Paging-structure caches may be as stale, so only a sure thing is checked: what is mapped
         * is the guest's. */
        if (!ref.present || denied || ref.hole || target.mfn.n != r->mfn.n) {
            assert_false(w.no_cache);
            return;
        }
        if (w.no_cache) {
            assert_true(ref.all_accessed);
            assert_true(how != WRITE || (ref.dirty && !target.readonly));
        }
        return;
    }
    if (r->outcome == CRASH) {
        uint64_t root = w.v[vcpu].user_mode ? w.v[vcpu].user_root.n : w.v[vcpu].kernel_root.n;
        bool writers = root == 0;
        for (unsigned level = 1; level <= LEVELS; level++)
            writers |= ref.path[level] != ~0UL &&
                       frame_of(p2m_lookup(w.p, gfn_of(ref.path[level])).mfn)->writers;
        if (!ref.pse && !ref.bad_table && !ref.hole && !writers)
            fail_msg("crash at %lx without a reason: %s", va, r->info.why);
    } else if (r->outcome == GUEST_FAULT) {
        uint32_t expected = (how == WRITE ? PF_W : 0) | (how == FETCH ? PF_I : 0) | user;
        if (ref.present) {
            assert_true(denied || (how == WRITE && target.readonly));
            expected |= PF_P;
        }
        assert_false(ref.pse || ref.bad_table);
        assert_int_equal(r->info.guest_error, expected);
    } else {
        assert_int_equal(how, WRITE);
        assert_int_equal(r->info.gfn.n, ref.gfn);
        assert_int_equal(r->info.offset, va % PAGE_SIZE);
        assert_true(is_ram(ref.gfn));
        if (r->info.guest_writable)
            assert_true(ref.writable && ref.all_accessed && ref.dirty);
        if (!ref.writable)
            assert_false(user);
    }
}

/* The store goes to memory as the processor would do it: no rule is asked. */
static void store_through(unsigned vcpu, vaddr_t va, mfn_t mfn)
{
    uint64_t *page = frame_map(mfn);

    (void)vcpu;
    if (frame_of(mfn)->owner != 1)
        return; /* not this guest's tables */
    page[va % PAGE_SIZE / 8] = entry_for(p2m_gfn_of(w.p, mfn).n);
}

static void emulate(const struct result *r)
{
    unsigned size = one_in(2) ? 8 : 1U << rnd(4), offset = r->info.offset & ~(size - 1);
    uint64_t entry = entry_for(r->info.gfn.n);

    paging_lock(w.p);
    if (one_in(3) && r->info.guest_writable) {
        shadow_drop(w.p, r->info.gfn);
        assert_false(record_protected(p2m_record(w.p, r->info.gfn.n)));
    } else {
        uint64_t old = shadow_load(w.p, r->info.gfn, offset, size);
        assert_int_equal(shadow_store(w.p, r->info.gfn, offset, size, old, entry), 0);
        assert_int_equal(shadow_store(w.p, r->info.gfn, offset, size, entry + 1, 0), -XEN_EAGAIN);
    }
    paging_unlock(w.p);
}

/* A crash would end the guest; here the entry that it died of is mended, as a guest mends what it
 * faulted on. */
static void repair(unsigned vcpu, vaddr_t va)
{
    const struct paging_vcpu *v = &w.v[vcpu];
    uint64_t table = v->user_mode ? v->user_root.n : v->kernel_root.n;

    for (unsigned level = LEVELS; level >= 1 && is_ram(table); level--) {
        uint64_t entry = peek(table, va_slot(va, level));
        if (!(entry & P) || !(entry & RW) || ((level == 2 || level == 3) && (entry & PTE_PSE)) ||
            (level > 1 && !is_ram(entry_gfn(entry))) || level == 1) {
            update(table, va_slot(va, level),
                   one_in(4) ? 0 : next_table(table) << PAGE_SHIFT | FULL);
            return;
        }
        table = entry_gfn(entry);
    }
}

static void op_access(void)
{
    unsigned vcpu = rnd(VCPUS);
    vaddr_t va = any_va() + any_slot() * 8;
    enum access how = rnd(3);

    if (!w.running[vcpu])
        return;
    struct result r = cpu_access(vcpu, va, how);
    check_outcome(vcpu, va, how, &r);
    if (r.outcome == OK && how == WRITE)
        store_through(vcpu, va, r.mfn);
    else if (r.outcome == STORE)
        emulate(&r);
    else if (r.outcome == CRASH || (r.outcome == GUEST_FAULT && one_in(2)))
        repair(vcpu, va);
}

static void op_root(void)
{
    unsigned vcpu = rnd(VCPUS);
    struct paging_vcpu *v = &w.v[vcpu];
    uint64_t gfn = one_in(8) ? table_gfn() : 1 + rnd(2);
    long rc;

    paging_lock(w.p);
    if (one_in(2)) {
        rc = shadow_set_kernel_root(w.p, v, gfn_of(gfn));
        assert_int_equal(rc == 0, is_ram(gfn) && gfn != 0);
    } else {
        gfn = one_in(8) ? 0 : gfn;
        rc = shadow_set_user_root(w.p, v, gfn_of(gfn));
        assert_int_equal(rc == 0, gfn == 0 || is_ram(gfn));
    }
    paging_unlock(w.p);
    if (one_in(3) && v->user_root.n)
        v->user_mode = !v->user_mode;
    if (v->user_mode && !v->user_root.n)
        v->user_mode = false;
    load_root(vcpu);
}

static void op_balloon(void)
{
    uint64_t gfn = rnd(one_in(8) ? GFNS : 40);
    mfn_t mfn;

    for (uint64_t g = 0; g < GFNS && !one_in(4); g++) /* holes are filled sooner than made */
        if (!is_ram(g))
            gfn = g;

    paging_lock(w.p);
    if (is_ram(gfn)) {
        assert_int_equal(p2m_remove_ram(w.p, gfn_of(gfn), &mfn), 0);
        frame_put(frame_of(mfn));
    } else {
        mfn = frame_alloc(0, 1, 0);
        assert_true(mfn_valid(mfn));
        assert_int_equal(p2m_add_ram(w.p, gfn_of(gfn), mfn), 0);
    }
    paging_unlock(w.p);
}

#define HOLDS 3
static struct frame_hold holds[HOLDS];
static mfn_t lent[HOLDS]; /* to another domain, writable */

static void op_hold(void)
{
    unsigned i = one_in(3) ? rnd(HOLDS) : 0; /* so that most end soon */

    if (holds[i].va)
        paging_release(&holds[i]);
    else if (paging_hold(w.p, gfn_of(one_in(6) ? any_gfn() : rnd(GFNS)), one_in(2), &holds[i]) &&
             holds[i].writable && frame_of(holds[i].mfn)->owner == 1)
        ((uint64_t *)holds[i].va)[any_slot()] = any_entry();
}

static void op_lend(void)
{
    unsigned i = one_in(3) ? rnd(HOLDS) : 0;

    if (lent[i].n) {
        ((uint64_t *)frame_map(lent[i]))[any_slot()] = any_entry();
        paging_alias_put(lent[i], false);
        lent[i].n = 0;
        return;
    }
    mfn_t m = paging_alias_get(w.p, gfn_of(one_in(6) ? rnd(13) : rnd(GFNS)), false);
    if (mfn_valid(m))
        lent[i] = m;
}

static void op_foreign(void)
{
    bool readonly = one_in(3);
    uint64_t table = table_gfn();
    mfn_t m = paging_alias_get(w.other, gfn_of(rnd(8)), readonly);

    if (!mfn_valid(m))
        return;
    paging_lock(w.p);
    long rc =
        shadow_update_foreign(w.p, gfn_of(table), any_slot() * 8, any_entry() | P, m, readonly);
    paging_unlock(w.p);
    if (rc)
        paging_alias_put(m, readonly);
}

#define GRANTS 4
static gfn_t grants[GRANTS];
static bool grant_readonly[GRANTS];

static void op_grant(void)
{
    unsigned i = rnd(GRANTS);
    mfn_t m;

    if (grants[i].n) {
        paging_lock(w.p);
        assert_int_equal(p2m_window_remove(w.p, grants[i], &m), 0);
        paging_unlock(w.p);
        paging_alias_put(m, grant_readonly[i]);
        grants[i].n = 0;
        return;
    }
    grant_readonly[i] = one_in(2);
    m = paging_alias_get(w.other, gfn_of(rnd(8)), grant_readonly[i]);
    if (!mfn_valid(m))
        return;
    paging_lock(w.p);
    grants[i] = p2m_window_add(w.p, P2M_GRANT, m, grant_readonly[i]);
    paging_unlock(w.p);
}

static void op_hints(void)
{
    gfn_t gfn = gfn_of(table_gfn());

    paging_lock(w.p);
    switch (rnd(4)) {
    case 0:
        shadow_pin(w.p, gfn, 1 + rnd(4));
        break;
    case 1:
    case 2:
        shadow_unpin(w.p, gfn);
        break;
    default:
        shadow_drop(w.p, gfn);
    }
    paging_unlock(w.p);
}

static void op_flush(void)
{
    fake.pcpu = rnd(VCPUS);
    paging_lock(w.p);
    if (one_in(2))
        shadow_flush_local(w.p);
    else
        shadow_flush_mask(w.p, rnd(4));
    paging_unlock(w.p);
    if (one_in(4))
        arch_tlb_flush_all();
}

static void op_va(void)
{
    unsigned vcpu = rnd(VCPUS);
    vaddr_t va = any_va() + any_slot() * 8;
    uint64_t word = any_entry();
    struct reference ref = reference_walk(vcpu, va);
    struct p2m_ref target = p2m_lookup(w.p, gfn_of(ref.gfn));

    if (one_in(2)) {
        bool good = ref.present && !ref.hole && w.v[vcpu].kernel_root.n;
        assert_int_equal(paging_read_va(w.p, &w.v[vcpu], va, &word, 8), good ? 0 : -XEN_EFAULT);
        return;
    }
    bool good = ref.present && !ref.hole && ref.writable && !target.readonly;
    if (good && frame_of(target.mfn)->owner != 1)
        return; /* keep the neighbours' memory out of it */
    assert_int_equal(paging_write_va(w.p, &w.v[vcpu], va, &word, 8), good ? 0 : -XEN_EFAULT);
    if (good)
        assert_int_equal(((uint64_t *)frame_map(target.mfn))[va % PAGE_SIZE / 8], word);
}

static const struct {
    void (*run)(void);
    unsigned weight;
} ops[] = {
    {op_access, 60}, {op_update, 30}, {op_root, 4},  {op_balloon, 2}, {op_hold, 2}, {op_lend, 1},
    {op_foreign, 3}, {op_grant, 2},   {op_hints, 2}, {op_flush, 3},   {op_va, 3},
};
#define OPS (sizeof ops / sizeof ops[0])

static void random_op(void)
{
    unsigned total = 0, pick;

    for (unsigned i = 0; i < OPS; i++)
        total += ops[i].weight;
    pick = rnd(total);
    for (unsigned i = 0; i < OPS; i++) {
        if (pick < ops[i].weight) {
            ops[i].run();
            return;
        }
        pick -= ops[i].weight;
    }
}

static void clean_up(void)
{
    for (unsigned i = 0; i < HOLDS; i++) {
        if (holds[i].va)
            paging_release(&holds[i]);
        if (lent[i].n)
            paging_alias_put(lent[i], false);
        lent[i].n = 0;
    }
    memset(grants, 0, sizeof grants); /* teardown takes them */
}

/* A guest whose tables make some sense at first: two roots over a shared tree. */
static void build(void)
{
    for (unsigned t = 1; t <= TABLES; t++)
        for (unsigned s = 0; s < 3; s++)
            poke(t, s, next_table(t), FULL);
    set_root(0, 1);
    set_root(1, 2);
}

static void run_model(unsigned pool, bool no_cache, uint64_t count)
{
    if (running)
        skip(); /* the run before broke the world */
    state = seed;
    running = true;
    world_start(pool);
    w.no_cache = no_cache;
    w.evict = evict;
    build();
    for (step = 0; step < count; step++) {
        random_op();
        if (one_in(32))
            check_world();
        if (!w.running[0] || !w.running[1])
            op_root();
        if (one_in(4000)) { /* a new guest in the same domain, or stale entries would fill
                               everything */
            for (unsigned t = 1; t <= TABLES; t++)
                if (is_ram(t))
                    for (unsigned s = 0; s < SLOTS; s++)
                        update(t, s, s < 3 ? next_table(t) << PAGE_SHIFT | FULL : 0);
        }
    }
    check_world();
    if (getenv("TRACE"))
        fprintf(stderr,
                "ok %lu (walked %lu) fault %lu store %lu crash %lu; shadows reclaimed %lu\n",
                outcomes[OK], fresh, outcomes[GUEST_FAULT], outcomes[STORE], outcomes[CRASH],
                w.p->count.reclaimed);
    for (unsigned i = OK; i < ENDLESS; i++)
        assert_true(outcomes[i] > count / 200);
    assert_true(fresh > count / 200 && w.p->count.faults_store > count / 200);
    memset(outcomes, 0, sizeof outcomes);
    fresh = 0;
    clean_up();
    world_stop();
    running = false;
}

static void test_large_pool(void **unused)
{
    (void)unused;
    run_model(200, false, steps * 4 / 10);
}

static void test_tiny_pool(void **unused)
{
    (void)unused;
    run_model(12, false, steps * 4 / 10);
}

static void test_no_caches(void **unused)
{
    (void)unused;
    run_model(24, true, steps * 2 / 10);
}

static int failed_seed(void **unused)
{
    (void)unused;
    if (!running)
        return 0;
    fprintf(stderr, "seed %lu, failed at step %u\n", seed, step);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_large_pool, failed_seed),
        cmocka_unit_test_teardown(test_tiny_pool, failed_seed),
        cmocka_unit_test_teardown(test_no_caches, failed_seed),
    };

    if (argc > 1)
        seed = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        steps = strtoul(argv[2], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
