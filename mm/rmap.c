/* SPDX-License-Identifier: MIT */
/* See rmap.h. */
#include "mm/rmap.h"

void rmap_set_leaf(struct paging *p, struct shadow *s, unsigned slot, uint64_t leaf,
                   struct gfn_record *target)
{
    rmap_set(p, s, slot, leaf, target);
}

void rmap_set_child(struct paging *p, struct shadow *s, unsigned slot, struct shadow *child,
                    uint64_t flags)
{
    struct link *l = shadow_link(s, slot);
    uint64_t old = s->table[slot], new = child ? mfn_to_maddr(child->mfn) | flags : 0;

    if ((old & ~PTE_A) == (new & ~PTE_A)) /* the processor sets A in these entries */
        return;
    if (old) {
        if (rmap_narrows(old, new))
            p->removed = true;
        rmap_list_del(p, &l->child->parents, l);
        s->used--;
        p->epoch++;
    }
    rmap_entry_write(s, slot, new);
    if (child) {
        s->used++;
        l->child = child;
        rmap_list_add(p, &child->parents, entry_id(s, slot), l);
    }
}

void rmap_empty(struct paging *p, struct shadow *s)
{
    for (unsigned slot = 0; slot < SLOTS && s->used; slot++) {
        uint64_t old = s->table[slot];

        if (!old || slot_is_holes(s->level, slot))
            continue;
        if (s->level == 1) {
            rmap_extract(p, s, slot, old);
        } else {
            rmap_set_child(p, s, slot, NULL, 0);
        }
    }
}

void rmap_remove_all(struct paging *p, struct gfn_record *r)
{
    while (r->rmap)
        rmap_set_leaf(p, &p->shadow[r->rmap >> SLOT_BITS], r->rmap % SLOTS, 0, NULL);
}

void rmap_write_protect(struct paging *p, struct gfn_record *r)
{
    for (uint32_t id = r->rmap; id && r->writable; id = link_of(p, id)->next) {
        struct shadow *s = &p->shadow[id >> SLOT_BITS];
        uint64_t leaf = s->table[id % SLOTS];

        if (leaf & PTE_RW)
            rmap_set_leaf(p, s, id % SLOTS, leaf & ~(PTE_RW | PTE_D), r);
    }
    ASSERT(r->writable == 0);
}

void rmap_unhook(struct paging *p, struct shadow *s)
{
    while (s->parents)
        rmap_set_child(p, &p->shadow[s->parents >> SLOT_BITS], s->parents % SLOTS, NULL, 0);
}
