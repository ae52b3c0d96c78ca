/* SPDX-License-Identifier: MIT */
/* See shadow_world.h. */
#include "tests/unit/shadow_world.h"

#include <stdio.h>
#include <string.h>

#include <xen/xen.h>

#include "hv/arch.h"
#include "mm/heap.h"
#include "mm/tlb.h"

struct world w;

/* ---- the processor's caches ---- */

#define TLB_SIZE 64
#define PSC_SIZE 16

struct tlb_entry {
    bool valid;
    vaddr_t page;
    uint64_t entry; /* rights of the whole walk, and the frame */
    uint16_t owner; /* of the frame when it was cached */
    uint32_t hint;
};

/* A paging-structure cache: this part of the address leads to that table. */
struct psc_entry {
    bool valid;
    unsigned level; /* of the table */
    vaddr_t prefix;
    mfn_t table;
    uint64_t rights;
    uint64_t gfn; /* what the table shadows */
};

struct cpu {
    mfn_t cr3;
    struct tlb_entry tlb[TLB_SIZE];
    struct psc_entry psc[PSC_SIZE];
    unsigned next_tlb, next_psc;
};
static struct cpu cpus[VCPUS];

static void cpu_flush(unsigned pcpu)
{
    if (pcpu >= VCPUS)
        return;
    memset(cpus[pcpu].tlb, 0, sizeof cpus[pcpu].tlb);
    memset(cpus[pcpu].psc, 0, sizeof cpus[pcpu].psc);
}

static bool forget(void)
{
    return w.no_cache || (w.evict && w.evict());
}

/* ---- life ---- */

static struct paging *make_domain(uint16_t id, unsigned pool)
{
    struct paging *p = paging_create(id, GFNS, 0, pool);

    assert_non_null(p);
    p->pool_max = pool; /* tests go below the least that is allowed */
    for (uint64_t gfn = 0; gfn < GFNS; gfn++) {
        paging_lock(p);
        assert_int_equal(p2m_add_ram(p, gfn_of(gfn), frame_alloc(0, id, 0)), 0);
        paging_unlock(p);
    }
    return p;
}

void world_start(unsigned pool)
{
    fake_machine_start(4097, VCPUS + 1);
    memset(cpus, 0, sizeof cpus);
    w = (struct world){.frames_before = frame_free_count(), .heap_before = heap_used_bytes()};
    fake.on_flush = cpu_flush;
    w.p = make_domain(1, pool);
    w.other = make_domain(2, 64);
    w.p->pcpus = (1UL << VCPUS) - 1;
    for (unsigned i = 0; i < VCPUS; i++)
        paging_vcpu_init(w.p, &w.v[i]);
}

static void end_domain(struct paging *p)
{
    unsigned steps = 0;

    while (paging_teardown(p))
        assert_true(++steps < 1000);
    paging_free(p);
}

void world_stop(void)
{
    for (unsigned i = 0; i < VCPUS; i++)
        paging_vcpu_release(w.p, &w.v[i]);
    assert_null(paging_audit(w.p));
    end_domain(w.p);
    end_domain(w.other);
    assert_int_equal(frame_free_count(), w.frames_before);
    assert_int_equal(heap_used_bytes(), w.heap_before);
    fake_machine_stop();
}

/* ---- the guest ---- */

uint64_t *guest_page(uint64_t gfn)
{
    struct p2m_ref ref = p2m_lookup(w.p, gfn_of(gfn));

    assert_true(mfn_valid(ref.mfn));
    return frame_map(ref.mfn);
}

void poke(uint64_t table, unsigned slot, uint64_t gfn, uint64_t flags)
{
    guest_page(table)[slot] = gfn << PAGE_SHIFT | flags;
}

uint64_t peek(uint64_t table, unsigned slot)
{
    return guest_page(table)[slot];
}

vaddr_t va_of(unsigned s4, unsigned s3, unsigned s2, unsigned s1)
{
    uint64_t va = (uint64_t)s4 << 39 | (uint64_t)s3 << 30 | (uint64_t)s2 << 21 | (uint64_t)s1 << 12;

    return s4 & 256 ? va | 0xffff000000000000UL : va;
}

void build_tree(uint64_t l4, vaddr_t va)
{
    for (unsigned i = 0; i < 3; i++)
        poke(l4 + i, va_slot(va, 4 - i), l4 + i + 1, FULL);
}

long update(uint64_t table, unsigned slot, uint64_t entry)
{
    paging_lock(w.p);
    long rc = shadow_update(w.p, gfn_of(table), slot * 8, entry, 0);
    paging_unlock(w.p);
    return rc;
}

void load_root(unsigned vcpu)
{
    fake.pcpu = vcpu;
    paging_lock(w.p);
    mfn_t root = shadow_root(w.p, &w.v[vcpu]);
    paging_unlock(w.p);
    w.running[vcpu] = mfn_valid(root);
    if (mfn_valid(root)) {
        cpus[vcpu].cr3 = root;
        arch_tlb_flush_all();
    }
}

void set_root(unsigned vcpu, uint64_t gfn)
{
    paging_lock(w.p);
    assert_int_equal(shadow_set_kernel_root(w.p, &w.v[vcpu], gfn_of(gfn)), 0);
    paging_unlock(w.p);
    load_root(vcpu);
}

/* ---- the processor's walk ---- */

static vaddr_t prefix_of(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + SLOT_BITS * level); /* what leads to a table of this level */
}

static const struct shadow *shadow_at(mfn_t mfn)
{
    for (unsigned i = 1; i <= w.p->pool_made; i++)
        if (w.p->shadow[i].mfn.n == mfn.n)
            return &w.p->shadow[i];
    return NULL;
}

/* Where the walk starts: as deep as a cache allows. */
static unsigned start_of_walk(struct cpu *c, vaddr_t va, mfn_t *table, uint64_t *rights)
{
    unsigned level = LEVELS;

    *table = c->cr3;
    *rights = RW;
    for (unsigned i = 0; i < PSC_SIZE; i++) {
        struct psc_entry *e = &c->psc[i];
        if (!e->valid || e->level >= level || e->prefix != prefix_of(va, e->level) || forget())
            continue;
        /* S3: what a cache still points to is this table, or nothing (all zero), but never another
         * table. */
        const struct shadow *s = shadow_at(e->table);
        assert_non_null(s);
        if (s->level) {
            assert_int_equal(s->level, e->level);
            assert_int_equal(s->gfn.n, e->gfn);
        }
        level = e->level;
        *table = e->table;
        *rights = e->rights;
    }
    return level;
}

static void remember_table(struct cpu *c, vaddr_t va, unsigned level, mfn_t table, uint64_t rights)
{
    if (!shadow_at(table))
        return; /* of the machine-to-phys table */
    c->psc[c->next_psc++ % PSC_SIZE] = (struct psc_entry){
        .valid = true,
        .level = level,
        .prefix = prefix_of(va, level),
        .table = table,
        .rights = rights,
        .gfn = shadow_at(table)->gfn.n,
    };
}

static uint64_t combine(uint64_t rights, uint64_t entry)
{
    return (rights & entry & RW) | ((rights | entry) & NX);
}

/* The leaf for va with the rights of the whole walk; 0: not present. */
static uint64_t hardware_walk(struct cpu *c, vaddr_t va)
{
    mfn_t table;
    uint64_t rights;
    unsigned level = start_of_walk(c, va, &table, &rights);

    for (;; level--) {
        uint64_t *entry = &((uint64_t *)frame_map(table))[va_slot(va, level)];
        if (!(*entry & P))
            return 0;
        assert_true(*entry & PTE_US);
        *entry |= A;
        rights = combine(rights, *entry);
        table = maddr_to_mfn(*entry & PTE_ADDR);
        if (level == 1)
            return (*entry & ~(RW | NX)) | rights;
        remember_table(c, va, level - 1, table, rights);
    }
}

static bool allowed(uint64_t leaf, enum access how)
{
    return !(how == WRITE && !(leaf & RW)) && !(how == FETCH && (leaf & NX));
}

static struct tlb_entry *tlb_find(struct cpu *c, vaddr_t va)
{
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (c->tlb[i].valid && c->tlb[i].page == (va & PAGE_MASK))
            return &c->tlb[i];
    return NULL;
}

/* A cached translation is used: its frame must not have changed hands, and a table must not be
 * written. */
static void check_cached(const struct tlb_entry *e, enum access how)
{
    const struct frame *f = frame_of(maddr_to_mfn(e->entry & PTE_ADDR));

    if (!f)
        return; /* MMIO */
    if (f->refs && (f->owner != e->owner || (f->owner == 1 && f->gfn_hint != e->hint)))
        fail_msg("S3: frame %lx was reused while a TLB held it", e->entry >> PAGE_SHIFT);
    if (how == WRITE) {
        gfn_t gfn = p2m_gfn_of(w.p, maddr_to_mfn(e->entry & PTE_ADDR));
        if (gfn_valid(gfn) && record_protected(p2m_record(w.p, gfn.n)))
            fail_msg("S4: table %lx written through a TLB", gfn.n);
    }
}

static void remember_leaf(struct cpu *c, vaddr_t va, uint64_t leaf)
{
    const struct frame *f = frame_of(maddr_to_mfn(leaf & PTE_ADDR));
    struct tlb_entry *e = tlb_find(c, va);

    if (!e)
        e = &c->tlb[c->next_tlb++ % TLB_SIZE];
    *e = (struct tlb_entry){.valid = true, .page = va & PAGE_MASK, .entry = leaf};
    if (f) {
        e->owner = f->owner;
        e->hint = f->gfn_hint;
    }
}

struct result cpu_access(unsigned vcpu, vaddr_t va, enum access how)
{
    struct cpu *c = &cpus[vcpu];
    struct result r = {0};

    fake.pcpu = vcpu;
    for (unsigned tries = 0; tries < 50; tries++) {
        struct tlb_entry *e = tlb_find(c, va);
        if (e && (forget() || !allowed(e->entry, how)))
            e->valid = false, e = NULL;
        uint64_t leaf = e ? e->entry : hardware_walk(c, va);
        if (e)
            check_cached(e, how);
        if (leaf && allowed(leaf, how)) {
            if (!e)
                remember_leaf(c, va, leaf);
            r.outcome = OK;
            r.mfn = maddr_to_mfn(leaf & PTE_ADDR);
            r.from_tlb = e;
            return r;
        }
        /* A faulting access makes the processor forget what it knows about the address. */
        for (unsigned i = 0; i < PSC_SIZE; i++)
            if (c->psc[i].prefix == prefix_of(va, c->psc[i].level))
                c->psc[i].valid = false;
        uint32_t error =
            4 | (leaf ? PF_P : 0) | (how == WRITE ? PF_W : 0) | (how == FETCH ? PF_I : 0);
        switch (shadow_fault(w.p, &w.v[vcpu], va, error, &r.info)) {
        case FAULT_RETRY:
            break;
        case FAULT_GUEST:
            r.outcome = GUEST_FAULT;
            return r;
        case FAULT_STORE:
            r.outcome = STORE;
            return r;
        case FAULT_CRASH:
            assert_non_null(r.info.why);
            r.outcome = CRASH;
            return r;
        }
    }
    r.outcome = ENDLESS;
    return r;
}

/* ---- the reference ---- */

struct reference reference_walk(unsigned vcpu, vaddr_t va)
{
    const struct paging_vcpu *v = &w.v[vcpu];
    struct reference r = {.writable = true, .executable = true, .all_accessed = true};
    uint64_t table = v->user_mode ? v->user_root.n : v->kernel_root.n;

    memset(r.path, 0xff, sizeof r.path); /* not reached */
    if (va_slot(va, 4) >= 256 && va_slot(va, 4) <= 271)
        return r;
    for (unsigned level = LEVELS;; level--) {
        if (p2m_lookup(w.p, gfn_of(table)).type != P2M_RAM) {
            r.bad_table = true;
            return r;
        }
        r.path[level] = table;
        uint64_t entry = peek(table, va_slot(va, level));
        if (!(entry & P))
            return r;
        if ((level == 2 || level == 3) && (entry & PTE_PSE)) {
            r.pse = true;
            return r;
        }
        r.writable &= !!(entry & RW);
        r.executable &= !(entry & NX);
        r.all_accessed &= !!(entry & A);
        if (level == 1) {
            r.l1 = table;
            r.dirty = entry & D;
            r.leaf_slot_id = table << PAGE_SHIFT | va_slot(va, 1) * 8;
        }
        table = (entry & PTE_ADDR) >> PAGE_SHIFT;
        if (level == 1)
            break;
    }
    r.gfn = table;
    struct p2m_ref ref = p2m_lookup(w.p, gfn_of(r.gfn));
    r.hole = ref.type == P2M_HOLE ||
             (ref.type == P2M_FOREIGN && p2m_record(w.p, r.gfn)->slot != r.leaf_slot_id);
    r.present = true;
    return r;
}

/* Every leaf below a shadow table that the processor could load. */
static void check_reachable(unsigned vcpu, mfn_t table, unsigned level, vaddr_t va, uint64_t rights)
{
    const uint64_t *t = frame_map(table);

    for (unsigned slot = 0; slot < SLOTS; slot++) {
        vaddr_t at = va | (uint64_t)slot << (PAGE_SHIFT + SLOT_BITS * (level - 1));
        if (!t[slot] || (level == 4 && slot >= 256 && slot <= 271))
            continue;
        if (level == 4 && slot & 256)
            at |= 0xffff000000000000UL;
        uint64_t now = combine(rights, t[slot]);
        if (level > 1) {
            check_reachable(vcpu, maddr_to_mfn(t[slot] & PTE_ADDR), level - 1, at, now);
            continue;
        }
        struct reference r = reference_walk(vcpu, at);
        struct p2m_ref ref = p2m_lookup(w.p, gfn_of(r.gfn));
        if (!r.present || r.hole || !r.all_accessed ||
            (t[slot] & PTE_ADDR) >> PAGE_SHIFT != ref.mfn.n)
            fail_msg("S2: %lx is mapped against the guest's tables", at);
        if ((now & RW) && (!r.writable || !r.dirty || ref.readonly))
            fail_msg("S2, S5: %lx is writable", at);
        if (!(now & NX) && !r.executable)
            fail_msg("S2: %lx is executable", at);
        if ((now & RW) && ref.type == P2M_RAM && record_protected(p2m_record(w.p, r.gfn)))
            fail_msg("S4: table %lx is writable at %lx", r.gfn, at);
    }
}

void check_world(void)
{
    const char *wrong = paging_audit(w.p);

    if (wrong)
        fail_msg("audit: %s", wrong);
    wrong = paging_audit(w.other);
    if (wrong)
        fail_msg("audit of the other domain: %s", wrong);
    for (unsigned i = 0; i < VCPUS; i++) {
        struct shadow *top = w.v[i].user_mode ? w.v[i].user_top : w.v[i].kernel_top;
        if (w.v[i].loaded && top == w.v[i].loaded &&
            top->gfn.n == (w.v[i].user_mode ? w.v[i].user_root.n : w.v[i].kernel_root.n))
            check_reachable(i, w.v[i].loaded->mfn, 4, 0, RW);
    }
}

/* ---- expectations ---- */

void expect_ok(unsigned vcpu, vaddr_t va, enum access how, uint64_t gfn)
{
    struct result r = cpu_access(vcpu, va, how);

    assert_int_equal(r.outcome, OK);
    assert_int_equal(r.mfn.n, p2m_lookup(w.p, gfn_of(gfn)).mfn.n);
    check_world();
}

void expect_fault(vaddr_t va, enum access how, uint32_t error)
{
    struct result r = cpu_access(0, va, how);

    assert_int_equal(r.outcome, GUEST_FAULT);
    assert_int_equal(r.info.guest_error, error);
    check_world();
}

void expect_crash(vaddr_t va, enum access how)
{
    assert_int_equal(cpu_access(0, va, how).outcome, CRASH);
    check_world();
}

void expect_store(vaddr_t va, uint64_t gfn, bool writable)
{
    struct result r = cpu_access(0, va, WRITE);

    assert_int_equal(r.outcome, STORE);
    assert_int_equal(r.info.gfn.n, gfn);
    assert_int_equal(r.info.offset, va % PAGE_SIZE);
    assert_int_equal(r.info.guest_writable, writable);
    check_world();
}
