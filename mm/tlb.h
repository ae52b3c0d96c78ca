/* SPDX-License-Identifier: MIT */
/*
 * When may an address translation still be cached? (Invariant S3.)
 *
 * A global clock counts flush moments. Each pCPU notes the clock whenever it flushed all its guest
 * translations (every CR3 load does, without PCID). A frame or shadow page stamped at time t is
 * safe once each pCPU's note is later than t.
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/config.h"

extern uint64_t tlb_now; /* atomic */
struct tlb_pcpu {
    uint64_t noted;   /* written by its pCPU, read by all */
    uint64_t request; /* atomic maximum, written by all: be flushed later than this */
    bool waits;       /* tlb_wait_begin(); written by its pCPU, read by all */
} __attribute__((aligned(64)));
extern struct tlb_pcpu tlb_pcpu[PCPU_MAX]; /* mm/tlb.c and the two functions below alone */

uint64_t tlb_stamp(void);            /* the present time: whatever was unmapped before is older */
bool tlb_stamp_safe(uint64_t stamp); /* every online pCPU flushed since */
void tlb_wait_safe(uint64_t stamp);  /* makes it so: IPIs to the pCPUs that did not; waits */

/*
 * Called by arch code around dropping all guest translations of this pCPU (a CR3 load): the time is
 * read before the flush begins, because the processor may load an old entry again right after it,
 * and made known after it ended.
 */
static inline uint64_t tlb_flush_begin(void)
{
    return __atomic_load_n(&tlb_now, __ATOMIC_SEQ_CST);
}
/* The flush itself orders what was before it; readers may see the older note for a while, and then
 * only flush once more than need be. */
static inline void tlb_flush_end(unsigned pcpu, uint64_t began)
{
    __atomic_store_n(&tlb_pcpu[pcpu].noted, began, __ATOMIC_RELEASE);
}
/* Both in one, for a pCPU that cannot have loaded anything since (at its start). */
void tlb_note_flushed(void);

bool tlb_flushed_since(uint64_t stamp); /* this pCPU */

/* All translations of the domain's vCPUs in `pcpus` (mask), this one included if its bit is set;
 * waits, but not for pCPUs that wait themselves. */
void tlb_flush_pcpus(uint64_t pcpus);
/* Only those that did not since the stamp; false: there was none. */
bool tlb_flush_pcpus_since(uint64_t pcpus, uint64_t stamp);
void tlb_flush_local(void);
void tlb_flush_va_local(uint64_t va);

/* An IPI (or a poll while spinning) arrived: serve requests from others. */
void tlb_serve_requests(void);

/*
 * Around each wait for a lock or for another pCPU. Who waits uses no translation of a guest until
 * it goes on, so nobody has to wait for its flush: the request is left to it, and served before the
 * second of these returns. That is enough where an entry was removed or narrowed
 * (tlb_flush_pcpus_since). It is not where a table or frame is used again (tlb_wait_safe): the
 * processor may walk tables ahead of what it is told to do, and mark entries as accessed.
 */
void tlb_wait_begin(void);
void tlb_wait_end(void);

#endif
