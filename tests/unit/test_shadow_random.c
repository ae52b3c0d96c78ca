/* SPDX-License-Identifier: MIT */
/*
 * Random operations of a hostile guest, its neighbour, and domain 0 behind both, against the
 * reference: stores, hypercalls, hints, root switches, balloon, grants, foreign maps, frames shared
 * and copied, the log of dirty frames, short memory. After each step the entries that it was about
 * are compared, every CHECK_EVERY steps everything. The seed of a failing run is printed;
 * `build/unit/shadow_random SEED [STEPS]` repeats it.
 */
#include "tests/unit/shadow_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/arch.h"

#define CHECK_EVERY 1000

static uint64_t seed = 1, state, steps = 1000000;
static unsigned step;
static bool running;
/* How often each outcome and each kind of success came up: a model that only faults tests little.
 */
static uint64_t outcomes[ENDLESS + 1], fresh, shares, cleaned, plain;

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
    return one_in(16);
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

    if (one_in(8))
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

static unsigned any_vcpu(void)
{
    return one_in(6) ? OTHER : rnd(VCPUS);
}

/* The guest's memory, whether its alone or shared. */
static bool is_memory(uint64_t gfn)
{
    return p2m_is_memory(w.p, gfn_of(gfn));
}

static enum p2m_type type_of(struct paging *p, uint64_t gfn)
{
    return p2m_lookup(p, gfn_of(gfn)).type;
}

/* For the log's check: the test changed, or may have changed, this frame. */
static void wrote(struct paging *p, uint64_t gfn)
{
    if (p == w.p && gfn < GFNS)
        w.touched[gfn] = true;
}

/* ---- short memory ---- */

#define HOARD 4096
static mfn_t hoard[HOARD];
static unsigned hoarded;
static bool famine;

static void end_famine(void)
{
    while (hoarded)
        frame_free(hoard[--hoarded], 0);
    famine = false;
}

/* Takes all frames that are left, or gives them back. */
static void op_famine(void)
{
    if (famine) {
        end_famine();
        return;
    }
    while (hoarded < HOARD && mfn_valid(hoard[hoarded] = frame_alloc(0, DOMID_XEN, 0)))
        hoarded++;
    famine = true;
}

/* ---- operations ---- */

/* What went well: tried again, by the same and by other vCPUs, it meets what their caches kept. */
static vaddr_t went_well[6];

/* A frame that is followed as a table of level 1 and nothing else just now, if there is one. */
static uint64_t followed_l1(void)
{
    uint64_t first = rnd(GFNS);

    for (uint64_t i = 0; i < GFNS; i++) {
        const struct gfn_record *r = p2m_record(w.p, (first + i) % GFNS);
        if (record_is_ram(r) && r->live == 1 && r->shadows->level == 1)
            return (first + i) % GFNS;
    }
    return table_gfn();
}

/* One request, as hv/mmu.c does it: the short way first. */
static long request(uint64_t table, unsigned slot, uint64_t entry, unsigned flags)
{
    struct mmu_update u = {.ptr = table << PAGE_SHIFT | slot * 8, .val = entry};
    long rc = 0;

    u.ptr |= flags ? MMU_PT_UPDATE_PRESERVE_AD : MMU_NORMAL_PT_UPDATE;
    paging_lock(w.p);
    if (one_in(8) ||
        !(one_in(2) ? shadow_update_plain(w.p, &u, 1) : shadow_update_one(w.p, u.ptr, u.val)))
        rc = shadow_update(w.p, gfn_of(table), slot * 8, entry, flags);
    else
        plain++;
    paging_unlock(w.p);
    return rc;
}

/* update_va_mapping: the entry that maps an address in the kernel's tables. */
static void op_update_va(void)
{
    unsigned vcpu = rnd(VCPUS), offset = 0;
    vaddr_t va = one_in(2) ? went_well[rnd(6)] : any_va();
    uint64_t entry, before = 0;
    gfn_t table;
    long rc;

    paging_lock(w.p);
    bool found = shadow_find_l1(w.p, &w.v[vcpu], va, &table, &offset) == 0;
    entry = entry_for(found ? table.n : 0);
    if (found)
        before = peek(table.n, offset / 8);
    rc = shadow_update_va(w.p, &w.v[vcpu], va, entry);
    paging_unlock(w.p);
    if (!found) {
        assert_int_equal(rc, -XEN_EINVAL);
        return;
    }
    assert_int_equal(peek(table.n, offset / 8), rc ? before : entry);
    wrote(w.p, table.n);
    check_entry(table.n, offset / 8);
    check_walk(vcpu, va);
}

static void op_update(void)
{
    uint64_t table = one_in(3) ? followed_l1() : table_gfn();
    uint64_t entry = entry_for(table), before = 0;
    unsigned slot = any_slot(), flags = one_in(4) ? SHADOW_PRESERVE_AD : 0;

    if (is_memory(table))
        before = peek(table, slot);
    long rc = request(table, slot, entry, flags);
    if (!is_memory(table))
        assert_int_equal(rc, -XEN_EINVAL);
    else if (rc)
        assert_int_equal(peek(table, slot), before);
    else
        assert_int_equal(peek(table, slot), entry | (flags ? before & (A | D) : 0));
    if (rc == 0) {
        wrote(w.p, table);
        if ((entry & P) && p2m_record(w.p, table)->live)
            assert_int_not_equal(type_of(w.p, entry_gfn(entry)), P2M_HOLE);
    }
    check_entry(table, slot);
}

/* A crash needs a reason: a table that is none, that others write, or memory that is short. */
static void check_crash(unsigned vcpu, vaddr_t va, const struct reference *ref,
                        const struct result *r)
{
    const struct paging_vcpu *v = &w.v[vcpu];
    struct paging *p = paging_of(vcpu);
    bool reason = (v->user_mode ? v->user_root.n : v->kernel_root.n) == 0 || famine;

    for (unsigned level = 1; level <= LEVELS; level++)
        reason |= ref->path[level] != ~0UL &&
                  frame_of(p2m_lookup(p, gfn_of(ref->path[level])).mfn)->writers;
    if (!ref->pse && !ref->bad_table && !ref->hole && !reason)
        fail_msg("crash at %lx without a reason: %s", va, r->info.why);
}

/* The guest sees a fault of its own only where its tables say so. */
static void check_guest_fault(unsigned vcpu, enum access how, const struct reference *ref,
                              const struct result *r)
{
    struct p2m_ref target = p2m_lookup(paging_of(vcpu), gfn_of(ref->gfn));
    bool denied =
        ref->present && ((how == WRITE && !ref->writable) || (how == FETCH && !ref->executable));
    uint32_t expected =
        (how == WRITE ? PF_W : 0) | (how == FETCH ? PF_I : 0) | (w.v[vcpu].user_mode ? PF_U : 0);

    if (ref->present) {
        assert_true(denied || (how == WRITE && target.readonly));
        expected |= PF_P;
    }
    assert_false(ref->pse || ref->bad_table);
    assert_int_equal(r->info.guest_error, expected);
}

static void check_store(unsigned vcpu, vaddr_t va, enum access how, const struct reference *ref,
                        const struct result *r)
{
    assert_int_equal(how, WRITE);
    assert_int_equal(r->info.gfn.n, ref->gfn);
    assert_int_equal(r->info.offset, va % PAGE_SIZE);
    assert_int_equal(type_of(paging_of(vcpu), ref->gfn), P2M_RAM);
    if (r->info.guest_writable)
        assert_true(ref->writable && ref->all_accessed && ref->dirty);
    if (!ref->writable)
        assert_false(w.v[vcpu].user_mode);
}

static void check_access(unsigned vcpu, enum access how, const struct reference *ref,
                         const struct result *r)
{
    struct p2m_ref target = p2m_lookup(paging_of(vcpu), gfn_of(ref->gfn));
    const struct frame *f = frame_of(r->mfn);

    if (how == WRITE && f)
        assert_int_not_equal(f->owner, DOMID_COW);
    if (r->from_tlb)
        return; /* as stale as the guest left it */
    /* Paging-structure caches may be as stale, so only a sure thing is checked: what is mapped is
     * the guest's. */
    if (!ref->present || (how == WRITE && !ref->writable) || (how == FETCH && !ref->executable) ||
        ref->hole || target.mfn.n != r->mfn.n) {
        assert_false(w.no_cache);
        return;
    }
    if (w.no_cache) {
        assert_true(ref->all_accessed);
        assert_true(how != WRITE || (ref->dirty && !target.readonly));
    }
}

/* What an access's outcome must be by the reference. */
static void check_outcome(unsigned vcpu, vaddr_t va, enum access how, const struct result *r)
{
    struct reference ref = reference_walk(vcpu, va);

    assert_int_not_equal(r->outcome, ENDLESS);
    outcomes[r->outcome]++;
    fresh += r->outcome == OK && !r->from_tlb;
    if (r->outcome == OK)
        check_access(vcpu, how, &ref, r);
    else if (r->outcome == CRASH)
        check_crash(vcpu, va, &ref, r);
    else if (r->outcome == GUEST_FAULT)
        check_guest_fault(vcpu, how, &ref, r);
    else
        check_store(vcpu, va, how, &ref, r);
    check_walk(vcpu, va);
}

/* The store goes to memory as the processor would do it: no rule is asked. */
static void store_through(unsigned vcpu, vaddr_t va, mfn_t mfn)
{
    uint64_t *page = frame_map(mfn);
    struct paging *p = paging_of(vcpu);
    gfn_t gfn = p2m_gfn_of(p, mfn);

    if (!gfn_valid(gfn)) { /* lent by the other domain, or not its own any more */
        if (frame_of(mfn))
            page[va % PAGE_SIZE / 8] = any_entry();
        return;
    }
    page[va % PAGE_SIZE / 8] = entry_for(gfn.n);
    wrote(p, gfn.n);
}

static void emulate(unsigned vcpu, const struct result *r)
{
    unsigned size = one_in(2) ? 8 : 1U << rnd(4), offset = r->info.offset & ~(size - 1);
    struct paging *p = paging_of(vcpu);
    uint64_t entry = entry_for(r->info.gfn.n);

    paging_lock(p);
    if (one_in(3) && r->info.guest_writable) {
        shadow_drop(p, r->info.gfn);
        assert_false(record_protected(p2m_record(p, r->info.gfn.n)));
    } else {
        uint64_t old = shadow_load(p, r->info.gfn, offset, size);
        assert_int_equal(shadow_store(p, r->info.gfn, offset, size, old, entry), 0);
        assert_int_equal(shadow_store(p, r->info.gfn, offset, size, entry + 1, 0), -XEN_EAGAIN);
        wrote(p, r->info.gfn.n);
    }
    paging_unlock(p);
    if (p == w.p)
        check_entry(r->info.gfn.n, offset / 8);
}

/* A crash would end the guest; here the entry that it died of is mended, as a guest mends what it
 * faulted on. */
static void repair(unsigned vcpu, vaddr_t va)
{
    const struct paging_vcpu *v = &w.v[vcpu];
    struct paging *p = paging_of(vcpu);
    uint64_t table = v->user_mode ? v->user_root.n : v->kernel_root.n;

    for (unsigned level = LEVELS; level >= 1 && p2m_is_memory(p, gfn_of(table)); level--) {
        uint64_t entry = memory_of(p, table)[va_slot(va, level)];
        if (!(entry & P) || !(entry & RW) || ((level == 2 || level == 3) && (entry & PTE_PSE)) ||
            (level > 1 && !p2m_is_memory(p, gfn_of(entry_gfn(entry)))) || level == 1) {
            paging_lock(p);
            shadow_update(p, gfn_of(table), va_slot(va, level) * 8,
                          one_in(4) ? 0 : next_table(table) << PAGE_SHIFT | FULL, 0);
            paging_unlock(p);
            wrote(p, table);
            return;
        }
        table = entry_gfn(entry);
    }
}

/* If the address leads to a shared frame, what is in it: a copy must not differ. */
static const uint64_t *shared_content(unsigned vcpu, vaddr_t va, uint64_t *gfn)
{
    static uint64_t content[SLOTS];
    struct reference ref = reference_walk(vcpu, va);

    *gfn = ref.gfn;
    if (!ref.present || type_of(paging_of(vcpu), ref.gfn) != P2M_SHARED)
        return NULL;
    for (unsigned level = 1; level <= LEVELS; level++)
        if (ref.path[level] == ref.gfn)
            return NULL; /* its own A and D may change */
    memcpy(content, memory_of(paging_of(vcpu), ref.gfn), PAGE_SIZE);
    return content;
}

static void op_access(void)
{
    unsigned vcpu = any_vcpu();
    vaddr_t va = one_in(2) ? went_well[rnd(6)] : any_va() + any_slot() * 8;
    enum access how = rnd(3);
    uint64_t gfn;

    if (!w.running[vcpu])
        return;
    const uint64_t *content = how == WRITE ? shared_content(vcpu, va, &gfn) : NULL;
    struct result r = cpu_access(vcpu, va, how);
    check_outcome(vcpu, va, how, &r);
    if (content)
        assert_memory_equal(content, memory_of(paging_of(vcpu), gfn), PAGE_SIZE);
    if (r.outcome == OK)
        went_well[rnd(6)] = va;
    if (r.outcome == OK && how == WRITE)
        store_through(vcpu, va, r.mfn);
    else if (r.outcome == STORE)
        emulate(vcpu, &r);
    else if (r.outcome == CRASH || (r.outcome == GUEST_FAULT && one_in(2)))
        repair(vcpu, va);
}

/* As the hypercalls do it: the quick way first, mostly. */
static long set_kernel_root(struct paging *p, struct paging_vcpu *v, gfn_t gfn)
{
    if (!v->user_mode && !one_in(4) && shadow_switch_kernel(p, v, gfn))
        return 0;
    return shadow_set_kernel_root(p, v, gfn);
}

static long set_user_root(struct paging *p, struct paging_vcpu *v, gfn_t gfn)
{
    if (!one_in(4) && shadow_switch_user(p, v, gfn))
        return 0;
    return shadow_set_user_root(p, v, gfn);
}

static void switch_root(unsigned vcpu)
{
    struct paging_vcpu *v = &w.v[vcpu];
    struct paging *p = paging_of(vcpu);
    uint64_t gfn = one_in(8) ? table_gfn() : 1 + rnd(2);
    bool memory;
    long rc;

    paging_lock(p);
    memory = p2m_is_memory(p, gfn_of(gfn));
    if (one_in(2)) {
        rc = set_kernel_root(p, v, gfn_of(gfn));
        assert_int_equal(rc == 0, memory && gfn != 0);
    } else {
        gfn = one_in(8) ? 0 : gfn;
        rc = set_user_root(p, v, gfn_of(gfn));
        assert_int_equal(rc == 0, gfn == 0 || memory);
    }
    paging_unlock(p);
    if (one_in(3) && v->user_root.n)
        v->user_mode = !v->user_mode;
    if (v->user_mode && !v->user_root.n)
        v->user_mode = false;
    load_root(vcpu);
}

static void op_root(void)
{
    switch_root(any_vcpu());
}

/* A gfn whose frame went or came. */
static void new_frame(struct paging *p, uint64_t gfn)
{
    w.epoch[p == w.other][gfn]++;
    wrote(p, gfn);
}

static void remove_frame(struct paging *p, uint64_t gfn)
{
    mfn_t mfn;

    paging_lock(p);
    assert_int_equal(p2m_remove_ram(p, gfn_of(gfn), &mfn), 0);
    paging_unlock(p);
    frame_put(frame_of(mfn));
    new_frame(p, gfn);
}

static void op_balloon(void)
{
    struct paging *p = one_in(4) ? w.other : w.p;
    uint64_t gfn = rnd(one_in(8) ? GFNS : 40);
    mfn_t mfn;

    for (uint64_t g = 0; g < GFNS && !one_in(4); g++) /* holes are filled sooner than made */
        if (type_of(p, g) == (one_in(8) ? P2M_SHARED : P2M_HOLE))
            gfn = g;
    if (type_of(p, gfn) != P2M_HOLE) {
        remove_frame(p, gfn);
        return;
    }
    mfn = frame_alloc(0, p->domid, 0);
    assert_true(mfn_valid(mfn) || famine);
    if (!mfn_valid(mfn))
        return;
    paging_lock(p);
    long rc = p2m_add_ram(p, gfn_of(gfn), mfn);
    paging_unlock(p);
    assert_true(rc == 0 || (famine && rc == -XEN_ENOMEM));
    if (rc)
        frame_put(frame_of(mfn));
    else
        new_frame(p, gfn);
}

#define HOLDS 3
static struct frame_hold holds[HOLDS];
static mfn_t lent[HOLDS]; /* to another domain, writable */

/* Like a write to vcpu_info: at any time while it is held. */
static void write_held(const struct frame_hold *hold)
{
    if (hold->writable && frame_of(hold->mfn)->owner == 1)
        ((uint64_t *)hold->va)[any_slot()] = any_entry();
}

static void op_hold(void)
{
    unsigned i = one_in(3) ? rnd(HOLDS) : 0; /* so that most end soon */

    uint64_t gfn = one_in(6) ? any_gfn() : rnd(GFNS);

    if (holds[i].va) {
        write_held(&holds[i]);
        paging_release(&holds[i]);
    } else if (paging_hold(w.p, gfn_of(gfn), one_in(2), &holds[i]) && holds[i].writable) {
        wrote(w.p, gfn);
        write_held(&holds[i]);
    }
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
    uint64_t gfn = one_in(6) ? rnd(13) : rnd(GFNS);
    mfn_t m = paging_alias_get(w.p, gfn_of(gfn), false);
    if (mfn_valid(m)) {
        lent[i] = m;
        wrote(w.p, gfn);
    }
}

/* A gfn to map in the other domain, mostly none that is a table. */
#define LENDABLE (one_in(8) ? rnd(GFNS) : 40 + rnd(8))

static void op_foreign(void)
{
    struct paging *p = one_in(3) ? w.other : w.p, *owner = p == w.p ? w.other : w.p;
    uint64_t table = table_gfn(), gfn = LENDABLE;
    bool readonly = one_in(3);
    unsigned slot = any_slot();
    mfn_t m = paging_alias_get(owner, gfn_of(gfn), readonly);

    if (!mfn_valid(m))
        return;
    if (!readonly)
        wrote(owner, gfn);
    paging_lock(p);
    long rc = shadow_update_foreign(p, gfn_of(table), slot * 8, any_entry() | P, m, readonly);
    paging_unlock(p);
    if (rc)
        paging_alias_put(m, readonly);
    else
        wrote(p, table);
    if (p == w.p)
        check_entry(table, slot);
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
    m = paging_alias_get(w.other, gfn_of(LENDABLE), grant_readonly[i]);
    if (!mfn_valid(m))
        return;
    paging_lock(w.p);
    grants[i] = p2m_window_add(w.p, P2M_GRANT, m, grant_readonly[i]);
    paging_unlock(w.p);
    if (!gfn_valid(grants[i])) {
        assert_true(famine);
        paging_alias_put(m, grant_readonly[i]);
        grants[i].n = 0;
    }
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
    unsigned vcpu = any_vcpu(), mask = 1U << vcpu;
    struct paging *p = paging_of(vcpu);
    vaddr_t va = ALL_ADDRESSES;

    fake.pcpu = vcpu;
    if (one_in(4))
        arch_tlb_flush_all();
    paging_lock(p);
    switch (rnd(4)) {
    case 0:
        shadow_flush_local(p);
        break;
    case 1:
        va = went_well[rnd(6)];
        shadow_flush_va_local(p, va);
        break;
    default:
        mask = rnd(1U << VCPUS);
        shadow_flush_mask(p, mask);
    }
    paging_unlock(p);
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        if ((mask & 1U << i) && paging_of(i) == p && w.running[i])
            check_flushed(i, va);
}

static void op_va(void)
{
    unsigned vcpu = any_vcpu();
    struct paging *p = paging_of(vcpu);
    vaddr_t va = any_va() + any_slot() * 8;
    uint64_t word = any_entry();
    struct reference ref = reference_walk(vcpu, va);
    struct p2m_ref target = p2m_lookup(p, gfn_of(ref.gfn));
    bool write = one_in(2), good = ref.present && !ref.hole;
    long rc;

    if (write)
        good &= ref.writable && !target.readonly;
    if (write && good && target.type != P2M_RAM && target.type != P2M_SHARED)
        return; /* keep the neighbours' memory out of it */
    for (unsigned level = 1; level <= LEVELS; level++)
        wrote(p, ref.path[level]);
    if (!write)
        rc = paging_read_va(p, &w.v[vcpu], va, &word, 8);
    else
        rc = paging_write_va(p, &w.v[vcpu], va, &word, 8);
    if (rc && famine)
        return;
    assert_int_equal(rc, good ? 0 : -XEN_EFAULT);
    if (write && good) {
        assert_int_equal(memory_of(p, ref.gfn)[va % PAGE_SIZE / 8], word);
        wrote(p, ref.gfn);
    }
    check_walk(vcpu, va);
}

/* ---- copy-on-write ---- */

/* A gfn of the domain's, as often as not one that its vCPUs have cached. */
static uint64_t used_gfn(struct paging *p)
{
    struct reference r = reference_walk(p == w.other ? OTHER : rnd(VCPUS), went_well[rnd(6)]);

    return r.present && r.gfn < GFNS && one_in(2) ? r.gfn : rnd(GFNS);
}

/* Why may a frame not be shared just now? */
static bool is_busy(struct paging *p, uint64_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn);

    return record_is_ram(r) && (r->aliases || frame_of(record_mfn(r))->refs != 1);
}

static void op_share(void)
{
    struct paging *from = one_in(2) ? w.p : w.other, *to = from == w.p ? w.other : w.p;
    uint64_t gfn = used_gfn(from), to_gfn = one_in(2) ? gfn : rnd(GFNS);
    long rc, expected;

    if (one_in(8))
        to = from;
    if (!one_in(8) && type_of(to, to_gfn) != P2M_HOLE && !(to == from && to_gfn == gfn))
        remove_frame(to, to_gfn);
    expected = !p2m_is_memory(from, gfn_of(gfn)) ? -XEN_EINVAL
               : is_busy(from, gfn)              ? -XEN_EBUSY
               : type_of(to, to_gfn) != P2M_HOLE ? -XEN_EEXIST
                                                 : 0;
    enum p2m_type before = type_of(from, gfn);
    rc = paging_share(from, gfn_of(gfn), to, gfn_of(to_gfn));
    assert_int_equal(rc, expected);
    if (rc) {
        /* One that was the last to have a shared frame may have got it back. */
        assert_true(type_of(from, gfn) == before || before == P2M_SHARED);
        return;
    }
    new_frame(to, to_gfn);
    assert_int_equal(type_of(from, gfn), P2M_SHARED);
    assert_int_equal(type_of(to, to_gfn), P2M_SHARED);
    assert_ptr_equal(memory_of(from, gfn), memory_of(to, to_gfn));
    shares++;
}

static void op_unshare(void)
{
    struct paging *p = one_in(2) ? w.p : w.other;
    uint64_t gfn = used_gfn(p), content[SLOTS];
    bool memory = p2m_is_memory(p, gfn_of(gfn));
    long rc;

    if (memory)
        memcpy(content, memory_of(p, gfn), PAGE_SIZE);
    rc = paging_unshare(p, gfn_of(gfn));
    if (!memory) {
        assert_int_equal(rc, -XEN_EINVAL);
        return;
    }
    assert_true(rc == 0 || (famine && rc == -XEN_ENOMEM));
    assert_int_equal(type_of(p, gfn), rc ? P2M_SHARED : P2M_RAM);
    assert_memory_equal(content, memory_of(p, gfn), PAGE_SIZE);
}

/* ---- the log of dirty frames ---- */

/* The guest's memory when it was clean last. */
static struct {
    bool on, hole[GFNS];
    uint64_t content[GFNS][SLOTS];
} shot;

static bool has_writers(uint64_t gfn)
{
    return type_of(w.p, gfn) == P2M_RAM && frame_of(p2m_lookup(w.p, gfn_of(gfn)).mfn)->writers;
}

static void take_shot(void)
{
    for (uint64_t gfn = 0; gfn < GFNS; gfn++) {
        shot.hole[gfn] = !is_memory(gfn);
        if (!shot.hole[gfn])
            memcpy(shot.content[gfn], memory_of(w.p, gfn), PAGE_SIZE);
        w.touched[gfn] = has_writers(gfn);
    }
}

static bool differs_from_shot(uint64_t gfn)
{
    if (!is_memory(gfn) || shot.hole[gfn])
        return is_memory(gfn) == shot.hole[gfn];
    return memcmp(shot.content[gfn], memory_of(w.p, gfn), PAGE_SIZE);
}

static void check_log(bool clean)
{
    uint64_t bits[LOG_WORDS];

    log_collect(w.p, 0, GFNS, clean, bits);
    for (unsigned i = 1; i < LOG_WORDS; i++)
        assert_int_equal(bits[i], 0);
    for (uint64_t gfn = 0; gfn < GFNS; gfn++) {
        bool dirty = bits[0] >> gfn & 1;
        if (!dirty && (differs_from_shot(gfn) || has_writers(gfn)))
            fail_msg("log: frame %lx was written and is not in it", gfn);
        if (dirty && !w.touched[gfn])
            fail_msg("log: frame %lx is in it and nobody wrote it", gfn);
    }
    if (!clean)
        return;
    check_cached();
    take_shot();
    cleaned++;
}

static void op_log(void)
{
    if (!shot.on) {
        long rc;
        while ((rc = log_enable(w.p)) == -XEN_ERESTART)
            ;
        assert_true(rc == 0 || (famine && rc == -XEN_ENOMEM));
        shot.on = rc == 0;
        check_cached();
        take_shot();
    } else if (one_in(8)) {
        assert_int_equal(log_enable(w.p), -XEN_EINVAL);
        while (log_disable(w.p))
            ;
        shot.on = false;
    } else {
        check_log(!one_in(4));
    }
}

static const struct {
    void (*run)(void);
    unsigned weight;
} ops[] = {
    {op_access, 600}, {op_update, 250}, {op_update_va, 50}, {op_root, 40},
    {op_balloon, 20}, {op_hold, 20},    {op_lend, 10},      {op_foreign, 30},
    {op_grant, 20},   {op_hints, 20},   {op_flush, 30},     {op_va, 30},
    {op_share, 30},   {op_unshare, 15}, {op_log, 8},        {op_famine, 1},
};
#define OPS (sizeof ops / sizeof ops[0])

static void random_op(void)
{
    unsigned total = 0, pick;

    if (one_in(8))
        let_wait(any_vcpu());
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
    end_famine();
    shot.on = false; /* teardown frees the log */
    for (unsigned i = 0; i < HOLDS; i++) {
        if (holds[i].va)
            paging_release(&holds[i]);
        if (lent[i].n)
            paging_alias_put(lent[i], false);
        lent[i].n = 0;
    }
    memset(grants, 0, sizeof grants); /* teardown takes them */
}

/* Guests whose tables make some sense at first: two roots over a shared tree. */
static void build(void)
{
    for (unsigned t = 1; t <= TABLES; t++)
        for (unsigned s = 0; s < 3; s++) {
            poke(t, s, next_table(t), FULL);
            memory_of(w.other, t)[s] = next_table(t) << PAGE_SHIFT | FULL;
        }
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        set_root(i, 1 + i % 2);
}

/* New guests in the same domains, or stale entries would fill everything. */
static void rebuild(struct paging *p)
{
    for (unsigned t = 1; t <= TABLES; t++) {
        if (!p2m_is_memory(p, gfn_of(t)))
            continue;
        paging_lock(p);
        for (unsigned s = 0; s < SLOTS; s++)
            shadow_update(p, gfn_of(t), s * 8, s < 3 ? next_table(t) << PAGE_SHIFT | FULL : 0, 0);
        paging_unlock(p);
        wrote(p, t);
    }
}

static void report(void)
{
    if (getenv("TRACE"))
        fprintf(stderr,
                "ok %lu (walked %lu) fault %lu store %lu crash %lu; shadows reclaimed %lu; shared "
                "%lu, cleaned %lu, plain updates %lu\n",
                outcomes[OK], fresh, outcomes[GUEST_FAULT], outcomes[STORE], outcomes[CRASH],
                w.p->count.reclaimed, shares, cleaned, plain);
}

/* Enough of everything came up. */
static void check_coverage(uint64_t count)
{
    report();
    for (unsigned i = OK; i < ENDLESS; i++)
        assert_true(outcomes[i] > count / 200);
    assert_true(fresh > count / 200 && w.p->count.faults_store > count / 200);
    assert_true(shares > count / 2000 && cleaned > count / 2000 && plain > count / 100);
    memset(outcomes, 0, sizeof outcomes);
    fresh = shares = cleaned = plain = 0;
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
        if (one_in(16))
            check_cached();
        if (step % CHECK_EVERY == 0)
            check_world();
        for (unsigned i = 0; i < ALL_VCPUS; i++)
            if (!w.running[i])
                switch_root(i);
        if (one_in(4000))
            rebuild(one_in(4) ? w.other : w.p);
        if (famine && one_in(100))
            end_famine();
    }
    check_world();
    check_coverage(count);
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
