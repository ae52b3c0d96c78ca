/* SPDX-License-Identifier: MIT */
/*
 * Which machine frames outside RAM dom0 may map, and how (invariant S2): firmware areas read-only, BARs of added PCI devices
 * read-write, their MSI-X tables read-only; never the local APIC, IO-APIC, HPET or hypervisor memory.
 * mmio_access() itself is declared in mm/paging.h, for the shadow code.
 */
#ifndef IO_MMIO_H
#define IO_MMIO_H

#include "mm/paging.h"

void mmio_allow(maddr_t start, maddr_t end, enum mmio_access access); /* a range of whole pages; later calls win */
void mmio_forget(maddr_t start, maddr_t end);

#endif
