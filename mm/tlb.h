/* SPDX-License-Identifier: MIT */
/*
 * When may an address translation still be cached? (Invariant S3.)
 *
 * A global clock counts flush moments. Each pCPU notes the clock whenever it flushed all its guest translations (every CR3
 * load does, without PCID). A frame or shadow page stamped at time t is safe once each pCPU's note is later than t.
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include <stdbool.h>
#include <stdint.h>

struct domain;

uint64_t tlb_stamp(void);              /* the present time: whatever was unmapped before is older */
bool tlb_stamp_safe(uint64_t stamp);   /* every online pCPU flushed since */
void tlb_wait_safe(uint64_t stamp);    /* makes it so: IPIs to the pCPUs that did not; waits */

/* Called by arch code right after this pCPU dropped all its guest translations. */
void tlb_note_flushed(void);

/* All translations of the domain's vCPUs in `pcpus` (mask), this one included if its bit is set; waits. */
void tlb_flush_pcpus(uint64_t pcpus);
void tlb_flush_local(void);
void tlb_flush_va_local(uint64_t va);

/* An IPI (or a poll while spinning) arrived: serve requests from others. */
void tlb_serve_requests(void);

#endif
