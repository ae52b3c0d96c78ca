/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables. Each pCPU has a window of 16 GDT pages and 16 LDT pages at a fixed address
 * (layout.h); the running vCPU's sanitised pages are mapped into it, the last two GDT pages are the
 * hypervisor's own. For arch/x86 only.
 */
#ifndef ARCH_X86_DESC_H
#define ARCH_X86_DESC_H

/* Selectors in GDT pages 14 and 15 (entries 7168 and up, FIRST_RESERVED_GDT_ENTRY of the Xen ABI).
 */
#define SEL_HV_CS      0xe008
#define SEL_HV_SS      0xe010
#define SEL_GUEST_CS32 0xe023
#define SEL_GUEST_SS   0xe02b
#define SEL_GUEST_CS   0xe033
#define SEL_TSS        0xe040
#define SEL_LDT        0xe050

/* Interrupt stack table, by number in the gates. */
#define IST_NMI 1
#define IST_DF  2
#define IST_MC  3
#define IST_DB  4

#ifndef __ASSEMBLER__

#include <stdint.h>
#include "mm/types.h"

#define DESC_GDT_ENTRIES_GUEST 7168

struct pcpu;

/* Once, on pCPU 0: the IDT. */
void desc_init(void);
/* Fills the descriptor window of a pCPU, whose page-table entries are at p->desc_l1: `page14`, a
 * zeroed frame, becomes the page of the hypervisor's own descriptors (entries 7168..7679), all
 * others show absent ones. */
void desc_window_create(struct pcpu *p, maddr_t page14);
/* On the pCPU itself: GDTR, IDTR, TSS, segment registers, SYSCALL MSRs. */
void desc_load(struct pcpu *p);

/* On this pCPU: the first `count` pages of the GDT are now these (addresses in the map of all
 * memory), the others of 0..13 the shared page of absent descriptors; so are their pages[], NULL.
 */
void x86_gdt_load_guest(uint64_t *const pages[14], unsigned count);
/* On this pCPU: the LDT is now `entries` descriptors in these pages; 0 entries: none. A look at a
 * NULL page faults, at its place behind x86_ldt_window(). The contents must be sanitised as those
 * of the GDT. */
void x86_ldt_load_guest(uint64_t *const pages[16], unsigned entries);
uint64_t x86_ldt_window(void);

#endif /* __ASSEMBLER__ */
#endif
