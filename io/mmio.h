/* SPDX-License-Identifier: MIT */
/*
 * Which machine frames outside RAM domain 0 may map, and how (invariant S2): firmware areas
 * read-only, BARs of announced PCI devices read-write, their MSI-X tables read-only; never the
 * local APIC, the IO-APIC, the HPET or the hypervisor's memory. mmio_access(), the question, is
 * declared in mm/paging.h for the shadow code; it takes
 * LOCK_IRQ.
 */
#ifndef IO_MMIO_H
#define IO_MMIO_H

#include "mm/paging.h"

/* At boot, before domain 0: the firmware's areas, from boot_info. */
void mmio_init(void);

/* May a device's memory lie there? Not in memory, the hypervisor's own included, not in the first
 * MiB, not in the chipset's own area. */
bool mmio_is_device(maddr_t start, maddr_t end);

/* Changes for a device's memory, ignored where none may lie; the lock of io/pci.h is held. Ranges
 * grow to whole pages; the later call wins where two overlap. */
void mmio_allow(maddr_t start, maddr_t end, enum mmio_access access);
void mmio_forget(maddr_t start, maddr_t end);

#endif
