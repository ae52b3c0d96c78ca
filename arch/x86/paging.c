/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's part of the address space (layout.h).
 *
 * Rights: text is read and executed, read-only data is read, everything else is read and written,
 * nothing is both written and executed. The map of all RAM would be a back door to text and
 * read-only data: they are read-only there as well.
 *
 * Tables are only ever added to, never removed, and a new one is put in place by
 * compare-and-exchange: no lock. All roots share the L3 tables of the slots in use, so that an
 * addition shows everywhere.
 */
#include "arch/x86/paging.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "arch/x86/bootmem.h"
#include "arch/x86/cpu.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/boot_info.h"
#include "hv/log.h"
#include "mm/frame.h"
#include "mm/tlb.h"

#define SIZE_2M (1UL << 21)
#define SIZE_1G (1UL << 30)

extern const char image_start[], text_end[], rodata_start[], data_start[], image_end[];

static uint64_t idle_root[512] __attribute__((aligned(4096)));

maddr_t x86_page_alloc(void)
{
    mfn_t m;

    if (bootmem_open())
        return bootmem_page();
    m = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
    return mfn_valid(m) ? mfn_to_maddr(m) : 0;
}

static unsigned index_at(uint64_t va, unsigned level)
{
    return (va >> (12 + 9 * (level - 1))) & 511;
}

/* The table below `entry`, made if absent. */
static uint64_t *next_table(uint64_t *entry)
{
    uint64_t old = __atomic_load_n(entry, __ATOMIC_ACQUIRE), none = 0;
    maddr_t fresh;

    if (old & PTE_P)
        return x86_ram(old & PTE_ADDR);
    fresh = x86_page_alloc();
    if (!fresh)
        return NULL;
    if (__atomic_compare_exchange_n(entry, &none, fresh | PTE_P | PTE_RW | PTE_A, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return x86_ram(fresh);
    frame_free(maddr_to_mfn(fresh), 0); /* another pCPU was first: not at boot, so a frame */
    return x86_ram(none & PTE_ADDR);
}

/* The entry of va at `level` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB). */
static uint64_t *entry_at(uint64_t va, unsigned level)
{
    uint64_t *table = idle_root;

    for (unsigned l = 4; l > level; l--) {
        table = next_table(&table[index_at(va, l)]);
        if (!table)
            return NULL;
    }
    return &table[index_at(va, level)];
}

uint64_t *x86_l1_entry(uint64_t va)
{
    return entry_at(va, 1);
}

long x86_map(uint64_t va, maddr_t maddr, uint64_t bytes, uint64_t flags)
{
    while (bytes) {
        uint64_t both = va | maddr, size = PAGE_SIZE, *entry;
        unsigned level = 1;

        if (cpu.pdpe1gb && !(both & (SIZE_1G - 1)) && bytes >= SIZE_1G) {
            size = SIZE_1G;
            level = 3;
        } else if (!(both & (SIZE_2M - 1)) && bytes >= SIZE_2M) {
            size = SIZE_2M;
            level = 2;
        }
        entry = entry_at(va, level);
        if (!entry)
            return -XEN_ENOMEM;
        *entry = maddr | flags | PTE_P | PTE_A | (flags & PTE_RW ? PTE_D : 0) |
                 (level > 1 ? PTE_PSE : 0);
        va += size;
        maddr += size;
        bytes -= size;
    }
    return 0;
}

static void boot_map(uint64_t va, maddr_t from, maddr_t to, uint64_t flags)
{
    if (from < to && x86_map(va, from, to - from, flags))
        panic("too little memory for the hypervisor's page tables");
}

static maddr_t image_phys(const char *symbol)
{
    return (maddr_t)symbol - LAYOUT_IMAGE_BASE;
}

static void map_image(void)
{
    boot_map((uint64_t)image_start, image_phys(image_start), image_phys(rodata_start), 0);
    boot_map((uint64_t)rodata_start, image_phys(rodata_start), image_phys(data_start), PTE_NX);
    boot_map((uint64_t)data_start, image_phys(data_start), image_phys(image_end), PTE_RW | PTE_NX);
}

static void map_ram_part(maddr_t start, maddr_t end, maddr_t from, maddr_t to, uint64_t flags)
{
    if (start < from)
        start = from;
    if (end > to)
        end = to;
    boot_map(LAYOUT_RAM + start, start, end, flags | PTE_NX);
}

static void map_ram(void)
{
    maddr_t image = image_phys(image_start), data = image_phys(data_start);

    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];
        maddr_t start = (r->start + PAGE_SIZE - 1) & PAGE_MASK, end = r->end & PAGE_MASK;

        if (r->type != 1 || start >= end)
            continue;
        map_ram_part(start, end, 0, image, PTE_RW);
        map_ram_part(start, end, image, data, 0);
        map_ram_part(start, end, data, LAYOUT_RAM_SIZE, PTE_RW);
    }
}

void x86_paging_init(void)
{
    map_image();
    map_ram();
    /* Slots in which something may be mapped later get their L3 table now, so that roots made from
     * here on share it. */
    if (!entry_at(LAYOUT_DESC, 3) || !entry_at(LAYOUT_IMAGE_BASE, 3))
        panic("too little memory for the hypervisor's page tables");
    x86_write_cr3(x86_idle_root());
    bootmem_no_limit();
}

/* The records need contiguous addresses, not contiguous memory. frame_table_init() clears them. */
void x86_paging_map_frame_table(void)
{
    uint64_t count = bootmem_ram_end() >> PAGE_SHIFT, va = LAYOUT_FRAMES;
    uint64_t bytes = (count * sizeof(struct frame) + PAGE_SIZE - 1) & PAGE_MASK;

    while (bytes) {
        uint64_t part = bytes < SIZE_2M ? bytes : SIZE_2M;
        maddr_t m = bootmem_take(part >> PAGE_SHIFT, part < SIZE_2M ? PAGE_SIZE : SIZE_2M);

        if (!m || x86_map(va, m, part, PTE_RW | PTE_NX))
            panic("too little memory for the table of memory frames");
        va += part;
        bytes -= part;
    }
    frame_table_init((void *)LAYOUT_FRAMES, count);
}

maddr_t x86_idle_root(void)
{
    return (maddr_t)idle_root - LAYOUT_IMAGE_BASE;
}

void x86_load_idle_root(void)
{
    struct pcpu *p = this_pcpu();
    uint64_t began = tlb_flush_begin();

    pcid_forget(&p->pcid);
    p->root = x86_idle_root();
    x86_write_cr3(x86_idle_root());
    tlb_flush_end(p->id, began);
}

void arch_root_init(uint64_t *root_l4)
{
    memcpy(root_l4 + LAYOUT_SLOT_FIRST + 1, idle_root + LAYOUT_SLOT_FIRST + 1,
           (LAYOUT_SLOT_LAST - LAYOUT_SLOT_FIRST) * sizeof *root_l4);
}

char *arch_ram = (char *)LAYOUT_RAM;

void arch_tlb_flush_all(void)
{
    struct pcpu *p = this_pcpu();
    uint64_t began = tlb_flush_begin();

    pcid_forget(&p->pcid);
    if (cpu.pcid && p->root != x86_idle_root())
        x86_write_cr3(pcid_load(&p->pcid, p->root, began, began));
    else
        x86_write_cr3(x86_read_cr3());
    tlb_flush_end(p->id, began);
}

void arch_tlb_flush_va(uint64_t va)
{
    x86_invlpg(va);
    if (cpu.pcid)
        pcid_forget_others(&this_pcpu()->pcid, this_pcpu()->root);
}

/* ---- the window for registers and firmware tables: addresses are handed out upwards, never back
 * ---- */

static uint64_t window_used;

static void *window_map(maddr_t maddr, size_t bytes, uint64_t flags)
{
    uint64_t offset = maddr & ~PAGE_MASK;
    uint64_t size = (offset + bytes + PAGE_SIZE - 1) & PAGE_MASK;
    uint64_t at = __atomic_fetch_add(&window_used, size, __ATOMIC_RELAXED);

    if (at + size > LAYOUT_MMIO_SIZE ||
        x86_map(LAYOUT_MMIO + at, maddr - offset, size, flags | PTE_NX))
        return NULL;
    return (void *)(LAYOUT_MMIO + at + offset);
}

void *arch_map_mmio(maddr_t maddr, size_t bytes)
{
    return window_map(maddr, bytes, PTE_RW | PTE_PCD | PTE_PWT);
}

const void *x86_map_firmware(maddr_t maddr, size_t bytes)
{
    return window_map(maddr, bytes, 0);
}
