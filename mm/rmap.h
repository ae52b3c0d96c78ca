/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries and the lists of who points where: the only writers of shadow entries, so the
 * lists, the counts of leaves and writable leaves of each record and the counts of parents and of
 * present entries of each shadow are always exact. Inside mm/ only; the paging lock is held.
 *
 * To take a frame or a table away is to go through its list, with the lock held and interrupts off.
 * So no list gets longer than RMAP_MAX: the entry that comes then takes the place of all others,
 * which come back with the next fault each. A guest that maps one frame at more places (of zeros,
 * say) pays for that itself.
 *
 * The steps that every entry of every guest goes through are inline: filling and updating tables is
 * the hottest code there is.
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "mm/paging_priv.h"

#define RMAP_MAX 32768U

/* ---- in mm/rmap.c ---- */
/* rmap_set() out of line, also for a target that is full. */
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

/* A leaf comes into its target's list, which is not full. */
static RMAP_INLINE void rmap_join(uint64_t *e, uint64_t leaf, struct gfn_record *target)
{
    *entry_record(e) = target;
    if (target) {
        if ((int16_t)++target->mapped < 0) /* RMAP_MAX, in one instruction with the sum */
            target->word |= GFN_FULL;
        rmap_list_add(&target->rmap, e);
        rmap_count_writable(target, leaf);
    }
    rmap_entry_write(e, leaf);
}
_Static_assert((int16_t)RMAP_MAX<0 && (int16_t)(RMAP_MAX - 1)> 0, "rmap_join() asks for a sign");

/* A present leaf leaves its list. */
static RMAP_INLINE void rmap_leave(struct paging *p, uint64_t *e, uint64_t old)
{
    struct gfn_record *target = *entry_record(e);

    if (target) {
        target->mapped--;
        target->writable -= (uint16_t)(old / PTE_RW) & 1;
        rmap_list_del(e);
    }
    p->removed = true;
}

/* An empty leaf becomes present; the target is not full. */
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
        target->writable -= (uint16_t)(old / PTE_RW) & 1;
        rmap_count_writable(target, leaf);
    }
    rmap_entry_write(e, leaf);
}

/* Makes the entry e of s the leaf (0: none) for `target` (NULL with MMIO or none), not full. */
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
_Static_assert(P2M_RAM == PTE_P, "the word of a plain gfn is its frame's address and PTE_P");
static inline uint64_t rmap_leaf_unprotected(const struct gfn_record *target, uint64_t entry)
{
    uint64_t leaf = target->word | PTE_P | PTE_US | PTE_A | (entry & PTE_NX);

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
