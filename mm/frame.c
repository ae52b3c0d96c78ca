/* SPDX-License-Identifier: MIT */
/*
 * The allocator of machine frames: a buddy system over the frame table.
 *
 * A free block of 2^k frames is aligned to its size and known by its first frame (`order` = k, on
 * the list of k); the other frames of a free block have refs 0 and belong to no list. Two free
 * buddies always merge, so that a large contiguous block (dom0's memory) can be had again after any
 * amount of small traffic.
 *
 * Lists are queues: freed blocks go to the tail and the head is taken, so that the stamp of what is
 * taken is as old as can be and waiting for a flush is rare. A merged block carries the later of
 * both stamps. Scrubbing happens when a frame is given to a domain, frame by frame, outside the
 * lock.
 */
#include "mm/frame.h"

#include <string.h>
#include <xen/xen.h>

#include "hv/arch.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "mm/tlb.h"

#define ORDERS      21 /* blocks of up to 2^20 frames, 4 GiB */
#define NOT_A_BLOCK 0xff

static struct {
    struct spinlock lock;
    struct frame *table;
    uint64_t table_frames;
    uint64_t free, total;
    struct {
        struct frame *head, *tail;
    } list[ORDERS];
} frames = {.lock = SPINLOCK_INIT(LOCK_FRAME)};

#define SPARES 16

static struct spares {
    struct spinlock lock;
    unsigned count;
    struct frame *frame[SPARES]; /* without references, but still their owners' */
} __attribute__((aligned(64))) spares[PCPU_MAX];

void frame_table_init(void *table, uint64_t count)
{
    memset(table, 0, count * sizeof(struct frame));
    frames.table = table;
    frames.table_frames = count;
    frames.free = frames.total = 0;
    memset(frames.list, 0, sizeof frames.list);
    for (unsigned pcpu = 0; pcpu < PCPU_MAX; pcpu++)
        spares[pcpu] = (struct spares){.lock = SPINLOCK_INIT(LOCK_FRAME)};
}

struct frame *frame_of(mfn_t mfn)
{
    if (mfn.n >= frames.table_frames || !(frames.table[mfn.n].flags & FRAME_RAM))
        return NULL;
    return &frames.table[mfn.n];
}

mfn_t frame_mfn(const struct frame *f)
{
    return mfn_of((uint64_t)(f - frames.table));
}

/* ---- lists; frames.lock held ---- */

static void list_append(struct frame *f, unsigned order)
{
    f->order = (uint8_t)order;
    f->next = NULL;
    f->prev = frames.list[order].tail;
    if (f->prev)
        f->prev->next = f;
    else
        frames.list[order].head = f;
    frames.list[order].tail = f;
}

static void list_remove(struct frame *f)
{
    unsigned order = f->order;

    if (f->prev)
        f->prev->next = f->next;
    else
        frames.list[order].head = f->next;
    if (f->next)
        f->next->prev = f->prev;
    else
        frames.list[order].tail = f->prev;
    f->order = NOT_A_BLOCK;
    f->next = f->prev = NULL;
}

/* The buddy of a block if it is free as a whole, else NULL. */
static struct frame *free_buddy(uint64_t mfn, unsigned order)
{
    struct frame *b = frame_of(mfn_of(mfn ^ (1UL << order)));

    /* Only the first frame of a free block has a valid order while refs is 0. */
    if (!b || b->refs != 0 || b->owner != DOMID_INVALID || b->order != order)
        return NULL;
    return b;
}

static void insert_block(uint64_t mfn, unsigned order)
{
    while (order + 1 < ORDERS) {
        struct frame *b = free_buddy(mfn, order);
        uint64_t stamp = frames.table[mfn].stamp;

        if (!b)
            break;
        if (b->stamp > stamp)
            stamp = b->stamp;
        list_remove(b);
        frames.table[mfn].order = NOT_A_BLOCK;
        mfn &= ~(1UL << order);
        frames.table[mfn].stamp = stamp;
        order++;
    }
    list_append(&frames.table[mfn], order);
}

/* Takes a block of exactly `order`, splitting a larger one; NULL if there is none. */
static struct frame *take_block(unsigned order)
{
    unsigned o = order;

    while (o < ORDERS && !frames.list[o].head)
        o++;
    if (o == ORDERS)
        return NULL;
    struct frame *f = frames.list[o].head;
    list_remove(f);
    while (o > order) {
        o--;
        struct frame *half = f + (1UL << o);
        half->stamp = f->stamp;
        list_append(half, o);
    }
    return f;
}

/* ---- spares ---- */

static void release(struct frame *f, unsigned order);

static bool owner_is_domain(uint16_t owner)
{
    return owner < DOMID_FIRST_RESERVED;
}

/* Keeps f; false: there are enough. */
static bool keep_spare(struct frame *f)
{
    struct spares *s = &spares[arch_pcpu_id()];
    bool room;

    spin_lock(&s->lock);
    room = s->count < SPARES;
    if (room)
        s->frame[s->count++] = f;
    spin_unlock(&s->lock);
    return room;
}

/* Those of one owner, or (DOMID_INVALID) all, become free blocks; their number. */
static unsigned release_spares(uint16_t owner)
{
    unsigned released = 0;

    for (unsigned pcpu = 0; pcpu < PCPU_MAX; pcpu++) {
        struct spares *s = &spares[pcpu];
        struct frame *gone[SPARES];
        unsigned kept = 0, n = 0;

        if (!__atomic_load_n(&s->count, __ATOMIC_RELAXED))
            continue;
        spin_lock(&s->lock);
        for (unsigned i = 0; i < s->count; i++)
            if (owner == DOMID_INVALID || s->frame[i]->owner == owner)
                gone[n++] = s->frame[i];
            else
                s->frame[kept++] = s->frame[i];
        __atomic_store_n(&s->count, kept, __ATOMIC_RELAXED);
        spin_unlock(&s->lock);
        for (unsigned i = 0; i < n; i++)
            release(gone[i], 0);
        released += n;
    }
    return released;
}

void frame_put_spare(struct frame *f)
{
    uint32_t before = __atomic_fetch_sub(&f->refs, 1, __ATOMIC_ACQ_REL);

    ASSERT(before != 0);
    if (before != 1)
        return;
    ASSERT(f->writers == 0);
    if (f->stamp || !keep_spare(f)) /* a stamp: somebody else may have it cached still */
        release(f, 0);
}

/* What the domain's own vCPUs have cached of it is no worse than of any frame that it unmaps and
 * maps again: who must know, asks for p->removed_stamp (shadow_flush_removed()). */
mfn_t frame_alloc_spare(uint16_t owner)
{
    struct spares *s = &spares[arch_pcpu_id()];
    struct frame *f = NULL;

    spin_lock(&s->lock);
    if (s->count && s->frame[s->count - 1]->owner == owner)
        f = s->frame[--s->count];
    spin_unlock(&s->lock);
    if (!f)
        return INVALID_MFN;
    f->gfn_hint = 0;
    f->order = 0;
    __atomic_store_n(&f->refs, 1, __ATOMIC_RELEASE); /* pairs with frame_get */
    return frame_mfn(f);
}

void frame_forget_spares(uint16_t owner)
{
    release_spares(owner);
}

/* ---- public ---- */

/* Frames [n, end), none of them known yet, become free blocks as large as alignment allows. */
static void add_run(uint64_t n, uint64_t end)
{
    frames.free += end - n;
    frames.total += end - n;
    while (n < end) {
        unsigned order = 0;

        while (order + 1 < ORDERS && !(n & ((2UL << order) - 1)) && n + (2UL << order) <= end)
            order++;
        for (uint64_t i = n; i < n + (1UL << order); i++)
            frames.table[i] = (struct frame){
                .owner = DOMID_INVALID, .order = NOT_A_BLOCK, .flags = FRAME_RAM | FRAME_DIRTY};
        insert_block(n, order);
        n += 1UL << order;
    }
}

void frame_add_range(maddr_t start, maddr_t end)
{
    uint64_t n = (start + PAGE_SIZE - 1) >> PAGE_SHIFT, last = end >> PAGE_SHIFT;

    if (last > frames.table_frames)
        last = frames.table_frames;
    spin_lock(&frames.lock);
    while (n < last) {
        uint64_t run = n;

        while (run < last && !(frames.table[run].flags & FRAME_RAM))
            run++;
        add_run(n, run);
        n = run + 1; /* the frame at `run`, if any, was given already */
    }
    spin_unlock(&frames.lock);
}

/* A block that is nobody's any more, or NULL. */
static struct frame *claim_block(unsigned order, uint16_t owner)
{
    struct frame *f;

    spin_lock(&frames.lock);
    f = take_block(order);
    if (f) {
        frames.free -= 1UL << order;
        f->owner = owner; /* from now on free_buddy() does not take it for free */
    }
    spin_unlock(&frames.lock);
    return f;
}

mfn_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    if (order >= ORDERS)
        return INVALID_MFN;
    uint64_t count = 1UL << order;
    struct frame *f = claim_block(order, owner);

    if (!f && release_spares(DOMID_INVALID))
        f = claim_block(order, owner);
    if (!f)
        return INVALID_MFN;

    /* Nobody else can see the block now; a remote pCPU may still have it in its TLB. */
    tlb_wait_safe(f->stamp);
    for (uint64_t i = 0; i < count; i++) {
        if ((f[i].flags & FRAME_DIRTY) && (owner_is_domain(owner) || (flags & FRAME_ALLOC_ZERO))) {
            void *va = frame_map(frame_mfn(&f[i]));
            memset(va, 0, PAGE_SIZE);
            frame_unmap(va);
        }
        f[i].flags |= FRAME_DIRTY; /* whoever gets it may write */
        f[i].stamp = 0;
        f[i].writers = 0;
        f[i].gfn_hint = 0;
        f[i].order = 0;
        f[i].owner = owner;
        __atomic_store_n(&f[i].refs, 1, __ATOMIC_RELEASE); /* pairs with frame_get */
    }
    if (!owner_is_domain(owner))
        f->order = (uint8_t)order;
    return frame_mfn(f);
}

/* Gives back frames whose references are gone already. */
static void release(struct frame *f, unsigned order)
{
    uint64_t mfn = frame_mfn(f).n, count = 1UL << order;
    uint64_t stamp = tlb_stamp();

    /* Under the lock: a frame without references that is nobody's and still has its order is a free
     * block for free_buddy() on another pCPU, which would take it off a list that it is not on. */
    spin_lock(&frames.lock);
    for (uint64_t i = 0; i < count; i++) {
        f[i].owner = DOMID_INVALID;
        f[i].order = NOT_A_BLOCK;
        f[i].stamp = stamp;
    }
    insert_block(mfn, order);
    frames.free += count;
    spin_unlock(&frames.lock);
}

void frame_free(mfn_t mfn, unsigned order)
{
    struct frame *f = frame_of(mfn);

    ASSERT(f && f->refs == 1 && f->owner == DOMID_XEN && f->order == order);
    for (uint64_t i = 0; i < 1UL << order; i++)
        __atomic_store_n(&f[i].refs, 0, __ATOMIC_RELAXED);
    release(f, order);
}

bool frame_get(struct frame *f, uint16_t owner)
{
    uint32_t refs = __atomic_load_n(&f->refs, __ATOMIC_RELAXED);

    do {
        if (refs == 0 || refs == UINT32_MAX)
            return false;
    } while (!__atomic_compare_exchange_n(&f->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
                                          __ATOMIC_RELAXED));
    /* The owner cannot change while we hold a reference; it may have before we got it. */
    if (f->owner == owner)
        return true;
    frame_put(f);
    return false;
}

void frame_stamp(struct frame *f)
{
    uint64_t now = tlb_stamp(), old = __atomic_load_n(&f->stamp, __ATOMIC_RELAXED);

    while (old < now && !__atomic_compare_exchange_n(&f->stamp, &old, now, true, __ATOMIC_RELEASE,
                                                     __ATOMIC_RELAXED))
        ;
}

void frame_put(struct frame *f)
{
    uint32_t before = __atomic_fetch_sub(&f->refs, 1, __ATOMIC_ACQ_REL);

    ASSERT(before != 0);
    if (before == 1) {
        ASSERT(f->writers == 0);
        release(f, 0);
    }
}

uint64_t frame_free_count(void)
{
    uint64_t free = __atomic_load_n(&frames.free, __ATOMIC_RELAXED);

    for (unsigned pcpu = 0; pcpu < PCPU_MAX; pcpu++)
        free += __atomic_load_n(&spares[pcpu].count, __ATOMIC_RELAXED);
    return free;
}

uint64_t frame_total_count(void)
{
    return frames.total;
}

uint64_t frame_max_mfn(void)
{
    return frames.table_frames;
}
