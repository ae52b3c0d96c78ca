/* SPDX-License-Identifier: MIT */
/*
 * The kinds of addresses, as distinct C types, so that the compiler refuses to mix them.
 *
 *   gfn_t  a frame number as a guest writes it into its page tables (Xen's headers: mfn or gmfn)
 *   mfn_t  a real machine frame
 *
 * A guest's own contiguous frame number (pfn) never reaches the hypervisor except in the lists of
 * memory_op, where it is a plain xen_pfn_t. Every file may include this header.
 */
#ifndef MM_TYPES_H
#define MM_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1UL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

typedef uint64_t maddr_t; /* machine address, bytes */
typedef uint64_t vaddr_t; /* virtual address, guest's or ours */

typedef struct {
    uint64_t n;
} mfn_t;

typedef struct {
    uint64_t n;
} gfn_t;

#define INVALID_MFN ((mfn_t){~0UL})
#define INVALID_GFN ((gfn_t){~0UL})

static inline mfn_t mfn_of(uint64_t n)
{
    return (mfn_t){n};
}

static inline gfn_t gfn_of(uint64_t n)
{
    return (gfn_t){n};
}

static inline bool mfn_valid(mfn_t m)
{
    return m.n != INVALID_MFN.n;
}

static inline bool gfn_valid(gfn_t g)
{
    return g.n != INVALID_GFN.n;
}

static inline bool mfn_equal(mfn_t a, mfn_t b)
{
    return a.n == b.n;
}

static inline bool gfn_equal(gfn_t a, gfn_t b)
{
    return a.n == b.n;
}

static inline mfn_t maddr_to_mfn(maddr_t a)
{
    return (mfn_t){a >> PAGE_SHIFT};
}

static inline maddr_t mfn_to_maddr(mfn_t m)
{
    return m.n << PAGE_SHIFT;
}

#endif
