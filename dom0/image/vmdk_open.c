/* SPDX-License-Identifier: MIT */
/* A VMDK image's descriptor, extents and their headers: each number checked first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/vmdk.h"

/* "createType". */
static const char *const variants[] = {"monolithicSparse",     "monolithicFlat",
                                       "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                       "streamOptimized",      "vmfs"};

/* Numbers of a sparse extent's header. `desc` gets the embedded descriptor's place, if there is
 * one.
 */
static int check_sparse(struct vmdk_extent *x, const uint8_t *head, char *why)
{
    uint64_t capacity = get_le(head + VMDK_AT_CAPACITY, 8), grain = get_le(head + VMDK_AT_GRAIN, 8);
    uint64_t size = x->file->size, rgd = get_le(head + VMDK_AT_RGD, 8);

    x->gtes = (uint32_t)get_le(head + VMDK_AT_GTES, 4);
    x->gd = get_le(head + VMDK_AT_GD, 8);
    if (capacity == 0 || capacity > IMAGE_SIZE_MAX / IMAGE_SECTOR || grain == 0 || grain > 4096 ||
        (grain & (grain - 1)) || x->gtes == 0 || x->gtes > 4096 || x->gd > size / IMAGE_SECTOR ||
        rgd > size / IMAGE_SECTOR)
        return image_fail(why, -XEN_EINVAL, "it is damaged: its header");
    x->len = capacity * IMAGE_SECTOR;
    x->grain = (uint32_t)grain * IMAGE_SECTOR;
    x->gd *= IMAGE_SECTOR;
    x->gd_entries = (capacity + grain * x->gtes - 1) / (grain * x->gtes);
    if (!x->gd || !imgfile_inside(size, x->gd, x->gd_entries * 4))
        return image_fail(why, -XEN_EINVAL, "it is damaged: its grain directory");
    if (x->flags & VMDK_REDUNDANT) {
        x->rgd = rgd * IMAGE_SECTOR;
        if (!x->rgd || !imgfile_inside(size, x->rgd, x->gd_entries * 4))
            return image_fail(why, -XEN_EINVAL, "it is damaged: its second grain directory");
    }
    return 0;
}

/* A sparse extent's header, or the footer that stands for it ("Stream-Optimized Compressed Sparse
 * Extents"). */
static int open_sparse(struct vmdk_extent *x, uint8_t head[VMDK_HEAD], char *why)
{
    int rc = imgfile_read_zero(x->file, 0, head, VMDK_HEAD);

    if (rc == 0 && x->file->size >= VMDK_HEAD && get_le(head, 4) == VMDK_MAGIC &&
        get_le(head + VMDK_AT_GD, 8) == VMDK_GD_AT_END && x->file->size > 3 * VMDK_HEAD)
        rc = imgfile_read(x->file, (x->file->size & ~511ull) - 2 * IMAGE_SECTOR, head, VMDK_HEAD);
    if (rc < 0)
        return rc;
    if (x->file->size < VMDK_HEAD || get_le(head, 4) != VMDK_MAGIC)
        return image_fail(why, -XEN_EINVAL, "it is no sparse VMDK extent");
    if (get_le(head + VMDK_AT_VERSION, 4) < 1 || get_le(head + VMDK_AT_VERSION, 4) > 3)
        return image_fail(why, -XEN_EOPNOTSUPP, "VMDK version %u is not known here",
                          (unsigned)get_le(head + VMDK_AT_VERSION, 4));
    x->flags = (uint32_t)get_le(head + VMDK_AT_FLAGS, 4);
    if ((x->flags & VMDK_NEWLINES) && get_le(head + VMDK_AT_NEWLINES, 4) != VMDK_NEWLINE_BYTES)
        return image_fail(why, -XEN_EINVAL, "it is damaged: it was transferred as text");
    if (x->flags & VMDK_PACKED &&
        (!(x->flags & VMDK_MARKERS) || get_le(head + VMDK_AT_COMPRESSION, 2) != 1))
        return image_fail(why, -XEN_EOPNOTSUPP, "it is compressed in a way that is not known here");
    x->unclean = head[VMDK_AT_UNCLEAN] != 0;
    rc = check_sparse(x, head, why);
    if (rc < 0)
        return rc;
    x->kind = VMDK_SPARSE;
    tables_init(&x->t, x->file, IMAGE_SECTOR);
    x->fresh = (x->file->size + x->grain - 1) / x->grain * x->grain;
    return 0;
}

/* Only what has all its grain tables can be written. */
static int look_for_tables(struct image *im, struct vmdk_extent *x)
{
    for (uint64_t i = 0; i < x->gd_entries; i++) {
        uint64_t table = 0, second = 1;
        int rc = vmdk_table(x, x->gd, i, &table);

        if (rc == 0 && x->rgd)
            rc = vmdk_table(x, x->rgd, i, &second);
        if (rc < 0)
            return rc;
        if (!table || !second) {
            image_fail(im->note, 0, "some of its grain tables do not exist");
            return 0;
        }
    }
    return 0;
}

static struct vmdk_extent *add_extent(struct image *im)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *grown;

    if (v->count % 16 == 0) {
        grown = realloc(v->extents, (v->count + 16) * sizeof *grown);
        if (!grown)
            return NULL;
        v->extents = grown;
    }
    memset(&v->extents[v->count], 0, sizeof *grown);
    return &v->extents[v->count++];
}

static int check_flat(struct vmdk_extent *x, char *why)
{
    if (imgfile_inside(x->file->size, x->offset, x->len))
        return 0;
    return image_fail(why, -XEN_EINVAL, "it is damaged: it is shorter than its descriptor says");
}

static int open_extent(struct image *im, const struct vmdk_desc_extent *d, char *why)
{
    struct vmdk_extent *x = add_extent(im);
    uint8_t head[VMDK_HEAD];
    char path[IMAGE_PATH_MAX];
    int rc = 0;

    if (!x)
        return -XEN_ENOMEM;
    x->kind = VMDK_NOTHING;
    x->start = im->size;
    x->len = d->sectors * IMAGE_SECTOR;
    if (d->sectors > IMAGE_SIZE_MAX / IMAGE_SECTOR || d->offset > IMAGE_SIZE_MAX / IMAGE_SECTOR)
        return image_fail(why, -XEN_EINVAL, "it is damaged: the size of an extent");
    im->size += x->len;
    if (!strcmp(d->type, "ZERO"))
        return image_fail(im->note, 0, "it has extents of zeros");
    if (d->readonly)
        image_fail(im->note, 0, "it has read-only extents");
    rc = image_base_path(im->path, d->name, path, why);
    if (rc == 0)
        rc = im->env->open(im->env, path, im->writable ? IMAGE_FILE_WRITE : 0, &x->file, why);
    if (rc < 0)
        return *why ? rc : image_fail(why, rc, "its extent %.100s cannot be opened", d->name);
    x->offset = d->offset * IMAGE_SECTOR;
    if (!strcmp(d->type, "FLAT") || !strcmp(d->type, "VMFS")) {
        x->kind = VMDK_FLAT;
        return check_flat(x, why);
    }
    if (strcmp(d->type, "SPARSE"))
        return image_fail(why, -XEN_EOPNOTSUPP, "extents of type %s are not known here", d->type);
    rc = open_sparse(x, head, why);
    if (rc == 0 && x->len < d->sectors * IMAGE_SECTOR)
        rc = image_fail(why, -XEN_EINVAL, "it is damaged: an extent is too short");
    x->len = d->sectors * IMAGE_SECTOR;
    return rc;
}

static int read_desc(struct image *im, uint64_t at, uint64_t len, char *why)
{
    struct vmdk *v = im->state;
    int rc;

    if (len == 0 || len > VMDK_DESC_MAX || !imgfile_inside(im->file->size, at, len))
        return image_fail(why, -XEN_EINVAL, "it has no descriptor that can be read");
    v->desc = calloc(1, len + 1);
    if (!v->desc)
        return -XEN_ENOMEM;
    v->desc_at = at;
    v->desc_room = at ? len : 0;
    rc = imgfile_read(im->file, at, v->desc, len);
    if (rc < 0)
        return rc;
    if (!vmdk_desc_hex(v->desc, "CID", &v->cid))
        return image_fail(why, -XEN_EINVAL, "it is damaged: its descriptor has no CID");
    if (!vmdk_desc_hex(v->desc, "parentCID", &v->parent_cid))
        v->parent_cid = VMDK_NO_PARENT;
    return 0;
}

static int read_variant(struct image *im, char *why)
{
    struct vmdk *v = im->state;
    char name[IMAGE_PATH_MAX];

    if (!vmdk_desc_value(v->desc, "createType", name, sizeof name))
        return image_fail(why, -XEN_EINVAL, "it is damaged: its descriptor has no createType");
    for (unsigned i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (!strcmp(name, variants[i]))
            im->variant = variants[i];
    if (!*im->variant)
        return image_fail(why, -XEN_EOPNOTSUPP, "VMDK images of type %.40s are not known here",
                          name);
    if (v->parent_cid == VMDK_NO_PARENT)
        return 0;
    if (!vmdk_desc_value(v->desc, "parentFileNameHint", name, sizeof name) || !*name)
        return image_fail(why, -XEN_EINVAL, "it has a base and does not say which");
    im->base_format = IMAGE_VMDK;
    return image_base_path(im->path, name, im->base_path, why);
}

/* The image is one sparse extent, with the descriptor inside. */
static int open_monolithic(struct image *im, char *why)
{
    struct vmdk_extent *x = add_extent(im);
    uint8_t head[VMDK_HEAD];
    uint64_t at, len;
    int rc;

    if (!x)
        return -XEN_ENOMEM;
    x->file = im->file;
    rc = open_sparse(x, head, why);
    if (rc < 0)
        return rc;
    im->size = x->len;
    at = get_le(head + VMDK_AT_DESC, 8);
    len = get_le(head + VMDK_AT_DESC_LEN, 8);
    if (!at || at > im->file->size / IMAGE_SECTOR || len > VMDK_DESC_MAX / IMAGE_SECTOR)
        return image_fail(why, -XEN_EINVAL,
                          "it is an extent of another image, or damaged: it has "
                          "no descriptor");
    rc = read_desc(im, at * IMAGE_SECTOR, len * IMAGE_SECTOR, why);
    return rc ? rc : read_variant(im, why);
}

static int open_described(struct image *im, char *why)
{
    struct vmdk *v = im->state;
    const char *at;
    struct vmdk_desc_extent d;
    int rc = read_desc(im, 0, im->file->size, why), more = 0;

    if (rc == 0)
        rc = read_variant(im, why);
    if (rc < 0)
        return rc;
    at = v->desc;
    while (rc == 0 && (more = vmdk_desc_next(&at, &d)) > 0)
        rc = v->count == VMDK_EXTENTS_MAX
                 ? image_fail(why, -XEN_EOPNOTSUPP, "it has more than %d extents", VMDK_EXTENTS_MAX)
                 : open_extent(im, &d, why);
    if (rc == 0 && (more < 0 || v->count == 0))
        rc = image_fail(why, -XEN_EINVAL, "it is damaged: its descriptor's extents");
    return rc;
}

/* Before the first write: what can only be read, and what was not closed. */
static int look_at_extents(struct image *im)
{
    struct vmdk *v = im->state;
    int rc = 0;

    im->unit = IMAGE_SECTOR;
    for (unsigned i = 0; rc == 0 && i < v->count; i++) {
        struct vmdk_extent *x = &v->extents[i];

        if (x->kind != VMDK_SPARSE)
            continue;
        im->unit = x->grain;
        if (x->flags & VMDK_PACKED)
            image_fail(im->note, 0, "it is compressed");
        else if (!*im->note)
            rc = look_for_tables(im, x);
        if (rc == 0 && im->writable && x->unclean && !*im->note)
            rc = vmdk_copy_tables(im, x, true, NULL, NULL);
    }
    return rc;
}

static void free_all(struct image *im)
{
    struct vmdk *v = im->state;

    for (unsigned i = 0; i < v->count; i++) {
        if (v->extents[i].kind == VMDK_SPARSE)
            tables_free(&v->extents[i].t);
        if (v->extents[i].file != im->file)
            imgfile_close(v->extents[i].file);
    }
    packed_free(&v->packed);
    free(v->extents);
    free(v->desc);
    free(v);
}

static int vmdk_open(struct image *im, unsigned flags, char *why)
{
    struct vmdk *v = calloc(1, sizeof *v);
    uint8_t magic[4] = {0};
    int rc = v ? imgfile_read_zero(im->file, 0, magic, sizeof magic) : -XEN_ENOMEM;

    (void)flags;
    if (rc < 0) {
        free(v);
        return rc;
    }
    im->state = v;
    if (get_le(magic, 4) == VMDK_MAGIC)
        rc = open_monolithic(im, why);
    else if (magic[0] == '#' || magic[0] == 'v')
        rc = open_described(im, why);
    else
        rc = image_fail(why, -XEN_EINVAL, "it is no VMDK image");
    if (rc == 0)
        rc = look_at_extents(im);
    if (rc == -XEN_EIO && !*why)
        image_fail(why, rc, "it is damaged: its tables");
    if (rc < 0)
        free_all(im);
    return rc;
}

/* A child knows its base by the number that changes with the base's content ("CID"). */
static int vmdk_based(struct image *im, char *why)
{
    const struct vmdk *v = im->state, *base = im->base->state;

    if (im->base->format != IMAGE_VMDK || base->cid != v->parent_cid)
        return image_fail(why, -XEN_EINVAL,
                          "it was changed after %.200s was made on it, which is worthless now",
                          im->path);
    return 0;
}

static int close_extent(struct vmdk_extent *x)
{
    int rc = 0;

    /* The file was made longer in large steps. */
    if (x->started && x->file->size > x->fresh)
        rc = imgfile_resize(x->file, x->fresh);
    if (rc == 0 && x->started)
        rc = imgfile_write(x->file, VMDK_AT_UNCLEAN, "", 1);
    return rc ? rc : imgfile_flush(x->file);
}

static int vmdk_close(struct image *im)
{
    struct vmdk *v = im->state;
    int rc = vmdk_flush(im);

    for (unsigned i = 0; rc == 0 && i < v->count; i++)
        if (v->extents[i].file)
            rc = close_extent(&v->extents[i]);
    free_all(im);
    return rc;
}

static struct image_file *vmdk_file_at(const struct image *im, unsigned i)
{
    const struct vmdk *v = im->state;

    for (unsigned k = 0; k < v->count; k++) {
        struct image_file *file = v->extents[k].file;

        if (file && file != im->file && i-- == 0)
            return file;
    }
    return NULL;
}

const struct image_driver vmdk_driver = {
    .open = vmdk_open,
    .based = vmdk_based,
    .close = vmdk_close,
    .map = vmdk_map,
    .map_write = vmdk_map_write,
    .read_packed = vmdk_read_packed,
    .prepare = vmdk_prepare,
    .is_dirty = vmdk_is_dirty,
    .flush = vmdk_flush,
    .check = vmdk_check,
    .file_at = vmdk_file_at,
    .create = vmdk_create,
};
