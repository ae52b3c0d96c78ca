/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader told us, in one form for multiboot2 (GRUB) and multiboot1 (QEMU's -kernel).
 * Filled by arch/x86/multiboot.c once, copied out of the loader's memory; read by everybody during
 * boot.
 */
#ifndef HV_BOOT_INFO_H
#define HV_BOOT_INFO_H

#include "mm/types.h"

#define BOOT_MODULES 8
#define BOOT_RANGES  64
#define BOOT_CMDLINE 1024

struct boot_module {
    maddr_t start, end; /* bytes; kept out of the frame allocator until boot_modules_free() */
    char cmdline[256];
};

struct boot_range {
    maddr_t start, end;
    uint32_t type; /* E820: 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS, .. */
};

struct boot_info {
    char cmdline[BOOT_CMDLINE];
    unsigned module_count, range_count;
    struct boot_module modules[BOOT_MODULES];
    struct boot_range ranges[BOOT_RANGES];
    maddr_t rsdp; /* address of the ACPI RSDP (a copy of the multiboot2 tag's content, or found in
                     the BIOS area), 0: none */
    bool efi;
};

extern struct boot_info boot_info;

/* The value of `name=value` on the command line, copied to buf; false if absent. A bare `name`
 * gives "". */
bool boot_option(const char *name, char *buf, unsigned size);
/* Contents of a module in the map of all memory. */
void *boot_module_data(unsigned i);
/* Gives the memory of all modules to the frame allocator: nobody may look at them any more. */
void boot_modules_free(void);

#endif
