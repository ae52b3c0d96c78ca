/* SPDX-License-Identifier: MIT */
/*
 * A cache of an image's tables, which all lie in its file: read when they are needed, changed in
 * memory, written when the owner says so, kind by kind, for the order in which kinds reach the disk
 * is what keeps an image whole. For the formats.
 *
 * A slot holds `unit` bytes of the file at a multiple of `unit`. A part of the file is of one kind:
 * a damaged file that uses it as two is refused.
 */
#ifndef DOM0_IMAGE_TABLES_H
#define DOM0_IMAGE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

struct image_file;
struct tables_slot;

#define TABLES_KINDS      8
#define TABLES_DIRTY_MOST 32 /* from here on the owner is to flush before the next request */

struct tables {
    struct image_file *file;
    uint32_t unit;
    unsigned room; /* slots at most */
    unsigned count;
    unsigned dirty[TABLES_KINDS], all_dirty; /* slots */
    uint64_t clock;
    struct tables_slot *slots; /* all, in blocks */
    struct tables_slot *hash[64];
    void *blocks; /* memory of the slots, linked */
};

/* unit: a power of two, 512 to 4096. Takes memory as it is used, 544 KiB at most when writable. */
void tables_init(struct tables *t, struct image_file *file, uint32_t unit);
/* What is dirty is lost. */
void tables_free(struct tables *t);

/*
 * The bytes of the file at `offset`, up to the end of their unit; good until the next call.
 * `write`: they will be changed. -XEN_EIO outside the file, or already used as another kind;
 * -XEN_ENOSPC all slots are dirty; -XEN_ENOMEM.
 */
int tables_at(struct tables *t, unsigned kind, uint64_t offset, bool write, uint8_t **at);

/* Write what is dirty of a kind. */
int tables_write(struct tables *t, unsigned kind);
/* A part of the file stops being tables. Nothing of it may be dirty but what may be lost. */
void tables_forget(struct tables *t, uint64_t offset, uint64_t len);

#endif
