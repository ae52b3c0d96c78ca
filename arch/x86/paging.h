/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables: everything from L4 slot 257 on, shared by all root tables. For
 * arch/x86 only; guests' tables are mm/'s.
 */
#ifndef ARCH_X86_PAGING_H
#define ARCH_X86_PAGING_H

#include <stddef.h>
#include <stdint.h>

#include "arch/x86/layout.h"
#include "mm/types.h"

/* Once: builds the final tables from bootmem and loads them. Nothing is both writable and
 * executable. */
void x86_paging_init(void);
/* Once, after: the frame table, from bootmem. */
void x86_paging_map_frame_table(void);

/* Loads the root that has no guest part, for a pCPU that runs no vCPU. */
void x86_load_idle_root(void);
maddr_t x86_idle_root(void);

/* Maps [va, va + bytes) of the hypervisor's part to machine memory from `maddr` on with PTE bits
 * `flags`, in the largest pages that fit; va, maddr and bytes are page-aligned and nothing is
 * mapped there yet. -ENOMEM. */
long x86_map(uint64_t va, maddr_t maddr, uint64_t bytes, uint64_t flags);
/* The last-level entry of va, whose table is made if absent; NULL: no memory. */
uint64_t *x86_l1_entry(uint64_t va);
/* A zeroed frame of the hypervisor's, at boot or later: 0 if memory is short. */
maddr_t x86_page_alloc(void);

/* Firmware tables, read-only and cached; never unmapped. */
const void *x86_map_firmware(maddr_t maddr, size_t bytes);

static inline void *x86_ram(maddr_t maddr)
{
    return (void *)(LAYOUT_RAM + maddr);
}

#endif
