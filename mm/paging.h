/* SPDX-License-Identifier: MIT */
/*
 * A domain's paging state: its p2m, its machine-to-phys table and its shadow page tables, behind
 * one lock.
 *
 * mm/ knows nothing of domains' policy: everything here takes a struct paging (one per domain) and
 * a struct paging_vcpu (one per vCPU). The invariants S1 to S6 of docs/tour.md (section "Shadow
 * page tables") are kept here and asserted in debug builds.
 *
 * Files: mm/p2m.c (gfn -> mfn, holes, the window of special gfns), mm/m2p.c (the guest-visible
 * table), mm/rmap.c, mm/shadow*.c (fill, update, reclaim), mm/alias.c (foreign L1 aliases, S6),
 * mm/walk.c (guest walks), mm/logdirty.c (which frames were written), mm/share.c (copy-on-write),
 * mm/inspect.c (a look at all of it).
 */
#ifndef MM_PAGING_H
#define MM_PAGING_H

#include "hv/lock.h"
#include "mm/frame.h"
#include "mm/types.h"

struct shadow; /* private to mm/ */
struct paging; /* private layout in mm/paging_priv.h; the accessors below are for the rest */

/* Frames with a gfn that are not the guest's own memory get one from a window that starts here. */
#define GFN_WINDOW (1UL << 36)

enum p2m_type {
    P2M_HOLE,    /* nothing there */
    P2M_RAM,     /* the domain's own memory; the only type that is ever followed as a table */
    P2M_MMIO,    /* dom0's alone: gfn = mfn, uncached, no frame record */
    P2M_SPECIAL, /* window: shared_info, grant-table frames: the hypervisor's frame, lent to the
                    guest */
    P2M_GRANT,   /* window: alias of another domain's granted frame, until the unmap */
    P2M_FOREIGN, /* window: alias of another domain's frame, belongs to one L1 slot */
    P2M_SHARED,  /* memory whose frame (owner DOMID_COW) other gfns have too: read-only until the
                    first write gives it one of its own; see mm/share.c */
    /* room for paged-out frames */
};

struct p2m_ref {
    mfn_t mfn; /* INVALID_MFN for holes */
    enum p2m_type type;
    bool readonly; /* no shadow may map it writable */
};

/* What each vCPU contributes: its two roots. Owned by the vCPU, changed under the paging lock. */
struct paging_vcpu {
    maddr_t root[2];              /* of kernel and user mode, or 0: see shadow_root_cached() */
    bool user_mode;               /* which of them the guest runs on */
    gfn_t kernel_root, user_root; /* user_root.n == 0 means none */
    struct shadow *kernel_top, *user_top; /* their shadows while cached, NULL otherwise */
    struct shadow *loaded; /* the one whose frame shadow_root() gave last: may be in a CR3 */
    /* The last walk that ended at an L1 shadow, below each of the two: see shadow_l1_of(). */
    struct walked {
        struct shadow *l1;
        uint64_t region, epoch; /* address >> 21, or ~0 for none; paging.epoch then */
    } walked[2];
};

/* The host's answer to "may this machine frame outside RAM be mapped by dom0, and how?" (io/mmio.c)
 */
enum mmio_access { MMIO_DENIED, MMIO_READ, MMIO_READ_WRITE };
enum mmio_access mmio_access(mfn_t mfn);

/* ---- life: see mm/paging.c ---- */
#define PAGING_DIRECT 1 /* dom0: gfn = mfn for own memory and MMIO */
/*
 * max_frames: the largest number of RAM gfns (maxmem). pool_pages: shadow tables that the domain
 * may hold at once, at least PAGING_POOL_MIN and PAGING_POOL_VCPU more for each vCPU after the
 * first; each takes four machine frames when it is first needed (the table and its reverse map).
 * NULL: no memory, or max_frames out of range.
 */
#define PAGING_POOL_MIN  64
#define PAGING_POOL_VCPU 24
struct paging *paging_create(uint16_t domid, uint64_t max_frames, unsigned flags,
                             unsigned pool_pages);
/* Drops shadows, aliases, window entries and RAM frames, at most about a millisecond's work a call:
 * -XEN_ERESTART until done, then 0. No vCPU may run any more. */
long paging_teardown(struct paging *p);
void paging_free(struct paging *p); /* after teardown returned 0 and no reference is left */
void paging_vcpu_init(struct paging *p, struct paging_vcpu *pv);
/* Drops its roots; its pCPU must have left them (another CR3 loaded). Takes the paging lock itself.
 */
void paging_vcpu_release(struct paging *p, struct paging_vcpu *pv);
bool paging_is_direct(const struct paging *p);

/*
 * Size of the pool, counted in machine frames' bytes; paging lock held. Rounded down to whole
 * shadows. It can be changed only while the domain has no shadow in use, that is before it first
 * runs: -XEN_EBUSY otherwise; -XEN_ENOMEM, -XEN_EINVAL (absurd, or less than its vCPUs need).
 */
uint64_t paging_pool_bytes(const struct paging *p);
long paging_set_pool_bytes(struct paging *p, uint64_t bytes);
/* The domain has this many vCPUs: the pool becomes as large as they need at least, and what one
 * instruction of each may need is made now, so that no want of machine memory can stop them. Once,
 * before it runs; paging lock held. -XEN_ENOMEM. */
long paging_set_vcpus(struct paging *p, unsigned vcpus);

/* It begins with its lock: every fault of every guest takes it. */
static inline struct spinlock *paging_lock_of(struct paging *p)
{
    return (struct spinlock *)p;
}
uint64_t *paging_pcpus_of(
    struct paging *p); /* atomic mask: pCPUs that may hold its translations; set by arch at load */
static inline void paging_lock(struct paging *p)
{
    spin_lock(paging_lock_of(p));
}
static inline void paging_unlock(struct paging *p)
{
    spin_unlock(paging_lock_of(p));
}

/* ---- p2m (paging lock held unless said) ---- */
struct p2m_ref p2m_lookup(struct paging *p, gfn_t gfn);
long p2m_add_ram(
    struct paging *p, gfn_t gfn,
    mfn_t mfn); /* takes over one reference; sets m2p[gfn] = gfn; -ENOMEM, -EEXIST, -EINVAL */
long p2m_add_ram_as(struct paging *p, gfn_t gfn, mfn_t mfn, uint64_t pfn); /* m2p[gfn] = pfn */
/* Takes the RAM gfn out: every shadow mapping of it goes, its own shadows too, m2p[gfn] is nothing;
 * TLBs are covered by the frame's stamp, or, if it comes back as a spare, by p->removed_stamp. *mfn
 * is then the caller's to frame_put(). -EINVAL: no RAM there. */
long p2m_remove_ram(struct paging *p, gfn_t gfn, mfn_t *mfn);
/* RAM that is nobody's business just now: not mapped by any shadow, no page table that anything
 * leads to, not lent or held. */
bool p2m_is_idle(struct paging *p, gfn_t gfn);
gfn_t p2m_lowest_hole(struct paging *p, unsigned order); /* INVALID_GFN if none below max_frames */
/* The domain's own memory: P2M_RAM or P2M_SHARED. What may be a page table. */
bool p2m_is_memory(struct paging *p, gfn_t gfn);
uint64_t p2m_ram_count(const struct paging *p);          /* of both kinds */
uint64_t p2m_max_gfn(const struct paging *p);            /* one past the last RAM gfn possible */
long p2m_set_max(struct paging *p, uint64_t max_frames); /* grow maxmem; -ENOMEM */
/* A window entry (SPECIAL or GRANT); takes over the caller's reference on mfn. INVALID_GFN: no
 * memory or too many. */
gfn_t p2m_window_add(struct paging *p, enum p2m_type type, mfn_t mfn, bool readonly);
/* Ends it: shadow mappings go, the reference is handed back to the caller in *mfn (for GRANT with
 * the hold on writing, see paging_alias_get). -EINVAL: no such entry, or P2M_FOREIGN, which ends
 * with its slot only. */
long p2m_window_remove(struct paging *p, gfn_t gfn, mfn_t *mfn);
/* Which gfn of this domain names the frame? For own RAM and special frames; INVALID_GFN if none
 * (linear for window, direct for RAM hint). */
gfn_t p2m_gfn_of(struct paging *p, mfn_t mfn);

/* ---- machine-to-phys, one table per domain, read-only at the bottom of the hole ---- */
long m2p_set(struct paging *p, gfn_t gfn, uint64_t pfn); /* -EINVAL outside */
uint64_t m2p_get(const struct paging *p, gfn_t gfn);     /* ~0 where nothing was set */
uint64_t
m2p_entries(const struct paging *p); /* the max_mfn that XENMEM_machphys_mapping reports + 1 */

/* ---- shadows (paging lock held) ---- */
/*
 * The machine frame of the root to load for pv's present mode, building it if need be. INVALID_MFN:
 * no root (user root 0) or no memory. The caller loads it into CR3 before it waits for anything or
 * drops the lock for another mm call: from now on the root given before may be reused as soon as
 * this pCPU has flushed. A pCPU that stops running vCPUs loads a root of its own, so that a flush
 * never reloads one that is gone.
 */
mfn_t shadow_root(struct paging *p, struct paging_vcpu *pv);
/*
 * The machine address of the same without the lock, for the change between kernel and user mode; 0
 * if shadow_root() must be asked. Only for the vCPU itself, which alone changes its roots. Both
 * stay as long as they are its roots; the kernel's is also held as loaded, so that it outlives its
 * replacement until that is loaded.
 */
static inline maddr_t shadow_root_cached(const struct paging_vcpu *pv)
{
    return pv->root[pv->user_mode];
}
/*
 * Most switches: the new root has a shadow (the user's need not), and the one before stays a table.
 * Nothing is done
 * otherwise (0, false): ask shadow_set_*(). Of the running vCPU; the kernel's new root is to be
 * loaded before the paging lock is released, for the one before may be freed then.
 */
maddr_t shadow_switch_kernel(struct paging *p, struct paging_vcpu *pv, gfn_t gfn);
bool shadow_switch_user(struct paging *p, struct paging_vcpu *pv, gfn_t gfn);
long shadow_set_kernel_root(struct paging *p, struct paging_vcpu *pv,
                            gfn_t gfn); /* -EINVAL: not own RAM */
long shadow_set_user_root(struct paging *p, struct paging_vcpu *pv, gfn_t gfn); /* gfn 0: none */

/* One entry of a guest table: guest's entry and shadow together. `offset`: byte offset in the
 * frame, 8-aligned. A frame that is no table gets a plain write. Errors (nothing written): -EINVAL
 * for a hole's gfn, PSE or hypervisor slots (L4 256..271) when present, -EPERM for what is no RAM
 * and not given to domain 0 either; all of them in docs/abi.md, mmu_update. */
#define SHADOW_PRESERVE_AD 1 /* keep the old entry's A and D */
long shadow_update(struct paging *p, gfn_t table, unsigned offset, uint64_t entry, unsigned flags);
/*
 * The hot path of a guest's memory management: applies the first ones of `count` requests of
 * mmu_update, as far as they are plain changes of L1 entries (to nothing, or to memory of the
 * domain's own that is no table), and says how many. The next one is shadow_update()'s.
 */
struct mmu_update;
unsigned shadow_update_plain(struct paging *p, const struct mmu_update *u, unsigned count);
bool shadow_update_one(struct paging *p, uint64_t ptr, uint64_t val); /* the same for one */
/* shadow_update() of the L1 entry that maps va in the tables at pv's kernel root; -EINVAL if there
 * is no L1. */
long shadow_update_va(struct paging *p, struct paging_vcpu *pv, vaddr_t va, uint64_t entry);
/* The L1 entry that maps va in the tables at pv's kernel root; -EINVAL if there is no L1. Sets
 * *table and *offset. */
long shadow_find_l1(struct paging *p, struct paging_vcpu *pv, vaddr_t va, gfn_t *table,
                    unsigned *offset);
/* Same as shadow_update for an entry whose frame belongs to another domain: `mfn` with the caller's
 * reference (taken over on success; the alias gfn is made here and dies with the slot). */
long shadow_update_foreign(struct paging *p, gfn_t table, unsigned offset, uint64_t flags_bits,
                           mfn_t mfn, bool readonly);

void shadow_pin(struct paging *p, gfn_t table, unsigned level); /* hints: validate nothing */
void shadow_unpin(struct paging *p, gfn_t table);               /* may drop the shadow */

enum fault_result {
    FAULT_RETRY, /* the shadow was filled or corrected: run the instruction again */
    FAULT_GUEST, /* the guest's own fault: *guest_error is the error code in its terms */
    FAULT_STORE, /* a store to a protected page table: *gfn, *offset of the target; the caller
                    emulates */
    FAULT_CRASH, /* the guest breaks the rules or the pool is hopeless: kill it, *why says why */
};
struct fault_info {
    uint32_t guest_error;
    gfn_t gfn;       /* FAULT_STORE: the table frame */
    unsigned offset; /* byte offset in it */
    /* FAULT_STORE: does the guest's own entry allow writing, so that shadow_drop() would let the
     * store through? False also where the table is needed to translate va itself: dropping it would
     * repeat the fault for ever. */
    bool guest_writable;
    bool read_only; /* FAULT_STORE: the guest's own entry does not allow writing */
    const char *why;
};
/* The most frequent fault of all, told quickly: the guest's own L1 table is followed, and its entry
 * for va (a guest's address) is not present. False: ask shadow_fault(). Takes the paging lock
 * itself. */
bool shadow_fault_is_guests(struct paging *p, struct paging_vcpu *pv, vaddr_t va);
/* The second one: the guest's kernel stores to a followed table of its own, through an entry that
 * the guest itself has made read-only. As FAULT_STORE; false: ask shadow_fault(). */
bool shadow_fault_is_store(struct paging *p, struct paging_vcpu *pv, vaddr_t va,
                           struct fault_info *info);
/* error: the hardware's #PF error code; user: the guest was in user mode. Takes the paging lock
 * itself. */
enum fault_result shadow_fault(struct paging *p, struct paging_vcpu *pv, vaddr_t va, uint32_t error,
                               struct fault_info *info);

/* An emulated store of `size` (1, 2, 4, 8) bytes at table/offset: compare-and-exchange of the whole
 * entry: if the bytes are `old` they become `new` and the shadow follows. -EAGAIN: they were not
 * `old`. Paging lock held. */
long shadow_store(struct paging *p, gfn_t table, unsigned offset, unsigned size, uint64_t old_value,
                  uint64_t new_value);
uint64_t shadow_load(struct paging *p, gfn_t table, unsigned offset, unsigned size);
void shadow_drop(struct paging *p,
                 gfn_t table); /* this frame is no table any more; foreign aliases in it end */

/* MMUEXT_INVLPG / TLB_FLUSH on this vCPU or others: real work only where a shadow entry was removed
 * or downgraded since. Without the lock one of two pCPUs could take the other's removal, not yet
 * made, for flushed, and a grant's unmap would leave a translation behind. */
/* Entries removed before this time of the TLB clock may be cached still. */
uint64_t shadow_removal_stamp(struct paging *p);
void shadow_flush_local(struct paging *p);
void shadow_flush_mask(struct paging *p, uint64_t pcpus);
void shadow_flush_va_local(struct paging *p, vaddr_t va); /* one address; cheaper than all */

/* ---- access to a domain's frames by gfn, and the gate of S4 (takes the paging lock itself) ----
 */
/* Holds one frame of the domain: a reference, and if writable its shadows as a table are dropped
 * and stay away while held. Returns its content or NULL (not RAM or SPECIAL, read-only). Never
 * another domain's frame: whose a mapped grant is, decides its granter. */
struct frame_hold {
    mfn_t mfn;
    bool writable;
    void *va;
};
void *paging_hold(struct paging *p, gfn_t gfn, bool writable, struct frame_hold *hold);
void paging_release(struct frame_hold *hold);

/*
 * One domain's frame for use by another (grant map or foreign map): a reference, and unless
 * readonly a hold on writing as above, until paging_alias_put(). gfn: RAM or SPECIAL of `owner`.
 * Takes the owner's paging lock; the caller holds no paging lock (the hold outlives the lock, so
 * two are never needed at once). INVALID_MFN: no such frame.
 */
mfn_t paging_alias_get(struct paging *owner, gfn_t gfn, bool readonly);
void paging_alias_put(mfn_t mfn, bool readonly);

/* Memory of any vCPU of the domain by its kernel or user tables (pv->user_mode), walked in
 * software: for a vCPU that does not run here, and for the hypervisor's own writes that must not
 * fault. A and D are set, permissions hold as for the guest itself. Page by page: earlier pages
 * stay written after a failure. Takes the paging lock itself. 0, -EFAULT, or -ENOMEM where a shared
 * frame had to be copied. */
long paging_read_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, void *dst,
                    size_t bytes);
long paging_write_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, const void *src,
                     size_t bytes);
/* The same for several stores in an order that the guest may see, by its kernel's tables whatever
 * mode it is in: a pointer to its memory, and the paging lock is held until paging_window_end().
 * NULL, without the lock: it cannot be written, or goes over a page's end. */
void *paging_window_va(struct paging *p, const struct paging_vcpu *pv, vaddr_t va, size_t bytes);
void paging_window_end(struct paging *p, void *window);

/* ---- for those who look (mm/inspect.c, domain 0's command line) ---- */
struct paging_counters {
    uint64_t faults_guest, faults_fill, faults_store, faults_ad; /* see hv/public/penumbra.h */
    uint64_t shadows, made, reclaimed; /* in use now; ever; of those, taken for another use */
    uint64_t flushes, flushes_avoided;
    /* Kept for the domain's life, at the largest need so far: frames of shadow tables, and pages of
     * the window's records. */
    uint64_t pool_frames, window_pages;
    uint64_t window_gfns; /* of the window, in use */
};
/* Takes the paging lock. */
void paging_get_counters(struct paging *p, struct paging_counters *c);
unsigned paging_pool_tables(const struct paging *p); /* most shadows at once */

/* Fills the OUT fields of *w for the address w->va, a guest's, in pv's tables: what the guest's
 * entries say, the p2m, and the shadows. Changes nothing. Paging lock held. */
struct penumbra_walk;
void paging_walk(struct paging *p, const struct paging_vcpu *pv, struct penumbra_walk *w);

#endif
