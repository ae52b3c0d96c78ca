/* SPDX-License-Identifier: MIT */
/*
 * Configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2), and domain 0's view of
 * it.
 *
 * What domain 0 writes passes to the device, with these exceptions for an announced one: the MSI
 * and MSI-X capabilities, because a device that sends messages of its choice can raise any vector
 * on any pCPU; and the BARs while an interrupt is mapped, because the hypervisor writes to the
 * MSI-X table where it was.
 */
#include "io/pci.h"

#include "hv/arch.h"
#include "hv/lock.h"
#include "io/pci_device.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ADDRESS_ON   0x80000000U

static struct spinlock lock = SPINLOCK_INIT(LOCK_IRQ);
static uint32_t guest_address; /* domain 0's shadow of the address register */

void pci_lock(void)
{
    spin_lock(&lock);
}

void pci_unlock(void)
{
    spin_unlock(&lock);
}

uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size)
{
    uint16_t port = PORT_DATA + (reg & 3);

    arch_out32(PORT_ADDRESS, ADDRESS_ON | (uint32_t)bdf << 8 | (reg & 0xfc));
    return size == 4 ? arch_in32(port) : size == 2 ? arch_in16(port) : arch_in8(port);
}

void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value)
{
    uint16_t port = PORT_DATA + (reg & 3);

    arch_out32(PORT_ADDRESS, ADDRESS_ON | (uint32_t)bdf << 8 | (reg & 0xfc));
    if (size == 4)
        arch_out32(port, value);
    else if (size == 2)
        arch_out16(port, (uint16_t)value);
    else
        arch_out8(port, (uint8_t)value);
}

static bool touches(unsigned reg, unsigned size, unsigned start, unsigned bytes)
{
    return reg < start + bytes && start < reg + size;
}

static void guest_write_config(uint16_t bdf, unsigned reg, unsigned size, uint32_t value)
{
    struct pci_device *dev = pci_device_find(bdf);

    if (dev) {
        if (dev->msix && touches(reg, size, dev->msix, MSIX_CAP_BYTES)) {
            msix_guest_write(dev, reg, size, value);
            return;
        }
        if (dev->msi && touches(reg, size, dev->msi, dev->msi_bytes))
            return;
        if (dev->mapped && touches(reg, size, PCI_BAR0, 4 * dev->bar_registers))
            return;
    }
    pci_write(bdf, reg, size, value);
}

/* Does the data access stay in the register that the address names, and is there an address? */
static bool data_access_good(uint16_t port, unsigned size)
{
    unsigned offset = port - PORT_DATA;

    return port >= PORT_DATA && offset + size <= 4 && !(offset & (size - 1)) &&
           (guest_address & 0xff000003) == ADDRESS_ON;
}

uint32_t pci_guest_in(uint16_t port, unsigned size)
{
    uint32_t value = size == 4 ? ~0U : (1U << 8 * size) - 1;

    pci_lock();
    if (port == PORT_ADDRESS && size == 4)
        value = guest_address;
    else if (data_access_good(port, size))
        value = pci_read((uint16_t)(guest_address >> 8),
                         (guest_address & 0xfc) + (port - PORT_DATA), size);
    pci_unlock();
    return value;
}

void pci_guest_out(uint16_t port, unsigned size, uint32_t value)
{
    pci_lock();
    if (port == PORT_ADDRESS && size == 4)
        guest_address = value & ~3U;
    else if (data_access_good(port, size))
        guest_write_config((uint16_t)(guest_address >> 8),
                           (guest_address & 0xfc) + (port - PORT_DATA), size, value);
    pci_unlock();
}
