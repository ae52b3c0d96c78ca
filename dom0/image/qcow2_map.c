/* SPDX-License-Identifier: MIT */
/* From the disk to the file ("Cluster mapping"), and the first write to a cluster. */
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

int qcow2_entry(struct qcow2 *q, unsigned kind, uint64_t table, uint64_t index, uint64_t *entry)
{
    uint8_t *at;
    int rc = tables_at(&q->t, kind, table + index * 8, false, &at);

    *entry = rc == 0 ? get_be(at, 8) : 0;
    return rc;
}

int qcow2_entry_set(struct qcow2 *q, unsigned kind, uint64_t table, uint64_t index, uint64_t entry)
{
    uint8_t *at;
    int rc = tables_at(&q->t, kind, table + index * 8, true, &at);

    if (rc == 0)
        put_be(at, 8, entry);
    return rc;
}

/* "Compressed Clusters Descriptor". */
void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *len)
{
    unsigned x = 62 - (q->bits - 8);
    uint64_t more = (entry & (QCOW2_PACKED - 1)) >> x;

    *offset = entry & ((1ull << x) - 1);
    *len = (uint32_t)((more + 1) * IMAGE_SECTOR - *offset % IMAGE_SECTOR);
}

/* What an L2 entry means. For `write`, a cluster that has other users is not IMAGE_DATA but
 * IMAGE_BELOW: it needs a new one. */
static int classify(const struct image *im, uint64_t entry, bool write, uint64_t *host)
{
    const struct qcow2 *q = im->state;

    *host = 0;
    if (entry & QCOW2_PACKED)
        return IMAGE_PACKED;
    if (entry & QCOW2_ZERO)
        return q->version == 2 ? -XEN_EIO : IMAGE_ZERO;
    *host = entry & QCOW2_OFFSET;
    if (!*host)
        return IMAGE_BELOW;
    if (entry & ~(QCOW2_OFFSET | QCOW2_COPIED) || !qcow2_good(im, q, *host))
        return -XEN_EIO;
    return write && !(entry & QCOW2_COPIED) ? IMAGE_BELOW : IMAGE_DATA;
}

/* The offset of the L2 table for a place on the disk; 0: there is none. */
static int find_l2(struct image *im, uint64_t offset, uint64_t *l2)
{
    struct qcow2 *q = im->state;
    uint64_t entry;
    int rc = qcow2_entry(q, QCOW2_T_L1, q->l1, offset >> (2 * q->bits - 3), &entry);

    if (rc < 0)
        return rc;
    *l2 = entry & QCOW2_OFFSET;
    if (entry & ~(QCOW2_OFFSET | QCOW2_COPIED) || (*l2 && !qcow2_good(im, q, *l2)))
        return -XEN_EIO;
    return 0;
}

static uint64_t l2_index(const struct qcow2 *q, uint64_t offset)
{
    return offset >> q->bits & ((1ull << (q->bits - 3)) - 1);
}

/* The file may end inside its last cluster; what would lie behind is zeros. */
static void clip_to_file(const struct image *im, struct image_extent *e)
{
    uint64_t whole = im->file->size & ~(uint64_t)(IMAGE_SECTOR - 1);

    if (imgfile_inside(whole, e->offset, e->len))
        return;
    if (e->offset < whole)
        e->len = whole - e->offset;
    else if (e->offset < im->file->size) {
        e->kind = IMAGE_PACKED;
        e->len = IMAGE_SECTOR;
    } else
        e->kind = IMAGE_ZERO;
}

/* The run of clusters of one kind, consecutive in the file, as far as one unit of the L2 table
 * goes.
 */
static int map_run(struct image *im, uint64_t offset, uint64_t len, bool write,
                   struct image_extent *e)
{
    struct qcow2 *q = im->state;
    uint64_t cluster = qcow2_cluster(q), in = offset & (cluster - 1), span = cluster - in;
    uint64_t l2, host, next;
    uint8_t *at;
    int kind, rc = find_l2(im, offset, &l2);

    if (rc < 0)
        return rc;
    e->file = im->file;
    if (!l2) {
        uint64_t reach = cluster << (q->bits - 3);

        reach -= offset & (reach - 1);
        e->kind = (enum image_kind)IMAGE_BELOW;
        e->len = len < reach ? len : reach;
        return 0;
    }
    l2 += l2_index(q, offset) * 8;
    rc = tables_at(&q->t, QCOW2_T_L2, l2, false, &at);
    if (rc < 0)
        return rc;
    kind = classify(im, get_be(at, 8), write, &host);
    if (kind < 0)
        return kind;
    for (unsigned left = (unsigned)((q->t.unit - l2 % q->t.unit) / 8) - 1;
         left > 0 && span < len && kind != IMAGE_PACKED; left--, span += cluster) {
        at += 8;
        if (classify(im, get_be(at, 8), write, &next) != kind ||
            (kind == IMAGE_DATA && next != host + in + span))
            break;
    }
    e->kind = (enum image_kind)kind;
    e->offset = host + in;
    e->len = len < span ? len : span;
    return 0;
}

int qcow2_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    int rc = map_run(im, offset, len, false, e);

    if (rc == 0 && e->kind == IMAGE_DATA)
        clip_to_file(im, e);
    return rc;
}

int qcow2_read_packed(struct image *im, uint64_t offset, void *buf, size_t len)
{
    struct qcow2 *q = im->state;
    uint32_t in = (uint32_t)(offset & (qcow2_cluster(q) - 1));
    struct packed_part part = {im->file, 0,        0,
                               im->unit, im->unit, q->zstd ? UNPACK_ZSTD : UNPACK_DEFLATE};
    uint64_t l2, entry = 0;
    int rc = find_l2(im, offset, &l2);

    if (rc == 0)
        rc = qcow2_entry(q, QCOW2_T_L2, l2, l2_index(q, offset), &entry);
    if (rc < 0)
        return rc;
    if (!(entry & QCOW2_PACKED))
        return imgfile_read_zero(im->file, (entry & QCOW2_OFFSET) + in, buf, len);
    qcow2_packed_place(q, entry, &part.offset, &part.len);
    if (part.offset >= im->file->size)
        return -XEN_EIO;
    return packed_read(&q->packed, im->env, &part, in, buf, len);
}

/* --- the first write --- */

/* The L2 table, which is made if there is none. */
static int make_l2(struct image *im, uint64_t offset, uint64_t *l2)
{
    struct qcow2 *q = im->state;
    uint64_t index = offset >> (2 * q->bits - 3), entry;
    bool fresh;
    int rc = find_l2(im, offset, l2);

    if (rc == 0 && *l2) {
        rc = qcow2_entry(q, QCOW2_T_L1, q->l1, index, &entry);
        /* Only snapshots share tables, and with these nothing is written here. */
        return rc ? rc : entry & QCOW2_COPIED ? 0 : -XEN_EIO;
    }
    if (rc == 0)
        rc = qcow2_alloc(im, l2, &fresh);
    if (rc == 0 && !fresh)
        rc = imgfile_zero(im->file, *l2, qcow2_cluster(q));
    return rc ? rc : qcow2_entry_set(q, QCOW2_T_L1, q->l1, index, *l2 | QCOW2_COPIED);
}

/* What the disk shows in the rest of the cluster that is to be written to [from, to). */
static int fill_around(struct image *im, uint64_t from, uint64_t to, uint64_t host, bool fresh)
{
    uint64_t mask = qcow2_cluster(im->state) - 1;
    uint64_t start = from & ~mask, end = start + mask + 1, shown = end < im->size ? end : im->size;
    int rc = image_fill(im, start, from - start, im->file, host, fresh);

    if (rc == 0 && to < shown)
        rc = image_fill(im, to, shown - to, im->file, host + (to - start), fresh);
    if (rc == 0 && shown < end && !fresh)
        rc = imgfile_zero(im->file, host + (shown - start), end - shown);
    return rc;
}

/* The header's part of a first write: "autoclear" features that we do not keep up are gone. */
static int start_writing(struct image *im)
{
    struct qcow2 *q = im->state;
    int rc = q->autoclear ? qcow2_header(im, QCOW2_AT_AUTOCLEAR, 8, 0) : 0;

    if (rc == 0) {
        q->autoclear = 0;
        q->started = true;
    }
    return rc;
}

/* A cluster's entry changes: the old one's space is given back. */
static int replace_entry(struct qcow2 *q, uint64_t l2, uint64_t index, uint64_t old, uint64_t host)
{
    int rc = qcow2_entry_set(q, QCOW2_T_L2, l2, index, host | QCOW2_COPIED);
    uint64_t offset;
    uint32_t len;

    if (rc < 0 || (old & QCOW2_OFFSET) == host)
        return rc;
    if (old & QCOW2_PACKED) {
        qcow2_packed_place(q, old, &offset, &len);
        qcow2_free(q, offset, len);
    } else if (old & QCOW2_OFFSET) {
        qcow2_free(q, old & QCOW2_OFFSET, qcow2_cluster(q));
    }
    return 0;
}

/* One cluster, of which [offset, offset + len) will be written. */
static int new_cluster(struct image *im, uint64_t offset, uint64_t len, uint64_t *host)
{
    struct qcow2 *q = im->state;
    uint64_t index = l2_index(q, offset), l2, old = 0;
    bool fresh = false;
    int rc;

    image_settle(im, 0);
    rc = q->started ? 0 : start_writing(im);

    if (rc == 0)
        rc = make_l2(im, offset, &l2);
    if (rc == 0)
        rc = qcow2_entry(q, QCOW2_T_L2, l2, index, &old);
    if (rc < 0)
        return rc;
    /* Zeros may have a cluster of their own, which nothing shows ("zero flag"). */
    *host = old & QCOW2_OFFSET;
    if (old & QCOW2_PACKED || !(old & QCOW2_ZERO) || !(old & QCOW2_COPIED) ||
        !qcow2_good(im, q, *host))
        rc = qcow2_alloc(im, host, &fresh);
    if (rc == 0)
        rc = fill_around(im, offset, offset + len, *host, fresh);
    return rc ? rc : replace_entry(q, l2, index, old, *host);
}

int qcow2_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    struct qcow2 *q = im->state;
    uint64_t in = offset & (qcow2_cluster(q) - 1), host;
    int rc = map_run(im, offset, len, true, e);

    if (rc < 0)
        return rc;
    if (e->kind != IMAGE_DATA) {
        if (len > qcow2_cluster(q) - in)
            len = qcow2_cluster(q) - in;
        rc = new_cluster(im, offset, len, &host);
        if (rc < 0)
            return rc;
        *e = (struct image_extent){IMAGE_DATA, im->file, host + in, len};
    }
    /* A file that ended inside a cluster. */
    if (!imgfile_inside(im->file->size, e->offset, e->len))
        rc = imgfile_resize(im->file, qcow2_round(q, e->offset + e->len));
    return rc;
}
