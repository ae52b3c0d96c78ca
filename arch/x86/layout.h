/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's address space as one table: the 16 L4 slots 256..271 that Xen's ABI reserves.
 * For arch/x86, its assembly and linker.ld; nobody else knows these numbers.
 *
 *   slot  from                 what
 *   256   0xffff800000000000   the running domain's machine-to-phys table, read-only for the guest
 *   257   0xffff808000000000   descriptor windows, one per pCPU (GDT 64 KiB, LDT 64 KiB)
 *   258   0xffff810000000000   1 GiB   the image, at its physical address + LAYOUT_IMAGE_BASE
 *         0xffff810040000000   1 GiB   per-pCPU areas, 64 KiB each
 *         0xffff810080000000   1 GiB   device registers and firmware tables (arch_map_mmio)
 *         0xffff810100000000   252 GiB the frame table
 *   259   0xffff818000000000   unused, up to slot 263
 *   264   0xffff840000000000   4 TiB   all RAM, at LAYOUT_RAM + machine address
 *
 * Everything from slot 257 on is the same in every root table: they share the L3 tables.
 */
#ifndef ARCH_X86_LAYOUT_H
#define ARCH_X86_LAYOUT_H

#define LAYOUT_HOLE_START 0xffff800000000000
#define LAYOUT_HOLE_END   0xffff880000000000 /* one past the last byte */

#define LAYOUT_M2P        0xffff800000000000
#define LAYOUT_DESC       0xffff808000000000
#define LAYOUT_DESC_SIZE  0x20000 /* of one pCPU: GDT, then LDT */
#define LAYOUT_DESC_LDT   0x10000 /* offset of the LDT in it */
#define LAYOUT_IMAGE_BASE 0xffff810000000000
#define LAYOUT_IMAGE_PHYS 0x200000 /* where the loader puts the image */
#define LAYOUT_PCPU       0xffff810040000000
#define LAYOUT_MMIO       0xffff810080000000
#define LAYOUT_MMIO_SIZE  0x40000000
#define LAYOUT_FRAMES     0xffff810100000000
#define LAYOUT_FRAMES_END 0xffff814000000000
#define LAYOUT_RAM_SIZE   0x40000000000

#ifndef LAYOUT_RAM /* unit tests have theirs elsewhere */
#define LAYOUT_RAM 0xffff840000000000
#endif

#define LAYOUT_SLOT_FIRST 256
#define LAYOUT_SLOT_LAST  271

/* The area of a pCPU, by page: 0 SYSCALL stubs, 1 struct pcpu, 3..6 main stack, then one page per
 * IST stack; all other pages are guards. The top of a stack lies inside the same 64 KiB as its
 * bytes, so the area is found from any stack pointer. */
#define PCPU_AREA_SIZE      0x10000
#define PCPU_AREA_DATA      0x1000
#define PCPU_AREA_STACK     0x3000
#define PCPU_AREA_STACK_TOP 0x7000
#define PCPU_AREA_NMI_TOP   0x9000
#define PCPU_AREA_DF_TOP    0xb000
#define PCPU_AREA_MC_TOP    0xd000
#define PCPU_AREA_DB_TOP    0xf000

#endif
