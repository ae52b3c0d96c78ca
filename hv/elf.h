/* SPDX-License-Identifier: MIT */
/*
 * A paravirtual kernel's ELF64 image and the Xen notes in it (<xen/elfnote.h>): parsing alone, with
 * every bound checked, on an image in memory. Pure; used for domain 0 at boot and usable by any
 * domain builder.
 */
#ifndef HV_ELF_H
#define HV_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 32

/* A loadable segment that is not empty: file_bytes at `data`, then zeros up to mem_bytes. */
struct elf_segment {
    uint64_t
        paddr; /* offset in the domain's own contiguous memory, bytes (PADDR_OFFSET is taken off) */
    uint64_t mem_bytes;
    const void *data;
    uint64_t file_bytes;
};

struct elf_image {
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    unsigned segment_count;
    uint64_t paddr_end; /* one past the last byte of the segments */

    uint64_t virt_base;      /* address at which paddr 0 is mapped; 0 without a note */
    uint64_t entry;          /* virtual */
    bool has_hypercall_page; /* zero is a valid address */
    uint64_t hypercall_page; /* virtual */
    bool has_init_p2m;
    uint64_t init_p2m;  /* virtual address wanted for the pfn-to-mfn list */
    bool mod_start_pfn; /* the kernel takes its module unmapped, by pfn */
    char guest_os[32];  /* GUEST_OS note, printable, for messages; "" without */
};

/* Parses `size` bytes at `data`; *image points into them afterwards. 0, or -XEN_EINVAL /
 * -XEN_ENOEXEC with *why set to a text for the user that says what is wrong. */
long elf_parse(struct elf_image *image, const void *data, size_t size, const char **why);

#endif
