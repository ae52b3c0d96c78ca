/* SPDX-License-Identifier: MIT */
/*
 * The qcow2 format, versions 2 and 3, by docs/interop/qcow2.txt of QEMU, whose sections are named
 * in the code. Numbers are big-endian. For the files qcow2_*.c only.
 *
 * A disk's cluster is found by two levels of tables: L1, L2. Another two, the refcount table and
 * blocks, count the uses of each cluster of the file. What keeps an image whole whenever the power
 * goes is the order in which changes reach the disk:
 *
 *     1. guests' data, and refcounts that grew
 *     2. entries of the refcount table
 *     3. L1 and L2 entries
 *     4. refcounts that fell
 *
 * with a flush between. So what is lost in between is space at worst, never content.
 */
#ifndef DOM0_IMAGE_QCOW2_H
#define DOM0_IMAGE_QCOW2_H

#include "dom0/image/impl.h"
#include "dom0/image/tables.h"

#define QCOW2_MAGIC      0x514649fbu
#define QCOW2_HEAD_V2    72
#define QCOW2_HEAD_V3    104
#define QCOW2_HEAD_READ  112 /* with the compression type */
#define QCOW2_BITS_MIN   9
#define QCOW2_BITS_MAX   21
#define QCOW2_L1_MAX     (32u << 20) /* bytes; QEMU's limits */
#define QCOW2_TABLE_MAX  (8u << 20)
#define QCOW2_NAME_MAX   1023
#define QCOW2_OFFSET_MAX (1ull << 55)

/* Places in the header ("Header"). */
enum {
    QCOW2_AT_VERSION = 4,
    QCOW2_AT_BASE = 8,
    QCOW2_AT_BASE_LEN = 16,
    QCOW2_AT_BITS = 20,
    QCOW2_AT_SIZE = 24,
    QCOW2_AT_CRYPT = 32,
    QCOW2_AT_L1_SIZE = 36,
    QCOW2_AT_L1 = 40,
    QCOW2_AT_TABLE = 48,
    QCOW2_AT_TABLE_LEN = 56,
    QCOW2_AT_SNAPSHOTS = 60,
    QCOW2_AT_SNAPSHOT_TABLE = 64,
    QCOW2_AT_INCOMPATIBLE = 72,
    QCOW2_AT_COMPATIBLE = 80,
    QCOW2_AT_AUTOCLEAR = 88,
    QCOW2_AT_ORDER = 96,
    QCOW2_AT_LENGTH = 100,
    QCOW2_AT_COMPRESSION = 104,
};

#define QCOW2_DIRTY       1u /* incompatible features */
#define QCOW2_CORRUPT     2u
#define QCOW2_DATA_FILE   4u
#define QCOW2_COMPRESSION 8u
#define QCOW2_EXTENDED_L2 16u
#define QCOW2_BITMAPS     1u /* autoclear features */

#define QCOW2_EXT_BASE_FORMAT 0xe2792acau

/* Entries ("Cluster mapping"). */
#define QCOW2_OFFSET 0x00fffffffffffe00ull
#define QCOW2_COPIED (1ull << 63) /* its refcount is 1 */
#define QCOW2_PACKED (1ull << 62)
#define QCOW2_ZERO   1ull

/* Kinds of tables, in the order of writing. */
enum { QCOW2_T_BLOCK, QCOW2_T_TABLE, QCOW2_T_L2, QCOW2_T_L1 };

#define QCOW2_FREES 128

struct qcow2 {
    struct tables t;
    uint32_t version, bits, order, l1_size, table_clusters, snapshots;
    uint64_t l1, table, snapshot_table;
    uint64_t incompatible, autoclear;
    bool zstd;
    bool started;   /* the header says that we write */
    uint64_t hint;  /* no cluster before this one is free */
    uint64_t fresh; /* offset in the file: nothing was ever written from here on */
    struct {
        uint64_t offset, len;
    } frees[QCOW2_FREES]; /* no longer referred to, once L1 and L2 are on disk */
    unsigned free_count;
    struct packed packed;
};

static inline uint64_t qcow2_cluster(const struct qcow2 *q)
{
    return 1ull << q->bits;
}

static inline uint64_t qcow2_round(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes + qcow2_cluster(q) - 1) >> q->bits << q->bits;
}

/* The number of clusters of the file that one refcount block counts, as a power of two. */
static inline uint32_t qcow2_block_bits(const struct qcow2 *q)
{
    return q->bits + 3 - q->order;
}

/* True for a cluster of the file that may hold something: aligned, not the header, begun. */
static inline bool qcow2_good(const struct image *im, const struct qcow2 *q, uint64_t offset)
{
    return offset && !(offset & (qcow2_cluster(q) - 1)) && offset < im->file->size;
}

/* Entry `index` of a table of 64-bit ones. */
int qcow2_entry(struct qcow2 *q, unsigned kind, uint64_t table, uint64_t index, uint64_t *entry);
int qcow2_entry_set(struct qcow2 *q, unsigned kind, uint64_t table, uint64_t index, uint64_t entry);

/* A compressed cluster's place: its first byte, and the most bytes that it may have. */
void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *len);

/* qcow2_map.c */
int qcow2_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
int qcow2_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
int qcow2_read_packed(struct image *im, uint64_t offset, void *buf, size_t len);

/* qcow2_ref.c. The count of a cluster by its number; 0 where there is no block. */
int qcow2_ref(struct image *im, uint64_t cluster, uint64_t *count);
/* -XEN_ENODATA where there is no block. */
int qcow2_ref_set(struct image *im, uint64_t cluster, uint64_t count);
/* A cluster to use. fresh: it reads as zeros, for nothing was ever there. */
int qcow2_alloc(struct image *im, uint64_t *offset, bool *fresh);
/* Frees later: when what refers to it is gone from the disk. */
void qcow2_free(struct qcow2 *q, uint64_t offset, uint64_t len);
int qcow2_flush(struct image *im);
int qcow2_prepare(struct image *im);
bool qcow2_is_dirty(const struct image *im);
/* Writes a number of the header, and flushes. */
int qcow2_header(struct image *im, unsigned at, unsigned bytes, uint64_t value);

/* qcow2_grow.c: a refcount table that is twice as large, at least. */
int qcow2_grow_table(struct image *im);
/* qcow2_resize.c: a larger disk. */
int qcow2_resize(struct image *im, uint64_t size);

/* qcow2_check.c, qcow2_create.c */
int qcow2_check(struct image *im, bool repair, void (*report)(const char *),
                struct image_check *result);
int qcow2_create(const struct image_env *env, const char *path, const struct image_params *params,
                 char *why);

#endif
