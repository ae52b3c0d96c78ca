/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space by the ports cf8 and cfc, domain 0's accesses to it, and the devices that
 * domain 0 has announced (PHYSDEVOP_pci_device_add): their memory BARs and their MSI-X tables. One
 * lock, taken by the functions here unless they say otherwise.
 *
 * A device's number is its bus << 8 | device << 3 | function (bdf); there is one segment.
 */
#ifndef IO_PCI_H
#define IO_PCI_H

#include <stdbool.h>
#include <stdint.h>

void pci_lock(void); /* LOCK_IRQ; also covers io/irq.c's table and changes of io/mmio.c's */
void pci_unlock(void);

/* size 1, 2 or 4; reg < 256 and aligned to it; lock held. */
uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size);
void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value);

/* Domain 0's port accesses to cf8..cff, with a shadow of the address register of its own, and with
 * what must not reach the hardware kept from it: a refused read gives all ones, a refused write is
 * dropped, as on a bus with nobody there. */
uint32_t pci_guest_in(uint16_t port, unsigned size);
void pci_guest_out(uint16_t port, unsigned size, uint32_t value);

/* Records the device and lets domain 0 map its BARs. Again: reads the BARs anew, unless interrupts
 * are mapped. 0, -XEN_ENODEV (nobody answers), -XEN_ENOSPC. */
long pci_device_add(uint16_t bdf);
/* Forgets it; -XEN_ENODEV, -XEN_EBUSY while interrupts are mapped. */
long pci_device_remove(uint16_t bdf);

/* ---- MSI-X (io/msix.c); lock held ---- */

/* Writes the table entry so that it raises `vector` on pCPU 0, masked. -XEN_ENODEV: unknown device
 * or no MSI-X, -XEN_EINVAL: no such entry, -XEN_EBUSY: mapped already, -XEN_ENXIO: memory decoding
 * is off. */
long pci_msix_map(uint16_t bdf, unsigned entry, int vector);
/* The entry is mapped. */
void pci_msix_mask(uint16_t bdf, unsigned entry, bool masked);
void pci_msix_unmap(uint16_t bdf, unsigned entry);

#endif
