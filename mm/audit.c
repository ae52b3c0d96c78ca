/* SPDX-License-Identifier: MIT */
/*
 * The invariants, checked from scratch. For unit tests and for hunting: it looks at every entry and
 * every list of a domain.
 */
#include "mm/paging_priv.h"
#include "mm/rmap.h"

#include <xen/xen.h>

struct audit {
    struct paging *p;
    const char *wrong;
    uint64_t entries, listed; /* entries with a target; of these, members of their targets' lists */
};

static void expect(struct audit *a, bool cond, const char *what)
{
    if (!cond && !a->wrong)
        a->wrong = what;
}

/* The entry's place in its target's list. */
static void check_link(struct audit *a, uint64_t *e)
{
    uint64_t *next = *entry_next(e);

    a->entries++;
    expect(a, **entry_back(e) == e, "list: previous does not point here");
    expect(a, !next || *entry_back(next) == entry_next(e), "list: next does not point back");
}

static void check_leaf(struct audit *a, const struct shadow *s, unsigned slot, uint64_t guest)
{
    const struct gfn_record *r = *entry_record(&s->table[slot]);
    const struct gfn_record *target = p2m_record(a->p, entry_gfn(guest));
    uint64_t entry = s->table[slot], allowed;

    allowed = shadow_leaf(a->p, target, guest, slot_identity(s->gfn, slot));
    expect(a, allowed, "S2: leaf for an entry that maps nothing");
    expect(a, ((entry ^ allowed) & ~(PTE_RW | PTE_D)) == 0,
           "S2: leaf differs from what the guest's entry allows");
    expect(a, !(entry & PTE_RW) || (allowed & PTE_RW),
           "S2, S4, S5: leaf is more writable than allowed");
    expect(a, !(guest & PTE_P) || (guest & PTE_A), "S5: leaf without A in the guest's entry");
    if (!r) {
        expect(a, (entry & PTE_UNCACHED) == PTE_UNCACHED, "S3: memory that is in no reverse map");
        return;
    }
    expect(a, r == target, "S3: leaf in the reverse map of another gfn");
    expect(a, (entry & PTE_ADDR) == (r->word & PTE_ADDR),
           "S2: leaf maps another frame than the p2m says");
    check_link(a, &s->table[slot]);
}

static void check_upper(struct audit *a, const struct shadow *s, unsigned slot, uint64_t guest)
{
    const struct shadow *child = *entry_child(&s->table[slot]);
    uint64_t entry = s->table[slot];

    expect(a, child->level == s->level - 1, "upper entry points to a shadow of another level");
    expect(a, child->live, "upper entry points to a shadow that is not followed");
    expect(a, (entry & PTE_ADDR) == mfn_to_maddr(child->mfn), "S1: upper entry points elsewhere");
    expect(a, (guest & (PTE_P | PTE_A)) == (PTE_P | PTE_A),
           "S5: upper entry without P or A in the guest's");
    expect(a, entry_gfn(guest) == child->gfn.n,
           "upper entry points to the shadow of another table");
    expect(a, ((entry ^ guest) & (PTE_RW | PTE_NX)) == 0,
           "upper entry has other rights than the guest's");
    check_link(a, &s->table[slot]);
}

static void check_shadow(struct audit *a, const struct shadow *s)
{
    const struct gfn_record *r = s->record;
    const uint64_t *guest = NULL;
    unsigned used = 0;

    if (!r || r != p2m_record(a->p, s->gfn.n)) {
        expect(a, false, "shadow of another record");
        return;
    }
    expect(a, record_shadow(r, s->level) == s, "shadow is not in its record's list");
    expect(a, s->live ? record_is_ram(r) : !s->parents,
           "a shadow that is not followed is reachable");
    expect(a, s->live || s->users, "a shadow is neither followed nor a root");
    expect(a, !s->busy, "a shadow is busy outside an operation");
    if (s->live)
        guest = frame_map(record_mfn(r));
    for (unsigned slot = 0; slot < SLOTS && !a->wrong; slot++) {
        if (slot_is_holes(s->level, slot)) {
            expect(a, slot != M2P_SLOT || s->table[slot] == m2p_root_entry(a->p),
                   "machine-to-phys entry");
            continue;
        }
        if (!s->table[slot])
            continue;
        used++;
        expect(a, s->live, "a shadow that is not followed has entries");
        if (s->live && s->level == 1)
            check_leaf(a, s, slot, guest[slot]);
        else if (s->live)
            check_upper(a, s, slot, guest[slot]);
    }
    expect(a, used == s->used, "count of present entries");
    if (guest)
        frame_unmap((void *)guest);
}

/* What may be written is dirty, what is clean cannot be; what is shared is nobody's alone. */
static void check_memory(struct audit *a, const struct gfn_record *r, uint64_t gfn)
{
    bool clean = log_flag(a->p, gfn_of(gfn)), logged = r->word & GFN_LOGGED;
    const struct frame *f = frame_of(record_mfn(r));

    expect(a, !logged || record_is_ram(r), "log: a flag on what is no RAM");
    expect(a, !logged || !r->writable, "log: a clean frame is writable");
    expect(a, !logged || !f->writers, "log: a clean frame has other writers");
    if (a->p->log.state == LOG_ON && record_is_ram(r))
        expect(a, logged == clean, "log: flag and bit differ");
    if (record_is_ram(r))
        expect(a, f->owner == a->p->domid, "S2: memory of somebody else");
    if (record_type(r) != P2M_SHARED)
        return;
    expect(a, f->owner == DOMID_COW && f->refs, "shared: the frame is somebody's");
    expect(a, !f->writers, "shared: somebody may write it");
    expect(a, !r->writable && !r->live && !r->aliases, "shared: written or a table");
}

static void check_record(struct audit *a, const struct gfn_record *r, uint64_t gfn)
{
    unsigned mapped = 0, writable = 0, live = 0, aliases = 0;

    for (uint64_t *e = r->rmap; e; e = *entry_next(e)) {
        const struct shadow *s = entry_shadow(a->p, e);
        expect(a, s->table + entry_slot(e) == e, "the number of a shadow is not in its frame");
        expect(a, s->live && s->level == 1 && *e, "reverse map names a free entry");
        expect(a, *entry_record(e) == r, "reverse map names another's entry");
        mapped++;
        writable += !!(*e & PTE_RW);
    }
    a->listed += mapped;
    expect(a, mapped == r->mapped && mapped <= RMAP_MAX, "count of mappings");
    expect(a, mapped < RMAP_MAX || (r->word & GFN_FULL), "a full list without its mark");
    expect(a, writable == r->writable, "count of writable mappings");
    expect(a, record_type(r) != P2M_HOLE || !r->rmap, "S2: a hole is mapped");
    if (gfn >= GFN_WINDOW)
        return;
    if (record_type(r) != P2M_HOLE)
        check_memory(a, r, gfn);
    for (const struct shadow *s = r->shadows; s; s = s->sibling)
        live += s->live;
    expect(a, live == r->live, "count of followed shadows");
    expect(a, !record_protected(r) || !writable, "S4: a table is writable");
    expect(a, !r->live || !frame_of(record_mfn(r))->writers, "S4: a table has foreign writers");
    if (!r->aliases)
        return;
    for (uint64_t i = 0; i < a->p->window_limit; i++) {
        const struct gfn_record *w = p2m_record(a->p, GFN_WINDOW + i);
        aliases += record_type(w) == P2M_FOREIGN && w->slot >> PAGE_SHIFT == gfn;
    }
    expect(a, aliases == r->aliases, "S6: count of aliases of a table");
}

/* A foreign alias is in its slot (S6). */
static void check_alias(struct audit *a, const struct gfn_record *r, uint64_t gfn)
{
    const struct gfn_record *table = p2m_record(a->p, r->slot >> PAGE_SHIFT);
    uint64_t entry = 0;

    if (record_is_ram(table))
        entry = walk_read_entry(table, r->slot % PAGE_SIZE / 8);
    expect(a, (entry & PTE_P) && entry_gfn(entry) == gfn, "S6: an alias outlives its slot");
}

const char *paging_audit(struct paging *p)
{
    struct audit a = {.p = p};
    unsigned in_use = 0, in_list = 0, free = 0, hooks;
    uint64_t live_aliases = 0, table_aliases = 0;

    for (unsigned i = 1; i <= p->pool_made && !a.wrong; i++) {
        const struct shadow *s = &p->shadow[i];
        if (!s->level)
            continue;
        in_use++;
        hooks = 0;
        for (uint64_t *e = s->parents; e && !a.wrong; e = *entry_next(e)) {
            expect(&a, *e && *entry_child(e) == s, "list of parents names another's entry");
            hooks++;
        }
        a.listed += hooks;
        expect(&a, hooks == s->hooks && hooks <= RMAP_MAX, "count of parents");
        check_shadow(&a, s);
    }
    for (const struct shadow *s = p->newest; s; s = s->older)
        in_list++;
    for (const struct shadow *s = p->free_first; s; s = s->older)
        free++;
    expect(&a, in_use == in_list && free == p->pool_free && in_use + free == p->pool_made,
           "counts of the pool");
    for (uint64_t gfn = 0; gfn < p->ram_limit && !a.wrong; gfn++) {
        const struct gfn_record *r = p2m_record(p, gfn);
        if (r) {
            check_record(&a, r, gfn);
            table_aliases += r->aliases;
        }
    }
    for (uint64_t i = 0; i < p->window_limit && !a.wrong; i++) {
        const struct gfn_record *r = p2m_record(p, GFN_WINDOW + i);
        check_record(&a, r, GFN_WINDOW + i);
        if (record_type(r) == P2M_FOREIGN) {
            check_alias(&a, r, GFN_WINDOW + i);
            live_aliases++;
        }
    }
    expect(&a, live_aliases == table_aliases, "S6: an alias without a slot");
    expect(&a, a.entries == a.listed, "an entry is not in its target's list");
    return a.wrong;
}

void paging_check(struct paging *p)
{
    const char *wrong = paging_audit(p);

    if (wrong)
        panic("shadow page tables of domain %u: %s", p->domid, wrong);
}
