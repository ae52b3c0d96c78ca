/* SPDX-License-Identifier: MIT */
/*
 * Memory: pages of this domain, and windows on frames of others. Also here, declared by <stdlib.h>:
 * malloc, calloc, realloc, free (16-byte aligned). For threads on vCPU 0 only, never event
 * handlers.
 *
 * All of the domain's pages are mapped at MM_VIRT_BASE + pfn * 4096 (what does not fit below
 * MM_DIRECT_END is left unused). A frame number ("mfn" in the Xen headers) is opaque: neighbours in
 * pfn have unrelated ones.
 */
#ifndef RT_MM_H
#define RT_MM_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define MM_VIRT_BASE   0xffffffff80000000UL
#define MM_DIRECT_END  0xfffffffff0000000UL /* 1.75 GiB of memory at most */
#define MM_WINDOW_BASE 0xffffc00000000000UL /* map_frames() and grants: 1 GiB */
#define MM_ORDER_MAX   12                   /* the largest allocation is 2^12 pages */

/* 2^order pages, zeroed, contiguous in virtual addresses and pfn (not in frames), aligned to their
 * size in pfn. NULL if there are none. page_free() takes the same order. */
void *page_alloc(unsigned order);
void page_free(void *pages, unsigned order);

/* The same, not zeroed: whatever the last user left, or the allocator (16 bytes at the start of
 * each page that a free block began with). */
void *page_alloc_dirty(unsigned order);

/* Pages usable by the allocator, and those free now. Both change as the balloon does (balloon.h).
 */
unsigned long mm_total_pages(void);
unsigned long mm_free_pages(void);

/* Bytes that malloc has given out and not got back, its headers excluded. */
size_t malloc_bytes_used(void);

/* The frame of an address in the direct map (page_alloc, malloc, statics, stacks), not of
 * map_frames() areas. */
xen_pfn_t virt_to_mfn(const void *va);

/* The page of this domain that has that frame; the frame must be one of this domain's. */
void *mfn_to_virt(xen_pfn_t mfn);

static inline unsigned long virt_to_pfn(const void *va)
{
    return ((unsigned long)va - MM_VIRT_BASE) >> PAGE_SHIFT;
}

static inline void *pfn_to_virt(unsigned long pfn)
{
    return (void *)(MM_VIRT_BASE + (pfn << PAGE_SHIFT));
}

/* Access for map_frames(). Nothing mapped there is executable. */
#define MAP_READ     0
#define MAP_WRITE    1
#define MAP_UNCACHED 2

/*
 * Maps n frames at contiguous new addresses: frames of another domain `dom` (needs the privilege),
 * of this one (DOMID_SELF), or of devices (DOMID_IO). errs == NULL: all or nothing, NULL when one
 * fails. Otherwise errs[i] is 0 or the negative errno of frame i, and failed pages are holes; NULL
 * then only means: no room.
 */
void *map_frames(const xen_pfn_t *frames, unsigned n, domid_t dom, int prot, int *errs);
void unmap_frames(void *va, unsigned n);

/* For grant.c: n pages of address space with page tables and empty entries; 0 if there is no room.
 */
unsigned long map_reserve(unsigned n);
void map_release(unsigned long va, unsigned n);

/* Set-up, called once by the runtime. boot_sp is any address in the builder's boot stack. */
void mm_init(unsigned long boot_sp);

#endif
