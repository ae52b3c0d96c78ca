/* SPDX-License-Identifier: MIT */
/*
 * The inside of mm/: the record of each gfn, shadow tables, and the lists that tie them together.
 * Only mm/ and its unit tests include this. The paging lock is held wherever a struct paging is
 * touched.
 *
 * A present entry of a shadow is named by its address. Its links, in the pages behind the table
 * (entry_next() and its kin), tie it into the list of all entries with the same target: for a leaf
 * that is the reverse map of a gfn record, for an upper entry the list of parents of the lower
 * shadow. So inserting and removing takes constant time and never allocates, however often one
 * frame is mapped.
 */
#ifndef MM_PAGING_PRIV_H
#define MM_PAGING_PRIV_H

#include "hv/log.h"
#include "mm/logdirty.h"
#include "mm/paging.h"

/* ---- page-table entries (Intel SDM vol. 3, 4.5) ---- */
#define PTE_P        (1UL << 0)
#define PTE_RW       (1UL << 1)
#define PTE_US       (1UL << 2)
#define PTE_PWT      (1UL << 3)
#define PTE_PCD      (1UL << 4)
#define PTE_A        (1UL << 5)
#define PTE_D        (1UL << 6)
#define PTE_PSE      (1UL << 7) /* at levels 2 and 3 */
#define PTE_NX       (1UL << 63)
#define PTE_ADDR     0x000ffffffffff000UL
#define PTE_UNCACHED (PTE_PCD | PTE_PWT)

/* #PF error code */
#define PF_P 1U
#define PF_W 2U
#define PF_U 4U
#define PF_I 16U

#define SLOTS        512U
#define SLOT_BITS    9
#define LEVELS       4
#define REGION_SHIFT 21   /* what an L1 table translates */
#define HOLE_FIRST   256U /* L4 slots of the hypervisor */
#define HOLE_LAST    271U
#define M2P_SLOT     256U

/* ---- gfn records ---- */
struct gfn_record {
    uint64_t word; /* mfn << 12 | GFN_LOGGED | GFN_READONLY | enum p2m_type; 0 for a hole */
    union {
        struct shadow *shadows; /* RAM: its shadows as a table, by ->sibling, one a level (kept
                                   while a root is loaded, even over a hole) */
        uint64_t slot; /* FOREIGN: table gfn << 12 | byte offset of the one entry that it is for */
        uint64_t next_free; /* hole in the window: index + 1 of the next one */
    };
    uint64_t *rmap;    /* the first leaf entry that maps it */
    uint16_t mapped;   /* how many do: RMAP_MAX at most */
    uint16_t writable; /* of those, how many are writable */
    uint16_t aliases;  /* RAM: foreign aliases that live in its entries */
    uint8_t live;      /* its shadows that follow it */
    uint8_t marks;     /* levels at which it is or was a table: 1 << level; MARK_PINNED */
};
_Static_assert(sizeof(struct gfn_record) == 32, "a chunk of records is one page");

#define GFN_TYPE     7UL
#define GFN_READONLY 8UL
/* RAM: log-dirty is on and the frame is clean. No shadow may map it writable; its first write is a
 * fault, or goes through log_write(), and marks it. */
#define GFN_LOGGED  16UL
#define GFN_FULL    32UL /* RMAP_MAX entries map it, or did: mm/rmap.c */
#define MARK_PINNED 1U

#define CHUNK_BITS    7
#define CHUNK_RECORDS (1U << CHUNK_BITS)
#define WINDOW_MAX \
    (1UL << 18) /* live window entries of a domain: bounds what it can make us allocate */

static inline enum p2m_type record_type(const struct gfn_record *r)
{
    return (enum p2m_type)(r->word & GFN_TYPE);
}

static inline bool record_is_ram(const struct gfn_record *r)
{
    return r && record_type(r) == P2M_RAM;
}

/* The domain's own memory, with a frame of its own or a shared one. */
static inline bool record_is_memory(const struct gfn_record *r)
{
    return r && (record_type(r) == P2M_RAM || record_type(r) == P2M_SHARED);
}

/* RAM with nothing to ask or to note before it is mapped or written but S4: most of all memory. */
static inline bool record_is_plain(const struct gfn_record *r)
{
    return r && (r->word & (GFN_TYPE | GFN_READONLY | GFN_LOGGED | GFN_FULL)) == P2M_RAM;
}

static inline mfn_t record_mfn(const struct gfn_record *r)
{
    return mfn_of(r->word >> PAGE_SHIFT);
}

/* S4: may no shadow map it writable, because it is followed as a table or holds aliases? */
static inline bool record_protected(const struct gfn_record *r)
{
    return r->live || r->aliases;
}

/* ---- shadow tables ---- */
struct shadow {
    uint64_t *table; /* what the hardware walks, and the pages of links behind it: a block of frames
                        of our own, mapped for good */
    mfn_t mfn;       /* of table */
    gfn_t gfn;       /* the guest's table */
    struct gfn_record *record;
    struct shadow *sibling;
    uint64_t *parents; /* the first upper entry that points here */
    uint16_t hooks;    /* how many do: RMAP_MAX at most */
    uint16_t used;     /* present entries */
    uint8_t level;     /* 1..4; 0: free */
    bool live;         /* follows the guest's table, which is protected; else it is empty */
    uint16_t users;    /* vCPUs that have it as a root, loaded or cached: not to be freed */
    bool busy;         /* needed by the operation under way: not to be reclaimed */
    uint64_t stamp;    /* free: TLB clock when it was taken out of use */
    struct shadow *newer, *older; /* in use: LRU list. Free: older is the next of the queue */
} __attribute__((aligned(64)));

enum log_state {
    LOG_OFF,
    LOG_STARTING, /* records below `at` are logged already */
    LOG_ON,
    LOG_STOPPING /* records below `at` are logged no more */
};

struct paging_log {
    enum log_state state;
    uint64_t **pages; /* of bits: mm/logdirty.c */
    uint64_t at;      /* gfn */
    struct log_stats stats;
};

struct paging {
    struct spinlock lock; /* first: paging_lock_of() */
    uint64_t pcpus;       /* atomic */
    uint16_t domid;
    unsigned flags;

    /* p2m */
    uint64_t max_frames, ram_limit; /* ram_limit: gfns that ram[] has chunk pointers for */
    struct gfn_record **ram;
    struct gfn_record **window;         /* WINDOW_MAX / CHUNK_RECORDS pointers */
    uint64_t window_limit, window_free; /* window_free: index + 1 */
    uint64_t window_live;
    uint64_t ram_count, hole_hint; /* no hole below hole_hint */

    /* machine-to-phys */
    mfn_t m2p_l3;
    uint64_t m2p_entries;
    uint64_t m2p_last; /* which of its pages was written last, ~0: none, */
    mfn_t m2p_page;    /* and where it is; pages stay until teardown */

    /* shadow pool; shadow[0] is never used */
    struct shadow *shadow;
    unsigned pool_max, pool_made, pool_free;
    unsigned pool_min; /* what its vCPUs need: pool_max is never set below */
    struct shadow *free_first, *free_last;
    struct shadow *newest, *oldest;

    uint64_t epoch; /* counts links between shadows that were cut or changed; from 1 */

    /* The table of level 1 that was updated last (mm/shadow_update.c): it is followed at that level
     * alone, in plain memory with nothing to note. tables_changed() forgets it. */
    struct {
        uint64_t gfn; /* ~0: none */
        struct shadow *l1;
        uint64_t *table; /* of l1 */
        uint64_t *guest; /* its content */
    } last;

    /* Was an entry removed or narrowed since removed_stamp was taken? (shadow_flush_*) */
    bool removed;
    uint64_t removed_stamp;

    struct paging_log log;

    bool dying; /* paging_teardown has begun: nothing new comes in */
    enum {
        TEARDOWN_SHADOWS,
        TEARDOWN_WINDOW,
        TEARDOWN_RAM,
        TEARDOWN_M2P,
        TEARDOWN_DONE
    } teardown_phase;
    uint64_t teardown_at; /* in the array of the phase */
    struct paging_counters count;
    unsigned audit_countdown;
};

/*
 * The links of a shadow's entry `e`:
 *
 *      page 0      1               2               3
 *      table       target          next            back: what points here, the list's head or
 *                                                  the next link of the entry before
 */
#define SHADOW_ORDER 2

/* Of a present leaf; NULL for MMIO, which is in no list. */
static inline struct gfn_record **entry_record(uint64_t *e)
{
    return (struct gfn_record **)(e + SLOTS);
}

/* Of a present entry of levels 2 to 4. */
static inline struct shadow **entry_child(uint64_t *e)
{
    return (struct shadow **)(e + SLOTS);
}

static inline uint64_t **entry_next(uint64_t *e)
{
    return (uint64_t **)(e + SLOTS * 2UL);
}

static inline uint64_t ***entry_back(uint64_t *e)
{
    return (uint64_t ***)(e + SLOTS * 3UL);
}

static inline unsigned entry_slot(const uint64_t *e)
{
    return (uintptr_t)e % PAGE_SIZE / sizeof *e;
}

/* The shadow that it is in: the number stands in the record of the table's frame. */
static inline struct shadow *entry_shadow(const struct paging *p, const uint64_t *e)
{
    mfn_t mfn = mfn_of((uint64_t)((const char *)e - arch_ram) >> PAGE_SHIFT);

    return &p->shadow[frame_of(mfn)->gfn_hint];
}

/* Something about a frame as a table changed: which shadows follow it, aliases in it, what it is
 * pinned as, where it is, whether a write to it is to be noted. */
static inline void tables_changed(struct paging *p)
{
    p->last.gfn = ~0UL;
}

static inline unsigned va_slot(vaddr_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + SLOT_BITS * (level - 1)) & (SLOTS - 1);
}

static inline bool slot_is_holes(unsigned level, unsigned slot)
{
    return level == LEVELS && slot >= HOLE_FIRST && slot <= HOLE_LAST;
}

static inline bool va_is_guests(vaddr_t va)
{
    return va < 1UL << 47 || va >= 0xffff880000000000UL;
}

static inline uint64_t entry_gfn(uint64_t entry)
{
    return (entry & PTE_ADDR) >> PAGE_SHIFT;
}

/* The shadow of this record at the level, live or not; NULL. */
static inline struct shadow *record_shadow(const struct gfn_record *r, unsigned level)
{
    struct shadow *s = r->shadows;

    while (s && s->level != level)
        s = s->sibling;
    return s;
}

/*
 * The L1 shadow that translates va below the kernel's or the user's root, as far as the shadow is
 * linked; NULL. va is the guest's. Faults and updates come in runs: mostly it is where the walk
 * before ended, and no link was cut since.
 */
struct shadow *shadow_walk(const struct paging *p, struct paging_vcpu *pv, bool user, vaddr_t va);
static inline struct shadow *shadow_l1_of(const struct paging *p, struct paging_vcpu *pv, bool user,
                                          vaddr_t va)
{
    const struct walked *w = &pv->walked[user];

    if (w->region == va >> REGION_SHIFT && w->epoch == p->epoch)
        return w->l1;
    return shadow_walk(p, pv, user, va);
}

/* ---- p2m.c ---- */
/* The record of a gfn that exists or can exist; NULL beyond the arrays. A hole may have one or not.
 */
static inline struct gfn_record *p2m_record(const struct paging *p, uint64_t gfn)
{
    struct gfn_record *chunk;

    if (gfn < p->ram_limit) {
        chunk = p->ram[gfn >> CHUNK_BITS];
    } else {
        gfn -= GFN_WINDOW;
        if (gfn >= p->window_limit)
            return NULL;
        chunk = p->window[gfn >> CHUNK_BITS];
    }
    return chunk ? &chunk[gfn % CHUNK_RECORDS] : NULL;
}
long p2m_init(struct paging *p, uint64_t max_frames);
void p2m_free_arrays(struct paging *p);
gfn_t p2m_window_take(struct paging *p,
                      uint64_t word); /* an unused window gfn, now with this word */
void p2m_window_release(struct paging *p, gfn_t gfn);
/* As p2m_add_ram() for a frame of DOMID_COW. */
long p2m_add_shared(struct paging *p, gfn_t gfn, mfn_t mfn);
/* dom0: how a gfn outside RAM may be mapped; MMIO_DENIED for everybody else and for all RAM. */
enum mmio_access p2m_mmio(const struct paging *p, uint64_t gfn);

/* ---- m2p.c ---- */
#define M2P_NONE (~0UL) /* what the guest reads for a gfn that is not there */
long m2p_init(struct paging *p, uint64_t entries);
/* Frees up to `budget` frames of it; the number freed. */
unsigned m2p_teardown(struct paging *p, unsigned budget);
uint64_t m2p_root_entry(const struct paging *p); /* for L4 slot M2P_SLOT */

/* ---- shadow_pool.c ---- */
long pool_init(struct paging *p, unsigned pages);
void pool_free(struct paging *p); /* all frames; no shadow in use */
/* An empty shadow for the record's frame, in its list, not live; NULL: nothing can be reclaimed. */
struct shadow *pool_take(struct paging *p, struct gfn_record *r, gfn_t gfn, unsigned level);
void pool_put(struct paging *p, struct shadow *s); /* emptied, unhooked; leaves its record's list */
void pool_touch(struct paging *p, struct shadow *s); /* most recently used now */

/* ---- shadow.c ---- */
/* The live shadow of a RAM gfn at this level, made and filled if need be. NULL: *why says why. */
struct shadow *shadow_get(struct paging *p, gfn_t gfn, struct gfn_record *r, unsigned level,
                          const char **why);
/* Makes the record unwritable by this domain's shadows, now, everywhere. False: others hold it for
 * writing. */
bool shadow_protect(struct paging *p, struct gfn_record *r);
/* The guest's entry at this slot was changed to `entry`: all live shadows of the record follow. */
void shadow_follow(struct paging *p, struct gfn_record *r, gfn_t gfn, unsigned slot,
                   uint64_t entry);
/* Empties it and takes it out of its parents; frees it unless it is a root in use. */
void shadow_release(struct paging *p, struct shadow *s);
void shadow_release_all(struct paging *p, struct gfn_record *r);
/* Shadow entry for a guest's L1 entry in the slot named by slot_identity(); `target`: the record of
 * its gfn, or NULL. 0: none. */
uint64_t shadow_leaf(const struct paging *p, const struct gfn_record *target, uint64_t entry,
                     uint64_t slot_id);
/* A vCPU gives up a root. */
void shadow_put_root(struct paging *p, struct shadow **root);
/* No pCPU of the domain has an entry cached that was removed or narrowed before. */
void shadow_flush_removed(struct paging *p);
/* No parents, no vCPU, no aliases, not pinned: nothing speaks for this frame still being a table.
 */
bool shadow_is_orphan(const struct gfn_record *r);

static inline uint64_t slot_identity(gfn_t table, unsigned slot)
{
    return table.n << PAGE_SHIFT | slot * 8;
}

/* ---- logdirty.c ---- */
void log_mark(struct paging *p, struct gfn_record *r, gfn_t gfn); /* a RAM record: use log_write */
void log_mark_gfn(struct paging *p, gfn_t gfn);       /* one whose frame comes or goes */
uint64_t log_flag(const struct paging *p, gfn_t gfn); /* GFN_LOGGED if it is clean, for its word */
/* Room for the gfn's bit, before a frame comes there; for all gfns below a new limit. -ENOMEM */
long log_reserve(struct paging *p, gfn_t gfn);
long log_grow(struct paging *p, uint64_t gfns);
void log_free(struct paging *p);

/* The content of this frame changes, or may from now on: to be said before it can. */
static inline void log_write(struct paging *p, struct gfn_record *r, gfn_t gfn)
{
    if (r->word & GFN_LOGGED)
        log_mark(p, r, gfn);
}

/* ---- share.c ---- */
/* Makes the shared gfn RAM, with a frame of its own: a copy, or the frame itself if nobody else has
 * it any more. No pCPU of the domain then has the old one cached. -ENOMEM; -EINVAL: no memory. */
long share_break(struct paging *p, struct gfn_record *r, gfn_t gfn);

/* The gfn's record is RAM when this gives 0. */
static inline long record_own(struct paging *p, struct gfn_record *r, gfn_t gfn)
{
    return record_is_ram(r) ? 0 : share_break(p, r, gfn);
}

/* ---- walk.c ---- */
/* Reads or writes guest entries; the frame is RAM. */
static inline uint64_t walk_read_entry(const struct gfn_record *r, unsigned slot)
{
    uint64_t *t = frame_map(record_mfn(r));
    uint64_t entry = __atomic_load_n(&t[slot], __ATOMIC_RELAXED);

    frame_unmap(t);
    return entry;
}
bool walk_cmpxchg_entry(const struct gfn_record *r, unsigned slot, uint64_t old, uint64_t new);

/* ---- alias.c ---- */
/* Slot `slot` of the table changes from `old` to `new`: ends the alias that lived there, if it does
 * not stay. */
void alias_slot_changed(struct paging *p, struct gfn_record *table, gfn_t gfn, unsigned slot,
                        uint64_t old, uint64_t new);
void alias_end(struct paging *p,
               gfn_t alias); /* drops the mapping, the hold on writing and the reference */
void alias_end_all(struct paging *p, struct gfn_record *table, gfn_t gfn);

/* ---- audit.c: for debug builds and tests ---- */
/* The first broken invariant in words, or NULL. Slow. */
const char *paging_audit(struct paging *p);
void paging_check(struct paging *p); /* panics with it */

#endif
