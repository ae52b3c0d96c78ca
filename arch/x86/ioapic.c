/* SPDX-License-Identifier: MIT */
/*
 * The IO-APIC (Intel 82093AA). The hypervisor uses one line of it, the serial port's; all others
 * stay masked.
 */
#include <xen/errno.h>

#include "arch/x86/acpi.h"
#include "arch/x86/apic.h"
#include "arch/x86/pcpu.h"
#include "hv/arch.h"

#define REG_VERSION    1
#define REG_REDIRECT   0x10 /* two registers for each pin */
#define REDIRECT_MASK  (1u << 16)
#define REDIRECT_LEVEL (1u << 15)
#define REDIRECT_LOW   (1u << 13)
#define POLARITY_LOW   3 /* MADT flags, bits 0-1 */
#define TRIGGER_LEVEL  3 /* bits 2-3 */

static volatile uint32_t *window; /* [0] selects, [4] is the register */
static unsigned pins;

static uint32_t read(unsigned reg)
{
    window[0] = reg;
    return window[4];
}

static void write(unsigned reg, uint32_t value)
{
    window[0] = reg;
    window[4] = value;
}

void ioapic_init(void)
{
    if (!acpi.ioapic)
        return;
    window = arch_map_mmio(acpi.ioapic, 0x20);
    if (!window)
        return;
    pins = (read(REG_VERSION) >> 16 & 0xff) + 1;
    for (unsigned i = 0; i < pins; i++)
        write(REG_REDIRECT + 2 * i, REDIRECT_MASK);
}

long ioapic_route_isa(unsigned irq, int vector)
{
    uint32_t pin = irq, low = (uint32_t)vector;

    if (!window)
        return -XEN_ENODEV;
    for (unsigned i = 0; i < acpi.override_count; i++) {
        const struct acpi_override *o = &acpi.overrides[i];

        if (o->isa_irq != irq)
            continue;
        pin = o->gsi;
        low |= (o->flags & 3) == POLARITY_LOW ? REDIRECT_LOW : 0;
        low |= (o->flags >> 2 & 3) == TRIGGER_LEVEL ? REDIRECT_LEVEL : 0;
    }
    if (pin < acpi.ioapic_gsi || pin - acpi.ioapic_gsi >= pins)
        return -XEN_ENODEV;
    pin -= acpi.ioapic_gsi;
    write(REG_REDIRECT + 2 * pin + 1, pcpu_of(0)->apic_id << 24);
    write(REG_REDIRECT + 2 * pin, low);
    return 0;
}
