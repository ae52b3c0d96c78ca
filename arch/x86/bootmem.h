/* SPDX-License-Identifier: MIT */
/*
 * Memory before there is a frame allocator: pages taken from the ends of free RAM ranges. What is
 * left over goes to mm/frame.c, once. For arch/x86 during boot only.
 */
#ifndef ARCH_X86_BOOTMEM_H
#define ARCH_X86_BOOTMEM_H

#include <stdbool.h>
#include <stdint.h>

#include "mm/types.h"

/* RAM of boot_info less the first MiB, the image and the modules. Allocations stay below 4 GiB (the
 * early map). */
void bootmem_init(void);
void bootmem_no_limit(void); /* all RAM is mapped now */

/* `pages` pages, contiguous and aligned to `align` bytes (a power of two), with whatever is in
 * them; 0: no room. */
maddr_t bootmem_take(uint64_t pages, uint64_t align);
/* One zeroed page; 0: no room. */
maddr_t bootmem_page(void);
/* Gives the rest to the frame allocator; from now on bootmem is closed. */
void bootmem_finish(void);
bool bootmem_open(void);

/* One past the last byte of RAM. */
maddr_t bootmem_ram_end(void);

#endif
