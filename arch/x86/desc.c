/* SPDX-License-Identifier: MIT */
#include "arch/x86/desc.h"

#include "arch/x86/cpu.h"
#include "arch/x86/guest.h"
#include "arch/x86/paging.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/x86.h"

/* Descriptors (Intel SDM vol. 3, 3.4.5): flat, present, accessed, so that the processor never
 * writes to them. */
#define DESC_CODE64    0x00af9b000000ffffUL
#define DESC_DATA      0x00cf93000000ffffUL
#define DESC_USER_CS32 0x00cffb000000ffffUL
#define DESC_USER_SS   0x00cff3000000ffffUL
#define DESC_USER_CS64 0x00affb000000ffffUL
#define DESC_TYPE_TSS  0x0000890000000000UL
#define DESC_TYPE_LDT  0x0000820000000000UL

#define GDT_PAGES      16
#define GATE_INTERRUPT 0x8e00
#define GATE_DPL3      0x6000

struct idt_gate {
    uint16_t offset_low, selector, type, offset_middle;
    uint32_t offset_high, reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern void (*const entry_vectors[256])(void); /* entry.S */
extern const char syscall_stub[], syscall32_stub[];

static struct idt_gate idt[256] __attribute__((aligned(4096)));
static const uint64_t absent_descriptors[512] __attribute__((aligned(4096)));

static uint64_t window_of(unsigned pcpu)
{
    return LAYOUT_DESC + (uint64_t)pcpu * LAYOUT_DESC_SIZE;
}

static unsigned gate_ist(unsigned vector)
{
    switch (vector) {
    case VEC_DB:
        return IST_DB;
    case VEC_NMI:
        return IST_NMI;
    case VEC_DF:
        return IST_DF;
    case VEC_MC:
        return IST_MC;
    default:
        return 0;
    }
}

void desc_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t entry = (uint64_t)entry_vectors[i];
        /* Any other software interrupt of a guest gives #GP, and the instruction is decoded. */
        bool direct = i == VEC_BP || i == VEC_OF;

        idt[i] = (struct idt_gate){
            .offset_low = (uint16_t)entry,
            .selector = SEL_HV_CS,
            .type = (uint16_t)(GATE_INTERRUPT | (direct ? GATE_DPL3 : 0) | gate_ist(i)),
            .offset_middle = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
}

/* A 16-byte system descriptor. */
static void set_system(uint64_t *slot, uint64_t type, uint64_t base, uint32_t limit)
{
    slot[0] = type | (limit & 0xffff) | (uint64_t)(limit >> 16 & 0xf) << 48 |
              (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    slot[1] = base >> 32;
}

/* Index in page 14 of a selector there. */
static unsigned slot_of(unsigned selector)
{
    return (selector >> 3) - DESC_GDT_ENTRIES_GUEST;
}

static void fill_own_page(uint64_t *page14, const struct pcpu *p)
{
    page14[slot_of(SEL_HV_CS)] = DESC_CODE64;
    page14[slot_of(SEL_HV_SS)] = DESC_DATA;
    page14[slot_of(SEL_GUEST_CS32)] = DESC_USER_CS32;
    page14[slot_of(SEL_GUEST_SS)] = DESC_USER_SS;
    page14[slot_of(SEL_GUEST_CS)] = DESC_USER_CS64;
    set_system(&page14[slot_of(SEL_TSS)], DESC_TYPE_TSS, (uint64_t)&pcpu_of(p->id)->tss,
               sizeof p->tss - 1);
}

static uint64_t absent_entry(void)
{
    return ((maddr_t)absent_descriptors - LAYOUT_IMAGE_BASE) | PTE_P | PTE_A | PTE_NX;
}

void desc_window_create(struct pcpu *p, maddr_t page14)
{
    fill_own_page(x86_ram(page14), p);
    for (unsigned i = 0; i < LAYOUT_DESC_SIZE / PAGE_SIZE; i++)
        p->desc_l1[i] = i < LAYOUT_DESC_LDT / PAGE_SIZE ? absent_entry() : 0;
    p->desc_l1[GDT_GUEST_PAGES] = page14 | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;
}

static void load_segments(void)
{
    uint64_t cs = SEL_HV_CS;

    __asm__ volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                     :
                     : "r"(cs)
                     : "rax", "memory");
    __asm__ volatile("mov %0, %%ss" : : "r"(SEL_HV_SS));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0));
    __asm__ volatile("lldt %w0" : : "r"(0));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

void desc_load(struct pcpu *p)
{
    struct table_pointer gdtr = {GDT_PAGES * PAGE_SIZE - 1, window_of(p->id)};
    struct table_pointer idtr = {sizeof idt - 1, (uint64_t)idt};
    uint64_t stub = LAYOUT_PCPU + (uint64_t)p->id * PCPU_AREA_SIZE;

    __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
    load_segments();
    /* SYSRET loads CS from base + 16 and SS from base + 8: e033 and e02b. */
    x86_wrmsr(MSR_STAR, (uint64_t)SEL_GUEST_CS32 << 48 | (uint64_t)SEL_HV_CS << 32);
    x86_wrmsr(MSR_LSTAR, stub);
    /* Without it SYSCALL in 32-bit code would enter ring 0 at address 0 on AMD processors and QEMU.
     */
    x86_wrmsr(MSR_CSTAR, stub + (uint64_t)(syscall32_stub - syscall_stub));
    x86_wrmsr(MSR_SFMASK,
              RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT | RFLAGS_RF | RFLAGS_IOPL);
    x86_wrmsr(MSR_SYSENTER_CS, 0); /* SYSENTER gives #GP */
}

/* Points the window's pages [first, first + count) at pages[]; NULL: `absent`. */
static void window_load(unsigned first, uint64_t *const pages[], unsigned count, uint64_t absent)
{
    struct pcpu *p = this_pcpu();

    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = absent;

        if (pages[i])
            entry = ((maddr_t)pages[i] - LAYOUT_RAM) | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;

        if (p->desc_l1[first + i] != entry) {
            p->desc_l1[first + i] = entry;
            x86_invlpg(window_of(p->id) + (first + i) * PAGE_SIZE);
        }
    }
}

void x86_gdt_load_guest(uint64_t *const pages[GDT_GUEST_PAGES], unsigned count)
{
    struct pcpu *p = this_pcpu();

    window_load(0, pages, count > p->gdt_pages ? count : p->gdt_pages, absent_entry());
    p->gdt_pages = count;
}

uint64_t x86_ldt_window(void)
{
    return window_of(this_pcpu()->id) + LAYOUT_DESC_LDT;
}

void x86_ldt_load_guest(uint64_t *const pages[LDT_PAGES], unsigned entries)
{
    struct pcpu *p = this_pcpu();
    uint64_t *page14 = (uint64_t *)(window_of(p->id) + GDT_GUEST_PAGES * PAGE_SIZE);

    window_load(LAYOUT_DESC_LDT / PAGE_SIZE, pages, LDT_PAGES, 0);
    p->ldt_loaded = entries;
    if (entries)
        set_system(&page14[slot_of(SEL_LDT)], DESC_TYPE_LDT, x86_ldt_window(), entries * 8 - 1);
    __asm__ volatile("lldt %w0" : : "r"(entries ? SEL_LDT : 0));
}
