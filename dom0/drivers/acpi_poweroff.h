/* SPDX-License-Identifier: MIT */
/* The machine's power switch. For dom0 alone, after vfs_unmount() or vfs_sync(). */
#ifndef DOM0_DRIVERS_ACPI_POWEROFF_H
#define DOM0_DRIVERS_ACPI_POWEROFF_H

/* Switches the machine off, at once: guests still running are lost. Needs pci_init() for its
 * fallback. */
void acpi_poweroff(void) __attribute__((noreturn));

#endif
