/* SPDX-License-Identifier: MIT */
/* The clusters of the file: counted ("Host cluster management"), taken, given back; and the order
 * in which all that reaches the disk. */
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

#define GROW_STEP (1u << 20) /* bytes by which the file grows */

int qcow2_header(struct image *im, unsigned at, unsigned bytes, uint64_t value)
{
    uint8_t number[8];
    int rc;

    put_be(number, bytes, value);
    rc = imgfile_write(im->file, at, number, bytes);
    return rc ? rc : imgfile_flush(im->file);
}

/* The refcount block that counts a cluster; 0: there is none, or not even an entry for one. */
static int find_block(struct image *im, uint64_t cluster, uint64_t *block)
{
    struct qcow2 *q = im->state;
    uint64_t index = cluster >> qcow2_block_bits(q);
    int rc = 0;

    *block = 0;
    if (index < (uint64_t)q->table_clusters << (q->bits - 3))
        rc = qcow2_entry(q, QCOW2_T_TABLE, q->table, index, block);
    return rc == 0 && *block && !qcow2_good(im, q, *block) ? -XEN_EIO : rc;
}

/* The place of a count in its block, of 2^order bits. */
static int count_at(struct qcow2 *q, uint64_t block, uint64_t cluster, bool write, uint8_t **at)
{
    uint64_t index = cluster & ((1ull << qcow2_block_bits(q)) - 1);

    return tables_at(&q->t, QCOW2_T_BLOCK, block + (index << q->order >> 3), write, at);
}

static unsigned count_shift(const struct qcow2 *q, uint64_t cluster)
{
    return (unsigned)(cluster << q->order & 7);
}

int qcow2_ref(struct image *im, uint64_t cluster, uint64_t *count)
{
    struct qcow2 *q = im->state;
    uint64_t block;
    uint8_t *at;
    int rc = find_block(im, cluster, &block);

    *count = 0;
    if (rc < 0 || !block)
        return rc;
    rc = count_at(q, block, cluster, false, &at);
    if (rc < 0)
        return rc;
    if (q->order >= 3)
        *count = get_be(at, 1u << (q->order - 3));
    else
        *count = *at >> count_shift(q, cluster) & ((1u << (1u << q->order)) - 1);
    return 0;
}

int qcow2_ref_set(struct image *im, uint64_t cluster, uint64_t count)
{
    struct qcow2 *q = im->state;
    uint64_t block, most = q->order == 6 ? UINT64_MAX : (1ull << (1u << q->order)) - 1;
    uint8_t *at;
    int rc = find_block(im, cluster, &block);

    if (rc == 0 && !block)
        rc = -XEN_ENODATA;
    if (rc == 0 && count > most)
        rc = -XEN_EOVERFLOW;
    if (rc == 0)
        rc = count_at(q, block, cluster, true, &at);
    if (rc)
        return rc;
    if (q->order >= 3) {
        put_be(at, 1u << (q->order - 3), count);
    } else {
        unsigned shift = count_shift(q, cluster);

        *at = (uint8_t)((*at & ~(most << shift)) | count << shift);
    }
    return 0;
}

/* Makes the file reach over a cluster. fresh: it was not used before. */
static int reach(struct image *im, uint64_t cluster, bool *fresh)
{
    struct qcow2 *q = im->state;
    uint64_t start = cluster << q->bits, end = start + qcow2_cluster(q);
    int rc = 0;

    *fresh = start >= q->fresh;
    if (end > im->file->size) {
        rc = imgfile_resize(im->file, (end + GROW_STEP - 1) & ~(uint64_t)(GROW_STEP - 1));
        if (rc < 0) /* the last bit of a disk, or of what a file may have */
            rc = imgfile_resize(im->file, end);
    }
    if (rc == 0 && *fresh)
        q->fresh = end;
    return rc;
}

/* A block for the counts of clusters around this one, which it takes for itself: it counts itself.
 */
static int add_block(struct image *im, uint64_t cluster)
{
    struct qcow2 *q = im->state;
    uint64_t index = cluster >> qcow2_block_bits(q), offset = cluster << q->bits;
    bool fresh;
    int rc = reach(im, cluster, &fresh);

    if (rc == 0 && !fresh)
        rc = imgfile_zero(im->file, offset, qcow2_cluster(q));
    if (rc == 0)
        rc = qcow2_entry_set(q, QCOW2_T_TABLE, q->table, index, offset);
    return rc ? rc : qcow2_ref_set(im, cluster, 1);
}

int qcow2_alloc(struct image *im, uint64_t *offset, bool *fresh)
{
    struct qcow2 *q = im->state;
    uint64_t cluster, count, block;
    int rc;

    for (cluster = q->hint;; cluster++) {
        if (cluster >= QCOW2_OFFSET_MAX >> q->bits)
            return -XEN_ENOSPC;
        rc = find_block(im, cluster, &block);
        if (rc == 0 && !block) {
            if (cluster >> qcow2_block_bits(q) >= (uint64_t)q->table_clusters << (q->bits - 3))
                rc = qcow2_grow_table(im);
            else
                rc = add_block(im, cluster);
        }
        if (rc == 0)
            rc = qcow2_ref(im, cluster, &count);
        if (rc < 0)
            return rc;
        if (count == 0)
            break;
    }
    rc = reach(im, cluster, fresh);
    if (rc == 0)
        rc = qcow2_ref_set(im, cluster, 1);
    if (rc < 0)
        return rc;
    q->hint = cluster + 1;
    *offset = cluster << q->bits;
    return 0;
}

void qcow2_free(struct qcow2 *q, uint64_t offset, uint64_t len)
{
    /* A full list cannot be, since qcow2_prepare() sees to it; it would be a leak, no harm. */
    if (q->free_count == QCOW2_FREES)
        return;
    q->frees[q->free_count].offset = offset;
    q->frees[q->free_count++].len = len;
}

/* The counts of what was freed fall, in memory: the next flush writes them. */
static int apply_frees(struct image *im)
{
    struct qcow2 *q = im->state;

    while (q->free_count > 0) {
        uint64_t first = q->frees[--q->free_count].offset >> q->bits;
        uint64_t last =
            (q->frees[q->free_count].offset + q->frees[q->free_count].len - 1) >> q->bits;

        for (uint64_t cluster = first; cluster <= last; cluster++) {
            uint64_t count;
            int rc = qcow2_ref(im, cluster, &count);

            if (rc == 0 && count > 0)
                rc = qcow2_ref_set(im, cluster, count - 1);
            if (rc < 0)
                return rc;
            if (count != 1)
                continue;
            tables_forget(&q->t, cluster << q->bits, qcow2_cluster(q));
            if (cluster < q->hint)
                q->hint = cluster;
        }
    }
    return 0;
}

bool qcow2_is_dirty(const struct image *im)
{
    const struct qcow2 *q = im->state;

    return q->t.all_dirty > 0 || q->free_count > 0;
}

/* The order is the one that qcow2.h argues. */
int qcow2_flush(struct image *im)
{
    struct qcow2 *q = im->state;
    int rc;

    if (!qcow2_is_dirty(im))
        return imgfile_flush(im->file);
    if (im->settle)
        im->settle(im->settle_arg);
    rc = tables_write(&q->t, QCOW2_T_BLOCK);
    if (rc == 0)
        rc = imgfile_flush(im->file);
    if (rc == 0 && q->t.dirty[QCOW2_T_TABLE]) {
        rc = tables_write(&q->t, QCOW2_T_TABLE);
        if (rc == 0)
            rc = imgfile_flush(im->file);
    }
    if (rc == 0 && q->t.all_dirty) {
        rc = tables_write(&q->t, QCOW2_T_L2);
        if (rc == 0)
            rc = tables_write(&q->t, QCOW2_T_L1);
        if (rc == 0)
            rc = imgfile_flush(im->file);
    }
    return rc ? rc : apply_frees(im);
}

int qcow2_prepare(struct image *im)
{
    struct qcow2 *q = im->state;

    return q->t.all_dirty >= TABLES_DIRTY_MOST || q->free_count >= QCOW2_FREES / 2 ? qcow2_flush(im)
                                                                                   : 0;
}
