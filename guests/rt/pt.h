/* SPDX-License-Identifier: MIT */
/*
 * Page tables under the rules of Xen's direct paging: a page that is a table is mapped read-only
 * everywhere, is reached by its frame number, and changes by hypercall alone. For threads on vCPU
 * 0.
 *
 * The kernel's space is the one that the guest was started on. A user space is a pair of roots: the
 * kernel one has the kernel's upper half plus the user half, the user one the user half only; the
 * hypervisor switches between them.
 */
#ifndef RT_PT_H
#define RT_PT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#define PTE_P    0x001UL
#define PTE_RW   0x002UL
#define PTE_US   0x004UL
#define PTE_PWT  0x008UL
#define PTE_PCD  0x010UL
#define PTE_A    0x020UL
#define PTE_D    0x040UL
#define PTE_NX   0x8000000000000000UL
#define PTE_ADDR 0x000ffffffffff000UL

#define PTE_KERNEL (PTE_P | PTE_RW | PTE_A | PTE_D)
#define PTE_TABLE  (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

#define PT_USER_END 0x0000800000000000UL

/* The root of the kernel's own space. */
uint64_t *pt_kernel_root(void);

/* The L1 entry of va below `root`, NULL if a table is missing; with `make` missing tables are
 * added. Tables are never written through this pointer. `make` for kernel addresses is legal on the
 * kernel's root only. */
uint64_t *pt_walk(uint64_t *root, unsigned long va, bool make);

/* Sets one entry, whose page belongs to this domain, and flushes nothing. */
int pt_write(uint64_t *entry, uint64_t value);

/* A new page (from page_alloc(0), content kept) becomes a table page, and one that is in no table
 * any more memory again. */
int pt_make_table(void *page);
int pt_make_memory(void *page);

/* TLB of all vCPUs of this domain. */
void pt_flush_all(void);

/* Set-up, called once by the runtime, before anything else here. */
void pt_init(void);

struct pt_space {
    uint64_t *kernel_root; /* L4: kernel half and user half */
    uint64_t *user_root;   /* L4: user half */
};

/* A space with an empty user half. 0, or -XEN_ENOMEM. */
int pt_space_create(struct pt_space *space);

/* Frees all user pages and tables of a space that no vCPU is on. */
void pt_space_destroy(struct pt_space *space);

/* Maps a page of this domain (from page_alloc(0), now owned by the space) at user address va. 0,
 * -XEN_ENOMEM, -XEN_EEXIST if something is there, -XEN_EINVAL for a kernel address. */
int pt_space_map(struct pt_space *space, unsigned long va, void *page, bool write, bool exec);

/* Takes the page at va away and frees it; 1, or 0 if there was none. The space is the calling
 * vCPU's. */
unsigned pt_space_unmap(struct pt_space *space, unsigned long va);

/* The page that is mapped at va, or NULL; *write tells whether user mode may write it (may be
 * NULL). */
void *pt_space_lookup(struct pt_space *space, unsigned long va, bool *write);

/* Makes the calling vCPU run on it; NULL: on the kernel's own space, with no user half. */
void pt_space_switch(const struct pt_space *space);

#endif
