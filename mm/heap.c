/* SPDX-License-Identifier: MIT */
/*
 * Small objects: each size class carves whole frames into equal pieces. A frame begins with a head
 * that lists its free pieces, so a piece finds its class by its address; what is page-aligned is
 * therefore no piece but a block of frames. A frame whose last piece goes returns to the frame
 * allocator at once: the leak audit wants exact numbers, and no fast path allocates.
 */
#include "mm/heap.h"

#include <string.h>
#include <xen/xen.h>

#include "hv/arch.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "mm/frame.h"

/* Pieces of 64 bytes and more are multiples of 64, so that they are aligned to cache lines. */
static const uint16_t class_size[] = {16, 32, 64, 128, 192, 256, 384, 512, 768, 960, 1344, 1984};
#define CLASSES    (sizeof class_size / sizeof class_size[0])
#define SLAB_HEAD  64
#define SLAB_MAGIC 0x51ab

struct piece {
    struct piece *next;
};

/* At the start of each frame of pieces. On its class's list while it has a free piece. */
struct slab {
    struct slab *next, *prev;
    struct piece *free;
    uint16_t used, class, magic;
};
_Static_assert(sizeof(struct slab) <= SLAB_HEAD, "pieces start behind the head");

static struct {
    struct spinlock lock;
    uint64_t used;
    struct slab *partial[CLASSES];
} heap = {.lock = SPINLOCK_INIT(LOCK_HEAP)};

static unsigned class_of(size_t bytes)
{
    unsigned c = 0;

    while (c < CLASSES && class_size[c] < bytes)
        c++;
    return c;
}

static unsigned order_of(size_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < bytes)
        order++;
    return order;
}

/* All frames are mapped in one piece, in order (see frame_map). */
static mfn_t mfn_of_va(const void *va)
{
    return mfn_of((uint64_t)((const char *)va - arch_ram) >> PAGE_SHIFT);
}

static void partial_add(struct slab *s)
{
    s->prev = NULL;
    s->next = heap.partial[s->class];
    if (s->next)
        s->next->prev = s;
    heap.partial[s->class] = s;
}

static void partial_remove(struct slab *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        heap.partial[s->class] = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

static struct slab *slab_new(unsigned class)
{
    mfn_t mfn = frame_alloc(0, DOMID_XEN, 0);

    if (!mfn_valid(mfn))
        return NULL;
    struct slab *s = frame_map(mfn);
    *s = (struct slab){.class = (uint16_t) class, .magic = SLAB_MAGIC};
    for (size_t at = SLAB_HEAD; at + class_size[class] <= PAGE_SIZE; at += class_size[class]) {
        struct piece *piece = (struct piece *)((char *)s + at);
        piece->next = s->free;
        s->free = piece;
    }
    partial_add(s);
    return s;
}

static void *alloc_block(size_t bytes)
{
    unsigned order = order_of(bytes);
    mfn_t mfn = frame_alloc(order, DOMID_XEN, FRAME_ALLOC_ZERO);

    if (!mfn_valid(mfn))
        return NULL;
    __atomic_fetch_add(&heap.used, PAGE_SIZE << order, __ATOMIC_RELAXED);
    return frame_map(mfn);
}

void *heap_alloc(size_t bytes)
{
    unsigned class = class_of(bytes);

    if (bytes > 1UL << 40)
        return NULL;
    if (class == CLASSES)
        return alloc_block(bytes);
    spin_lock(&heap.lock);
    struct slab *s = heap.partial[class];
    if (!s)
        s = slab_new(class);
    struct piece *piece = s ? s->free : NULL;
    if (piece) {
        s->free = piece->next;
        s->used++;
        if (!s->free)
            partial_remove(s);
        __atomic_fetch_add(&heap.used, class_size[class], __ATOMIC_RELAXED);
    }
    spin_unlock(&heap.lock);
    if (piece)
        memset(piece, 0, class_size[class]);
    return piece;
}

void *heap_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return heap_alloc(bytes);
}

void heap_free(void *p)
{
    if (!p)
        return;
    if (((uintptr_t)p & ~PAGE_MASK) == 0) {
        mfn_t mfn = mfn_of_va(p);
        unsigned order = frame_of(mfn)->order;
        __atomic_fetch_sub(&heap.used, PAGE_SIZE << order, __ATOMIC_RELAXED);
        frame_free(mfn, order);
        return;
    }
    struct slab *s = (struct slab *)((uintptr_t)p & PAGE_MASK);
    ASSERT(s->magic == SLAB_MAGIC);

    spin_lock(&heap.lock);
    struct piece *piece = p;
    bool was_full = !s->free;
    piece->next = s->free;
    s->free = piece;
    s->used--;
    __atomic_fetch_sub(&heap.used, class_size[s->class], __ATOMIC_RELAXED);
    if (s->used == 0) {
        if (!was_full)
            partial_remove(s);
        s->magic = 0;
        frame_free(mfn_of_va(s), 0);
    } else if (was_full) {
        partial_add(s);
    }
    spin_unlock(&heap.lock);
}

uint64_t heap_used_bytes(void)
{
    return __atomic_load_n(&heap.used, __ATOMIC_RELAXED);
}
