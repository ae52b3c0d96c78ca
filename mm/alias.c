/* SPDX-License-Identifier: MIT */
/*
 * Another domain's frames in this domain (S6).
 *
 * A foreign alias is a window gfn made for one L1 slot: the guest's entry names it, only that
 * slot's shadow maps it, and it ends when the slot changes. So the number of aliases in a table's
 * slots is known in its record, and while it is not zero the table stays protected even without a
 * shadow: otherwise the guest could overwrite the slot unseen, and the alias with its reference
 * would live for ever.
 *
 * S4 across domains: whoever may write a frame through an alias counts in frame.writers, and a
 * frame with writers is not shadowed as a table by its owner. Owner's and mapper's locks are taken
 * one after the other, never both: the count holds between them.
 */
#include "mm/paging_priv.h"

#include <xen/errno.h>
#include <xen/xen.h>

/* Memory or special; a shared frame becomes the owner's alone even for reading, so that who borrows
 * it sees what the owner writes later. */
static bool may_lend(struct paging *owner, gfn_t gfn, bool readonly)
{
    struct gfn_record *r = p2m_record(owner, gfn.n);

    if (!r || (!readonly && (r->word & GFN_READONLY)))
        return false;
    return record_type(r) == P2M_SPECIAL || record_own(owner, r, gfn) == 0;
}

mfn_t paging_alias_get(struct paging *owner, gfn_t gfn, bool readonly)
{
    mfn_t mfn = INVALID_MFN;

    paging_lock(owner);
    if (may_lend(owner, gfn, readonly)) {
        struct gfn_record *r = p2m_record(owner, gfn.n);
        struct frame *f = frame_of(record_mfn(r));
        if (frame_get(f, record_type(r) == P2M_RAM ? owner->domid : DOMID_XEN)) {
            mfn = record_mfn(r);
            if (!readonly) {
                __atomic_fetch_add(&f->writers, 1, __ATOMIC_ACQ_REL);
                shadow_drop(owner, gfn);
                log_write(owner, r, gfn);
            }
        }
    }
    paging_unlock(owner);
    return mfn;
}

void paging_alias_put(mfn_t mfn, bool readonly)
{
    struct frame *f = frame_of(mfn);

    if (!readonly) {
        /* A TLB may still hold the writable mapping: whoever makes this frame a table, or takes it
         * for clean, waits for the stamp. */
        frame_stamp(f);
        __atomic_fetch_sub(&f->writers, 1, __ATOMIC_ACQ_REL);
    }
    frame_put(f);
}

void alias_end(struct paging *p, gfn_t alias)
{
    uint64_t word = p2m_record(p, alias.n)->word;

    p2m_window_release(p, alias);
    paging_alias_put(mfn_of(word >> PAGE_SHIFT), word & GFN_READONLY);
}

/* The alias that lives in this slot if the slot holds `entry`; INVALID_GFN. */
static gfn_t alias_in(const struct paging *p, gfn_t table, unsigned slot, uint64_t entry)
{
    const struct gfn_record *r;

    if (!(entry & PTE_P) || entry_gfn(entry) < GFN_WINDOW)
        return INVALID_GFN;
    r = p2m_record(p, entry_gfn(entry));
    if (!r || record_type(r) != P2M_FOREIGN || r->slot != slot_identity(table, slot))
        return INVALID_GFN;
    return gfn_of(entry_gfn(entry));
}

void alias_slot_changed(struct paging *p, struct gfn_record *table, gfn_t gfn, unsigned slot,
                        uint64_t old, uint64_t new)
{
    gfn_t alias = alias_in(p, gfn, slot, old);

    if (!gfn_valid(alias) || ((new &PTE_P) && entry_gfn(new) == alias.n))
        return;
    alias_end(p, alias);
    table->aliases--;
}

void alias_end_all(struct paging *p, struct gfn_record *table, gfn_t gfn)
{
    if (!table->aliases)
        return;
    const uint64_t *guest = frame_map(record_mfn(table));
    for (unsigned slot = 0; slot < SLOTS && table->aliases; slot++)
        alias_slot_changed(p, table, gfn, slot, guest[slot], 0);
    frame_unmap((void *)guest);
    /* Only a device that wrote over the table makes this necessary. */
    for (uint64_t i = 0; i < p->window_limit && table->aliases; i++) {
        const struct gfn_record *r = p2m_record(p, GFN_WINDOW + i);
        if (record_type(r) == P2M_FOREIGN && r->slot >> PAGE_SHIFT == gfn.n) {
            alias_end(p, gfn_of(GFN_WINDOW + i));
            table->aliases--;
        }
    }
}

/* May this frame hold foreign entries: memory that is used as a table of level 1 only? */
static bool can_hold_aliases(const struct gfn_record *r)
{
    if (!record_is_ram(r))
        return false;
    for (const struct shadow *s = r->shadows; s; s = s->sibling)
        if (s->live && s->level != 1)
            return false;
    return true;
}

long shadow_update_foreign(struct paging *p, gfn_t table, unsigned offset, uint64_t flags_bits,
                           mfn_t mfn, bool readonly)
{
    struct gfn_record *r = p2m_record(p, table.n);
    unsigned slot = offset / 8;
    uint64_t old, entry;
    gfn_t alias;

    if (record_is_memory(r) && record_own(p, r, table))
        return -XEN_ENOMEM;
    if (offset >= PAGE_SIZE || offset % 8 || !(flags_bits & PTE_P) || !can_hold_aliases(r))
        return -XEN_EINVAL;
    if (!record_protected(r) && !shadow_protect(p, r))
        return -XEN_EBUSY;
    alias = p2m_window_take(p, mfn_to_maddr(mfn) | P2M_FOREIGN | (readonly ? GFN_READONLY : 0));
    if (!gfn_valid(alias))
        return -XEN_ENOMEM;
    p2m_record(p, alias.n)->slot = slot_identity(table, slot);
    r->aliases++;
    tables_changed(p);
    r->marks |= 1U << 1;
    entry = (flags_bits & ~PTE_ADDR) | alias.n << PAGE_SHIFT;
    log_write(p, r, table);

    uint64_t *guest = frame_map(record_mfn(r));
    old = __atomic_exchange_n(&guest[slot], entry, __ATOMIC_SEQ_CST);
    frame_unmap(guest);
    alias_slot_changed(p, r, table, slot, old, entry);
    shadow_follow(p, r, table, slot, entry);
    return 0;
}
