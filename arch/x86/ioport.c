/* SPDX-License-Identifier: MIT */
/*
 * I/O ports as guests see them. Hardware IOPL stays 0, so every access comes here. Nobody but dom0
 * reaches a port, and dom0 only those on the list: PCI configuration, the ACPI power-management
 * control, keyboard status and POST code. Others read all ones, writes are dropped. Port 42h reads
 * 0, for guests that calibrate by the PIT: all ones keep them counting for long.
 */
#include "arch/x86/guest.h"

#include "arch/x86/acpi.h"
#include "hv/arch.h"
#include "io/pci.h"

static uint32_t ones(unsigned size)
{
    return size == 4 ? ~0u : (1u << (8 * size)) - 1;
}

static bool is_config_port(uint16_t port)
{
    return port >= 0xcf8 && port <= 0xcff;
}

static bool passed_to_hardware(uint16_t port)
{
    return port == 0x64 || port == 0x80 || (port && (port == acpi.pm1a || port == acpi.pm1b));
}

uint32_t x86_guest_in(struct vcpu *v, uint16_t port, unsigned size)
{
    if (port == 0x42)
        return 0;
    if (!v->domain->privileged)
        return ones(size);
    if (is_config_port(port))
        return pci_guest_in(port, size);
    if (!passed_to_hardware(port))
        return ones(size);
    return size == 1 ? arch_in8(port) : size == 2 ? arch_in16(port) : arch_in32(port);
}

void x86_guest_out(struct vcpu *v, uint16_t port, unsigned size, uint32_t value)
{
    if (!v->domain->privileged)
        return;
    if (is_config_port(port)) {
        pci_guest_out(port, size, value);
        return;
    }
    if (!passed_to_hardware(port))
        return;
    if (size == 1)
        arch_out8(port, (uint8_t)value);
    else if (size == 2)
        arch_out16(port, (uint16_t)value);
    else
        arch_out32(port, value);
}
