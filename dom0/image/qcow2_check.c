/* SPDX-License-Identifier: MIT */
/*
 * What a qcow2 image says of itself: the uses of each cluster, counted anew, against its refcounts.
 * Memory is bounded: the clusters of the file are looked at in windows, each of which costs a walk
 * through all tables.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

#define WINDOW (1u << 19) /* clusters of the file */

struct check {
    struct image *im;
    struct qcow2 *q;
    struct image_check *result;
    struct image_findings findings;
    uint16_t *uses;  /* of the clusters of the window */
    uint64_t window; /* its first cluster */
    bool first;      /* window: faults of the tables are told once */
};

static void bad(struct check *c, const char *what, uint64_t where)
{
    if (!c->first)
        return;
    c->result->errors++;
    image_finding(&c->findings, "%s %llx is no cluster of the file", what,
                  (unsigned long long)where);
}

static void use(struct check *c, uint64_t offset, uint64_t len)
{
    uint64_t first = offset >> c->q->bits, last = (offset + len - 1) >> c->q->bits;

    if (last < c->window || first >= c->window + WINDOW)
        return;
    if (first < c->window)
        first = c->window;
    if (last >= c->window + WINDOW)
        last = c->window + WINDOW - 1;
    for (; first <= last; first++)
        if (c->uses[first - c->window] != UINT16_MAX)
            c->uses[first - c->window]++;
}

/* A whole cluster that an entry refers to; false if it cannot be. */
static bool use_cluster(struct check *c, const char *what, uint64_t offset)
{
    if (!qcow2_good(c->im, c->q, offset)) {
        bad(c, what, offset);
        return false;
    }
    use(c, offset, qcow2_cluster(c->q));
    return true;
}

static void use_data(struct check *c, uint64_t entry)
{
    uint64_t offset = entry & QCOW2_OFFSET;
    uint32_t len;

    if (entry & QCOW2_PACKED) {
        qcow2_packed_place(c->q, entry, &offset, &len);
        if (!imgfile_inside(qcow2_round(c->q, c->im->file->size), offset, len))
            bad(c, "compressed data at", offset);
        else
            use(c, offset, len);
    } else if (entry & ~(QCOW2_OFFSET | QCOW2_COPIED | QCOW2_ZERO)) {
        bad(c, "entry", entry);
    } else if (offset && !use_cluster(c, "data at", offset)) {
        return;
    }
    if (c->first && (entry & QCOW2_PACKED || (offset && !(entry & QCOW2_ZERO))))
        c->result->data += qcow2_cluster(c->q);
}

/* An L1 table and all below. */
static int use_l1(struct check *c, uint64_t l1, uint32_t size)
{
    uint64_t entry;

    if (size == 0)
        return 0;
    use(c, l1, size * 8ull);
    for (uint32_t i = 0; i < size; i++) {
        int rc = qcow2_entry(c->q, QCOW2_T_L1, l1, i, &entry);
        uint64_t l2;

        if (rc < 0)
            return rc;
        l2 = entry & QCOW2_OFFSET;
        if (image_pause(c->im->env))
            return -XEN_EAGAIN;
        if (!l2 || !use_cluster(c, "L2 table at", l2))
            continue;
        for (uint32_t n = 0; n < 1u << (c->q->bits - 3); n++) {
            rc = qcow2_entry(c->q, QCOW2_T_L2, l2, n, &entry);
            if (rc < 0)
                break;
            use_data(c, entry);
        }
        if (rc == -XEN_EIO)
            bad(c, "used as two tables:", l2);
        else if (rc < 0)
            return rc;
    }
    return 0;
}

/* "Snapshots": the table of them, and each one's L1 table. */
static int use_snapshots(struct check *c)
{
    uint64_t at = c->q->snapshot_table, end = qcow2_round(c->q, c->im->file->size);

    for (uint32_t i = 0; i < c->q->snapshots; i++) {
        uint8_t head[40];
        uint64_t l1, len;
        int rc = at > end ? -XEN_EIO : imgfile_read(c->im->file, at, head, sizeof head);

        if (rc < 0)
            return rc;
        l1 = get_be(head, 8);
        if ((l1 & (qcow2_cluster(c->q) - 1)) || get_be(head + 8, 4) > QCOW2_L1_MAX / 8 ||
            !imgfile_inside(end, l1, get_be(head + 8, 4) * 8))
            return -XEN_EIO;
        rc = use_l1(c, l1, (uint32_t)get_be(head + 8, 4));
        if (rc < 0)
            return rc;
        len = sizeof head + get_be(head + 36, 4) + get_be(head + 12, 2) + get_be(head + 14, 2);
        at += (len + 7) & ~7ull;
    }
    if (c->q->snapshots)
        use(c, c->q->snapshot_table, at - c->q->snapshot_table);
    return 0;
}

static int use_refcounts(struct check *c)
{
    uint64_t entries = (uint64_t)c->q->table_clusters << (c->q->bits - 3), block;

    use(c, c->q->table, (uint64_t)c->q->table_clusters << c->q->bits);
    for (uint64_t i = 0; i < entries; i++) {
        int rc = qcow2_entry(c->q, QCOW2_T_TABLE, c->q->table, i, &block);

        if (rc < 0)
            return rc;
        if (block)
            use_cluster(c, "refcount block at", block);
    }
    return 0;
}

static int use_all(struct check *c)
{
    int rc;

    memset(c->uses, 0, WINDOW * sizeof *c->uses);
    use(c, 0, qcow2_cluster(c->q));
    rc = use_l1(c, c->q->l1, c->q->l1_size);
    if (rc == 0) {
        uint64_t data = c->result->data;

        rc = use_snapshots(c);
        c->result->data = data;
    }
    return rc ? rc : use_refcounts(c);
}

static int compare(struct check *c, uint64_t cluster, bool repair)
{
    uint64_t uses = c->uses[cluster - c->window], count;
    int rc = qcow2_ref(c->im, cluster, &count);

    if (rc == -XEN_EIO) {
        /* Its block is none, which was told when the table was looked at. */
        c->result->errors += uses != 0;
        return 0;
    }
    if (rc < 0 || count == uses)
        return rc;
    *(count < uses ? &c->result->errors : &c->result->leaks) += 1;
    image_finding(&c->findings, "cluster %llx of the file has %llu users and refcount %llu",
                  (unsigned long long)cluster << c->q->bits, (unsigned long long)uses,
                  (unsigned long long)count);
    if (!repair)
        return 0;
    if (c->q->t.all_dirty >= TABLES_DIRTY_MOST)
        rc = qcow2_flush(c->im);
    if (rc == 0)
        rc = qcow2_ref_set(c->im, cluster, uses);
    if (rc == 0)
        c->result->repaired++;
    /* No block for it, or too many users for its width: it stays an error. */
    return rc == -XEN_ENODATA || rc == -XEN_EOVERFLOW ? 0 : rc;
}

/* The clusters that can be counted: those of the file, and those that there are blocks for. */
static uint64_t end_of_counts(const struct check *c)
{
    return qcow2_round(c->q, c->im->file->size) >> c->q->bits;
}

/* --- the flag "copied": set in an entry just if the refcount is 1 --- */

static int check_flag(struct check *c, unsigned kind, uint64_t table, uint64_t index, bool repair)
{
    uint64_t entry, count;
    int rc = qcow2_entry(c->q, kind, table, index, &entry);

    if (rc < 0 || entry & QCOW2_PACKED || !qcow2_good(c->im, c->q, entry & QCOW2_OFFSET))
        return rc == -XEN_EIO ? 0 : rc;
    rc = qcow2_ref(c->im, (entry & QCOW2_OFFSET) >> c->q->bits, &count);
    if (rc < 0 || (count == 1) == ((entry & QCOW2_COPIED) != 0))
        return rc == -XEN_EIO ? 0 : rc;
    c->result->errors++;
    image_finding(&c->findings, "the entry %llx has a wrong flag: its refcount is %llu",
                  (unsigned long long)entry, (unsigned long long)count);
    if (!repair)
        return 0;
    if (c->q->t.all_dirty >= TABLES_DIRTY_MOST)
        rc = qcow2_flush(c->im);
    if (rc == 0)
        rc = qcow2_entry_set(c->q, kind, table, index, entry ^ QCOW2_COPIED);
    c->result->repaired += rc == 0;
    return rc;
}

static int check_flags(struct check *c, bool repair)
{
    for (uint32_t i = 0; i < c->q->l1_size; i++) {
        uint64_t entry, l2;
        int rc = check_flag(c, QCOW2_T_L1, c->q->l1, i, repair);

        if (rc == 0)
            rc = qcow2_entry(c->q, QCOW2_T_L1, c->q->l1, i, &entry);
        if (rc < 0)
            return rc;
        if (image_pause(c->im->env))
            return -XEN_EAGAIN;
        l2 = entry & QCOW2_OFFSET;
        if (!qcow2_good(c->im, c->q, l2))
            continue;
        for (uint32_t n = 0; rc == 0 && n < 1u << (c->q->bits - 3); n++)
            rc = check_flag(c, QCOW2_T_L2, l2, n, repair);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_windows(struct check *c, bool repair)
{
    int rc = 0;

    for (c->window = 0; rc == 0 && c->window < end_of_counts(c); c->window += WINDOW) {
        uint64_t end = end_of_counts(c);

        c->first = c->window == 0;
        rc = use_all(c);
        if (end > c->window + WINDOW)
            end = c->window + WINDOW;
        for (uint64_t i = c->window; rc == 0 && i < end; i++)
            rc = compare(c, i, repair);
    }
    return rc;
}

int qcow2_check(struct image *im, bool repair, void (*report)(const char *),
                struct image_check *result)
{
    struct check c = {.im = im, .q = im->state, .result = result, .findings = {.report = report}};
    int rc;

    if (c.q->autoclear & QCOW2_BITMAPS)
        return -XEN_EOPNOTSUPP;
    if (repair && (!im->writable || c.q->snapshots))
        return -XEN_EROFS;
    c.uses = malloc(WINDOW * sizeof *c.uses);
    if (!c.uses)
        return -XEN_ENOMEM;
    rc = check_windows(&c, repair);
    free(c.uses);
    if (rc == 0)
        rc = check_flags(&c, repair);
    if (rc == 0 && repair)
        rc = qcow2_flush(im);
    if (rc == 0 && repair && result->errors + result->leaks == result->repaired &&
        c.q->incompatible & QCOW2_DIRTY) {
        c.q->incompatible &= ~(uint64_t)QCOW2_DIRTY;
        rc = qcow2_header(im, QCOW2_AT_INCOMPATIBLE, 8, c.q->incompatible);
        result->errors++;
        result->repaired++;
    }
    return rc;
}
