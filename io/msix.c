/* SPDX-License-Identifier: MIT */
/*
 * MSI-X tables (PCI Local Bus Specification 3.0, 6.8.2). Only the hypervisor writes them: domain 0
 * sees the pages of table and pending bits read-only, and switches the whole function on or off by
 * the capability's control register. An entry is masked until its interrupt is bound.
 */
#include "io/pci_device.h"

#include <xen/errno.h>
#include "hv/arch.h"
#include "io/mmio.h"
#include "io/pci.h"

#define ENTRY_ADDRESS_LOW  0
#define ENTRY_ADDRESS_HIGH 1
#define ENTRY_DATA         2
#define ENTRY_CONTROL      3
#define ENTRY_MASKED       1

/* Machine address that a table or PBA register names, 0 if the `bytes` there are not inside the
 * BAR. */
static maddr_t msix_place(const struct pci_device *dev, unsigned reg, uint32_t bytes)
{
    uint32_t where = pci_read(dev->bdf, dev->msix + reg, 4);
    unsigned bar = where & 7;
    uint32_t offset = where & ~7U;

    if (bar >= PCI_BARS || !dev->bars[bar].bytes || offset > dev->bars[bar].bytes ||
        bytes > dev->bars[bar].bytes - offset)
        return 0;
    return dev->bars[bar].start + offset;
}

void msix_probe(struct pci_device *dev)
{
    uint16_t control;
    uint32_t pba_bytes;
    maddr_t pba;

    dev->msix_table = 0;
    if (!dev->msix)
        return;
    control = (uint16_t)pci_read(dev->bdf, dev->msix + MSIX_CONTROL, 2);
    /* What the firmware left: off, until domain 0 has mapped an entry. */
    pci_write(dev->bdf, dev->msix + MSIX_CONTROL, 2,
              control & ~(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK));
    dev->msix_entries = (control & MSIX_CONTROL_SIZE) + 1;
    dev->msix_table_bytes = dev->msix_entries * MSIX_ENTRY_BYTES;
    pba_bytes = (dev->msix_entries + 63) / 64 * 8;
    dev->msix_table = msix_place(dev, MSIX_TABLE, dev->msix_table_bytes);
    pba = msix_place(dev, MSIX_PBA, pba_bytes);
    if (dev->msix_table)
        mmio_allow(dev->msix_table, dev->msix_table + dev->msix_table_bytes, MMIO_READ);
    if (pba)
        mmio_allow(pba, pba + pba_bytes, MMIO_READ);
}

static volatile uint32_t *entry_of(const struct pci_device *dev, unsigned entry)
{
    return dev->table + entry * (MSIX_ENTRY_BYTES / 4);
}

/* The hypervisor's own view of the table, with all entries masked when it is new. */
static long table_open(struct pci_device *dev)
{
    if (!dev->table || dev->table_at != dev->msix_table) {
        dev->table = arch_map_mmio(dev->msix_table, dev->msix_table_bytes);
        if (!dev->table)
            return -XEN_ENOMEM;
        dev->table_at = dev->msix_table;
    }
    if (!dev->mapped)
        for (unsigned i = 0; i < dev->msix_entries; i++)
            entry_of(dev, i)[ENTRY_CONTROL] = ENTRY_MASKED;
    return 0;
}

long pci_msix_map(uint16_t bdf, unsigned entry, int vector)
{
    struct pci_device *dev = pci_device_find(bdf);
    volatile uint32_t *e;
    uint64_t address;
    uint32_t data;
    long rc;

    if (!dev || !dev->msix_table)
        return -XEN_ENODEV;
    if (entry >= dev->msix_entries || entry >= MSIX_ENTRIES_MAX)
        return -XEN_EINVAL;
    if (dev->mapped >> entry & 1)
        return -XEN_EBUSY;
    if (!(pci_read(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
        return -XEN_ENXIO;
    rc = table_open(dev);
    if (rc)
        return rc;
    arch_msi_message(vector, 0, &address, &data);
    e = entry_of(dev, entry);
    e[ENTRY_CONTROL] = ENTRY_MASKED;
    e[ENTRY_ADDRESS_LOW] = (uint32_t)address;
    e[ENTRY_ADDRESS_HIGH] = (uint32_t)(address >> 32);
    e[ENTRY_DATA] = data;
    dev->mapped |= 1UL << entry;
    return 0;
}

void pci_msix_mask(uint16_t bdf, unsigned entry, bool masked)
{
    struct pci_device *dev = pci_device_find(bdf);
    volatile uint32_t *control = &entry_of(dev, entry)[ENTRY_CONTROL];

    *control = masked ? ENTRY_MASKED : 0;
    (void)*control; /* the read comes back after the write has arrived */
}

void pci_msix_unmap(uint16_t bdf, unsigned entry)
{
    struct pci_device *dev = pci_device_find(bdf);

    pci_msix_mask(bdf, entry, true);
    dev->mapped &= ~(1UL << entry);
}

void msix_guest_write(struct pci_device *dev, unsigned reg, unsigned size, uint32_t value)
{
    /* Only the control register, and of it the two bits that are the driver's. */
    if (reg != dev->msix + MSIX_CONTROL || size != 2)
        return;
    pci_write(dev->bdf, reg, 2, value & (MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK));
}
