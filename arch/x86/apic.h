/* SPDX-License-Identifier: MIT */
/*
 * Local APICs, their timers, the IO-APIC and the table of interrupt vectors. For arch/x86 only;
 * others use hv/arch.h.
 */
#ifndef ARCH_X86_APIC_H
#define ARCH_X86_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_VECTOR_DEVICE_FIRST 0x30
#define APIC_VECTOR_DEVICE_LAST  0xef
#define APIC_VECTOR_TIMER        0xf0
#define APIC_VECTOR_RESCHED      0xf1
#define APIC_VECTOR_TLB          0xf2
#define APIC_VECTOR_SPURIOUS     0xff

void apic_init(void);      /* once, on pCPU 0: PIC masked, registers mapped; before tsc_init() */
void apic_pcpu_init(void); /* on each pCPU */
uint32_t apic_id(void);    /* of this pCPU */

/* Every vector >= 32 that the entry code takes ends here: dispatches and acknowledges. Interrupts
 * are off. */
void apic_interrupt(unsigned vector);

void apic_send_init(uint32_t apic_id);
void apic_send_startup(uint32_t apic_id, unsigned page);
void apic_stop_others(void); /* NMI to all pCPUs but this one: panic only */

/* Finding the rate of the timer (tsc.c): counts up from 0 without an interrupt; then it is told its
 * rate, which ends the counting. */
bool apic_timer_needs_rate(void); /* false: deadlines are TSC values */
void apic_timer_count_start(void);
uint32_t apic_timer_count(void);
void apic_timer_set_rate(uint64_t ticks, uint64_t ns);

/* arch/x86/ioapic.c: routes an ISA interrupt (after MADT overrides) to vector on pCPU 0. -ENODEV
 * without an IO-APIC. */
void ioapic_init(void);
long ioapic_route_isa(unsigned irq, int vector);

#endif
