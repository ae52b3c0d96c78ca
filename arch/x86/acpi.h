/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables that a hypervisor needs: MADT (processors, IO-APICs), FADT (power and reset
 * registers), HPET, and \_S5 from the DSDT's bytes. For arch/x86 only.
 */
#ifndef ARCH_X86_ACPI_H
#define ARCH_X86_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/config.h"
#include "mm/types.h"

/* While the loader's information is read: a copy of the root pointer (bytes long); the newer one
 * wins. */
void acpi_offer_rsdp(const void *rsdp, size_t bytes);
/* Searches EBDA and 0xe0000..0xfffff for it (not under UEFI). */
void acpi_search_bios_area(void);

struct acpi_override {
    uint8_t isa_irq;
    uint32_t gsi;
    uint16_t flags; /* MADT: polarity bits 0-1, trigger bits 2-3 */
};

struct acpi_info {
    unsigned cpu_count;
    uint32_t cpu_apic_id[PCPU_MAX]; /* usable processors as listed, the boot processor among them */
    maddr_t lapic;
    maddr_t ioapic; /* 0: none */
    uint32_t ioapic_gsi;
    unsigned override_count;
    struct acpi_override overrides[16];
    maddr_t hpet;
    uint16_t pm_timer;   /* port, 0: none; 24 bits at least, 3.579545 MHz */
    uint16_t pm1a, pm1b; /* control registers' ports; 0: none */
    bool s5;             /* sleep types below are known */
    uint8_t s5_a, s5_b;
    uint8_t reset_space; /* 0xff: no reset register; 0 memory, 1 port */
    maddr_t reset_address;
    uint8_t reset_value;
};
extern struct acpi_info acpi;

#endif
