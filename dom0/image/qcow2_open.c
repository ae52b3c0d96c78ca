/* SPDX-License-Identifier: MIT */
/* A qcow2 image's header: taken apart, each number checked, before anything else is looked at. */
#include "dom0/image/qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

/* "Header extensions": the base's format; those that are unknown are allowed. */
static int read_extensions(struct image *im, uint64_t at, uint64_t end, char *why)
{
    im->base_format = IMAGE_FORMATS;
    while (at + 8 <= end) {
        uint8_t ext[8], name[8] = "";
        uint32_t type, len;
        int rc = imgfile_read_zero(im->file, at, ext, sizeof ext);

        if (rc < 0)
            return rc;
        type = (uint32_t)get_be(ext, 4);
        len = (uint32_t)get_be(ext + 4, 4);
        at += 8;
        if (type == 0)
            return 0;
        if (len > end - at)
            return image_fail(why, -XEN_EINVAL, "it is damaged: a header extension is too long");
        if (type == QCOW2_EXT_BASE_FORMAT) {
            rc = imgfile_read_zero(im->file, at, name, len < 7 ? len : 7);
            if (rc < 0)
                return rc;
            rc = image_format_parse((char *)name);
            if (rc < 0)
                return image_fail(why, -XEN_EOPNOTSUPP,
                                  "its base is of format '%.7s': known are "
                                  "raw, qcow2, vmdk",
                                  name);
            im->base_format = (enum image_format)rc;
        }
        at += (len + 7ull) & ~7ull;
    }
    return 0;
}

/* An old image that does not say its base's format: raw, unless that would be doubtful. */
static int guess_base(struct image *im, char *why)
{
    struct image_file *base;
    uint8_t head[32];
    int rc = im->env->open(im->env, im->base_path, 0, &base, why);

    im->base_format = IMAGE_RAW;
    if (rc < 0)
        return 0; /* said again, with its name, by whoever opens it next */
    *why = 0;
    rc = imgfile_read_zero(base, 0, head, sizeof head);
    imgfile_close(base);
    if (rc == 0 && image_format_by_content(head, sizeof head) != IMAGE_RAW)
        rc = image_fail(why, -XEN_EINVAL,
                        "it does not say which format its base has: say it by qemu-img rebase -u "
                        "-F FORMAT -b BASE");
    return rc;
}

static int read_base(struct image *im, const uint8_t *head, unsigned flags, char *why)
{
    uint64_t at = get_be(head + QCOW2_AT_BASE, 8);
    uint32_t len = (uint32_t)get_be(head + QCOW2_AT_BASE_LEN, 4);
    char name[QCOW2_NAME_MAX + 1];
    int rc;

    if (!at)
        return 0;
    if (len == 0 || len > QCOW2_NAME_MAX || !imgfile_inside(im->unit, at, len))
        return image_fail(why, -XEN_EINVAL, "it is damaged: the name of its base");
    rc = imgfile_read(im->file, at, name, len);
    if (rc < 0)
        return rc;
    name[len] = 0;
    rc = image_base_path(im->path, name, im->base_path, why);
    if (rc == 0 && im->base_format == IMAGE_FORMATS && !(flags & IMAGE_ALONE))
        rc = guess_base(im, why);
    return rc;
}

/* "Feature bits". */
static int check_features(struct image *im, const uint8_t *head, char *why)
{
    struct qcow2 *q = im->state;

    q->incompatible = get_be(head + QCOW2_AT_INCOMPATIBLE, 8);
    q->autoclear = get_be(head + QCOW2_AT_AUTOCLEAR, 8);
    if (q->incompatible & QCOW2_DATA_FILE)
        return image_fail(why, -XEN_EOPNOTSUPP,
                          "its data lie in a file of their own: convert it "
                          "with qemu-img convert");
    if (q->incompatible & QCOW2_EXTENDED_L2)
        return image_fail(why, -XEN_EOPNOTSUPP,
                          "it has subclusters (extended_l2): convert it with "
                          "qemu-img convert");
    if (q->incompatible & ~(uint64_t)(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION))
        return image_fail(why, -XEN_EOPNOTSUPP, "it has features that are not known here (%llx)",
                          (unsigned long long)q->incompatible);
    if (q->incompatible & QCOW2_CORRUPT)
        image_fail(im->note, 0, "it is marked as damaged");
    else if (q->incompatible & QCOW2_DIRTY)
        image_fail(im->note, 0, "its refcounts are not up to date: repair it with disk-check -r");
    else if (q->autoclear & QCOW2_BITMAPS)
        image_fail(im->note, 0, "it has dirty bitmaps");
    return 0;
}

static int check_v3(struct image *im, const uint8_t *head, char *why)
{
    struct qcow2 *q = im->state;
    uint64_t length = get_be(head + QCOW2_AT_LENGTH, 4);

    q->order = (uint32_t)get_be(head + QCOW2_AT_ORDER, 4);
    if (length < QCOW2_HEAD_V3 || length > qcow2_cluster(q) || length % 8 || q->order > 6)
        return image_fail(why, -XEN_EINVAL, "it is damaged: its header");
    if (q->incompatible & QCOW2_COMPRESSION) {
        if (length <= QCOW2_AT_COMPRESSION || head[QCOW2_AT_COMPRESSION] > 1)
            return image_fail(why, -XEN_EOPNOTSUPP,
                              "it is compressed in a way that is not known "
                              "here");
        q->zstd = head[QCOW2_AT_COMPRESSION] == 1;
    }
    return 0;
}

/* The tables begin inside the file, and are large enough for the disk. */
static int check_tables(struct image *im, char *why)
{
    struct qcow2 *q = im->state;
    uint64_t mask = qcow2_cluster(q) - 1, end = qcow2_round(q, im->file->size);
    uint64_t span = qcow2_cluster(q) << (q->bits - 3);

    if (im->size > IMAGE_SIZE_MAX || q->l1_size > QCOW2_L1_MAX / 8 ||
        q->l1_size < (im->size + span - 1) / span || (q->l1 & mask) ||
        (q->l1_size && (!q->l1 || !imgfile_inside(end, q->l1, q->l1_size * 8ull))))
        return image_fail(why, -XEN_EINVAL, "it is damaged: its L1 table");
    if (!q->table_clusters || q->table_clusters > QCOW2_TABLE_MAX >> q->bits || !q->table ||
        (q->table & mask) || !imgfile_inside(end, q->table, (uint64_t)q->table_clusters << q->bits))
        return image_fail(why, -XEN_EINVAL, "it is damaged: its refcount table");
    return 0;
}

static int read_header(struct image *im, unsigned flags, char *why)
{
    struct qcow2 *q = im->state;
    uint8_t head[QCOW2_HEAD_READ];
    uint64_t base;
    int rc = imgfile_read_zero(im->file, 0, head, sizeof head);

    if (rc < 0)
        return rc;
    if (im->file->size < QCOW2_HEAD_V2 || get_be(head, 4) != QCOW2_MAGIC)
        return image_fail(why, -XEN_EINVAL, "it is no qcow2 image");
    q->version = (uint32_t)get_be(head + QCOW2_AT_VERSION, 4);
    if (q->version != 2 && q->version != 3)
        return image_fail(why, -XEN_EOPNOTSUPP, "qcow2 version %u is not known here", q->version);
    q->bits = (uint32_t)get_be(head + QCOW2_AT_BITS, 4);
    if (q->bits < QCOW2_BITS_MIN || q->bits > QCOW2_BITS_MAX)
        return image_fail(why, -XEN_EINVAL, "it is damaged: clusters of 2^%u bytes", q->bits);
    if (get_be(head + QCOW2_AT_CRYPT, 4))
        return image_fail(why, -XEN_EOPNOTSUPP,
                          "it is encrypted: decrypt it with qemu-img convert");
    im->unit = 1u << q->bits;
    im->size = get_be(head + QCOW2_AT_SIZE, 8);
    im->variant = q->version == 2 ? "v2" : "v3";
    q->l1_size = (uint32_t)get_be(head + QCOW2_AT_L1_SIZE, 4);
    q->l1 = get_be(head + QCOW2_AT_L1, 8);
    q->table = get_be(head + QCOW2_AT_TABLE, 8);
    q->table_clusters = (uint32_t)get_be(head + QCOW2_AT_TABLE_LEN, 4);
    q->snapshots = (uint32_t)get_be(head + QCOW2_AT_SNAPSHOTS, 4);
    q->snapshot_table = get_be(head + QCOW2_AT_SNAPSHOT_TABLE, 8);
    q->order = 4;
    if (q->version == 3) {
        rc = check_features(im, head, why);
        if (rc == 0)
            rc = check_v3(im, head, why);
    }
    if (rc == 0)
        rc = check_tables(im, why);
    if (rc < 0)
        return rc;
    if (q->snapshots && !*im->note)
        image_fail(im->note, 0, "it has %u internal snapshots", q->snapshots);
    base = get_be(head + QCOW2_AT_BASE, 8);
    rc = read_extensions(im, q->version == 2 ? QCOW2_HEAD_V2 : get_be(head + QCOW2_AT_LENGTH, 4),
                         base && base < im->unit ? base : im->unit, why);
    return rc < 0 ? rc : read_base(im, head, flags, why);
}

static int qcow2_open(struct image *im, unsigned flags, char *why)
{
    struct qcow2 *q = calloc(1, sizeof *q);
    int rc;

    if (!q)
        return -XEN_ENOMEM;
    im->state = q;
    rc = read_header(im, flags, why);
    if (rc < 0) {
        free(q);
        return rc;
    }
    tables_init(&q->t, im->file, im->unit < 4096 ? im->unit : 4096);
    q->fresh = qcow2_round(q, im->file->size);
    q->hint = q->fresh >> q->bits;
    return 0;
}

static int qcow2_close(struct image *im)
{
    struct qcow2 *q = im->state;
    int rc = 0;

    /* The second time for the refcounts that fell. */
    for (int i = 0; i < 2 && rc == 0 && qcow2_is_dirty(im); i++)
        rc = qcow2_flush(im);
    /* The file was made longer in large steps. */
    if (rc == 0 && q->started && im->file->size > q->fresh)
        rc = imgfile_resize(im->file, q->fresh);
    packed_free(&q->packed);
    tables_free(&q->t);
    free(q);
    return rc;
}

const struct image_driver qcow2_driver = {
    .open = qcow2_open,
    .close = qcow2_close,
    .map = qcow2_map,
    .map_write = qcow2_map_write,
    .read_packed = qcow2_read_packed,
    .prepare = qcow2_prepare,
    .is_dirty = qcow2_is_dirty,
    .flush = qcow2_flush,
    .resize = qcow2_resize,
    .check = qcow2_check,
    .create = qcow2_create,
};
