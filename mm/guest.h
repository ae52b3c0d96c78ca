/* SPDX-License-Identifier: MIT */
/*
 * The one gate to the current guest's virtual memory. Addresses are the running vCPU's, through the
 * root that is loaded; the hypervisor's hole is refused. A fault first tries a shadow fill, then
 * gives -XEN_EFAULT. Each value is copied once; the caller checks its copy.
 */
#ifndef MM_GUEST_H
#define MM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/errno.h>

#include "arch/x86/words.h"
#include "hv/arch.h"

/* 0 or -XEN_EFAULT; nothing is promised about dst after a failure. */
static inline long guest_read(void *dst, uint64_t guest_va, size_t bytes)
{
    return arch_copy_from_guest(dst, guest_va, bytes) ? -XEN_EFAULT : 0;
}

static inline long guest_write(uint64_t guest_va, const void *src, size_t bytes)
{
    return arch_copy_to_guest(guest_va, src, bytes) ? -XEN_EFAULT : 0;
}

/* A structure of whole words, known to the compiler. */
#define guest_read_struct(item, guest_va)                                                  \
    (__extension__({                                                                       \
        _Static_assert(sizeof *(item) % sizeof(uint64_t) == 0, "whole words");             \
        arch_read_words((uint64_t *)(item), (guest_va), sizeof *(item) / sizeof(uint64_t)) \
            ? 0                                                                            \
            : -XEN_EFAULT;                                                                 \
    }))

/* Element i of an array at a guest address; overflow-safe. */
#define guest_read_item(item, guest_va, i) \
    guest_read((item), guest_item_va((guest_va), (i), sizeof *(item)), sizeof *(item))
#define guest_write_item(item, guest_va, i) \
    guest_write(guest_item_va((guest_va), (i), sizeof *(item)), (item), sizeof *(item))

/* ~0 (never accessible) on overflow. */
static inline uint64_t guest_item_va(uint64_t base, uint64_t i, size_t size)
{
    uint64_t off, va;
    if (__builtin_mul_overflow(i, (uint64_t)size, &off) || __builtin_add_overflow(base, off, &va))
        return ~0UL;
    return va;
}

/* May `count` items from guest_va on be the guest's at all? Says nothing of what is mapped there.
 */
static inline bool guest_list_ok(uint64_t guest_va, uint64_t count, size_t size)
{
    size_t bytes;

    return !__builtin_mul_overflow(count, size, &bytes) && arch_guest_range(guest_va, bytes);
}

#endif
