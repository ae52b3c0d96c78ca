/* SPDX-License-Identifier: MIT */
#include "pagetable.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>
#include <rt/trap.h>

#define SCRATCH 0x0000300000000000ul /* the address whose entry is stored to */
#define ALIAS   0x0000310000000000ul /* where its table is mapped writable */

static unsigned faults;
static unsigned long fault_address, fault_error;

static bool skip_fault(struct trap_regs *regs)
{
    faults++;
    fault_address = trap_fault_address();
    fault_error = regs->error;
    regs->rip = regs->rbx;
    return true;
}

/* Stores of `value` over `old`, one function for each form. A fault goes on behind it. */
typedef void (*store_fn)(volatile uint64_t *entry, uint64_t old, uint64_t value);

static void store_mov(volatile uint64_t *entry, uint64_t old, uint64_t value)
{
    (void)old;
    asm volatile("lea 1f(%%rip), %%rbx\n\tmovq %1, (%0)\n1:"
                 :
                 : "r"(entry), "r"(value)
                 : "rbx", "memory");
}

static void store_xchg(volatile uint64_t *entry, uint64_t old, uint64_t value)
{
    (void)old;
    asm volatile("lea 1f(%%rip), %%rbx\n\txchgq %0, (%1)\n1:"
                 : "+r"(value)
                 : "r"(entry)
                 : "rbx", "memory");
}

static void store_cmpxchg(volatile uint64_t *entry, uint64_t old, uint64_t value)
{
    asm volatile("lea 1f(%%rip), %%rbx\n\tlock cmpxchgq %2, (%1)\n1:"
                 : "+a"(old)
                 : "r"(entry), "r"(value)
                 : "rbx", "memory", "cc");
}

/* All bits of both, then those of the new one. In between it names the frame whose number has the
 * bits of both: choose_pages() sees to it that this is one of the two. */
static void store_logic(volatile uint64_t *entry, uint64_t old, uint64_t value)
{
    (void)old;
    asm volatile("lea 1f(%%rip), %%rbx\n\tlock orq %1, (%0)\n\tlock andq %1, (%0)\n1:"
                 :
                 : "r"(entry), "r"(value)
                 : "rbx", "memory", "cc");
}

/* A bit that the processor ignores. */
static bool bit_store_works(volatile uint64_t *entry)
{
    faults = 0;
    asm volatile("lea 1f(%%rip), %%rbx\n\tlock btsq $9, (%0)\n1:"
                 :
                 : "r"(entry)
                 : "rbx", "memory", "cc");
    if (!faults && (*entry & 1 << 9))
        return true;
    printf("rtcheck: bts to a page table: %u faults, entry %lx\n", faults, (unsigned long)*entry);
    return false;
}

static const struct {
    const char *name;
    store_fn store;
} forms[] = {
    {"mov", store_mov},
    {"xchg", store_xchg},
    {"cmpxchg", store_cmpxchg},
    {"or, and", store_logic},
};

static uint64_t entries[2]; /* of two pages with different content */

/* Both entries in turn, by each form, through `entry`; the address below has to follow. */
static bool stores_work(volatile uint64_t *entry)
{
    volatile uint64_t *page = (volatile uint64_t *)SCRATCH;

    for (unsigned i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        for (unsigned n = 0; n < 2; n++) {
            faults = 0;
            forms[i].store(entry, *entry, entries[n]); /* Xen adds flags of its own */
            pt_flush_all();
            if (faults || (*entry & PTE_ADDR) != (entries[n] & PTE_ADDR) || *page != n) {
                printf("rtcheck: %s to a page table: %u faults, entry %lx\n", forms[i].name, faults,
                       (unsigned long)*entry);
                return false;
            }
        }
    return bit_store_works(entry);
}

static bool store_faults(volatile uint64_t *entry)
{
    faults = 0;
    store_mov(entry, entries[1], entries[0]);
    if (faults == 1 && fault_address == (unsigned long)entry && (fault_error & 3) == 3 &&
        (*entry & PTE_ADDR) == (entries[1] & PTE_ADDR))
        return true;
    printf("rtcheck: a store to a read-only page table: %u faults, entry %lx\n", faults,
           (unsigned long)*entry);
    return false;
}

#define ORDER 6

/* Two pages of the block, the bits of the one's frame number among the other's. */
static bool choose_pages(char *block, void *pages[2])
{
    for (unsigned i = 0; i < 1u << ORDER; i++)
        for (unsigned k = 0; k < 1u << ORDER; k++) {
            pages[0] = block + i * PAGE_SIZE;
            pages[1] = block + k * PAGE_SIZE;
            if (i != k && (virt_to_mfn(pages[0]) | virt_to_mfn(pages[1])) == virt_to_mfn(pages[1]))
                return true;
        }
    return false;
}

/* The entry of SCRATCH, in a table that is in use; NULL: it cannot be made. */
static uint64_t *set_up(char *block)
{
    uint64_t *entry = pt_walk(pt_kernel_root(), SCRATCH, true);
    void *pages[2];

    if (!entry || !choose_pages(block, pages))
        return NULL;
    for (uint64_t n = 0; n < 2; n++) {
        *(uint64_t *)pages[n] = n;
        entries[n] = virt_to_mfn(pages[n]) << 12 | PTE_KERNEL | PTE_US;
    }
    if (pt_write(entry, entries[1]) < 0 || *(volatile uint64_t *)SCRATCH != 1)
        return NULL;
    return entry;
}

static bool read_only_mapping(uint64_t *entry, bool assist)
{
    bool work = (assist || start_is_dom0()) && start_option_u64("stores", 1);
    unsigned cmd = assist ? VMASST_CMD_enable : VMASST_CMD_disable;

    if (hypercall_vm_assist(cmd, VMASST_TYPE_writable_pagetables))
        return false;
    return work ? stores_work(entry) : store_faults(entry);
}

/* The entry, mapped writable; NULL: it cannot be, as on Xen. */
static volatile uint64_t *map_writable(const uint64_t *entry)
{
    uint64_t *alias_entry = pt_walk(pt_kernel_root(), ALIAS, true);
    long rc =
        alias_entry ? pt_write(alias_entry, virt_to_mfn(entry) << 12 | PTE_KERNEL | PTE_US) : -1;

    pt_flush_all();
    return rc < 0 ? NULL : (volatile uint64_t *)(ALIAS + ((unsigned long)entry & (PAGE_SIZE - 1)));
}

static bool writable_mapping(const uint64_t *entry)
{
    volatile uint64_t *alias = map_writable(entry);

    return !alias || stores_work(alias);
}

/* The table that maps the very code and stack that run: if its shadow is dropped for the store, the
 * next instruction needs it again. */
static bool table_of_its_own(void)
{
    const uint64_t *entry = pt_walk(pt_kernel_root(), (unsigned long)table_of_its_own, false);
    volatile uint64_t *alias = entry ? map_writable(entry) : NULL;

    faults = 0;
    for (unsigned i = 0; alias && i < 100; i++) {
        store_xchg(alias, *alias, *alias);
        pt_flush_all();
    }
    return entry && !faults;
}

bool check_table_stores(void)
{
    char *block = page_alloc(ORDER);
    uint64_t *entry = block ? set_up(block) : NULL;
    bool ok;

    if (!entry)
        return false;
    trap_set_handler(14, skip_fault);
    ok = read_only_mapping(entry, false) && read_only_mapping(entry, true) &&
         read_only_mapping(entry, false) && writable_mapping(entry) && table_of_its_own();
    trap_set_handler(14, NULL);
    ok &= pt_write(pt_walk(pt_kernel_root(), ALIAS, true), 0) == 0 && pt_write(entry, 0) == 0;
    pt_flush_all();
    page_free(block, ORDER);
    return ok;
}
