/* SPDX-License-Identifier: MIT */
/*
 * A page fault of a guest, or of the hypervisor on a guest's address: is it the guest's own, or the
 * shadow's?
 *
 * The walk goes down the shadow as far as it is present, and below that down the guest's tables,
 * making and linking shadows on the way. Each table is unwritable before its entry is read, so what
 * was read stays true while the paging lock is held. Permissions add up as the hardware's do for
 * ring 3: writable if all levels are, not executable if one says so; U is taken as set everywhere,
 * for the guest's kernel runs in ring 3 too.
 */
#include "mm/paging_priv.h"

#define PF_RSVD     8U
#define AUDIT_EVERY 8192 /* faults, in debug builds */

struct fault {
    struct paging *p;
    vaddr_t va;
    bool write, fetch, kernel;
    uint32_t guest_error; /* without P */

    struct fault_info *info;
    struct shadow *path[LEVELS + 1]; /* by level; busy while we use them */
    uint64_t all, any;               /* upper entries: RW and NX so far */
};

static enum fault_result guests_own(struct fault *f, uint32_t present)
{
    f->info->guest_error = f->guest_error | present;
    f->p->count.faults_guest++;
    return FAULT_GUEST;
}

static enum fault_result crash(struct fault *f, const char *why)
{
    f->info->why = why;
    return FAULT_CRASH;
}

static void keep(struct fault *f, struct shadow *s)
{
    s->busy = true;
    f->path[s->level] = s;
}

/* Sets bits in the guest's entry and tells the shadows; false: it changed meanwhile. */
static bool set_bits(struct fault *f, struct shadow *s, unsigned slot, uint64_t entry,
                     uint64_t bits)
{
    if ((entry & bits) == bits)
        return true;
    log_write(f->p, s->record, s->gfn);
    if (!walk_cmpxchg_entry(s->record, slot, entry, entry | bits))
        return false;
    f->p->count.faults_ad++;
    shadow_follow(f->p, s->record, s->gfn, slot, entry | bits);
    return true;
}

/* Makes the entry of s for va present in the shadow. FAULT_RETRY: go on with *child, or run again
 * if that is NULL. */
static enum fault_result link_child(struct fault *f, struct shadow *s, struct shadow **child)
{
    unsigned slot = va_slot(f->va, s->level);
    uint64_t entry = walk_read_entry(s->record, slot);
    gfn_t gfn = gfn_of(entry_gfn(entry));
    const char *why = NULL;

    if (!(entry & PTE_P))
        return guests_own(f, 0);
    if (s->level < LEVELS && (entry & PTE_PSE))
        return crash(f, "large pages do not exist here");
    *child = shadow_get(f->p, gfn, p2m_record(f->p, gfn.n), s->level - 1, &why);
    if (!*child)
        return crash(f, why);
    if (!set_bits(f, s, slot, entry, PTE_A)) {
        *child = NULL;
        return FAULT_RETRY;
    }
    shadow_follow(f->p, s->record, s->gfn, slot, entry | PTE_A);
    return FAULT_RETRY;
}

/* Down to the L1 table: FAULT_RETRY with path[1] set, or NULL to run the instruction again. */
static enum fault_result walk_to_l1(struct fault *f, struct shadow *s)
{
    while (s->level > 1) {
        unsigned slot = va_slot(f->va, s->level);
        struct shadow *child = NULL;

        keep(f, s);
        if (s->table[slot]) {
            child = *entry_child(&s->table[slot]);
        } else {
            enum fault_result r = link_child(f, s, &child);
            if (r != FAULT_RETRY || !child)
                return r;
            pool_touch(f->p, s);
        }
        f->all &= s->table[slot];
        f->any |= s->table[slot];
        s = child;
    }
    keep(f, s);
    return FAULT_RETRY;
}

static bool in_path(const struct fault *f, gfn_t gfn)
{
    for (unsigned level = 1; level <= LEVELS; level++)
        if (f->path[level]->gfn.n == gfn.n)
            return true;
    return false;
}

static enum fault_result store_to_table(struct fault *f, gfn_t gfn, bool guest_writable)
{
    f->info->gfn = gfn;
    f->info->offset = f->va % PAGE_SIZE;
    f->info->read_only = !guest_writable;
    f->info->guest_writable = guest_writable && !in_path(f, gfn);
    f->p->count.faults_store++;
    return FAULT_STORE;
}

/* A write, or a kernel's store to what it calls a table, needs a frame of the domain's own. */
static bool needs_own_frame(const struct fault *f, const struct gfn_record *target, uint64_t entry)
{
    if (!f->write || !target || record_type(target) != P2M_SHARED)
        return false;
    return (f->all & entry & PTE_RW) || (f->kernel && target->marks);
}

/* The guest may write this frame and does: nothing but the log keeps it from it. */
static void first_write(struct fault *f, struct gfn_record *target, gfn_t gfn)
{
    f->p->log.stats.faults++;
    log_mark(f->p, target, gfn);
}

static enum fault_result leaf_fault(struct fault *f)
{
    struct shadow *s = f->path[1];
    unsigned slot = va_slot(f->va, 1);
    uint64_t entry = walk_read_entry(s->record, slot);
    gfn_t gfn = gfn_of(entry_gfn(entry));
    struct gfn_record *target;

    if (!(entry & PTE_P))
        return guests_own(f, 0);
    target = p2m_record(f->p, gfn.n);
    if (needs_own_frame(f, target, entry) && share_break(f->p, target, gfn))
        return crash(f, "no memory for a private copy of a shared frame");
    if (f->fetch && ((f->any | entry) & PTE_NX))
        return guests_own(f, PF_P);
    if (f->write && !(f->all & entry & PTE_RW)) {
        /* Guests' kernels write to their read-only tables and count on it, as on Xen. */
        if (f->kernel && record_is_ram(target) && (record_protected(target) || target->marks))
            return store_to_table(f, gfn, false);
        return guests_own(f, PF_P);
    }
    /* With A and D set, may it be mapped at all? */
    uint64_t leaf = shadow_leaf(f->p, target, entry | PTE_A | PTE_D, slot_identity(s->gfn, slot));
    if (!leaf)
        return crash(f, "a page-table entry names a frame that the domain does not have");
    bool is_table = record_is_ram(target) && record_protected(target);
    bool logged = target && (target->word & GFN_LOGGED);
    if (f->write && !(leaf & PTE_RW) && !is_table && !logged)
        return guests_own(f, PF_P); /* lent or MMIO, read-only */

    if (f->write && is_table && shadow_is_orphan(target)) {
        shadow_drop(f->p, gfn);
        is_table = false;
    }
    if (f->write && logged && !is_table)
        first_write(f, target, gfn);
    if (!set_bits(f, s, slot, entry, f->write ? PTE_A | PTE_D : PTE_A))
        return FAULT_RETRY;
    shadow_follow(f->p, s->record, s->gfn, slot, entry | (f->write ? PTE_A | PTE_D : PTE_A));
    pool_touch(f->p, s);
    if (f->write && is_table)
        return store_to_table(f, gfn, true);
    f->p->count.faults_fill++;
    return FAULT_RETRY;
}

static enum fault_result fault_locked(struct fault *f, struct paging_vcpu *pv)
{
    gfn_t root = pv->user_mode ? pv->user_root : pv->kernel_root;
    struct shadow *top = pv->user_mode ? pv->user_top : pv->kernel_top;
    enum fault_result result;
    const char *why = NULL;

    if (!top || !top->live)
        top = root.n ? shadow_get(f->p, root, p2m_record(f->p, root.n), LEVELS, &why) : NULL;
    if (!top)
        return crash(f, why ? why : "no page-table root");
    result = walk_to_l1(f, top);
    if (result == FAULT_RETRY && f->path[1])
        result = leaf_fault(f);
    for (unsigned level = 1; level <= LEVELS; level++)
        if (f->path[level])
            f->path[level]->busy = false;
    return result;
}

static inline bool leaf_is_absent(const struct shadow *l1, unsigned slot)
{
    return l1 && !l1->table[slot] && !(walk_read_entry(l1->record, slot) & PTE_P);
}

bool shadow_fault_is_guests(struct paging *p, struct paging_vcpu *pv, vaddr_t va)
{
    bool own = false;

    paging_lock(p);
    if (leaf_is_absent(shadow_l1_of(p, pv, pv->user_mode, va), va_slot(va, 1))) {
        p->count.faults_guest++;
        own = true;
    }
    paging_unlock(p);
    return own;
}

bool shadow_fault_is_store(struct paging *p, struct paging_vcpu *pv, vaddr_t va,
                           struct fault_info *info)
{
    const struct gfn_record *target;
    const struct shadow *l1;
    bool store = false;

    paging_lock(p);
    l1 = shadow_l1_of(p, pv, false, va);
    if (l1) {
        uint64_t entry = walk_read_entry(l1->record, va_slot(va, 1));

        target = p2m_record(p, entry_gfn(entry));
        store = (entry & (PTE_P | PTE_RW)) == PTE_P && record_is_ram(target) && target->live;
        if (store) {
            p->count.faults_store++;
            *info = (struct fault_info){
                .gfn = gfn_of(entry_gfn(entry)), .offset = va % PAGE_SIZE, .read_only = true};
        }
    }
    paging_unlock(p);
    return store;
}

enum fault_result shadow_fault(struct paging *p, struct paging_vcpu *pv, vaddr_t va, uint32_t error,
                               struct fault_info *info)
{
    struct fault f = {
        .p = p,
        .va = va,
        .write = error & PF_W,
        .fetch = error & PF_I,
        .kernel = !pv->user_mode,
        .guest_error = (error & (PF_W | PF_I)) | (pv->user_mode ? PF_U : 0),
        .info = info,
        .all = ~0UL,
    };
    enum fault_result result;

    *info = (struct fault_info){0};
    if (error & PF_RSVD)
        panic("domain %u: reserved bit in a shadow entry for %lx", p->domid, va);
    if (!va_is_guests(va)) {
        info->guest_error = f.guest_error;
        return FAULT_GUEST;
    }
    paging_lock(p);
    if (CONFIG_DEBUG && ++p->audit_countdown % AUDIT_EVERY == 0)
        paging_check(p);
    result = fault_locked(&f, pv);
    paging_unlock(p);
    return result;
}
