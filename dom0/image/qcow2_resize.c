/* SPDX-License-Identifier: MIT */
/*
 * A larger disk: its size in the header, and an L1 table that reaches as far. Where the clusters of
 * the old table have room it grows in place; else a new one is written first, and the header says
 * size and table in one write of less than a sector: the old ones or the new ones, at any time.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

/*
 * n clusters in a row, behind all that is in use: there, nothing but a new block of counts is in
 * the way, which takes the first cluster that it counts. So a row of more is not to be had.
 */
static int alloc_run(struct image *im, uint64_t n, uint64_t *start)
{
    struct qcow2 *q = im->state;
    uint64_t run = 0, hint = q->hint;
    int rc = n < 1ull << qcow2_block_bits(q) ? 0 : -XEN_EOVERFLOW;

    q->hint = q->fresh >> q->bits;
    while (rc == 0 && run < n) {
        uint64_t at;
        bool fresh;

        rc = qcow2_alloc(im, &at, &fresh);
        if (rc == 0 && run > 0 && at == *start + (run << q->bits)) {
            run++;
        } else if (rc == 0) {
            if (run > 0)
                qcow2_free(q, *start, run << q->bits);
            *start = at;
            run = 1;
        }
    }
    q->hint = hint;
    return rc;
}

/* The old table's entries at `at`, and zeros behind them, for a table of `bytes`. */
static int write_table(struct image *im, uint64_t at, uint64_t bytes)
{
    struct qcow2 *q = im->state;
    uint64_t old = (uint64_t)q->l1_size * 8, end = qcow2_round(q, bytes);
    uint8_t *buffer = malloc(qcow2_cluster(q));
    int rc = buffer ? 0 : -XEN_ENOMEM;

    for (uint64_t done = 0; rc == 0 && done < end; done += qcow2_cluster(q)) {
        uint64_t kept = done < old ? old - done : 0;

        if (kept > qcow2_cluster(q))
            kept = qcow2_cluster(q);
        memset(buffer, 0, qcow2_cluster(q));
        if (kept > 0)
            rc = imgfile_read(im->file, q->l1 + done, buffer, kept);
        if (rc == 0)
            rc = imgfile_write(im->file, at + done, buffer, qcow2_cluster(q));
    }
    free(buffer);
    return rc;
}

/* Size and L1 table lie side by side in the header, with the kind of encryption between: none. */
static int write_header(struct image *im, uint64_t size, uint64_t entries, uint64_t l1)
{
    uint8_t part[QCOW2_AT_L1 + 8 - QCOW2_AT_SIZE] = {0};
    int rc;

    put_be(part, 8, size);
    put_be(&part[QCOW2_AT_L1_SIZE - QCOW2_AT_SIZE], 4, entries);
    put_be(&part[QCOW2_AT_L1 - QCOW2_AT_SIZE], 8, l1);
    rc = imgfile_write(im->file, QCOW2_AT_SIZE, part, sizeof part);
    return rc ? rc : imgfile_flush(im->file);
}

int qcow2_resize(struct image *im, uint64_t size)
{
    struct qcow2 *q = im->state;
    uint64_t reach = qcow2_cluster(q) << (q->bits - 3), old = (uint64_t)q->l1_size * 8;
    uint64_t entries = (size + reach - 1) / reach, table = q->l1;
    int rc;

    if (entries * 8 > QCOW2_L1_MAX)
        return -XEN_EOVERFLOW;
    if (entries < q->l1_size)
        entries = q->l1_size;
    if (entries * 8 > qcow2_round(q, old))
        rc = alloc_run(im, qcow2_round(q, entries * 8) >> q->bits, &table);
    else
        rc = 0;
    /* The counts of a new table before what refers to it; and nothing of the old one in memory. */
    if (rc == 0)
        rc = qcow2_flush(im);
    if (rc == 0 && entries > q->l1_size)
        rc = write_table(im, table, entries * 8);
    if (rc == 0)
        rc = imgfile_flush(im->file);
    if (rc == 0)
        rc = write_header(im, size, entries, table);
    if (rc < 0)
        return rc;
    tables_forget(&q->t, q->l1, qcow2_round(q, old));
    if (table != q->l1)
        qcow2_free(q, q->l1, qcow2_round(q, old));
    q->l1 = table;
    q->l1_size = (uint32_t)entries;
    return 0;
}
