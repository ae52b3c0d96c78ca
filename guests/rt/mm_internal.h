/* SPDX-License-Identifier: MIT */
/* Between the memory files of the runtime (mm.c, page.c, pt.c, map.c) only. */
#ifndef RT_MM_INTERNAL_H
#define RT_MM_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#define FRAME_NONE (~0UL) /* in mm_frames: this pfn has no frame now */

/* The frame of each pfn below mm_limit: the builder's list, or a longer one. Changed by balloon.c
 * alone; read by everybody, on any vCPU. */
extern xen_pfn_t *mm_frames;
extern unsigned long mm_limit;

/* Longer lists, with room for pfns below `limit`: their frames are FRAME_NONE. 0, -XEN_EINVAL
 * beyond the direct map's end, -XEN_ENOMEM. */
int mm_extend(unsigned long limit);

/* Maps pfns of the direct map to their frames, or with FRAME_NONE unmaps them everywhere in this
 * domain. They are MM_BATCH at most, and their page tables exist. */
#define MM_BATCH 64
void mm_map_pfns(const unsigned long *pfns, unsigned n);

/* All pages [first, end) become free; `orders` has room for `end` bytes. */
void page_init(uint8_t *orders, unsigned long first, unsigned long end);

/* A free page leaves the allocator, its pfn in *pfn; false if there is none. A mapped page that the
 * allocator does not know becomes free. */
bool page_withdraw(unsigned long *pfn);
void page_admit(unsigned long pfn);

/* A longer list of orders, copied and used from now on. */
void page_extend(uint8_t *orders, unsigned long limit);

/* The machine address of a page-table entry, as mmu_update wants it. */
uint64_t pt_entry_maddr(const uint64_t *entry);

#endif
