/* SPDX-License-Identifier: MIT */
/* See rmap.h. */
#include "mm/rmap.h"

/* A target that is full, or was: its list may have become shorter. */
static __attribute__((noinline)) void set_full(struct paging *p, struct shadow *s, unsigned slot,
                                               uint64_t leaf, struct gfn_record *target)
{
    uint64_t *e = &s->table[slot];
    bool comes = leaf && !(*e && *entry_record(e) == target);

    if (comes && target->mapped >= RMAP_MAX)
        rmap_remove_all(p, target);
    if (target->mapped < RMAP_MAX)
        target->word &= ~GFN_FULL;
    rmap_set(p, s, e, leaf, target);
}

void rmap_set_leaf(struct paging *p, struct shadow *s, unsigned slot, uint64_t leaf,
                   struct gfn_record *target)
{
    if (target && (target->word & GFN_FULL))
        set_full(p, s, slot, leaf, target); /* a jump: this function needs no stack frame */
    else
        rmap_set(p, s, &s->table[slot], leaf, target);
}

void rmap_set_child(struct paging *p, struct shadow *s, unsigned slot, struct shadow *child,
                    uint64_t flags)
{
    uint64_t *e = &s->table[slot], old = *e;
    uint64_t new = child ? mfn_to_maddr(child->mfn) | flags : 0;

    if ((old & ~PTE_A) == (new & ~PTE_A)) /* the processor sets A in these entries */
        return;
    if (old) {
        if (rmap_narrows(old, new))
            p->removed = true;
        (*entry_child(e))->hooks--;
        rmap_list_del(e);
        s->used--;
        p->epoch++;
    }
    rmap_entry_write(e, new);
    if (child) {
        if (child->hooks == RMAP_MAX)
            rmap_unhook(p, child);
        child->hooks++;
        s->used++;
        *entry_child(e) = child;
        rmap_list_add(&child->parents, e);
    }
}

void rmap_empty(struct paging *p, struct shadow *s)
{
    for (unsigned slot = 0; slot < SLOTS && s->used; slot++) {
        uint64_t old = s->table[slot];

        if (!old || slot_is_holes(s->level, slot))
            continue;
        if (s->level == 1) {
            rmap_extract(p, s, &s->table[slot], old);
        } else {
            rmap_set_child(p, s, slot, NULL, 0);
        }
    }
}

void rmap_remove_all(struct paging *p, struct gfn_record *r)
{
    while (r->rmap)
        rmap_set_leaf(p, entry_shadow(p, r->rmap), entry_slot(r->rmap), 0, NULL);
}

void rmap_write_protect(struct paging *p, struct gfn_record *r)
{
    for (uint64_t *e = r->rmap; e && r->writable; e = *entry_next(e))
        if (*e & PTE_RW)
            rmap_change(p, e, *e & ~(PTE_RW | PTE_D), r);
    ASSERT(r->writable == 0);
}

void rmap_unhook(struct paging *p, struct shadow *s)
{
    while (s->parents)
        rmap_set_child(p, entry_shadow(p, s->parents), entry_slot(s->parents), NULL, 0);
}
