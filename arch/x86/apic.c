/* SPDX-License-Identifier: MIT */
/*
 * The local APIC (Intel SDM vol. 3, chapter 11), in xAPIC mode or in x2APIC mode if the firmware
 * left it so; and what its interrupts mean to us.
 */
#include "arch/x86/apic.h"

#include <stddef.h>
#include <xen/errno.h>

#include "arch/x86/acpi.h"
#include "arch/x86/cpu.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/tsc.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/log.h"
#include "mm/tlb.h"
#include "sched/timer.h"

/* Register offsets; in x2APIC mode register r is MSR 0x800 + r / 16. */
#define REG_ID         0x020
#define REG_TPR        0x080
#define REG_EOI        0x0b0
#define REG_LDR        0x0d0
#define REG_SPURIOUS   0x0f0
#define REG_ICR        0x300
#define REG_ICR_HIGH   0x310
#define REG_LVT_TIMER  0x320
#define REG_LVT_LINT0  0x350
#define REG_LVT_LINT1  0x360
#define REG_LVT_ERROR  0x370
#define REG_TIMER_INIT 0x380
#define REG_TIMER_NOW  0x390
#define REG_TIMER_DIV  0x3e0

#define SPURIOUS_ENABLE  0x100
#define LVT_MASKED       0x10000
#define LVT_NMI          0x400
#define LVT_TSC_DEADLINE 0x40000
#define ICR_INIT         0x500
#define ICR_STARTUP      0x600
#define ICR_NMI          0x400
#define ICR_ASSERT       0x4000
#define ICR_BUSY         0x1000
#define ICR_OTHERS       0xc0000
#define DIVIDE_BY_1      0xb
#define BASE_ENABLE      (1UL << 11)
#define BASE_X2APIC      (1UL << 10)
#define X2APIC_MSR       0x800

static volatile uint32_t *registers; /* NULL: x2APIC mode */
static bool deadline_mode;
static uint64_t ticks_per_ns; /* of the APIC's timer, 32.32 */
static uint64_t longest_ns;   /* what its counter, of 32 bits, has room for */

static struct {
    void (*fn)(void *);
    void *arg;
} devices[256];

static uint32_t reg_read(unsigned reg)
{
    return registers ? registers[reg / 4] : (uint32_t)x86_rdmsr(X2APIC_MSR + reg / 16);
}

static void reg_write(unsigned reg, uint32_t value)
{
    if (registers)
        registers[reg / 4] = value;
    else
        x86_wrmsr(X2APIC_MSR + reg / 16, value);
}

static void send(uint32_t target, uint32_t command)
{
    if (!registers) {
        x86_wrmsr(X2APIC_MSR + REG_ICR / 16, (uint64_t)target << 32 | command);
        return;
    }
    while (registers[REG_ICR / 4] & ICR_BUSY)
        __asm__ volatile("pause");
    registers[REG_ICR_HIGH / 4] = target << 24;
    registers[REG_ICR / 4] = command;
}

/* The two 8259 are set to harmless vectors, then masked for good. */
static void mask_pic(void)
{
    static const uint8_t master[] = {0x11, 0xf8, 4, 1}, slave[] = {0x11, 0xf8, 2, 1};

    arch_out8(0x20, master[0]);
    arch_out8(0xa0, slave[0]);
    for (unsigned i = 1; i < sizeof master; i++) {
        arch_out8(0x21, master[i]);
        arch_out8(0xa1, slave[i]);
    }
    arch_out8(0x21, 0xff);
    arch_out8(0xa1, 0xff);
}

void apic_init(void)
{
    uint64_t base = x86_rdmsr(MSR_APIC_BASE);

    mask_pic();
    if (!(base & BASE_X2APIC)) {
        registers = arch_map_mmio(base & PTE_ADDR, PAGE_SIZE);
        if (!registers)
            panic("cannot map the local APIC");
    }
    deadline_mode = cpu.tsc_deadline;
}

void apic_pcpu_init(void)
{
    uint64_t base = x86_rdmsr(MSR_APIC_BASE);

    /* All pCPUs in the boot processor's mode. */
    if (!registers && !(base & BASE_X2APIC))
        base |= BASE_X2APIC;
    x86_wrmsr(MSR_APIC_BASE, base | BASE_ENABLE);
    reg_write(REG_TPR, 0);
    reg_write(REG_SPURIOUS, SPURIOUS_ENABLE | APIC_VECTOR_SPURIOUS);
    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_NMI);
    reg_write(REG_LVT_ERROR, LVT_MASKED);
    reg_write(REG_TIMER_DIV, DIVIDE_BY_1);
    reg_write(REG_LVT_TIMER, APIC_VECTOR_TIMER | (deadline_mode ? LVT_TSC_DEADLINE : 0));
    /* The mode must be set before the deadline is written (SDM vol. 3, 11.5.4.1). */
    __asm__ volatile("mfence" : : : "memory");
    this_pcpu()->timer_deadline = 0; /* whatever was set before is not ours */
    arch_timer_program(~0UL);
}

uint32_t apic_id(void)
{
    uint32_t id = reg_read(REG_ID);
    return registers ? id >> 24 : id;
}

/* ---- timer ---- */

void apic_timer_count_start(void)
{
    reg_write(REG_TIMER_DIV, DIVIDE_BY_1);
    reg_write(REG_LVT_TIMER, LVT_MASKED | APIC_VECTOR_TIMER);
    reg_write(REG_TIMER_INIT, ~0u);
}

uint32_t apic_timer_count(void)
{
    return ~0u - reg_read(REG_TIMER_NOW);
}

void apic_timer_set_rate(uint64_t ticks, uint64_t ns)
{
    reg_write(REG_TIMER_INIT, 0);
    ticks_per_ns = x86_mul_div(ticks, 1UL << 32, ns);
    if (!ticks_per_ns)
        panic("the local APIC's timer does not count");
    longest_ns = (0xfffffffeUL << 32) / ticks_per_ns;
}

bool apic_timer_needs_rate(void)
{
    return !deadline_mode;
}

void arch_timer_program(uint64_t deadline_ns)
{
    uint64_t now, ns, ticks = 0;

    if (this_pcpu()->timer_deadline == deadline_ns)
        return;
    this_pcpu()->timer_deadline = deadline_ns;
    if (deadline_mode) {
        /* 0 disarms; a past value fires at once. */
        x86_wrmsr(MSR_TSC_DEADLINE, deadline_ns == ~0UL ? 0 : tsc_of_ns(deadline_ns) | 1);
        return;
    }
    if (deadline_ns != ~0UL) {
        now = arch_time_ns();
        ns = deadline_ns > now ? deadline_ns - now : 0;
        if (ns > longest_ns) /* a far deadline is reached in steps, see timer_fired() */
            ns = longest_ns;
        ticks = (uint64_t)((unsigned __int128)ns * ticks_per_ns >> 32) + 1;
    }
    reg_write(REG_TIMER_INIT, (uint32_t)ticks);
}

static void timer_fired(void)
{
    uint64_t deadline = this_pcpu()->timer_deadline, now = arch_time_ns();

    this_pcpu()->timer_deadline = ~0UL; /* nothing is programmed any more */
    if (now < deadline)
        arch_timer_program(deadline); /* a step of a far deadline, or a few ticks early */
    else
        timer_interrupt(now);
}

/* ---- interrupts ---- */

void apic_interrupt(unsigned vector)
{
    if (vector == APIC_VECTOR_TIMER) { /* the most frequent one */
        timer_fired();
        reg_write(REG_EOI, 0);
        return;
    }
    if (vector == APIC_VECTOR_SPURIOUS || vector < APIC_VECTOR_DEVICE_FIRST)
        return; /* not acknowledged: no bit in service */
    switch (vector) {
    case APIC_VECTOR_TLB:
        tlb_serve_requests();
        break;
    case APIC_VECTOR_RESCHED:
        break; /* the request is in struct pcpu */
    default:
        if (devices[vector].fn)
            devices[vector].fn(devices[vector].arg);
        break;
    }
    reg_write(REG_EOI, 0);
}

/* Claimed by the compare-and-exchange of fn; the argument follows before a device is told of the
 * vector. */
int arch_irq_vector_alloc(void (*fn)(void *), void *arg)
{
    for (int v = APIC_VECTOR_DEVICE_FIRST; v <= APIC_VECTOR_DEVICE_LAST; v++) {
        void (*none)(void *) = NULL;

        if (__atomic_compare_exchange_n(&devices[v].fn, &none, fn, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            devices[v].arg = arg;
            return v;
        }
    }
    return -XEN_ENOSPC;
}

void arch_irq_vector_free(int vector)
{
    __atomic_store_n(&devices[vector].fn, NULL, __ATOMIC_RELEASE);
}

void arch_msi_message(int vector, unsigned pcpu, uint64_t *address, uint32_t *data)
{
    /* Physical destination, fixed delivery, edge (SDM vol. 3, 11.11); identifiers above 255 would
     * need remapping. */
    *address = 0xfee00000UL | (uint64_t)(pcpu_of(pcpu)->apic_id & 0xff) << 12;
    *data = (uint32_t)vector;
}

void arch_send_ipi(unsigned pcpu, enum ipi ipi)
{
    send(pcpu_of(pcpu)->apic_id,
         ICR_ASSERT | (ipi == IPI_TLB ? APIC_VECTOR_TLB : APIC_VECTOR_RESCHED));
}

void apic_send_init(uint32_t target)
{
    send(target, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(uint32_t target, unsigned page)
{
    send(target, ICR_STARTUP | ICR_ASSERT | page);
}

void apic_stop_others(void)
{
    if (registers || (x86_rdmsr(MSR_APIC_BASE) & BASE_X2APIC))
        send(0, ICR_OTHERS | ICR_NMI | ICR_ASSERT);
}
