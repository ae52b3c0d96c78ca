/* SPDX-License-Identifier: MIT */
/*
 * The VMDK format, by VMware's "Virtual Disk Format 5.0", whose chapters are named in the code.
 * Numbers are little-endian, places in files are sectors. For the files vmdk_*.c only.
 *
 * A descriptor, a text in a file of its own or inside of the image, names one or more extents. A
 * flat one is the disk's content; a sparse one has grains, found by two levels of tables, directory
 * and grain tables, of which there may be a second, redundant copy. The order of writing: guests'
 * data, a flush, then both tables' entries.
 */
#ifndef DOM0_IMAGE_VMDK_H
#define DOM0_IMAGE_VMDK_H

#include "dom0/image/impl.h"
#include "dom0/image/tables.h"

#define VMDK_MAGIC         0x564d444bu /* "KDMV" */
#define VMDK_HEAD          512u
#define VMDK_EXTENTS_MAX   512
#define VMDK_DESC_MAX      (64u << 10)
#define VMDK_NEWLINE_BYTES 0x0a0d200aull /* "\n \r\n" */
#define VMDK_NO_PARENT     0xffffffffu
#define VMDK_GD_AT_END     UINT64_MAX

/* Places in a sparse extent's header ("Hosted Sparse Extents"). */
enum {
    VMDK_AT_VERSION = 4,
    VMDK_AT_FLAGS = 8,
    VMDK_AT_CAPACITY = 12,
    VMDK_AT_GRAIN = 20,
    VMDK_AT_DESC = 28,
    VMDK_AT_DESC_LEN = 36,
    VMDK_AT_GTES = 44,
    VMDK_AT_RGD = 48,
    VMDK_AT_GD = 56,
    VMDK_AT_OVERHEAD = 64,
    VMDK_AT_UNCLEAN = 72,
    VMDK_AT_NEWLINES = 73,
    VMDK_AT_COMPRESSION = 77,
};

#define VMDK_NEWLINES  1u /* flags */
#define VMDK_REDUNDANT 2u
#define VMDK_ZEROS     4u /* an entry of 1: the grain is zeros */
#define VMDK_PACKED    (1u << 16)
#define VMDK_MARKERS   (1u << 17)

/* Kinds of tables. */
enum { VMDK_T_GD, VMDK_T_GT, VMDK_T_RGT };

enum vmdk_kind { VMDK_FLAT, VMDK_NOTHING, VMDK_SPARSE };

struct vmdk_extent {
    enum vmdk_kind kind;
    uint64_t start, len; /* bytes of the disk */
    struct image_file *file;
    uint64_t offset; /* flat: in the file */
    /* sparse: */
    struct tables t;
    uint64_t gd, rgd; /* bytes in the file; rgd 0: no second tables */
    uint64_t gd_entries;
    uint32_t grain, gtes; /* bytes; entries of a grain table */
    uint32_t flags;
    bool unclean, started;
    uint64_t fresh; /* nothing was ever written from here on */
};

struct vmdk {
    struct vmdk_extent *extents;
    unsigned count;
    char *desc;                  /* text, ended by a zero byte */
    uint64_t desc_at, desc_room; /* in im->file; 0: the file is nothing else */
    uint32_t cid, parent_cid;
    bool changed; /* a new CID was written */
    struct packed packed;
};

/* --- vmdk_desc.c: the text. Pure. --- */

/* The value of `key = value`, without quotes. False if there is none, or it is too long. */
bool vmdk_desc_value(const char *desc, const char *key, char *value, size_t size);
/* The same as a hexadecimal number. */
bool vmdk_desc_hex(const char *desc, const char *key, uint32_t *value);

struct vmdk_desc_extent {
    bool readonly;
    uint64_t sectors, offset;
    char type[16], name[256];
};
/* The next extent line at or behind *at, which moves on. 1, 0 at the end, -XEN_EINVAL. */
int vmdk_desc_next(const char **at, struct vmdk_desc_extent *e);
/* The text with another CID, allocated; NULL: it has none, or no memory. */
char *vmdk_desc_with_cid(const char *desc, uint32_t cid);

/* vmdk_map.c */
int vmdk_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
int vmdk_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
int vmdk_read_packed(struct image *im, uint64_t offset, void *buf, size_t len);
int vmdk_prepare(struct image *im);
bool vmdk_is_dirty(const struct image *im);
int vmdk_flush(struct image *im);
/* Entry `index` of the grain directory at `gd`: a table's place in bytes, 0 if there is none. */
int vmdk_table(struct vmdk_extent *x, uint64_t gd, uint64_t index, uint64_t *table);

/* vmdk_check.c */
int vmdk_check(struct image *im, bool repair, void (*report)(const char *),
               struct image_check *result);
/* Makes the second tables as the first ones. Counts entries that differ, tells of each. */
int vmdk_copy_tables(struct image *im, struct vmdk_extent *x, bool write,
                     struct image_findings *findings, uint64_t *differ);

int vmdk_create(const struct image_env *env, const char *path, const struct image_params *params,
                char *why);

#endif
