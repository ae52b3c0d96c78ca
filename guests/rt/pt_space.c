/* SPDX-License-Identifier: MIT */
/*
 * User address spaces. Both roots of a space point to the same tables of the user half; the
 * kernel's root has the kernel half besides, copied once, because the kernel's own root gets no new
 * entries after start-up. The hypervisor's slots 256 to 271 stay empty. See pt.h.
 */
#include <string.h>

#include "hypercall.h"
#include "mm.h"
#include "pt.h"
#include "start.h"

#define ENTRIES      512
#define USER_SLOTS   256 /* L4 entries of the user half */
#define KERNEL_SLOTS 272 /* the first L4 entry that is the guest kernel's again */

static int root_op(unsigned cmd, const uint64_t *root)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = virt_to_mfn(root)};

    return (int)hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

/* Read-only, pinned, so that the hypervisor checks it once and not at every switch. */
static void root_make(uint64_t *root)
{
    if (pt_make_table(root) || root_op(MMUEXT_PIN_L4_TABLE, root)) {
        panic("the hypervisor refused a root table");
    }
}

int pt_space_create(struct pt_space *space)
{
    const uint64_t *kernel = pt_kernel_root();

    /* Makes the window area's slot exist before it is copied. */
    if (!pt_walk(pt_kernel_root(), MM_WINDOW_BASE, true)) {
        return -XEN_ENOMEM;
    }
    space->kernel_root = page_alloc(0);
    space->user_root = page_alloc(0);
    if (!space->kernel_root || !space->user_root) {
        page_free(space->kernel_root, 0);
        page_free(space->user_root, 0);
        return -XEN_ENOMEM;
    }
    for (unsigned i = KERNEL_SLOTS; i < ENTRIES; i++) {
        space->kernel_root[i] = kernel[i];
    }
    root_make(space->kernel_root);
    root_make(space->user_root);
    return 0;
}

/* Gives back a table of the level (1: with the pages that it maps) that nothing points to any more.
 */
static void table_free(uint64_t *table, int level)
{
    for (unsigned i = 0; i < (level == 4 ? USER_SLOTS : ENTRIES); i++) {
        void *below = table[i] & PTE_P ? mfn_to_virt((table[i] & PTE_ADDR) >> PAGE_SHIFT) : NULL;

        if (below && level > 1) {
            table_free(below, level - 1);
        } else {
            page_free(below, 0);
        }
    }
    if (pt_make_memory(table)) {
        panic("the hypervisor keeps a dead page table");
    }
    page_free(table, 0);
}

void pt_space_destroy(struct pt_space *space)
{
    if (root_op(MMUEXT_UNPIN_TABLE, space->user_root) ||
        root_op(MMUEXT_UNPIN_TABLE, space->kernel_root)) {
        panic("the hypervisor keeps a root table pinned");
    }
    /* What hangs below is in the kernel's root too. */
    if (pt_make_memory(space->user_root)) {
        panic("the hypervisor keeps a dead root table");
    }
    page_free(space->user_root, 0);
    table_free(space->kernel_root, 4);
    space->kernel_root = space->user_root = NULL;
}

/* The L1 entry; missing tables below the kernel's root are made, and the L4 entry is put into the
 * user's root, too. */
static uint64_t *user_entry(struct pt_space *space, unsigned long va)
{
    unsigned slot = va >> 39;
    uint64_t *entry = pt_walk(space->kernel_root, va, true);

    if (entry && !(space->user_root[slot] & PTE_P)) {
        uint64_t l4e = (space->kernel_root[slot] & PTE_ADDR) | PTE_TABLE;

        if (pt_write(&space->user_root[slot], l4e)) {
            panic("the hypervisor refused an entry of a user root");
        }
    }
    return entry;
}

int pt_space_map(struct pt_space *space, unsigned long va, void *page, bool write, bool exec)
{
    uint64_t flags = PTE_P | PTE_US | PTE_A | (write ? PTE_RW | PTE_D : 0) | (exec ? 0 : PTE_NX);
    uint64_t *entry;

    if (va >= PT_USER_END || va % PAGE_SIZE) {
        return -XEN_EINVAL;
    }
    entry = user_entry(space, va);
    if (!entry) {
        return -XEN_ENOMEM;
    }
    if (*entry & PTE_P) {
        return -XEN_EEXIST;
    }
    return pt_write(entry, virt_to_mfn(page) << PAGE_SHIFT | flags);
}

unsigned pt_space_unmap(struct pt_space *space, unsigned long va)
{
    uint64_t *entry = va < PT_USER_END ? pt_walk(space->kernel_root, va, false) : NULL;
    void *page;

    if (!entry || !(*entry & PTE_P)) {
        return 0;
    }
    page = mfn_to_virt((*entry & PTE_ADDR) >> PAGE_SHIFT);
    if (pt_write(entry, 0)) {
        panic("the hypervisor refused to unmap a page");
    }
    pt_flush_all();
    page_free(page, 0);
    return 1;
}

void *pt_space_lookup(struct pt_space *space, unsigned long va, bool *write)
{
    const uint64_t *entry = va < PT_USER_END ? pt_walk(space->kernel_root, va, false) : NULL;

    if (!entry || !(*entry & PTE_P)) {
        return NULL;
    }
    if (write) {
        *write = *entry & PTE_RW;
    }
    return mfn_to_virt((*entry & PTE_ADDR) >> PAGE_SHIFT);
}

void pt_space_switch(const struct pt_space *space)
{
    struct mmuext_op ops[] = {
        {.cmd = MMUEXT_NEW_BASEPTR,
         .arg1.mfn = virt_to_mfn(space ? space->kernel_root : pt_kernel_root())},
        {.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = space ? virt_to_mfn(space->user_root) : 0},
    };

    if (hypercall_mmuext_op(ops, 2, NULL, DOMID_SELF)) {
        panic("the hypervisor refused to switch address spaces");
    }
}
