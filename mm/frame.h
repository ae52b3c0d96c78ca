/* SPDX-License-Identifier: MIT */
/*
 * Machine frames: who owns each, how many references it has, and the free lists.
 *
 * A frame is free, the hypervisor's own (owner DOMID_XEN), or a domain's. Ownership is one
 * reference, each p2m alias in another domain (grant or foreign map) and each hypervisor hold is
 * one more. When the last goes, the frame returns to the free lists, stamped with the TLB clock
 * (invariant S3): it is given out again only after every pCPU has flushed since the stamp, and
 * scrubbed before a domain sees it.
 *
 * MMIO has no frame record: frame_of() is NULL there.
 */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include <stddef.h>
#include "hv/arch.h"
#include "mm/types.h"

struct frame {
    uint32_t refs;     /* atomic; 0 = free */
    uint16_t owner;    /* domid; DOMID_XEN for the hypervisor, DOMID_INVALID when free (but a spare
                          keeps its own) */
    uint8_t order;     /* of the block that it heads while free or allocated as a block */
    uint8_t flags;     /* FRAME_* */
    uint64_t stamp;    /* TLB clock when the last mapping went (S3) */
    uint32_t writers;  /* atomic: writable aliases in other domains and hypervisor holds; not to be
                          shadowed (S4) */
    uint32_t gfn_hint; /* unused by frame.c: low bits of the owner's gfn, for debugging */
    struct frame *next, *prev; /* free list */
};

#define FRAME_RAM                                                                   \
    1 /* usable memory (the frame table also covers holes below the last RAM frame) \
       */
#define FRAME_DIRTY 2 /* must be scrubbed before another domain sees it */

/* At boot, before anything else here: memory for the records of frames 0 .. count - 1, count *
 * sizeof(struct frame) bytes, 8-aligned; it is cleared. */
void frame_table_init(void *table, uint64_t count);
/* Gives the RAM range [start, end) (machine bytes; rounded inwards to pages) to the allocator, at
 * boot. */
void frame_add_range(maddr_t start, maddr_t end);

/* 2^order contiguous frames, aligned to their size, owned by `owner` with one reference each;
 * contents zero if `owner` is a domain or zero is asked for. INVALID_MFN if memory is short.
 * Flushes remote TLBs when stamps ask for it. */
mfn_t frame_alloc(unsigned order, uint16_t owner, unsigned flags);
#define FRAME_ALLOC_ZERO 1
void frame_free(
    mfn_t mfn,
    unsigned order); /* the hypervisor's own block, from frame_alloc(.., DOMID_XEN, ..) */

/*
 * A living domain gives a frame of its own back and may soon take one again: frame_put(), but if it
 * was the last reference, and no other domain had the frame mapped, it waits as a spare of this
 * pCPU for frame_alloc_spare(), with its content, neither scrubbed nor flushed from TLBs. Spares
 * count as free, and are given to anybody if memory is short; a domain that ends forgets its own.
 */
void frame_put_spare(struct frame *f);
mfn_t frame_alloc_spare(uint16_t owner); /* INVALID_MFN: there is none; ask frame_alloc() */
void frame_forget_spares(uint16_t owner);

struct frame *frame_of(mfn_t mfn); /* NULL: not RAM */
mfn_t frame_mfn(const struct frame *f);

/* References. frame_get fails (false) if the frame is free or not owned by `owner`. */
bool frame_get(struct frame *f, uint16_t owner);
void frame_put(struct frame *f); /* frees and stamps with the last reference */
/* A mapping of a frame that lives on went just now: who needs to know that nobody has it cached
 * waits for f->stamp. */
void frame_stamp(struct frame *f);

uint64_t frame_free_count(void);
uint64_t frame_total_count(void); /* RAM frames known, used or free */
uint64_t frame_max_mfn(void);     /* one past the last frame that is RAM or becomes it (boot modules
                                     do): the table's size */

/* Content of a frame: the only way to reach it (design: an isolated mode may come that has no map
 * of all memory). The pointer is good until frame_unmap, on this pCPU. */
static inline void *frame_map(mfn_t mfn)
{
    return arch_ram + mfn_to_maddr(mfn);
}

static inline void frame_unmap(void *va)
{
    (void)va; /* all RAM is mapped today */
}

#endif
