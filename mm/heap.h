/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's small-object heap: size classes over whole frames. Contents are zero. Larger
 * than a page: contiguous frames. heap_free needs no size. May be called with any lock before
 * LOCK_HEAP held.
 */
#ifndef MM_HEAP_H
#define MM_HEAP_H

#include <stddef.h>
#include <stdint.h>

void *heap_alloc(size_t bytes);               /* NULL if memory is short */
void *heap_calloc(size_t count, size_t size); /* overflow-safe */
void heap_free(void *p);                      /* NULL is fine */

uint64_t heap_used_bytes(void); /* given out now, for the leak audit */

#endif
