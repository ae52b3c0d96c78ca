/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries and the lists of who points where. Nothing else writes a shadow entry, so the
 * lists, the count of writable leaves of each record and the count of present entries of each
 * shadow are always exact.
 */
#include "mm/paging_priv.h"

static void list_add(struct paging *p, uint32_t *head, uint32_t id, struct link *l)
{
    l->prev = 0;
    l->next = *head;
    if (l->next)
        link_of(p, l->next)->prev = id;
    *head = id;
}

static void list_del(struct paging *p, uint32_t *head, const struct link *l)
{
    if (l->prev)
        link_of(p, l->prev)->next = l->next;
    else
        *head = l->next;
    if (l->next)
        link_of(p, l->next)->prev = l->prev;
}

/* One aligned store: the hardware sees the old entry or the new one. */

static void entry_write(struct shadow *s, unsigned slot, uint64_t value)
{
    __atomic_store_n(&s->table[slot], value, __ATOMIC_RELAXED);
}

static void count_writable(struct gfn_record *r, uint64_t leaf)
{
    if (leaf & PTE_RW) {
        r->writable++;
        /* What the guest writes freely is no table, unless it pinned it. */
        if (!(r->marks & MARK_PINNED))
            r->marks = 0;
    }
}

void rmap_set_leaf(struct paging *p, struct shadow *s, unsigned slot, uint64_t leaf,
                   struct gfn_record *target)
{
    struct link *l = shadow_link(s, slot);
    uint64_t old = s->table[slot];

    if (old == leaf && (!old || l->record == target))
        return;
    if (old) {
        if ((old & ~leaf & PTE_RW) || (leaf & ~old & PTE_NX) || ((old ^ leaf) & (PTE_ADDR | PTE_P)))
            p->removed = true;
        if (l->record && (old & PTE_RW))
            l->record->writable--;
        if (leaf && l->record == target) { /* same frame, other rights */
            if (target)
                count_writable(target, leaf);
            entry_write(s, slot, leaf);
            return;
        }
        if (l->record)
            list_del(p, &l->record->rmap, l);
        s->used--;
    }
    entry_write(s, slot, leaf);
    if (leaf) {
        s->used++;
        l->record = target;
        if (target) {
            list_add(p, &target->rmap, (uint32_t)entry_id(p, s, slot), l);
            count_writable(target, leaf);
        }
    }
}

void rmap_set_child(struct paging *p, struct shadow *s, unsigned slot, struct shadow *child,
                    uint64_t flags)
{
    struct link *l = shadow_link(s, slot);
    uint64_t old = s->table[slot], new = child ? mfn_to_maddr(child->mfn) | flags : 0;

    if ((old & ~PTE_A) == (new & ~PTE_A)) /* the processor sets A in these entries */
        return;
    if (old) {
        if ((old & ~new &PTE_RW) || (new & ~old &PTE_NX) || ((old ^ new) & (PTE_ADDR | PTE_P)))
            p->removed = true;
        list_del(p, &l->child->parents, l);
        s->used--;
    }
    entry_write(s, slot, new);
    if (child) {
        s->used++;
        l->child = child;
        list_add(p, &child->parents, (uint32_t)entry_id(p, s, slot), l);
    }
}

void rmap_clear(struct paging *p, struct shadow *s, unsigned slot)
{
    if (s->level == 1)
        rmap_set_leaf(p, s, slot, 0, NULL);
    else
        rmap_set_child(p, s, slot, NULL, 0);
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
