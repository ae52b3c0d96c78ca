/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space by ports cf8/cfc (one lock), the devices that dom0 added (PHYSDEVOP_pci_device_add), their BARs and MSI-X
 * capability, and the intercept of dom0's configuration accesses.
 */
#ifndef IO_PCI_H
#define IO_PCI_H

#include <stdint.h>

uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size); /* size 1, 2, 4; reg aligned to it, < 256 */
void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value);

/* dom0's port accesses to cf8..cff, with the per-domain shadow of the address register and the MSI-X intercept. */
uint32_t pci_guest_in(uint16_t port, unsigned size);
void pci_guest_out(uint16_t port, unsigned size, uint32_t value);

long pci_device_add(uint16_t bdf); /* 0 again if known; -ENODEV, -ENOSPC */
/* MSI-X entry of a known device -> pirq of dom0; entry written masked. -XEN_ENXIO: memory decode off, -ENODEV, -EINVAL. */
long pci_msix_map(uint16_t bdf, unsigned entry, unsigned pirq, int vector);
void pci_msix_mask(uint16_t bdf, unsigned entry, int masked);
void pci_msix_unmap(uint16_t bdf, unsigned entry);

#endif
