/* SPDX-License-Identifier: MIT */
/* Questions about page tables: frames of others, the hypervisor's part, tables that are not what
 * they should be. */
#include "hostile.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>
#include <rt/trap.h>

#define SCRATCH 0x0000200000000000UL

static uint64_t *scratch_entry(void)
{
    return pt_walk(pt_kernel_root(), SCRATCH, true);
}

static long update(uint64_t *entry, uint64_t value)
{
    struct mmu_update u = {
        .ptr = (virt_to_mfn(entry) << 12 | ((uintptr_t)entry & 4095)) | MMU_NORMAL_PT_UPDATE,
        .val = value,
    };
    return hypercall_mmu_update(&u, 1, NULL, DOMID_SELF);
}

static void hypervisor_slots(void)
{
    uint64_t *root = pt_kernel_root();

    for (unsigned slot = 256; slot < 272; slot += 5)
        expect_refused("an L4 slot of the hypervisor's",
                       update(&root[slot], virt_to_mfn(root) << 12 | PTE_TABLE));
}

static volatile unsigned faults;
static unsigned long resume_at;

static bool skip(struct trap_regs *r)
{
    faults++;
    r->rip = resume_at;
    return true;
}

static void touch(volatile uint64_t *p)
{
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov (%1), %%rax; 1:"
                 : "=m"(resume_at)
                 : "r"(p)
                 : "rax", "memory");
}

static void foreign_frames(void)
{
    uint64_t *e = scratch_entry();
    struct mmu_update u = {.ptr = virt_to_mfn(e) << 12, .val = PTE_KERNEL};

    /* A table in use: one that is not is only memory, and a write to it only data. */
    trap_set_handler(14, skip);
    expect("a page of its own", update(e, virt_to_mfn(page_alloc(0)) << 12 | PTE_KERNEL), 0);
    touch((volatile uint64_t *)SCRATCH);
    expect("faults when touched", faults, 0);
    expect_refused("a frame beyond its memory", update(e, 0x7fff000UL << 12 | PTE_KERNEL));
    expect_refused("the local APIC", update(e, 0xfee00000UL | PTE_KERNEL));
    expect_refused("device memory", update(e, 0xfe000000UL | PTE_KERNEL));
    expect_refused("the last frame there can be", update(e, PTE_ADDR | PTE_KERNEL));
    expect_refused("a frame of domain 0", hypercall_mmu_update(&u, 1, NULL, 0));
    expect_refused("an I/O frame", hypercall_raw(__HYPERVISOR_update_va_mapping_otherdomain,
                                                 SCRATCH, 0xfee00000UL | PTE_KERNEL, 0, DOMID_IO));
    expect_refused("an entry in a frame that is not its own",
                   hypercall_raw(__HYPERVISOR_update_va_mapping, 0xffff800000000000UL, 0, 0, 0));
}

static void store(volatile uint64_t *p, uint64_t value)
{
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov %2, (%1); 1:"
                 : "=m"(resume_at)
                 : "r"(p), "r"(value)
                 : "rax", "memory");
}

/* Entries that the hypercalls refuse, by plain stores to a live table, then used. */
static void forged_entries(void)
{
    static const uint64_t forged[] = {
        0x7fff000UL << 12 | PTE_KERNEL,    /* a hole */
        0xfee00000UL | PTE_KERNEL,         /* the local APIC */
        PTE_ADDR | PTE_KERNEL,             /* reserved bits */
        0x7ff0000000000000UL | PTE_KERNEL, /* frame 0 with every ignored bit */
        (1UL << 36) << 12 | PTE_KERNEL,    /* the window's first gfn */
    };

    trap_set_handler(14, skip);
    hypercall_vm_assist(VMASST_CMD_enable,
                        VMASST_TYPE_writable_pagetables); /* or all are refused */
    uint64_t *e = scratch_entry();
    unsigned i = (unsigned)start_option_u64("entry", 0) % (sizeof forged / sizeof forged[0]);

    update(e, virt_to_mfn(page_alloc(0)) << 12 | PTE_KERNEL);
    touch((volatile uint64_t *)SCRATCH);
    printf("hostile: storing entry %u, %lx\n", i, (unsigned long)forged[i]);
    store(e, forged[i]); /* to a live table: emulated, let through, or refused by a fault */
    pt_flush_all();
    printf("hostile: the table has %lx\n", (unsigned long)*e);
    touch((volatile uint64_t *)SCRATCH);
    printf("hostile: %u faults\n", faults);
}

/* Its own tables, writable; then nonsense in one that is in use. */
static void writable_tables(void)
{
    uint64_t *e = scratch_entry();
    uint64_t *table = (uint64_t *)((uintptr_t)e & ~4095UL);
    uint64_t *alias = (uint64_t *)(SCRATCH + 0x5000);
    uint64_t *ae = pt_walk(pt_kernel_root(), (uintptr_t)alias, true);

    trap_set_handler(14, skip);
    printf("hostile: mapping a live table writable: %ld\n",
           update(ae, virt_to_mfn(table) << 12 | PTE_KERNEL));
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 16; i < 512; i++)
            ((volatile uint64_t *)alias)[i] = round & 1 ? 0 : i << 12 | PTE_KERNEL;
        for (unsigned i = 16; i < 512; i += 37)
            touch((volatile uint64_t *)(SCRATCH + i * 4096));
    }
    printf("hostile: %u faults\n", faults);
}

/* L4 slots and lower entries that point back at their own table (linear page tables). */
static void recursive_tables(void)
{
    uint64_t *root = pt_kernel_root();
    long rc = update(&root[100], virt_to_mfn(root) << 12 | PTE_TABLE);

    trap_set_handler(14, skip);
    printf("hostile: an L4 entry that names its own table: %ld\n", rc);
    touch((volatile uint64_t *)(100UL << 39));
    touch((volatile uint64_t *)(100UL << 39 | 100UL << 30));
    touch((volatile uint64_t *)(100UL << 39 | 100UL << 30 | 100UL << 21));
    touch((volatile uint64_t *)(100UL << 39 | 100UL << 30 | 100UL << 21 | 100UL << 12));
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; movq $0x67, (%1); 1:"
                 : "=m"(resume_at)
                 : "r"(100UL << 39 | 100UL << 30 | 100UL << 21 | 100UL << 12 | 101 * 8)
                 : "rax", "memory");
    update(&root[101], 0);
    expect("slot emptied again", update(&root[100], 0), 0);
    printf("hostile: %u faults\n", faults);
}

/* In the tables that map SCRATCH, from the root down: large pages are refused at the levels where
 * the processor has them. */
static void superpages(void)
{
    uint64_t *e = scratch_entry(), *table = pt_kernel_root();

    update(e, virt_to_mfn(page_alloc(0)) << 12 | PTE_KERNEL);
    touch((volatile uint64_t *)SCRATCH);
    for (unsigned shift = 39; shift > 21; shift -= 9) {
        table = mfn_to_virt((table[SCRATCH >> shift & 511] & PTE_ADDR) >> 12);
        expect_refused("a large page", update(&table[5], 0x200000 | PTE_TABLE | 0x80));
    }
}

static void bad_root(void)
{
    struct mmuext_op op = {.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = 0x7fffffff};

    expect_refused("a root that is not its memory", hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF));
    op.cmd = MMUEXT_PIN_L4_TABLE;
    expect_refused("pinning what is not its memory", hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF));
    op.cmd = MMUEXT_CLEAR_PAGE;
    expect_refused("clearing what is not its memory",
                   hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF));
    op.cmd = MMUEXT_NEW_BASEPTR;
    op.arg1.mfn = virt_to_mfn(page_alloc(0));
    printf("hostile: an empty page as root\n");
    hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF); /* nothing is mapped from here on */
}

const struct question memory_questions[] = {
    {"foreign-frames", "entries that name frames of others", foreign_frames},
    {"hv-slots", "L4 slots of the hypervisor", hypervisor_slots},
    {"forged", "stores of entries that no hypercall would take", forged_entries},
    {"writable-tables", "its own tables mapped writable, and nonsense in them", writable_tables},
    {"recursive", "tables that name themselves", recursive_tables},
    {"superpages", "large pages", superpages},
    {"bad-root", "roots that are none", bad_root},
    {NULL, NULL, NULL},
};
