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
    uint64_t gfn; /* that it stood for, and that gfn's epoch */
    uint32_t epoch;
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
static struct cpu cpus[ALL_VCPUS];

struct paging *paging_of(unsigned vcpu)
{
    return vcpu == OTHER ? w.other : w.p;
}

static void cpu_flush(unsigned pcpu)
{
    if (pcpu >= ALL_VCPUS)
        return;
    memset(cpus[pcpu].tlb, 0, sizeof cpus[pcpu].tlb);
    memset(cpus[pcpu].psc, 0, sizeof cpus[pcpu].psc);
}

/* INVLPG: the page's translation and all paging-structure caches (SDM vol. 3, 4.10.4.1). */
static void cpu_flush_va(unsigned pcpu, uint64_t va)
{
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (cpus[pcpu].tlb[i].page == (va & PAGE_MASK))
            cpus[pcpu].tlb[i].valid = false;
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
    fake_machine_start(4097, ALL_VCPUS);
    memset(cpus, 0, sizeof cpus);
    w = (struct world){.frames_before = frame_free_count(), .heap_before = heap_used_bytes()};
    fake.on_flush = cpu_flush;
    fake.on_flush_va = cpu_flush_va;
    w.p = make_domain(1, pool);
    w.other = make_domain(2, 64);
    w.p->pcpus = (1UL << VCPUS) - 1;
    w.other->pcpus = 1UL << OTHER;
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        paging_vcpu_init(paging_of(i), &w.v[i]);
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
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        paging_vcpu_release(paging_of(i), &w.v[i]);
    assert_null(paging_audit(w.p));
    assert_null(paging_audit(w.other));
    end_domain(w.p);
    end_domain(w.other);
    assert_int_equal(frame_free_count(), w.frames_before);
    assert_int_equal(heap_used_bytes(), w.heap_before);
    fake_machine_stop();
}

/* ---- the guest ---- */

uint64_t *memory_of(struct paging *p, uint64_t gfn)
{
    struct p2m_ref ref = p2m_lookup(p, gfn_of(gfn));

    assert_true(mfn_valid(ref.mfn));
    return frame_map(ref.mfn);
}

uint64_t *guest_page(uint64_t gfn)
{
    return memory_of(w.p, gfn);
}

static void touch(uint64_t gfn)
{
    if (gfn < GFNS)
        w.touched[gfn] = true;
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
    touch(table);
    paging_lock(w.p);
    long rc = shadow_update(w.p, gfn_of(table), slot * 8, entry, 0);
    paging_unlock(w.p);
    return rc;
}

void load_root(unsigned vcpu)
{
    struct paging *p = paging_of(vcpu);

    fake.pcpu = vcpu;
    paging_lock(p);
    mfn_t root = shadow_root(p, &w.v[vcpu]);
    paging_unlock(p);
    w.running[vcpu] = mfn_valid(root);
    if (mfn_valid(root)) {
        cpus[vcpu].cr3 = root;
        arch_tlb_flush_all();
    }
}

void set_root(unsigned vcpu, uint64_t gfn)
{
    struct paging *p = paging_of(vcpu);

    paging_lock(p);
    assert_int_equal(shadow_set_kernel_root(p, &w.v[vcpu], gfn_of(gfn)), 0);
    paging_unlock(p);
    load_root(vcpu);
}

/* ---- the processor's walk ---- */

static vaddr_t prefix_of(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + SLOT_BITS * level); /* what leads to a table of this level */
}

static const struct shadow *shadow_at(const struct cpu *c, mfn_t mfn)
{
    const struct paging *p = paging_of((unsigned)(c - cpus));

    for (unsigned i = 1; i <= p->pool_made; i++)
        if (p->shadow[i].mfn.n == mfn.n)
            return &p->shadow[i];
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
        const struct shadow *s = shadow_at(c, e->table);
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
    const struct shadow *s = shadow_at(c, table);

    if (!s)
        return; /* of the machine-to-phys table */
    c->psc[c->next_psc++ % PSC_SIZE] = (struct psc_entry){
        .valid = true,
        .level = level,
        .prefix = prefix_of(va, level),
        .table = table,
        .rights = rights,
        .gfn = s->gfn.n,
    };
}

static uint64_t combine(uint64_t rights, uint64_t entry)
{
    return (rights & entry & RW) | ((rights | entry) & NX);
}

/* The leaf for va with the rights of the whole walk; 0: not present. *gfn: what its shadow stands
 * for. */
static uint64_t hardware_walk(struct cpu *c, vaddr_t va, uint64_t *gfn)
{
    struct paging *p = paging_of((unsigned)(c - cpus));
    const struct shadow *s;
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
        s = level == 1 ? shadow_at(c, table) : NULL;
        *gfn = s && s->level == 1 ? entry_gfn(memory_of(p, s->gfn.n)[va_slot(va, 1)]) : ~0UL;
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

/* Whom may a translation that a domain cached lead to now? What is shared may be its own again, and
 * what it only reads may be shared meanwhile; any other change of hands is a reuse too early (S3).
 */
static bool same_hands(const struct paging *p, const struct tlb_entry *e, const struct frame *f)
{
    if (!f->refs)
        return true;
    if (f->owner == e->owner)
        return f->owner != p->domid || f->gfn_hint == e->hint;
    if (e->owner == DOMID_COW)
        return f->owner == p->domid;
    return f->owner == DOMID_COW && !(e->entry & RW);
}

/* Whoever has it cached: the owner's table, or the owner's clean frame, is written by nobody. */
static void check_writable(const struct tlb_entry *e, const struct frame *f)
{
    struct paging *owner = f->owner == w.p->domid       ? w.p
                           : f->owner == w.other->domid ? w.other
                                                        : NULL;
    gfn_t gfn = owner ? p2m_gfn_of(owner, maddr_to_mfn(e->entry & PTE_ADDR)) : INVALID_GFN;

    if (f->owner == DOMID_COW)
        fail_msg("S3: shared frame %lx is writable in a TLB", entry_gfn(e->entry));
    if (!gfn_valid(gfn))
        return;
    if (record_protected(p2m_record(owner, gfn.n)))
        fail_msg("S4: table %lx is writable in a TLB", gfn.n);
    if (p2m_record(owner, gfn.n)->word & GFN_LOGGED)
        fail_msg("log: clean frame %lx is writable in a TLB", gfn.n);
}

static void check_translation(struct paging *p, const struct tlb_entry *e)
{
    const struct frame *f = frame_of(maddr_to_mfn(e->entry & PTE_ADDR));
    struct p2m_ref now = e->gfn < GFNS ? p2m_lookup(p, gfn_of(e->gfn)) : (struct p2m_ref){0};

    if (!f)
        return; /* MMIO */
    if (!same_hands(p, e, f))
        fail_msg("S3: frame %lx, cached by %u when %u (gfn %x) had it, is %u's (gfn %x) now",
                 entry_gfn(e->entry), p->domid, e->owner, e->hint, f->owner, f->gfn_hint);
    if (e->entry & RW)
        check_writable(e, f);
    if (e->gfn < GFNS && e->epoch == w.epoch[p == w.other][e->gfn] && now.type != P2M_HOLE &&
        now.mfn.n != (e->entry & PTE_ADDR) >> PAGE_SHIFT)
        fail_msg("S3: a TLB has the frame that gfn %lx had before its copy", e->gfn);
}

void let_wait(unsigned vcpu)
{
    unsigned me = fake.pcpu;

    fake.pcpu = vcpu;
    tlb_wait_begin();
    fake.pcpu = me;
}

/* Before it does anything that could use what its pCPU has cached. */
static void go_on(unsigned vcpu)
{
    unsigned me = fake.pcpu;

    fake.pcpu = vcpu;
    tlb_wait_end();
    fake.pcpu = me;
}

void check_cached(void)
{
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        go_on(i);
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        for (unsigned n = 0; n < TLB_SIZE; n++)
            if (cpus[i].tlb[n].valid)
                check_translation(paging_of(i), &cpus[i].tlb[n]);
}

static void check_fresh(unsigned vcpu, const struct tlb_entry *e)
{
    struct reference r = reference_walk(vcpu, e->page);

    if (!r.present || r.hole ||
        p2m_lookup(paging_of(vcpu), gfn_of(r.gfn)).mfn.n != (e->entry & PTE_ADDR) >> PAGE_SHIFT)
        fail_msg("flush: %lx is cached against the guest's tables", e->page);
    if (((e->entry & RW) && !r.writable) || (!(e->entry & NX) && !r.executable))
        fail_msg("flush: %lx is cached with rights that it lost", e->page);
}

void check_flushed(unsigned vcpu, vaddr_t va)
{
    go_on(vcpu);
    for (unsigned n = 0; n < TLB_SIZE; n++) {
        const struct tlb_entry *e = &cpus[vcpu].tlb[n];
        if (!e->valid || (va_slot(e->page, 4) >= HOLE_FIRST && va_slot(e->page, 4) <= HOLE_LAST))
            continue;
        if (va == ALL_ADDRESSES || e->page == (va & PAGE_MASK))
            check_fresh(vcpu, e);
    }
}

static void remember_leaf(struct cpu *c, vaddr_t va, uint64_t leaf, uint64_t gfn)
{
    const struct frame *f = frame_of(maddr_to_mfn(leaf & PTE_ADDR));
    struct tlb_entry *e = tlb_find(c, va);

    if (!e)
        e = &c->tlb[c->next_tlb++ % TLB_SIZE];
    *e = (struct tlb_entry){.valid = true, .page = va & PAGE_MASK, .entry = leaf, .gfn = gfn};
    if (gfn < GFNS)
        e->epoch = w.epoch[c == &cpus[OTHER]][gfn];
    if (f) {
        e->owner = f->owner;
        e->hint = f->gfn_hint;
    }
}

/* What a fault may write: A and D of the tables, and the page when the instruction runs again. */
static void touch_path(unsigned vcpu, vaddr_t va, enum access how)
{
    struct reference r = reference_walk(vcpu, va);

    if (vcpu == OTHER)
        return;
    for (unsigned level = 1; level <= LEVELS; level++)
        touch(r.path[level]);
    if (r.present && how == WRITE)
        touch(r.gfn);
}

/* As arch/x86/traps.c: the two frequent kinds first, where the guest's address is one. */
static enum fault_result take_fault(unsigned vcpu, vaddr_t va, uint32_t error,
                                    struct fault_info *info)
{
    struct paging *p = paging_of(vcpu);
    struct paging_vcpu *pv = &w.v[vcpu];

    if (va_is_guests(va) && !(error & PF_P) && shadow_fault_is_guests(p, pv, va)) {
        *info = (struct fault_info){.guest_error =
                                        (error & (PF_W | PF_I)) | (pv->user_mode ? PF_U : 0)};
        return FAULT_GUEST;
    }
    if ((error & (PF_P | PF_W | PF_I)) == (PF_P | PF_W) && !pv->user_mode &&
        shadow_fault_is_store(p, pv, va, info))
        return FAULT_STORE;
    return shadow_fault(p, pv, va, error, info);
}

struct result cpu_access(unsigned vcpu, vaddr_t va, enum access how)
{
    struct cpu *c = &cpus[vcpu];
    struct result r = {0};

    fake.pcpu = vcpu;
    go_on(vcpu);
    for (unsigned tries = 0; tries < 50; tries++) {
        struct tlb_entry *e = tlb_find(c, va);
        if (e && (forget() || !allowed(e->entry, how)))
            e->valid = false, e = NULL;
        uint64_t gfn = ~0UL, leaf = e ? e->entry : hardware_walk(c, va, &gfn);
        if (e)
            check_translation(paging_of(vcpu), e);
        if (leaf && allowed(leaf, how)) {
            if (!e)
                remember_leaf(c, va, leaf, gfn);
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
        touch_path(vcpu, va, how);
        switch (take_fault(vcpu, va, error, &r.info)) {
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
    struct paging *p = paging_of(vcpu);
    struct reference r = {.writable = true, .executable = true, .all_accessed = true};
    uint64_t table = v->user_mode ? v->user_root.n : v->kernel_root.n;

    memset(r.path, 0xff, sizeof r.path); /* not reached */
    if (va_slot(va, 4) >= 256 && va_slot(va, 4) <= 271)
        return r;
    for (unsigned level = LEVELS;; level--) {
        if (!p2m_is_memory(p, gfn_of(table))) {
            r.bad_table = true;
            return r;
        }
        r.path[level] = table;
        uint64_t entry = memory_of(p, table)[va_slot(va, level)];
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
    struct p2m_ref ref = p2m_lookup(p, gfn_of(r.gfn));
    r.hole = ref.type == P2M_HOLE ||
             (ref.type == P2M_FOREIGN && p2m_record(p, r.gfn)->slot != r.leaf_slot_id);
    r.present = true;
    return r;
}

/* A leaf that a processor can load, with the rights of the walk to it. */
static void check_leaf(unsigned vcpu, vaddr_t at, uint64_t leaf, uint64_t rights)
{
    struct paging *p = paging_of(vcpu);
    struct reference r = reference_walk(vcpu, at);
    struct p2m_ref ref = p2m_lookup(p, gfn_of(r.gfn));

    if (!r.present || r.hole || !r.all_accessed || (leaf & PTE_ADDR) >> PAGE_SHIFT != ref.mfn.n)
        fail_msg("S2: %lx is mapped against the guest's tables", at);
    if ((rights & RW) && (!r.writable || !r.dirty || ref.readonly || ref.type == P2M_SHARED))
        fail_msg("S2, S5: %lx is writable", at);
    if (!(rights & NX) && !r.executable)
        fail_msg("S2: %lx is executable", at);
    if ((rights & RW) && ref.type == P2M_RAM && record_protected(p2m_record(p, r.gfn)))
        fail_msg("S4: table %lx is writable at %lx", r.gfn, at);
    if ((rights & RW) && ref.type == P2M_RAM && (p2m_record(p, r.gfn)->word & GFN_LOGGED))
        fail_msg("log: clean frame %lx is writable at %lx", r.gfn, at);
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
        if (level > 1)
            check_reachable(vcpu, maddr_to_mfn(t[slot] & PTE_ADDR), level - 1, at, now);
        else
            check_leaf(vcpu, at, t[slot], now);
    }
}

/* The root that a vCPU runs on, if it is the one that its guest believes in; NULL. */
static const struct shadow *root_of(unsigned vcpu)
{
    const struct paging_vcpu *v = &w.v[vcpu];
    const struct shadow *top = v->user_mode ? v->user_top : v->kernel_top;

    if (!v->loaded || top != v->loaded)
        return NULL;
    return top->gfn.n == (v->user_mode ? v->user_root.n : v->kernel_root.n) ? top : NULL;
}

void check_walk(unsigned vcpu, vaddr_t va)
{
    const struct shadow *top = root_of(vcpu);
    uint64_t rights = RW, entry;
    const uint64_t *t;

    if (!top || (va_slot(va, 4) >= HOLE_FIRST && va_slot(va, 4) <= HOLE_LAST))
        return;
    t = frame_map(top->mfn);
    for (unsigned level = LEVELS;; level--) {
        entry = t[va_slot(va, level)];
        if (!entry)
            return;
        rights = combine(rights, entry);
        if (level == 1)
            break;
        t = frame_map(maddr_to_mfn(entry & PTE_ADDR));
    }
    check_leaf(vcpu, va & PAGE_MASK, entry, rights);
}

/* What the processor gets from an entry of an L1 shadow is no more than the guest's entry and the
 * p2m say, whatever leads to that table. */
void check_entry(uint64_t table, unsigned slot)
{
    const struct gfn_record *r = p2m_record(w.p, table);

    for (const struct shadow *s = record_is_ram(r) ? r->shadows : NULL; s; s = s->sibling) {
        uint64_t leaf = s->table[slot], entry = peek(table, slot);
        struct p2m_ref ref = p2m_lookup(w.p, gfn_of(entry_gfn(entry)));
        if (!s->live || s->level != 1 || !leaf)
            continue;
        if ((entry & (P | A)) != (P | A) || ref.type == P2M_HOLE ||
            ref.mfn.n != (leaf & PTE_ADDR) >> PAGE_SHIFT)
            fail_msg("S2: entry %u of table %lx maps what the guest's does not", slot, table);
        if ((leaf & RW) && (~entry & (RW | D) || ref.readonly || ref.type == P2M_SHARED))
            fail_msg("S2, S5: entry %u of table %lx is writable", slot, table);
        if (!(leaf & NX) && (entry & NX))
            fail_msg("S2: entry %u of table %lx is executable", slot, table);
    }
}

/* ---- frames of both domains together ---- */

/* Each frame of a domain stands behind one gfn; a shared one behind as many as it has references.
 */
static void count_owners(void)
{
    static uint16_t uses[4097];

    memset(uses, 0, sizeof uses);
    for (unsigned d = 0; d < 2; d++)
        for (uint64_t gfn = 0; gfn < GFNS; gfn++) {
            struct p2m_ref ref = p2m_lookup(d ? w.other : w.p, gfn_of(gfn));
            if (ref.type == P2M_RAM || ref.type == P2M_SHARED)
                uses[ref.mfn.n]++;
        }
    for (uint64_t n = 0; n < 4097; n++) {
        const struct frame *f = frame_of(mfn_of(n));
        if (!f || !f->refs)
            continue;
        if (f->owner == DOMID_COW ? uses[n] > f->refs : uses[n] > 1)
            fail_msg("frame %lx: %u gfns, %u references", n, uses[n], f->refs);
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
    for (unsigned i = 0; i < ALL_VCPUS; i++)
        if (root_of(i))
            check_reachable(i, root_of(i)->mfn, 4, 0, RW);
    check_cached();
    count_owners();
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
