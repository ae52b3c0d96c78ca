/* SPDX-License-Identifier: MIT */
/*
 * Processors: their areas and descriptor windows (layout.h), how the others are started, and how
 * one pokes another.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "arch/x86/acpi.h"
#include "arch/x86/apic.h"
#include "arch/x86/bootmem.h"
#include "arch/x86/cpu.h"
#include "arch/x86/desc.h"
#include "arch/x86/paging.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/tsc.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/config.h"
#include "hv/log.h"
#include "io/serial.h"
#include "mm/tlb.h"

#define TRAMPOLINE_FIRST 0x8000UL
#define TRAMPOLINE_LAST  0x90000UL
#define STARTUP_NS       200000UL /* from the first start-up message to the second (MP spec.: 200 us) */
#define START_TIMEOUT_NS 1000000000UL /* a processor that is silent for so long is left out */

extern const char syscall_stub[];
extern const char trampoline_start[], trampoline_end[], trampoline_gdt_base[], trampoline_far[],
    trampoline_root_address[], trampoline_stack[], trampoline_entry[];
void syscall_entry(void), syscall32_entry(void); /* entry.S */
void syscall_fast_entry(void);                   /* fastpath.S */

static uint64_t online; /* atomic: bit per pCPU */
static unsigned online_count;

/* ---- areas ---- */

static long map_fresh(uint64_t va)
{
    uint64_t *entry = x86_l1_entry(va);
    maddr_t page = x86_page_alloc();

    if (!entry || !page)
        return -XEN_ENOMEM;
    *entry = page | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX;
    return 0;
}

/* Pages of an area that have memory of their own; all but these and page 0 are guards. */
static const uint64_t area_pages[] = {
    PCPU_AREA_DATA,
    PCPU_AREA_STACK,
    PCPU_AREA_STACK + 0x1000,
    PCPU_AREA_STACK + 0x2000,
    PCPU_AREA_STACK + 0x3000,
    PCPU_AREA_NMI_TOP - 0x1000,
    PCPU_AREA_DF_TOP - 0x1000,
    PCPU_AREA_MC_TOP - 0x1000,
    PCPU_AREA_DB_TOP - 0x1000,
};

static long create_window(struct pcpu *p)
{
    uint64_t window = LAYOUT_DESC + (uint64_t)p->id * LAYOUT_DESC_SIZE;
    maddr_t page = x86_page_alloc();

    p->desc_l1 = x86_l1_entry(window);
    if (!p->desc_l1 || !page)
        return -XEN_ENOMEM;
    desc_window_create(p, page);
    return 0;
}

long pcpu_area_create(unsigned id, uint32_t apic_id)
{
    uint64_t base = LAYOUT_PCPU + (uint64_t)id * PCPU_AREA_SIZE;
    struct pcpu *p = pcpu_of(id);
    char off[8];

    if (x86_map(base, (maddr_t)syscall_stub - LAYOUT_IMAGE_BASE, PAGE_SIZE, 0))
        return -XEN_ENOMEM;
    for (unsigned i = 0; i < sizeof area_pages / sizeof *area_pages; i++) {
        if (map_fresh(base + area_pages[i]))
            return -XEN_ENOMEM;
    }
    p->id = id;
    p->apic_id = apic_id;
    p->stack_top = base + PCPU_AREA_STACK_TOP;
    p->syscall_entry = syscall_entry;
    /* The fast path loads roots without PCIDs. */
    if (!cpu.pcid && (!boot_option("fastpath", off, sizeof off) || strcmp(off, "off") != 0))
        p->syscall_entry = syscall_fast_entry;
    p->tlb_noted = &tlb_pcpu[id].noted;
    p->root = x86_idle_root();
    p->syscall32_entry = syscall32_entry;
    p->timer_deadline = ~0UL;
    p->tss.rsp[0] = p->stack_top;
    p->tss.ist[IST_NMI - 1] = base + PCPU_AREA_NMI_TOP;
    p->tss.ist[IST_DF - 1] = base + PCPU_AREA_DF_TOP;
    p->tss.ist[IST_MC - 1] = base + PCPU_AREA_MC_TOP;
    p->tss.ist[IST_DB - 1] = base + PCPU_AREA_DB_TOP;
    p->tss.iomap = sizeof p->tss;
    return create_window(p);
}

void pcpu_area_load(unsigned id)
{
    cpu_setup();
    desc_load(pcpu_of(id));
    x86_load_idle_root();
    if (cpu.rdtscp)
        x86_wrmsr(MSR_TSC_AUX, 0);
}

/* ---- the boot processor ---- */

static void (*after_early_init)(void);

static void boot_pcpu_ready(void)
{
    pcpu_area_load(0);
    arch_boot_canary();
    online = 1;
    online_count = 1;
    after_early_init();
    panic("the boot sequence returned");
}

void arch_early_init(void (*next)(void))
{
    cpu_detect();
    cpu_setup();
    bootmem_init();
    x86_paging_init();
    x86_paging_map_frame_table();
    desc_init();
    if (pcpu_area_create(0, 0))
        panic("too little memory for the first processor");
    after_early_init = next;
    __asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; push %%rbp; push %%rbp; call *%1"
                     :
                     : "r"(pcpu_of(0)->stack_top), "r"(boot_pcpu_ready)
                     : "memory");
    __builtin_unreachable();
}

void arch_give_frames(void)
{
    bootmem_finish();
}

void arch_interrupts_init(void)
{
    apic_init();
    tsc_init();
    apic_pcpu_init();
    pcpu_of(0)->apic_id = apic_id();
    ioapic_init();
}

void arch_serial_irq_init(void)
{
    int vector = arch_irq_vector_alloc(serial_interrupt, NULL);

    if (vector < 0 || ioapic_route_isa(4, vector))
        log_warn("no interrupt for the serial port: no console input\n");
}

/* ---- the others ---- */

/* First thing on a started processor, on its own stack. */
static void other_pcpu_start(void)
{
    struct pcpu *p = this_pcpu();

    pcpu_area_load(p->id);
    apic_pcpu_init();
    p->apic_id = apic_id();
    main_pcpu_init();
    __atomic_or_fetch(&online, 1UL << p->id, __ATOMIC_SEQ_CST);
    pcpu_start();
}

/* A page of RAM below 1 MiB for the trampoline; 0: none. */
static maddr_t trampoline_page(void)
{
    for (maddr_t at = TRAMPOLINE_FIRST; at < TRAMPOLINE_LAST; at += PAGE_SIZE) {
        bool ram = false;

        for (unsigned i = 0; i < boot_info.range_count; i++) {
            const struct boot_range *r = &boot_info.ranges[i];

            if (r->type == 1 && r->start <= at && r->end >= at + PAGE_SIZE)
                ram = true;
        }
        if (ram)
            return at;
    }
    return 0;
}

/* The place of a trampoline's variable in the copy at `page`. */
static void *in_copy(maddr_t page, const char *symbol)
{
    return (char *)x86_ram(page) + (symbol - trampoline_start);
}

/* Copies the trampoline; its root is the idle root plus `page` itself at its machine address. Below
 * 4 GiB: it is in the image. */
static void prepare_trampoline(maddr_t page)
{
    static uint64_t root[512] __attribute__((aligned(4096))),
        l3[512] __attribute__((aligned(4096))), l2[512] __attribute__((aligned(4096)));

    memcpy(x86_ram(page), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    *(uint32_t *)in_copy(page, trampoline_gdt_base) += (uint32_t)page;
    *(uint32_t *)in_copy(page, trampoline_far) += (uint32_t)page;
    arch_root_init(root);
    l2[0] = PTE_P | PTE_RW | PTE_PSE;
    l3[0] = ((maddr_t)l2 - LAYOUT_IMAGE_BASE) | PTE_P | PTE_RW;
    root[0] = ((maddr_t)l3 - LAYOUT_IMAGE_BASE) | PTE_P | PTE_RW;
    *(uint64_t *)in_copy(page, trampoline_root_address) = (maddr_t)root - LAYOUT_IMAGE_BASE;
    *(uint64_t *)in_copy(page, trampoline_entry) = (uint64_t)other_pcpu_start;
}

static bool wait_online(unsigned id, uint64_t ns)
{
    uint64_t until = arch_time_ns() + ns;

    while (!(__atomic_load_n(&online, __ATOMIC_ACQUIRE) & 1UL << id)) {
        if (arch_time_ns() >= until)
            return false;
        arch_cpu_relax();
    }
    return true;
}

static bool start_pcpu(unsigned id, uint32_t apic_id, maddr_t page)
{
    if (pcpu_area_create(id, apic_id)) {
        log_warn("processor %u: too little memory\n", id);
        return false;
    }
    *(uint64_t *)in_copy(page, trampoline_stack) = pcpu_of(id)->stack_top;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    /* Only for QEMU's -icount: it charges a processor that is reset for its whole time slice, up to
     * the next timer of the machine, often 10 ms away. The interrupt finds nothing due. */
    arch_timer_program(arch_time_ns() + STARTUP_NS / 10);
    apic_send_init(apic_id);
    apic_send_startup(apic_id, (unsigned)(page >> PAGE_SHIFT));
    if (wait_online(id, STARTUP_NS))
        return true;
    apic_send_startup(apic_id, (unsigned)(page >> PAGE_SHIFT));
    if (wait_online(id, START_TIMEOUT_NS))
        return true;
    apic_send_init(apic_id); /* whatever it does, it shall not do it later */
    log_warn("processor with APIC number %u does not start\n", apic_id);
    return false;
}

void arch_start_pcpus(void)
{
    maddr_t page = trampoline_page();
    unsigned id = 1, max = PCPU_MAX;
    char buf[16];

    if (boot_option("maxcpus", buf, sizeof buf))
        max = (unsigned)strtoul(buf, NULL, 10);
    if (acpi.cpu_count > 1 && !page) {
        log_warn("no RAM page below 1 MiB: one processor only\n");
        return;
    }
    for (unsigned i = 0; i < acpi.cpu_count && id < max; i++) {
        if (acpi.cpu_apic_id[i] == pcpu_of(0)->apic_id)
            continue;
        if (id == 1)
            prepare_trampoline(page);
        if (!start_pcpu(id, acpi.cpu_apic_id[i], page))
            break; /* its area stays behind; numbers have no gaps */
        id++;
        online_count = id;
    }
}

/* ---- what the rest sees ---- */

unsigned arch_pcpu_id(void)
{
    return this_pcpu()->id;
}

unsigned arch_pcpu_count(void)
{
    return online_count;
}

uint64_t arch_pcpu_mask(void)
{
    return __atomic_load_n(&online, __ATOMIC_ACQUIRE);
}

void arch_cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
    tlb_serve_requests();
}

/* The flag is written before the message goes out; the receiver looks at it with interrupts off
 * before it halts or leaves. */
void arch_request_resched(unsigned pcpu)
{
    __atomic_store_n(&pcpu_of(pcpu)->resched, true, __ATOMIC_SEQ_CST);
    if (pcpu != arch_pcpu_id())
        arch_send_ipi(pcpu, IPI_RESCHED);
}

void arch_idle_wait(void)
{
    x86_cli();
    if (!__atomic_load_n(&this_pcpu()->resched, __ATOMIC_SEQ_CST))
        __asm__ volatile("sti; hlt; cli"
                         :
                         :
                         : "memory"); /* sti holds interrupts off until hlt began */
}
