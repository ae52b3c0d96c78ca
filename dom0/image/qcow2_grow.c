/* SPDX-License-Identifier: MIT */
/*
 * A larger refcount table. The old one counts clusters up to some place in the file; the new one
 * lies right behind that, after the blocks that count both: nothing can be there.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

struct growth {
    uint64_t first;            /* cluster of the first new block */
    uint64_t entries;          /* of the old table */
    uint64_t blocks, clusters; /* new blocks; clusters of the new table */
};

static int plan_growth(const struct qcow2 *q, struct growth *g)
{
    uint32_t block_bits = qcow2_block_bits(q);

    g->entries = (uint64_t)q->table_clusters << (q->bits - 3);
    g->first = g->entries << block_bits;
    g->clusters = q->table_clusters;
    do {
        g->clusters *= 2;
        g->blocks = 1;
        while (g->blocks << block_bits < g->blocks + g->clusters)
            g->blocks++;
        if (g->clusters > QCOW2_TABLE_MAX >> q->bits)
            return -XEN_ENOSPC;
    } while (g->entries + g->blocks > g->clusters << (q->bits - 3));
    return 0;
}

/* Counts 1 for the new blocks and the new table. */
static int write_blocks(struct image *im, const struct growth *g, uint8_t *buffer)
{
    struct qcow2 *q = im->state;
    uint64_t left = g->blocks + g->clusters, per_block = 1ull << qcow2_block_bits(q);
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < g->blocks; i++) {
        uint64_t n = left < per_block ? left : per_block;

        memset(buffer, 0, qcow2_cluster(q));
        for (uint64_t c = 0; c < n; c++) {
            uint8_t *at = buffer + (c << q->order >> 3);

            if (q->order >= 3)
                put_be(at, 1u << (q->order - 3), 1);
            else
                *at |= (uint8_t)(1u << (c << q->order & 7));
        }
        rc = imgfile_write(im->file, (g->first + i) << q->bits, buffer, qcow2_cluster(q));
        left -= n;
    }
    return rc;
}

/* The old table's content, then the new blocks. */
static int write_table(struct image *im, const struct growth *g, uint8_t *buffer)
{
    struct qcow2 *q = im->state;
    uint64_t per_cluster = qcow2_cluster(q) / 8, start = g->first + g->blocks;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < g->clusters; i++) {
        memset(buffer, 0, qcow2_cluster(q));
        if (i < q->table_clusters)
            rc = imgfile_read_zero(im->file, q->table + (i << q->bits), buffer, qcow2_cluster(q));
        for (uint64_t n = 0; n < per_cluster; n++) {
            uint64_t block = i * per_cluster + n - g->entries; /* wraps before the new ones */

            if (block < g->blocks)
                put_be(buffer + n * 8, 8, (g->first + block) << q->bits);
        }
        if (rc == 0)
            rc = imgfile_write(im->file, (start + i) << q->bits, buffer, qcow2_cluster(q));
    }
    return rc;
}

/* What is dirty of the old table goes to it first. Counts that grew may reach the disk at any time.
 */
static int write_counts(struct image *im)
{
    struct qcow2 *q = im->state;
    int rc = tables_write(&q->t, QCOW2_T_BLOCK);

    if (rc == 0)
        rc = imgfile_flush(im->file);
    if (rc == 0)
        rc = tables_write(&q->t, QCOW2_T_TABLE);
    return rc ? rc : imgfile_flush(im->file);
}

int qcow2_grow_table(struct image *im)
{
    struct qcow2 *q = im->state;
    struct growth g;
    uint8_t place[12], *buffer;
    uint64_t end, table;
    int rc = plan_growth(q, &g);

    if (rc < 0)
        return rc;
    buffer = malloc(qcow2_cluster(q));
    if (!buffer)
        return -XEN_ENOMEM;
    end = (g.first + g.blocks + g.clusters) << q->bits;
    table = (g.first + g.blocks) << q->bits;
    rc = write_counts(im);
    if (rc == 0 && im->file->size < end)
        rc = imgfile_resize(im->file, end);
    if (rc == 0)
        rc = write_blocks(im, &g, buffer);
    if (rc == 0)
        rc = write_table(im, &g, buffer);
    free(buffer);
    if (rc == 0)
        rc = imgfile_flush(im->file);
    /* One write of less than a sector: the old one or the new one, at any time. */
    put_be(place, 8, table);
    put_be(place + 8, 4, g.clusters);
    if (rc == 0)
        rc = imgfile_write(im->file, QCOW2_AT_TABLE, place, sizeof place);
    if (rc == 0)
        rc = imgfile_flush(im->file);
    if (rc < 0)
        return rc;
    tables_forget(&q->t, q->table, (uint64_t)q->table_clusters << q->bits);
    qcow2_free(q, q->table, (uint64_t)q->table_clusters << q->bits);
    q->table = table;
    q->table_clusters = (uint32_t)g.clusters;
    if (q->fresh < end)
        q->fresh = end;
    return 0;
}
