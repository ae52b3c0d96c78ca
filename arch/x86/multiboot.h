/* SPDX-License-Identifier: MIT */
/*
 * The loader's information: structures of the multiboot2 and multiboot1 specifications. For
 * arch/x86/multiboot.c and the search for ACPI's root pointer only.
 */
#ifndef ARCH_X86_MULTIBOOT_H
#define ARCH_X86_MULTIBOOT_H

#include <stdint.h>

#define MB2_BOOT_MAGIC 0x36d76289
#define MB1_BOOT_MAGIC 0x2badb002

enum mb2_tag_type {
    MB2_TAG_END = 0,
    MB2_TAG_CMDLINE = 1,
    MB2_TAG_MODULE = 3,
    MB2_TAG_MEMORY = 6,
    MB2_TAG_EFI32 = 11,
    MB2_TAG_EFI64 = 12,
    MB2_TAG_ACPI_OLD = 14,
    MB2_TAG_ACPI_NEW = 15,
};

struct mb2_info {
    uint32_t size, reserved;
};

struct mb2_tag {
    uint32_t type, size; /* size with this header; the next tag is 8-aligned */
};

struct mb2_module {
    struct mb2_tag tag;
    uint32_t start, end;
    char cmdline[];
};

struct mb2_memory_entry {
    uint64_t base, length;
    uint32_t type, zero;
};

struct mb2_memory {
    struct mb2_tag tag;
    uint32_t entry_size, entry_version;
    uint8_t entries[];
};

#define MB1_HAS_CMDLINE (1u << 2)
#define MB1_HAS_MODULES (1u << 3)
#define MB1_HAS_MEMORY  (1u << 6)

struct mb1_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, module_count, modules, symbols[4],
        memory_bytes, memory;
};

struct mb1_module {
    uint32_t start, end, cmdline, reserved;
};

struct mb1_memory_entry {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

#endif
