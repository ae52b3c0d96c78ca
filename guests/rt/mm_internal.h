/* SPDX-License-Identifier: MIT */
/* Between the memory files of the runtime (mm.c, page.c, pt.c, map.c) only. */
#ifndef RT_MM_INTERNAL_H
#define RT_MM_INTERNAL_H

#include <stdint.h>

/* All pages [first, end) become free; `orders` has room for `end` bytes. */
void page_init(uint8_t *orders, unsigned long first, unsigned long end);

/* The machine address of a page-table entry, as mmu_update wants it. */
uint64_t pt_entry_maddr(const uint64_t *entry);

#endif
