/* SPDX-License-Identifier: MIT */
/*
 * The machine-to-phys table that a guest reads at the bottom of the hypervisor's hole: entry gfn
 * says which of the guest's own frame numbers that gfn is. One per domain, because domains permute
 * their lists and because gfns are not machine frames. It is a tree of page tables of our own that
 * every root of the domain shares through one L4 slot: read-only, readable in user mode (a guest's
 * kernel runs there), not executable. Pages exist where a gfn was set; elsewhere the guest's read
 * faults, and so it does for the window, whose entries lie just past the slot's end.
 */
#include "mm/paging_priv.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#define ENTRIES_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))
#define TABLE_FLAGS      (PTE_P | PTE_US | PTE_A)

_Static_assert(GFN_WINDOW * sizeof(uint64_t) == 1UL << 39,
               "one L4 slot holds all gfns but the window");

long m2p_init(struct paging *p, uint64_t entries)
{
    p->m2p_l3 = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
    p->m2p_entries = entries;
    p->m2p_last = ~0UL;
    return mfn_valid(p->m2p_l3) ? 0 : -XEN_ENOMEM;
}

uint64_t m2p_root_entry(const struct paging *p)
{
    return mfn_to_maddr(p->m2p_l3) | TABLE_FLAGS | PTE_NX;
}

static unsigned index_of(uint64_t gfn, unsigned level)
{
    return va_slot(gfn * sizeof(uint64_t), level);
}

/* The table or page below an entry, made if absent; INVALID_MFN: no memory. */

static mfn_t descend(mfn_t table, unsigned slot, unsigned level)
{
    uint64_t *t = frame_map(table);
    mfn_t next;

    if (t[slot]) {
        next = maddr_to_mfn(t[slot] & PTE_ADDR);
    } else {
        next = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
        if (mfn_valid(next)) {
            if (level == 1) {
                void *page = frame_map(next);
                memset(page, 0xff, PAGE_SIZE);
                frame_unmap(page);
            }
            __atomic_store_n(&t[slot], mfn_to_maddr(next) | TABLE_FLAGS | (level == 1 ? PTE_NX : 0),
                             __ATOMIC_RELEASE);
        }
    }
    frame_unmap(t);
    return next;
}

/* Makes the page with the entry the one written last; it is made if absent. -ENOMEM */
static long find_page(struct paging *p, uint64_t gfn)
{
    mfn_t at = p->m2p_l3;

    for (unsigned level = 3; level >= 1 && mfn_valid(at); level--)
        at = descend(at, index_of(gfn, level), level);
    if (!mfn_valid(at))
        return -XEN_ENOMEM;
    p->m2p_page = at;
    p->m2p_last = gfn / ENTRIES_PER_PAGE;
    return 0;
}

static void write_entry(const struct paging *p, uint64_t gfn, uint64_t pfn)
{
    uint64_t *page = frame_map(p->m2p_page);

    __atomic_store_n(&page[gfn % ENTRIES_PER_PAGE], pfn, __ATOMIC_RELAXED);
    frame_unmap(page);
}

static __attribute__((noinline)) long set_elsewhere(struct paging *p, uint64_t gfn, uint64_t pfn)
{
    long err = mfn_valid(p->m2p_l3) ? find_page(p, gfn) : -XEN_EINVAL;

    if (!err)
        write_entry(p, gfn, pfn);
    return err;
}

long m2p_set(struct paging *p, gfn_t gfn, uint64_t pfn)
{
    if (gfn.n >= p->m2p_entries)
        return -XEN_EINVAL;
    if (p->m2p_last != gfn.n / ENTRIES_PER_PAGE) /* neighbours are often set together */
        return set_elsewhere(p, gfn.n, pfn);
    write_entry(p, gfn.n, pfn);
    return 0;
}

uint64_t m2p_get(const struct paging *p, gfn_t gfn)
{
    mfn_t at = p->m2p_l3;
    uint64_t entry = M2P_NONE;

    if (gfn.n >= p->m2p_entries || !mfn_valid(at))
        return M2P_NONE;
    for (unsigned level = 3; level >= 1 && mfn_valid(at); level--) {
        uint64_t *t = frame_map(at);

        entry = t[index_of(gfn.n, level)];
        at = entry ? maddr_to_mfn(entry & PTE_ADDR) : INVALID_MFN;
        frame_unmap(t);
    }
    if (!mfn_valid(at))
        return M2P_NONE;
    const uint64_t *page = frame_map(at);
    entry = __atomic_load_n(&page[gfn.n % ENTRIES_PER_PAGE], __ATOMIC_RELAXED);
    frame_unmap((void *)page);
    return entry;
}

uint64_t m2p_entries(const struct paging *p)
{
    return p->m2p_entries;
}

/* Frees what hangs below a table, deepest first; true when nothing is left. */
static bool free_below(mfn_t table, unsigned level, unsigned *budget)
{
    uint64_t *t = frame_map(table);
    bool done = true;

    for (unsigned slot = 0; slot < SLOTS && done; slot++) {
        mfn_t next = maddr_to_mfn(t[slot] & PTE_ADDR);

        if (!t[slot])
            continue;
        if (!*budget || (level > 1 && !free_below(next, level - 1, budget))) {
            done = false;
        } else {
            t[slot] = 0;
            frame_free(next, 0);
            if (*budget)
                (*budget)--;
        }
    }
    frame_unmap(t);
    return done;
}

unsigned m2p_teardown(struct paging *p, unsigned budget)
{
    unsigned left = budget;

    if (mfn_valid(p->m2p_l3) && free_below(p->m2p_l3, 3, &left)) {
        frame_free(p->m2p_l3, 0);
        p->m2p_l3 = INVALID_MFN;
    }
    return budget - left;
}
