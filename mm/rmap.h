/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries and the lists of who points where: the only writers of shadow entries, so the
 * lists, the count of writable leaves of each record and the count of present entries of each
 * shadow are always exact. Inside mm/ only; the paging lock is held.
 *
 * The steps that every entry of every guest goes through are inline: filling and updating tables is
 * the hottest code there is.
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "mm/paging_priv.h"

/* ---- in mm/rmap.c ---- */
/* rmap_set() out of line. */
void rmap_set_leaf(struct paging *p, struct shadow *s, unsigned slot, uint64_t leaf,
                   struct gfn_record *target);
/* Levels 2 to 4: points the entry to child with `flags`; child NULL: none. */
void rmap_set_child(struct paging *p, struct shadow *s, unsigned slot, struct shadow *child,
                    uint64_t flags);
void rmap_empty(struct paging *p, struct shadow *s);          /* all its entries */
void rmap_remove_all(struct paging *p, struct gfn_record *r); /* every leaf that maps it */
void rmap_write_protect(struct paging *p, struct gfn_record *r);
void rmap_unhook(struct paging *p, struct shadow *s); /* out of all its parents */

/* ---- the steps ---- */

/* The compiler would call them: they are used in several places. */
#define RMAP_INLINE inline __attribute__((always_inline))

static RMAP_INLINE void rmap_list_add(uint64_t **head, uint64_t *e)
{
    uint64_t *next = *head;

    *entry_next(e) = next;
    *entry_back(e) = head;
    if (next)
        *entry_back(next) = entry_next(e);
    *head = e;
}

static RMAP_INLINE void rmap_list_del(uint64_t *e)
{
    uint64_t *next = *entry_next(e), **back = *entry_back(e);

    *back = next;
    if (next)
        *entry_back(next) = back;
}

/* One aligned store: the hardware sees the old entry or the new one. */
static inline void rmap_entry_write(uint64_t *e, uint64_t value)
{
    __atomic_store_n(e, value, __ATOMIC_RELAXED);
}

static inline void rmap_count_writable(struct gfn_record *r, uint64_t leaf)
{
    if (leaf & PTE_RW) {
        r->writable++;
        /* What the guest writes freely is no table, unless it pinned it. */
        if (!(r->marks & MARK_PINNED))
            r->marks = 0;
    }
}

/* A leaf comes into its target's list. */
static RMAP_INLINE void rmap_join(uint64_t *e, uint64_t leaf, struct gfn_record *target)
{
    *entry_record(e) = target;
    if (target) {
        rmap_list_add(&target->rmap, e);
        rmap_count_writable(target, leaf);
    }
    rmap_entry_write(e, leaf);
}

/* A present leaf leaves its list. */
static RMAP_INLINE void rmap_leave(struct paging *p, uint64_t *e, uint64_t old)
{
    struct gfn_record *target = *entry_record(e);

    if (target) {
        target->writable -= (uint32_t)(old / PTE_RW) & 1;
        rmap_list_del(e);
    }
    p->removed = true;
}

/* An empty leaf becomes present. */
static inline void rmap_insert(struct shadow *s, uint64_t *e, uint64_t leaf,
                               struct gfn_record *target)
{
    rmap_join(e, leaf, target);
    s->used++;
}

/* A present leaf becomes empty. */
static inline void rmap_extract(struct paging *p, struct shadow *s, uint64_t *e, uint64_t old)
{
    rmap_leave(p, e, old);
    s->used--;
    rmap_entry_write(e, 0);
}

/* Does the guest lose something that a TLB may still hold? */
static inline bool rmap_narrows(uint64_t old, uint64_t new)
{
    return (old & ~new &PTE_RW) || (new & ~old &PTE_NX) || ((old ^ new) & (PTE_ADDR | PTE_P));
}

/* A present leaf gets other rights to the same frame. */
static inline void rmap_change(struct paging *p, uint64_t *e, uint64_t leaf,
                               struct gfn_record *target)
{
    uint64_t old = *e;

    if (rmap_narrows(old, leaf))
        p->removed = true;
    if (target) {
        target->writable -= (uint32_t)(old / PTE_RW) & 1;
        rmap_count_writable(target, leaf);
    }
    rmap_entry_write(e, leaf);
}

/* Makes the entry e of s the leaf (0: none) for `target` (NULL with MMIO or none). */
static RMAP_INLINE void rmap_set(struct paging *p, struct shadow *s, uint64_t *e, uint64_t leaf,
                                 struct gfn_record *target)
{
    uint64_t old = *e;

    if (!old) {
        if (leaf)
            rmap_insert(s, e, leaf, target);
    } else if (!leaf) {
        rmap_extract(p, s, e, old);
    } else if (*entry_record(e) == target) {
        rmap_change(p, e, leaf, target);
    } else {
        rmap_leave(p, e, old);
        rmap_join(e, leaf, target);
    }
}

/* The leaf for a guest's L1 entry, present and accessed, whose gfn is plain (record_is_plain) and,
 * if the entry allows writing, not protected. */
static inline uint64_t rmap_leaf_unprotected(const struct gfn_record *target, uint64_t entry)
{
    uint64_t leaf = PTE_P | PTE_US | PTE_A | (entry & PTE_NX) | (target->word & PAGE_MASK);

    if ((entry & (PTE_RW | PTE_D)) == (PTE_RW | PTE_D))
        leaf |= PTE_RW | PTE_D;
    return leaf;
}

/* The same for any plain gfn. */
static inline uint64_t rmap_leaf_of_memory(const struct gfn_record *target, uint64_t entry)
{
    return rmap_leaf_unprotected(target, record_protected(target) ? entry & ~PTE_RW : entry);
}

#endif
