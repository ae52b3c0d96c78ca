/* SPDX-License-Identifier: MIT */
/*
 * Looking at a domain's paging without touching it: one address on its way through the guest's
 * tables, the p2m and the shadows, level by level. Fills the structures that domain 0's command
 * line shows.
 *
 * The paging lock is held, so the three agree with each other: a shadow that follows a table says
 * what the table said. A table without a shadow may be written by the guest while we read it; each
 * entry is read once.
 */
#include "hv/public/penumbra.h"
#include "mm/paging_priv.h"

_Static_assert(P2M_HOLE == PENUMBRA_GFN_hole && P2M_RAM == PENUMBRA_GFN_ram &&
                   P2M_MMIO == PENUMBRA_GFN_mmio && P2M_SPECIAL == PENUMBRA_GFN_special &&
                   P2M_GRANT == PENUMBRA_GFN_grant && P2M_FOREIGN == PENUMBRA_GFN_foreign &&
                   P2M_SHARED == PENUMBRA_GFN_shared,
               "types of gfns are told as they are");
_Static_assert(LEVELS == 4, "a walk has four steps");

/* The list may have as many members as the domain has entries: counted only so far, for the lock is
 * held. */
static uint32_t count_mappings(const struct gfn_record *r)
{
    uint32_t n = 0;

    for (uint64_t *e = r->rmap; e && n < PENUMBRA_MAPPINGS_MAX; e = *entry_next(e))
        n++;
    return n;
}

static uint8_t followed_levels(const struct gfn_record *r)
{
    unsigned levels = 0;

    for (const struct shadow *s = r->shadows; s; s = s->sibling)
        if (s->live)
            levels |= 1U << s->level;
    return (uint8_t)levels;
}

/* What outside RAM a gfn may stand for: domain 0's devices. */
static void describe_mmio(const struct paging *p, struct penumbra_frame *f)
{
    enum mmio_access access = p2m_mmio(p, f->gfn);

    if (access == MMIO_DENIED)
        return;
    f->type = PENUMBRA_GFN_mmio;
    f->mfn = f->gfn;
    if (access == MMIO_READ)
        f->flags = PENUMBRA_FRAME_readonly;
}

static void describe(const struct paging *p, gfn_t gfn, struct penumbra_frame *f)
{
    const struct gfn_record *r = p2m_record(p, gfn.n);

    *f = (struct penumbra_frame){.gfn = gfn.n, .mfn = ~0UL, .type = PENUMBRA_GFN_hole};
    if (!r || record_type(r) == P2M_HOLE) {
        describe_mmio(p, f);
        return;
    }
    f->mfn = record_mfn(r).n;
    f->type = (uint8_t)record_type(r);
    f->mappings = count_mappings(r);
    f->writable = r->writable;
    if (r->word & GFN_READONLY)
        f->flags |= PENUMBRA_FRAME_readonly;
    if (r->word & GFN_LOGGED)
        f->flags |= PENUMBRA_FRAME_logged;
    if (!record_is_ram(r))
        return;
    f->aliases = r->aliases;
    f->levels = r->marks & (uint8_t)~MARK_PINNED;
    f->followed = followed_levels(r);
    if (r->marks & MARK_PINNED)
        f->flags |= PENUMBRA_FRAME_pinned;
    if (__atomic_load_n(&frame_of(record_mfn(r))->writers, __ATOMIC_RELAXED))
        f->flags |= PENUMBRA_FRAME_held;
}

static void describe_leaf(const struct paging *p, struct penumbra_walk *w, gfn_t table)
{
    uint64_t entry = w->step[LEVELS - 1].entry;
    const struct gfn_record *r = p2m_record(p, entry_gfn(entry));

    w->has_leaf = 1;
    describe(p, gfn_of(entry_gfn(entry)), &w->leaf);
    if (r && record_type(r) == P2M_FOREIGN && r->slot != slot_identity(table, va_slot(w->va, 1)))
        w->leaf.flags |= PENUMBRA_FRAME_elsewhere;
}

void paging_walk(struct paging *p, const struct paging_vcpu *pv, struct penumbra_walk *w)
{
    gfn_t gfn = w->user ? pv->user_root : pv->kernel_root;

    w->steps = w->has_leaf = 0;
    for (unsigned level = LEVELS; level >= 1 && (gfn.n || level < LEVELS); level--) {
        struct penumbra_step *step = &w->step[LEVELS - level];
        const struct gfn_record *r = p2m_record(p, gfn.n);
        unsigned slot = va_slot(w->va, level);

        *step = (struct penumbra_step){0};
        describe(p, gfn, &step->table);
        w->steps++;
        if (!r || (record_type(r) != P2M_RAM && record_type(r) != P2M_SHARED))
            return; /* no table: what leads here is a mistake of the guest's */
        const struct shadow *s = record_is_ram(r) ? record_shadow(r, level) : NULL;
        step->entry = walk_read_entry(r, slot);
        if (s) {
            step->shadow = mfn_to_maddr(s->mfn);
            step->shadow_entry = __atomic_load_n(&s->table[slot], __ATOMIC_RELAXED);
        }
        if (!(step->entry & PTE_P))
            return;
        if (level == 1)
            describe_leaf(p, w, gfn);
        else if (level < LEVELS && (step->entry & PTE_PSE))
            return;
        gfn = gfn_of(entry_gfn(step->entry));
    }
}
