/* SPDX-License-Identifier: MIT */
/*
 * PCI for dom0's drivers: configuration space by ports 0xcf8 and 0xcfc (the hypervisor emulates
 * them for the control domain), finding devices, and what the hypervisor must be told before it
 * hands out a device's interrupt. For threads of vCPU 0; nothing here waits, so accesses need no
 * lock.
 */
#ifndef DOM0_DRIVERS_PCI_H
#define DOM0_DRIVERS_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <rt/event.h>

#define PCI_VENDOR_ID     0x00
#define PCI_DEVICE_ID     0x02
#define PCI_COMMAND       0x04
#define PCI_COMMAND_MEM   0x2
#define PCI_COMMAND_DMA   0x4
#define PCI_STATUS        0x06
#define PCI_STATUS_CAPS   0x10
#define PCI_HEADER_TYPE   0x0e
#define PCI_BAR0          0x10
#define PCI_SECONDARY_BUS 0x19
#define PCI_CAPABILITIES  0x34

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

struct pci_device {
    uint8_t bus;
    uint8_t devfn;
    uint16_t vendor;
    uint16_t device;
};

/* Asks for the right to use I/O ports; before anything else here. 0 or a negative errno. */
int pci_init(void);

uint8_t pci_read8(const struct pci_device *dev, unsigned int reg);
uint16_t pci_read16(const struct pci_device *dev, unsigned int reg);
uint32_t pci_read32(const struct pci_device *dev, unsigned int reg);
void pci_write16(const struct pci_device *dev, unsigned int reg, uint16_t value);

/*
 * Calls fn for each function on each bus, until it returns nonzero, which is passed on; 0 at the
 * end.
 */
int pci_scan(int (*fn)(const struct pci_device *dev, void *arg), void *arg);

/* The offset of the next capability with that id behind `after` (0: from the start), 0 if none. */
unsigned int pci_find_cap(const struct pci_device *dev, uint8_t id, unsigned int after);

/* Machine address of memory BAR 0 to 5; 0 if it is no memory, or not assigned. */
uint64_t pci_bar(const struct pci_device *dev, unsigned int bar);

/* Makes the device known to the hypervisor and lets it answer memory accesses and do DMA. */
int pci_enable(const struct pci_device *dev);

/*
 * Binds entry 0 of the device's MSI-X table to fn(port, arg), and turns MSI-X on. To be called
 * before any BAR of the device is mapped. The local port (> 0), or -errno: no MSI-X, or none to be
 * had. The handler may be called from then on.
 */
int pci_bind_msix(const struct pci_device *dev, event_fn fn, void *arg);

/* Maps `len` bytes of device memory at a machine address, uncached; NULL if that fails. */
void *pci_map(uint64_t maddr, uint32_t len);

#endif
