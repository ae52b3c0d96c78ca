/* SPDX-License-Identifier: MIT */
/*
 * Changes of a guest's table that the hypervisor makes for it: by hypercall (the hot path of a
 * guest's memory management) or by emulating its store. The guest's entry and every live shadow of
 * the table change together.
 */
#include "mm/rmap.h"

#include <xen/errno.h>
#include <xen/xen.h>

#define LEVEL_BIT(level) (1U << (level))

/* At which levels must an entry written here make sense? Those that are followed, and what the
 * guest pinned it as. */

static unsigned levels_of(const struct gfn_record *r)
{
    unsigned levels = r->marks & MARK_PINNED ? r->marks & ~MARK_PINNED : 0;

    for (const struct shadow *s = r->shadows; s; s = s->sibling)
        if (s->live)
            levels |= LEVEL_BIT(s->level);
    return levels;
}

/* Is a present entry acceptable in this slot? Keeps a mistake out of the tables while the guest can
 * be told. */
static long check_entry(const struct paging *p, const struct gfn_record *r, gfn_t table,
                        unsigned slot, uint64_t entry)
{
    const struct gfn_record *target = p2m_record(p, entry_gfn(entry));
    enum p2m_type type = target ? record_type(target) : P2M_HOLE;
    unsigned levels = levels_of(r);

    /* Even in a frame that is no table yet: an alias has one place. */
    if (type == P2M_FOREIGN && target->slot != slot_identity(table, slot))
        return -XEN_EINVAL;
    if ((levels & LEVEL_BIT(1)) && type == P2M_HOLE && p2m_mmio(p, entry_gfn(entry)) == MMIO_DENIED)
        return p->flags & PAGING_DIRECT ? -XEN_EPERM : -XEN_EINVAL;
    if (levels & ~LEVEL_BIT(1)) {
        if (type != P2M_RAM && type != P2M_SHARED)
            return -XEN_EINVAL;
        if ((levels & (LEVEL_BIT(2) | LEVEL_BIT(3))) && (entry & PTE_PSE))
            return -XEN_EINVAL;
        if ((levels & LEVEL_BIT(4)) && slot_is_holes(LEVELS, slot))
            return -XEN_EINVAL;
    }
    return 0;
}

/* The guest maps a frame writable that was a table: it is one no longer, unless something still
 * speaks for it. */
static void demote(struct paging *p, uint64_t entry)
{
    struct gfn_record *target = p2m_record(p, entry_gfn(entry));

    if (!record_is_ram(target) || !record_protected(target) || target->aliases ||
        (target->marks & MARK_PINNED))
        return;
    for (const struct shadow *s = target->shadows; s; s = s->sibling)
        if (s->users)
            return;
    shadow_drop(p, gfn_of(entry_gfn(entry)));
}

/* ---- most updates of most guests ---- */

/*
 * Makes the table the one updated last, if it is followed at level 1 and nothing else, in memory
 * with nothing to note; false: it is not.
 */
static __attribute__((noinline)) bool find_table(struct paging *p, uint64_t gfn)
{
    const struct gfn_record *r = p2m_record(p, gfn);
    struct shadow *s;

    if (!record_is_plain(r) || r->live != 1 || r->aliases)
        return false;
    s = r->shadows;
    if (s->level != 1 || !s->live) /* an emptied root may stand before it */
        return false;
    if ((r->marks & MARK_PINNED) && (r->marks & ~(MARK_PINNED | LEVEL_BIT(1))))
        return false;
    p->last.gfn = gfn;
    p->last.l1 = s;
    p->last.table = s->table;
    p->last.guest = frame_map(record_mfn(r));
    return true;
}

static inline bool is_last_table(struct paging *p, uint64_t gfn)
{
    return p->last.gfn == gfn || find_table(p, gfn);
}

/*
 * An entry of such a table is removed, or names the guest's own memory that is no table. Nothing
 * can be wrong with it and nothing else changes by it. Does the same as the rest of shadow_update()
 * in a fraction of its instructions; false: not such an entry, nothing done.
 */
static inline __attribute__((always_inline)) bool update_plain_leaf(struct paging *p, uint64_t slot,
                                                                    uint64_t entry)
{
    struct gfn_record *target = NULL;
    uint64_t leaf = 0;

    if (entry & PTE_P) {
        target = p2m_record(p, entry_gfn(entry));
        if (!record_is_plain(target) || ((entry & PTE_RW) && record_protected(target)))
            return false;
        if (entry & PTE_A)
            leaf = rmap_leaf_unprotected(target, entry);
    }
    __atomic_store_n(&p->last.guest[slot], entry, __ATOMIC_RELAXED);
    rmap_set(p, p->last.l1, &p->last.table[slot], leaf, target);
    return true;
}

/* The same out of line, for loops. */
static __attribute__((noinline)) bool update_plain_leaf_of_many(struct paging *p, uint64_t slot,
                                                                uint64_t entry)
{
    return update_plain_leaf(p, slot, entry);
}

static inline uint64_t slot_of(uint64_t ptr)
{
    return ptr / sizeof(uint64_t) % SLOTS;
}

/* Adds to the entry what the last table's old one has, if the request wants that; false: it is no
 * such request. */
static inline bool requested(const struct paging *p, uint64_t ptr, uint64_t *entry)
{
    if (ptr % 8 == MMU_NORMAL_PT_UPDATE)
        return true;
    *entry |= p->last.guest[slot_of(ptr)] & (PTE_A | PTE_D);
    return ptr % 8 == MMU_PT_UPDATE_PRESERVE_AD;
}

unsigned shadow_update_plain(struct paging *p, const struct mmu_update *u, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        uint64_t entry = u[i].val;

        if (!is_last_table(p, u[i].ptr >> PAGE_SHIFT) || !requested(p, u[i].ptr, &entry) ||
            !update_plain_leaf_of_many(p, slot_of(u[i].ptr), entry))
            break;
    }
    return i;
}

static __attribute__((noinline)) bool update_one_elsewhere(struct paging *p, uint64_t ptr,
                                                           uint64_t val)
{
    return find_table(p, ptr >> PAGE_SHIFT) && shadow_update_one(p, ptr, val);
}

bool shadow_update_one(struct paging *p, uint64_t ptr, uint64_t val)
{
    if (p->last.gfn != ptr >> PAGE_SHIFT)
        return update_one_elsewhere(p, ptr, val); /* a jump: this function needs no stack frame */
    return requested(p, ptr, &val) && update_plain_leaf(p, slot_of(ptr), val);
}

long shadow_update_va(struct paging *p, struct paging_vcpu *pv, vaddr_t va, uint64_t entry)
{
    struct shadow *s = va_is_guests(va) ? shadow_l1_of(p, pv, false, va) : NULL;
    unsigned offset;
    gfn_t table;
    long err;

    /* Where the shadow is present the guest's tables are. */
    if (s && is_last_table(p, s->gfn.n) && update_plain_leaf(p, va_slot(va, 1), entry))
        return 0;
    err = shadow_find_l1(p, pv, va, &table, &offset);
    return err ? err : shadow_update(p, table, offset, entry, 0);
}

/* ---- all others ---- */

/* In any frame of the domain's memory. */
static long update_any(struct paging *p, struct gfn_record *r, gfn_t table, unsigned slot,
                       uint64_t entry, bool keep_ad)
{
    uint64_t old;

    if (entry & PTE_P) {
        long err = check_entry(p, r, table, slot, entry);
        if (err)
            return err;
    }
    log_write(p, r, table);
    uint64_t *guest = frame_map(record_mfn(r));
    old = __atomic_load_n(&guest[slot], __ATOMIC_RELAXED);
    if (keep_ad)
        entry |= old & (PTE_A | PTE_D);
    __atomic_store_n(&guest[slot], entry, __ATOMIC_RELAXED);
    frame_unmap(guest);

    if (!record_protected(r))
        return 0;
    if (r->aliases)
        alias_slot_changed(p, r, table, slot, old, entry);
    if ((entry & (PTE_P | PTE_RW)) == (PTE_P | PTE_RW) && entry_gfn(entry) != table.n &&
        record_shadow(r, 1))
        demote(p, entry);
    shadow_follow(p, r, table, slot, entry);
    return 0;
}

long shadow_update(struct paging *p, gfn_t table, unsigned offset, uint64_t entry, unsigned flags)
{
    struct gfn_record *r = p2m_record(p, table.n);
    bool keep_ad = flags & SHADOW_PRESERVE_AD;

    if (offset >= PAGE_SIZE || offset % 8)
        return -XEN_EINVAL;
    if (!record_is_memory(r))
        return -XEN_EINVAL;
    if (record_own(p, r, table))
        return -XEN_ENOMEM;
    return update_any(p, r, table, offset / 8, entry, keep_ad);
}

/* ---- emulated stores ---- */

static uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0UL : (1UL << size * 8) - 1;
}

static bool access_is_good(const struct gfn_record *r, unsigned offset, unsigned size)
{
    return record_is_memory(r) && (size == 1 || size == 2 || size == 4 || size == 8) &&
           offset < PAGE_SIZE && offset % 8 + size <= 8;
}

uint64_t shadow_load(struct paging *p, gfn_t table, unsigned offset, unsigned size)
{
    const struct gfn_record *r = p2m_record(p, table.n);

    if (!access_is_good(r, offset, size))
        return 0;
    return walk_read_entry(r, offset / 8) >> offset % 8 * 8 & size_mask(size);
}

long shadow_store(struct paging *p, gfn_t table, unsigned offset, unsigned size, uint64_t old_value,
                  uint64_t new_value)
{
    struct gfn_record *r = p2m_record(p, table.n);
    unsigned slot = offset / 8, shift = offset % 8 * 8;
    uint64_t mask = size_mask(size), old, new;

    if (!access_is_good(r, offset, size))
        return -XEN_EINVAL;
    if (record_own(p, r, table))
        return -XEN_ENOMEM;
    do {
        old = walk_read_entry(r, slot);
        if ((old >> shift & mask) != (old_value & mask))
            return -XEN_EAGAIN;
        new = (old & ~(mask << shift)) | (new_value & mask) << shift;
        log_write(p, r, table);
    } while (!walk_cmpxchg_entry(r, slot, old, new));
    if (r->aliases)
        alias_slot_changed(p, r, table, slot, old, new);
    shadow_follow(p, r, table, slot, new);
    return 0;
}
