/* SPDX-License-Identifier: MIT */
/*
 * The record of an announced PCI device. For io/pci*.c and io/msix.c alone; the lock of io/pci.h
 * covers all of it.
 */
#ifndef IO_PCI_DEVICE_H
#define IO_PCI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include "mm/types.h"

/* Registers (PCI Local Bus Specification 3.0, chapter 6). */
#define PCI_VENDOR         0x00
#define PCI_COMMAND        0x04
#define PCI_COMMAND_IO     0x0001
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_STATUS         0x06
#define PCI_STATUS_CAPS    0x0010
#define PCI_HEADER_TYPE    0x0e
#define PCI_BAR0           0x10
#define PCI_CAPABILITIES   0x34
#define PCI_CAP_MSI        0x05
#define PCI_CAP_MSIX       0x11

#define MSIX_CONTROL        2 /* offset in the capability */
#define MSIX_TABLE          4
#define MSIX_PBA            8
#define MSIX_CAP_BYTES      12
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASK   0x4000
#define MSIX_CONTROL_SIZE   0x07ff
#define MSIX_ENTRY_BYTES    16

#define PCI_BARS         6
#define MSIX_ENTRIES_MAX 64 /* entries beyond are not mapped; a bit each below */

struct pci_device {
    bool used;
    uint16_t bdf;
    struct {
        maddr_t start;
        uint64_t bytes; /* 0: none, or I/O ports */
    } bars[PCI_BARS];
    unsigned bar_registers;  /* 6, or 2 of a bridge */
    unsigned msi, msi_bytes; /* capability in configuration space, 0: none */
    unsigned msix;           /* the same */
    unsigned msix_entries;
    maddr_t msix_table; /* machine address; 0: none that can be used */
    uint32_t msix_table_bytes;
    volatile uint32_t *table; /* the hypervisor's mapping of table_at; kept for good */
    maddr_t table_at;
    uint64_t mapped; /* entries that raise an interrupt of domain 0 */
};

struct pci_device *pci_device_find(uint16_t bdf); /* NULL: not announced */

/* Finds the capability; called when BARs and capabilities are known. */
void msix_probe(struct pci_device *dev);
/* A configuration write by domain 0 that touches [cap, cap + 12): what may pass does. */
void msix_guest_write(struct pci_device *dev, unsigned reg, unsigned size, uint32_t value);

#endif
