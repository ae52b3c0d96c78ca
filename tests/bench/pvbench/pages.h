/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory: a pool of pages for page tables, a fixed array of pages that are only mapped,
 * and the way from an address to a frame number. For every file of the benchmark guest, vCPU 0
 * only.
 *
 * The image is linked at PAGES_VIRT_BASE + its own physical address; the builder maps all of the
 * guest's first memory there.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <stddef.h>
#include <stdint.h>

#define PAGES_VIRT_BASE 0xffffffff80000000UL
#define PAGE_BYTES      4096UL
#define PAGE_ALIGNED    __attribute__((aligned(4096), section(".bss.page")))

#define PAGES_DATA 1024
extern uint8_t pages_data[PAGES_DATA]
                         [PAGE_BYTES]; /* for measured mappings; contents of no interest */

/* The list of frame numbers (start_info.mfn_list) by pfn; kept up to date by who changes it. */
extern uint64_t *pages_frames;

static inline uint64_t pages_pfn(const void *va)
{
    return ((uint64_t)va - PAGES_VIRT_BASE) >> 12;
}

/* The frame number for a page table entry, of any address in the image. */
static inline uint64_t pages_frame(const void *va)
{
    return pages_frames[pages_pfn(va)];
}

static inline uint64_t pages_entry(const void *va, uint64_t bits)
{
    return pages_frame(va) << 12 | bits;
}

/* A page of the pool; panics when there is none. Contents: anything, or zeroes. */
void *pages_take(void);
void *pages_take_zeroed(void);

/* The page must be writable again, and no page table any more. */
void pages_give(void *page);

/* Byte by byte; the compiler may call them. The cost of a cleared page is part of some figures. */
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

#endif
