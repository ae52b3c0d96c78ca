/* SPDX-License-Identifier: MIT */
/*
 * A guest's kernel file: an ELF64 image with the notes of <xen/elfnote.h>. Reads headers and notes
 * only, through a callback, and says in plain words why a file cannot be started. Pure; for the
 * builder.
 */
#ifndef DOM0_BUILDER_ELFIMAGE_H
#define DOM0_BUILDER_ELFIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cfg_error;

#define ELFIMAGE_SEGMENTS_MAX 32

/* The file. `read` gets exactly len bytes that lie inside `size`; 0 or a negative errno. */
struct elfimage_file {
    const char *name; /* for messages */
    uint64_t size;
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
    void *ctx;
};

/* A part of the file that goes to memory; the rest up to mem_size is zeros. */
struct elfimage_segment {
    uint64_t offset;    /* in the file */
    uint64_t file_size; /* bytes */
    uint64_t start;     /* in the guest's memory: byte offset from pfn 0 */
    uint64_t mem_size;  /* bytes */
};

struct elfimage {
    uint64_t virt_base;  /* the virtual address of pfn 0 */
    uint64_t entry;      /* virtual */
    uint64_t start, end; /* of all segments, byte offsets from pfn 0 */
    bool has_hypercall_page, has_init_p2m;
    uint64_t hypercall_page; /* virtual; to be filled by the hypervisor */
    uint64_t init_p2m;       /* virtual; where the p2m list shall be mapped */
    bool mod_start_pfn;      /* takes its ramdisk unmapped, by pfn */
    struct elfimage_segment segments[ELFIMAGE_SEGMENTS_MAX];
    unsigned segment_count;
};

/*
 * Parse. Returns 0, or with one line in err: -XEN_ENOEXEC (no kernel that can be started here), or
 * what `read` returned.
 */
int elfimage_parse(const struct elfimage_file *file, struct elfimage *image, struct cfg_error *err);

/* A note of Xen's: its type (XEN_ELFNOTE_*) and content, valid during the call. */
typedef void (*elfimage_note_fn)(void *ctx, uint32_t type, const unsigned char *desc,
                                 uint32_t size);

/* Call fn for each note, in a file that elfimage_parse() may refuse. Errors as there. */
int elfimage_notes(const struct elfimage_file *file, elfimage_note_fn fn, void *ctx,
                   struct cfg_error *err);

#endif
