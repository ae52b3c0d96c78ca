/* SPDX-License-Identifier: MIT */
/*
 * Shadow page tables: what the processor walks while the guest looks at its own.
 *
 *      guest's tables (gfns)                       shadow tables (machine frames)
 *
 *      root gfn 10  +--------+                    CR3 -> +--------+ shadow of (10, level 4)
 *                   | 11 RW  | ---.                      | mfn -> | ---.     slots 256..271: ours
 *                   +--------+    |                      +--------+    |
 *      gfn 11       +--------+ <--'                      +--------+ <--'     (11, 3)
 *                   | 12 RW  |                           | mfn -> |
 *                   +--------+      p2m: gfn -> mfn      +--------+
 *        ..                    ==========================>   ..
 *      gfn 13       +--------+                           +--------+          (13, 1)
 *                   | 20 RW  | A, D set                  | mfn of 20, RW, A, D
 *                   | 21 RW  | A set                     | mfn of 21, read-only: D comes by a fault
 *                   | 22 RW  |                           | absent: A comes by a fault
 *                   | 13 RW  | A, D set: itself          | mfn of 13, read-only: it is a table
 *                   +--------+                           +--------+
 *
 * Which frames are shadowed. A shadow belongs to a guest frame and a level, not to an address:
 * however many entries point to the frame, there is one shadow of it at that level, and a frame
 * that is used at two levels (recursive tables) has two. It is made when a walk first goes through
 * the frame as a table, never because of what the guest says; pinning is a hint that a frame is a
 * table although nothing shadows it just now. A new shadow is filled from the whole guest table at
 * once, as far as S5 allows:
 *   - a leaf only if its A is set, writable only if its D is set, so the processor never needs to
 * set either behind our back;
 *   - an upper entry only if the table below has a shadow already. The others come by faults
 * (shadow_fault.c). Kernel and user run in ring 3, so U is always set; RW and NX are the guest's;
 * all other bits are ours.
 *
 * When write protection falls. As long as a frame has a shadow that follows it ("live"), or holds
 * foreign aliases, no leaf of this domain maps it writable (S4), so each store to it faults and is
 * emulated (shadow_update.c). To get there, shadow_get() first takes every writable leaf away and
 * flushes TLBs, and then reads the table: nothing is written in between. A guest that maps its
 * tables read-only first, as guests of this interface do, pays nothing for it: the count of
 * writable leaves is zero. Protection ends with the shadow:
 *   - the guest maps the frame writable by hypercall: it is no table any more (demotion);
 *   - a store that cannot be emulated, a writable hold or a loan to another domain: dropped
 * (shadow_drop());
 *   - a store to an orphan, a table that nothing leads to any more: dropped by the fault itself;
 *   - the pool wants the space: reclaimed, and made again when walked again.
 * Writable leaves come back by write faults, one by one.
 *
 * A root that a processor may have in CR3 cannot be freed. Dropping it empties it: it is no longer
 * live, and the next fault fills the same table again. So CR3 never has to change because of what
 * happens to a table.
 *
 * Who points to whom is always known (rmap.c): each leaf is in the list of its target's record,
 * each upper entry in the list of the shadow that it points to. So a frame can leave every shadow,
 * and a shadow every parent, without a search.
 *
 * What is not done here: an entry is never changed because the guest might want it soon, and
 * nothing is ever out of step on purpose. If a fault shows that the guest's entry allows what the
 * shadow does not, only A, D, protection or a missing shadow can be the reason.
 */
#include "mm/rmap.h"

#include <xen/errno.h>

#include "mm/tlb.h"

/* ---- one entry ---- */

uint64_t shadow_leaf(const struct paging *p, const struct gfn_record *target, uint64_t entry,
                     uint64_t slot_id)
{
    uint64_t leaf = PTE_P | PTE_US | PTE_A | (entry & PTE_NX);

    if ((entry & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
        return 0;
    bool write = (entry & (PTE_RW | PTE_D)) == (PTE_RW | PTE_D);
    if (target && record_type(target) != P2M_HOLE) {
        if (record_type(target) == P2M_FOREIGN && target->slot != slot_id)
            return 0;
        if (write && !(target->word & (GFN_READONLY | GFN_LOGGED)) &&
            record_type(target) != P2M_SHARED && !record_protected(target))
            leaf |= PTE_RW | PTE_D;
        return leaf | (target->word & PTE_ADDR);
    }
    enum mmio_access access = p2m_mmio(p, entry_gfn(entry));
    if (access == MMIO_DENIED)
        return 0;
    if (write && access == MMIO_READ_WRITE)
        leaf |= PTE_RW | PTE_D;
    return leaf | (entry & PTE_ADDR) | PTE_UNCACHED;
}

static void follow_leaf(struct paging *p, struct shadow *s, unsigned slot, uint64_t entry)
{
    struct gfn_record *target = NULL;
    uint64_t leaf = 0;

    if (entry & PTE_P) {
        target = p2m_record(p, entry_gfn(entry));
        leaf = shadow_leaf(p, target, entry, slot_identity(s->gfn, slot));
        if (target && record_type(target) == P2M_HOLE)
            target = NULL;
    }
    rmap_set_leaf(p, s, slot, leaf, target);
}

static void follow_upper(struct paging *p, struct shadow *s, unsigned slot, uint64_t entry)
{
    struct shadow *child = NULL;

    if (slot_is_holes(s->level, slot))
        return;
    if ((entry & PTE_P) && !(s->level < LEVELS && (entry & PTE_PSE))) {
        struct gfn_record *target = p2m_record(p, entry_gfn(entry));
        if (record_is_ram(target)) {
            if (!(target->marks & 1U << (s->level - 1)))
                tables_changed(p);
            target->marks |= (uint8_t)(1U << (s->level - 1));
            child = record_shadow(target, s->level - 1);
        }
    }
    if (child && (!child->live || !(entry & PTE_A)))
        child = NULL;
    rmap_set_child(p, s, slot, child, PTE_P | PTE_US | (entry & (PTE_RW | PTE_NX)));
}

void shadow_follow(struct paging *p, struct gfn_record *r, gfn_t gfn, unsigned slot, uint64_t entry)
{
    (void)gfn;
    for (struct shadow *s = r->shadows; s; s = s->sibling) {
        if (!s->live)
            continue;
        if (s->level == 1)
            follow_leaf(p, s, slot, entry);
        else
            follow_upper(p, s, slot, entry);
    }
}

/* Entries removed before this time may be cached still. */
uint64_t shadow_removal_stamp(struct paging *p)
{
    ASSERT(!CONFIG_DEBUG || spin_held(&p->lock)); /* an entry is cleared after `removed` is set */
    if (p->removed) {
        p->removed = false;
        p->removed_stamp = tlb_stamp();
    }
    return p->removed_stamp;
}

/* Flushes those pCPUs that did not since an entry was removed. */
static void flush_pcpus(struct paging *p, uint64_t pcpus)
{
    if (tlb_flush_pcpus_since(pcpus, shadow_removal_stamp(p)))
        p->count.flushes++;
    else
        p->count.flushes_avoided++;
}

void shadow_flush_removed(struct paging *p)
{
    flush_pcpus(p, __atomic_load_n(&p->pcpus, __ATOMIC_SEQ_CST));
}

/* ---- a walk ---- */

struct shadow *shadow_walk(const struct paging *p, struct paging_vcpu *pv, bool user, vaddr_t va)
{
    struct shadow *s = user ? pv->user_top : pv->kernel_top;

    for (unsigned level = LEVELS; s && level > 1; level--) {
        unsigned slot = va_slot(va, level);
        s = s->table[slot] ? *entry_child(&s->table[slot]) : NULL;
    }
    if (s)
        pv->walked[user] = (struct walked){s, va >> REGION_SHIFT, p->epoch};
    return s;
}

/* ---- one table ---- */

bool shadow_protect(struct paging *p, struct gfn_record *r)
{
    struct frame *f = frame_of(record_mfn(r));

    if (__atomic_load_n(&f->writers, __ATOMIC_ACQUIRE))
        return false;
    /* The last foreign writer is gone, but maybe not yet from every TLB (paging_alias_put). */
    tlb_wait_safe(__atomic_load_n(&f->stamp, __ATOMIC_ACQUIRE));
    rmap_write_protect(p, r);
    /* Even if nothing was writable: a mapping that went earlier may be in a TLB until the guest
     * asks for a flush. */
    shadow_flush_removed(p);
    return true;
}

/* A new shadow of level 1 is empty: most entries need no more than this. */
static void fill_leaves(struct paging *p, struct shadow *s, const uint64_t *guest)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        uint64_t entry = __atomic_load_n(&guest[slot], __ATOMIC_RELAXED);
        struct gfn_record *target;

        if ((entry & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
            continue;
        target = p2m_record(p, entry_gfn(entry));
        if (record_is_plain(target))
            rmap_insert(s, &s->table[slot], rmap_leaf_of_memory(target, entry), target);
        else
            follow_leaf(p, s, slot, entry);
    }
}

static void fill(struct paging *p, struct shadow *s)
{
    const uint64_t *guest = frame_map(record_mfn(s->record));

    if (s->level == 1) {
        fill_leaves(p, s, guest);
    } else {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            uint64_t entry = __atomic_load_n(&guest[slot], __ATOMIC_RELAXED);
            if (entry & PTE_P)
                follow_upper(p, s, slot, entry);
        }
    }
    frame_unmap((void *)guest);
}

struct shadow *shadow_get(struct paging *p, gfn_t gfn, struct gfn_record *r, unsigned level,
                          const char **why)
{
    struct shadow *s;

    if (!record_is_memory(r)) {
        *why = "a page table is not the domain's own memory";
        return NULL;
    }
    if (record_own(p, r, gfn)) {
        *why = "no memory for a private copy of a shared frame";
        return NULL;
    }
    s = record_shadow(r, level);
    if (s && s->live)
        return s;
    if (!s)
        s = pool_take(p, r, gfn, level);
    if (!s) {
        *why = "no memory for a shadow page table";
        return NULL;
    }
    /* In this order: unwritable everywhere, then read. A store in between would be lost to the
     * shadow. */
    if (!shadow_protect(p, r)) {
        shadow_release(p, s);
        *why =
            "a page table is mapped writable by another domain, or registered with the hypervisor";
        return NULL;
    }
    tables_changed(p);
    s->live = true;
    r->live++;
    r->marks |= (uint8_t)(1U << level);
    fill(p, s);
    return s;
}

void shadow_release(struct paging *p, struct shadow *s)
{
    rmap_empty(p, s);
    rmap_unhook(p, s);
    if (s->live) {
        tables_changed(p);
        s->live = false;
        s->record->live--;
    }
    if (!s->users)
        pool_put(p, s);
}

void shadow_release_all(struct paging *p, struct gfn_record *r)
{
    for (struct shadow *s = r->shadows, *next; s; s = next) {
        next = s->sibling;
        shadow_release(p, s);
    }
}

void shadow_drop(struct paging *p, gfn_t table)
{
    struct gfn_record *r = p2m_record(p, table.n);

    if (!record_is_ram(r))
        return;
    alias_end_all(p, r, table);
    shadow_release_all(p, r);
    r->marks = 0;
}

bool shadow_is_orphan(const struct gfn_record *r)
{
    if (r->aliases || (r->marks & MARK_PINNED))
        return false;
    for (const struct shadow *s = r->shadows; s; s = s->sibling)
        if (s->parents || s->users || s->busy)
            return false;
    return true;
}

void shadow_pin(struct paging *p, gfn_t table, unsigned level)
{
    struct gfn_record *r = p2m_record(p, table.n);

    if (record_is_memory(r) && level >= 1 && level <= LEVELS) {
        r->marks |= (uint8_t)(1U << level | MARK_PINNED);
        tables_changed(p);
    }
}

void shadow_unpin(struct paging *p, gfn_t table)
{
    struct gfn_record *r = p2m_record(p, table.n);

    /* The shadow stays until the guest maps the frame writable or the pool wants it. */
    if (record_is_memory(r))
        r->marks &= (uint8_t)~MARK_PINNED;
}

/* ---- roots ---- */

void shadow_put_root(struct paging *p, struct shadow **root)
{
    struct shadow *s = *root;

    *root = NULL;
    if (s && --s->users == 0 && !s->live)
        pool_put(p, s);
}

static void take_root(struct shadow **root, struct shadow *s)
{
    *root = s;
    if (s)
        s->users++;
}

/* After each change of a root: what shadow_root_cached() may give, and walks begin anew. */
static void note_roots(struct paging_vcpu *pv)
{
    bool held = pv->kernel_top && pv->loaded == pv->kernel_top;

    pv->root[0] = held ? mfn_to_maddr(pv->kernel_top->mfn) : 0;
    pv->root[1] = held && pv->user_top ? mfn_to_maddr(pv->user_top->mfn) : 0;
    pv->walked[0].region = pv->walked[1].region = ~0UL;
}

maddr_t shadow_switch_kernel(struct paging *p, struct paging_vcpu *pv, gfn_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn.n);
    struct shadow *s = record_is_ram(r) ? r->shadows : NULL, *old = pv->kernel_top;

    if (!s || s->level != LEVELS || !pv->root[0]) /* gfn 0 is never a root */
        return 0;
    if (!old->live && old->users == 2) /* as this root, and as the one that is loaded */
        return 0;
    s->users += 2;
    old->users -= 2;
    pv->kernel_top = pv->loaded = s;
    pv->kernel_root = gfn;
    pv->root[0] = mfn_to_maddr(s->mfn);
    pv->walked[0].region = ~0UL;
    return pv->root[0];
}

bool shadow_switch_user(struct paging *p, struct paging_vcpu *pv, gfn_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn.n);
    struct shadow *s, *old = pv->user_top;

    if (!record_is_ram(r) || gfn.n == 0 || (old && !old->live && old->users == 1))
        return false;
    s = record_shadow(r, LEVELS);
    if (s)
        s->users++;
    if (old)
        old->users--;
    pv->user_top = s;
    pv->user_root = gfn;
    pv->root[1] = s && pv->root[0] ? mfn_to_maddr(s->mfn) : 0;
    pv->walked[1].region = ~0UL;
    return true;
}

static long set_root(struct paging *p, gfn_t *root, struct shadow **top, gfn_t gfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);

    if (!record_is_memory(r))
        return -XEN_EINVAL;
    if (*top && root->n == gfn.n)
        return 0;
    shadow_put_root(p, top);
    *root = gfn;
    take_root(top, record_shadow(r, LEVELS));
    return 0;
}

long shadow_set_kernel_root(struct paging *p, struct paging_vcpu *pv, gfn_t gfn)
{
    long err;

    if (gfn.n == 0) /* memory, but never a root */
        return -XEN_EINVAL;
    err = set_root(p, &pv->kernel_root, &pv->kernel_top, gfn);
    note_roots(pv);
    return err;
}

long shadow_set_user_root(struct paging *p, struct paging_vcpu *pv, gfn_t gfn)
{
    long err = 0;

    if (gfn.n == 0) {
        shadow_put_root(p, &pv->user_top);
        pv->user_root = gfn;
    } else {
        err = set_root(p, &pv->user_root, &pv->user_top, gfn);
    }
    note_roots(pv);
    return err;
}

mfn_t shadow_root(struct paging *p, struct paging_vcpu *pv)
{
    gfn_t gfn = pv->user_mode ? pv->user_root : pv->kernel_root;
    struct shadow **top = pv->user_mode ? &pv->user_top : &pv->kernel_top;
    const char *why;

    if (!*top) {
        struct gfn_record *r = p2m_record(p, gfn.n);
        struct shadow *s;

        if (gfn.n == 0 || !record_is_memory(r))
            return INVALID_MFN;
        s = shadow_get(p, gfn, r, LEVELS, &why);
        /* A root that may not be followed now is empty; the first fault says why. */
        if (!s)
            s = record_shadow(r, LEVELS);
        if (!s)
            s = pool_take(p, r, gfn, LEVELS);
        if (!s)
            return INVALID_MFN;
        take_root(top, s);
    }
    if (pv->loaded != *top) {
        shadow_put_root(p, &pv->loaded);
        take_root(&pv->loaded, *top);
    }
    note_roots(pv);
    return (*top)->mfn;
}

/* ---- what the guest asks to flush ---- */

void shadow_flush_local(struct paging *p)
{
    if (tlb_flushed_since(shadow_removal_stamp(p))) {
        p->count.flushes_avoided++;
        return;
    }
    p->count.flushes++;
    tlb_flush_local();
}

void shadow_flush_va_local(struct paging *p, vaddr_t va)
{
    if (!va_is_guests(va))
        return;
    /* What was removed stays to be flushed in full, so no stamp is taken. */
    if (!p->removed && tlb_flushed_since(p->removed_stamp)) {
        p->count.flushes_avoided++;
        return;
    }
    p->count.flushes++;
    tlb_flush_va_local(va);
}

void shadow_flush_mask(struct paging *p, uint64_t pcpus)
{
    flush_pcpus(p, pcpus & __atomic_load_n(&p->pcpus, __ATOMIC_SEQ_CST));
}
