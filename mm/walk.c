/* SPDX-License-Identifier: MIT */
/*
 * Walks of a guest's own tables in software, and reads and writes of its memory through them.
 *
 * Tables that nobody shadows may be written by the guest at any moment, so every entry is read
 * once, and A and D are set by compare-and-exchange: if the entry changed meanwhile the walk starts
 * again.
 */
#include "mm/paging_priv.h"

#include <string.h>
#include <xen/errno.h>

#define WALK_TRIES 64 /* a guest that keeps changing its entries under us gets -EFAULT */

bool walk_cmpxchg_entry(const struct gfn_record *r, unsigned slot, uint64_t old, uint64_t new)
{
    uint64_t *t = frame_map(record_mfn(r));
    bool done =
        __atomic_compare_exchange_n(&t[slot], &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);

    frame_unmap(t);
    return done;
}

struct walk {
    gfn_t table[LEVELS + 1]; /* by level */
    struct gfn_record *record[LEVELS + 1];
    uint64_t entry[LEVELS + 1];
};

/* Fills w from the root's entry down to the one at level `lowest`, all present; false: one is
 * absent, or names no table. */
static bool walk_tables(struct paging *p, gfn_t root, vaddr_t va, unsigned lowest, struct walk *w)
{
    gfn_t gfn = root;

    if (!va_is_guests(va))
        return false;
    for (unsigned level = LEVELS; level >= lowest; level--) {
        struct gfn_record *r = p2m_record(p, gfn.n);
        if (!record_is_memory(r))
            return false;
        w->table[level] = gfn;
        w->record[level] = r;
        w->entry[level] = walk_read_entry(r, va_slot(va, level));
        if (!(w->entry[level] & PTE_P))
            return false;
        if (level > 1 && level < LEVELS && (w->entry[level] & PTE_PSE))
            return false;
        gfn = gfn_of(entry_gfn(w->entry[level]));
    }
    return true;
}

long shadow_find_l1(struct paging *p, struct paging_vcpu *pv, vaddr_t va, gfn_t *table,
                    unsigned *offset)
{
    const struct shadow *s;
    struct walk w;

    *offset = va_slot(va, 1) * 8;
    if (!va_is_guests(va))
        return -XEN_EINVAL;
    /* Where the shadow is present the guest's tables are: three loads instead of a walk. */
    s = shadow_l1_of(p, pv, false, va);
    if (s) {
        *table = s->gfn;
        return 0;
    }
    if (!walk_tables(p, pv->kernel_root, va, 2, &w))
        return -XEN_EINVAL;
    *table = gfn_of(entry_gfn(w.entry[2]));
    return record_is_memory(p2m_record(p, table->n)) ? 0 : -XEN_EINVAL;
}

/* Sets A in all entries of the walk, and D in the last for a write; false: an entry changed
 * meanwhile, or its table is shared and there is no memory for a copy. */
static bool set_accessed(struct paging *p, vaddr_t va, const struct walk *w, bool write)
{
    for (unsigned level = LEVELS; level >= 1; level--) {
        uint64_t old = w->entry[level], new = old | PTE_A | (level == 1 && write ? PTE_D : 0);
        unsigned slot = va_slot(va, level);

        if (old == new)
            continue;
        if (record_own(p, w->record[level], w->table[level]))
            return false;
        log_write(p, w->record[level], w->table[level]);
        if (!walk_cmpxchg_entry(w->record[level], slot, old, new))
            return false;
        shadow_follow(p, w->record[level], w->table[level], slot, new);
    }
    return true;
}

/* The record that va leads to, with permission checked and A and D set. NULL: fault. */
static struct gfn_record *resolve(struct paging *p, const struct paging_vcpu *pv, vaddr_t va,
                                  bool write, gfn_t *gfn)
{
    gfn_t root = pv->user_mode ? pv->user_root : pv->kernel_root;
    struct gfn_record *r;
    struct walk w;

    for (unsigned i = 0; i < WALK_TRIES; i++) {
        if (root.n == 0 || !walk_tables(p, root, va, 1, &w))
            return NULL;
        if (write && !(w.entry[4] & w.entry[3] & w.entry[2] & w.entry[1] & PTE_RW))
            return NULL;
        *gfn = gfn_of(entry_gfn(w.entry[1]));
        r = p2m_record(p, gfn->n);
        if (!r || record_type(r) == P2M_HOLE || (write && (r->word & GFN_READONLY)))
            return NULL;
        if (record_type(r) == P2M_FOREIGN && r->slot != slot_identity(w.table[1], va_slot(va, 1)))
            return NULL;
        if (set_accessed(p, va, &w, write))
            return r;
    }
    return NULL;
}

static long read_page(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, void *dst,
                      size_t bytes)
{
    gfn_t gfn;
    const struct gfn_record *r = resolve(p, pv, va, false, &gfn);

    if (!r)
        return -XEN_EFAULT;
    char *page = frame_map(record_mfn(r));
    memcpy(dst, page + va % PAGE_SIZE, bytes);
    frame_unmap(page);
    return 0;
}

/*
 * The page of va, mapped, if it is writable below s, the shadow of a root (NULL: no): then all that
 * a walk would look at and note is so, since no shadow is more writable than the guest's entries
 * (S2), than the frame's record or than its log allow, and a followed table is writable in none
 * (S4). NULL: walk.
 */
static inline char *open_shadowed(const struct shadow *s, vaddr_t va)
{
    const uint64_t writable = PTE_P | PTE_RW;
    uint64_t *e = NULL;

    if (!va_is_guests(va))
        return NULL;
    for (unsigned level = LEVELS; level >= 1; level--) {
        if (!s)
            return NULL;
        e = &s->table[va_slot(va, level)];
        if ((*e & writable) != writable)
            return NULL;
        if (level > 1)
            s = *entry_child(e);
    }
    return *entry_record(e) ? frame_map(mfn_of((*e & PTE_ADDR) >> PAGE_SHIFT)) : NULL;
}

/* The page of va, to be written by the hypervisor, in *page, mapped. */
static __attribute__((noinline)) long walk_page(struct paging *p, const struct paging_vcpu *pv,
                                                vaddr_t va, char **page)
{
    gfn_t gfn;
    struct gfn_record *r = resolve(p, pv, va, true, &gfn);

    if (!r)
        return -XEN_EFAULT;
    if (record_type(r) == P2M_SHARED && share_break(p, r, gfn))
        return -XEN_ENOMEM;
    /* The gate of S4: what we write without telling the shadow is no table any more. */
    if (record_protected(r))
        shadow_drop(p, gfn);
    log_write(p, r, gfn);
    *page = frame_map(record_mfn(r));
    return 0;
}

static long open_page(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, char **page)
{
    *page = open_shadowed(pv->user_mode ? pv->user_top : pv->kernel_top, va);
    return *page ? 0 : walk_page(p, pv, va, page);
}

static long write_page(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, const void *src,
                       size_t bytes)
{
    char *page;
    long err = open_page(p, pv, va, &page);

    if (err)
        return err;
    memcpy(page + va % PAGE_SIZE, src, bytes);
    frame_unmap(page);
    return 0;
}

static size_t bytes_in_page(vaddr_t va, size_t bytes)
{
    size_t room = PAGE_SIZE - va % PAGE_SIZE;

    return bytes < room ? bytes : room;
}

long paging_read_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, void *dst,
                    size_t bytes)
{
    long err = 0;

    paging_lock(p);
    while (bytes && !err) {
        size_t n = bytes_in_page(va, bytes);
        err = read_page(p, pv, va, dst, n);
        dst = (char *)dst + n;
        va += n;
        bytes -= n;
    }
    paging_unlock(p);
    return err;
}

long paging_write_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, const void *src,
                     size_t bytes)
{
    long err = 0;

    paging_lock(p);
    while (bytes && !err) {
        size_t n = bytes_in_page(va, bytes);
        err = write_page(p, pv, va, src, n);
        src = (const char *)src + n;
        va += n;
        bytes -= n;
    }
    paging_unlock(p);
    return err;
}

void *paging_window_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, size_t bytes)
{
    char *page;

    if (bytes_in_page(va, bytes) < bytes)
        return NULL;
    paging_lock(p);
    page = open_shadowed(pv->kernel_top, va);
    if (!page) {
        struct paging_vcpu kernel = *pv;

        kernel.user_mode = false;
        if (walk_page(p, &kernel, va, &page)) {
            paging_unlock(p);
            return NULL;
        }
    }
    return page + va % PAGE_SIZE;
}

void paging_window_end(struct paging *p, void *window)
{
    frame_unmap(window);
    paging_unlock(p);
}
