/* SPDX-License-Identifier: MIT */
/* From the disk to extents and grains, the first write to a grain, and the order of writing. */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/vmdk.h"

#define GROW_STEP (1u << 20) /* bytes by which a file grows */

int vmdk_table(struct vmdk_extent *x, uint64_t gd, uint64_t index, uint64_t *table)
{
    uint8_t *at;
    int rc = tables_at(&x->t, VMDK_T_GD, gd + index * 4, false, &at);

    if (rc < 0)
        return rc;
    *table = get_le(at, 4) * IMAGE_SECTOR;
    return *table && !imgfile_inside(x->file->size, *table, x->gtes * 4ull) ? -XEN_EIO : 0;
}

static struct vmdk_extent *find_extent(struct image *im, uint64_t offset)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = v->extents;

    while (offset - x->start >= x->len)
        x++;
    return x;
}

/* What an entry of a grain table means, and where its grain lies. */
static int classify(const struct vmdk_extent *x, uint32_t entry, uint64_t *host)
{
    *host = (uint64_t)entry * IMAGE_SECTOR;
    if (entry == 0)
        return IMAGE_BELOW;
    if (entry == 1 && x->flags & VMDK_ZEROS)
        return IMAGE_ZERO;
    if (*host >= x->file->size)
        return -XEN_EIO;
    return x->flags & VMDK_PACKED ? IMAGE_PACKED : IMAGE_DATA;
}

static void clip_to_file(const struct vmdk_extent *x, struct image_extent *e)
{
    uint64_t whole = x->file->size & ~(uint64_t)(IMAGE_SECTOR - 1);

    if (e->kind != IMAGE_DATA || imgfile_inside(whole, e->offset, e->len))
        return;
    if (e->offset < whole)
        e->len = whole - e->offset;
    else
        e->kind = IMAGE_ZERO;
}

/* The run of grains of one kind, consecutive in the file, as far as one sector of the table goes.
 * `offset` is inside the extent. */
static int map_sparse(struct vmdk_extent *x, uint64_t offset, uint64_t len, struct image_extent *e)
{
    uint64_t grain = offset / x->grain, in = offset % x->grain, span = x->grain - in;
    uint64_t table, host, next;
    uint8_t *at;
    int kind, rc = vmdk_table(x, x->gd, grain / x->gtes, &table);

    if (rc < 0)
        return rc;
    e->file = x->file;
    if (!table) {
        span = (uint64_t)x->grain * (x->gtes - grain % x->gtes) - in;
        e->kind = (enum image_kind)IMAGE_BELOW;
        e->len = len < span ? len : span;
        return 0;
    }
    table += grain % x->gtes * 4;
    rc = tables_at(&x->t, VMDK_T_GT, table, false, &at);
    kind = rc < 0 ? rc : classify(x, (uint32_t)get_le(at, 4), &host);
    if (kind < 0)
        return kind;
    for (unsigned left = (unsigned)(IMAGE_SECTOR - table % IMAGE_SECTOR) / 4 - 1;
         left > 0 && ++grain % x->gtes && span < len && kind != IMAGE_PACKED;
         left--, span += x->grain) {
        at += 4;
        if (classify(x, (uint32_t)get_le(at, 4), &next) != kind ||
            (kind == IMAGE_DATA && next != host + in + span))
            break;
    }
    e->kind = (enum image_kind)kind;
    e->offset = host + in;
    e->len = len < span ? len : span;
    return 0;
}

int vmdk_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    struct vmdk_extent *x = find_extent(im, offset);
    int rc = 0;

    offset -= x->start;
    if (len > x->len - offset)
        len = x->len - offset;
    *e = (struct image_extent){.kind = IMAGE_ZERO, .len = len};
    if (x->kind == VMDK_FLAT)
        *e = (struct image_extent){IMAGE_DATA, x->file, x->offset + offset, len};
    else if (x->kind == VMDK_SPARSE)
        rc = map_sparse(x, offset, len, e);
    if (rc == 0 && x->kind == VMDK_SPARSE)
        clip_to_file(x, e);
    return rc;
}

/* "Grain marker": the first sector of the disk, the length, the data as a zlib stream. */
int vmdk_read_packed(struct image *im, uint64_t offset, void *buf, size_t len)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = find_extent(im, offset);
    struct packed_part part = {x->file, 0, 0, x->grain, x->grain, UNPACK_ZLIB};
    struct image_extent e;
    uint8_t marker[12];
    uint32_t in;
    int rc;

    offset -= x->start;
    in = (uint32_t)(offset % x->grain);
    rc = map_sparse(x, offset - in, IMAGE_SECTOR, &e);
    if (rc == 0)
        rc = imgfile_read(x->file, e.offset, marker, sizeof marker);
    if (rc < 0)
        return rc;
    part.offset = e.offset + sizeof marker;
    if (x->len - (offset - in) < x->grain)
        part.least = (uint32_t)(x->len - (offset - in)); /* the last one may be cut */
    part.len = (uint32_t)get_le(marker + 8, 4);
    if (get_le(marker, 8) != (offset - in) / IMAGE_SECTOR || part.len > x->grain * 2 + 1024 ||
        !imgfile_inside(x->file->size, part.offset, part.len))
        return -XEN_EIO;
    return packed_read(&v->packed, im->env, &part, in, buf, len);
}

/* --- writing --- */

/* The descriptor with a new CID: children of this image shall know that it is another now. */
static int change_cid(struct image *im)
{
    struct vmdk *v = im->state;
    uint32_t cid = im->env->random() & 0x7fffffff;
    char *text = vmdk_desc_with_cid(v->desc, cid);
    size_t len;
    int rc;

    if (!text)
        return -XEN_ENOMEM;
    len = strlen(text);
    if (v->desc_room && len > v->desc_room) {
        free(text);
        return -XEN_ENOSPC;
    }
    rc = imgfile_write(im->file, v->desc_at, text, len);
    free(v->desc);
    v->desc = text;
    v->cid = cid;
    v->changed = rc == 0;
    return rc;
}

/* Before the first write: the mark that says "not closed". */
static int start_writing(struct image *im, struct vmdk_extent *x)
{
    struct vmdk *v = im->state;
    int rc = v->changed || im->same ? 0 : change_cid(im);

    if (rc == 0 && x->kind == VMDK_SPARSE)
        rc = imgfile_write(x->file, VMDK_AT_UNCLEAN, "\1", 1);
    if (rc == 0)
        rc = imgfile_flush(x->file);
    if (rc == 0 && x->file != im->file)
        rc = imgfile_flush(im->file);
    x->started = rc == 0 && x->kind == VMDK_SPARSE;
    return rc;
}

/* The next grain at the end of the file: it reads as zeros. */
static int alloc_grain(struct vmdk_extent *x, uint64_t *host)
{
    uint64_t end = x->fresh + x->grain;
    int rc = 0;

    if (end / IMAGE_SECTOR > UINT32_MAX)
        return -XEN_ENOSPC;
    if (end > x->file->size) {
        rc = imgfile_resize(x->file, (end + GROW_STEP - 1) & ~(uint64_t)(GROW_STEP - 1));
        if (rc < 0)
            rc = imgfile_resize(x->file, end);
    }
    if (rc < 0)
        return rc;
    *host = x->fresh;
    x->fresh = end;
    return 0;
}

static int set_entry(struct vmdk_extent *x, unsigned kind, uint64_t gd, uint64_t grain,
                     uint32_t entry)
{
    uint64_t table;
    uint8_t *at;
    int rc = vmdk_table(x, gd, grain / x->gtes, &table);

    if (rc == 0 && !table)
        rc = -XEN_EIO;
    if (rc == 0)
        rc = tables_at(&x->t, kind, table + grain % x->gtes * 4, true, &at);
    if (rc == 0)
        put_le(at, 4, entry);
    return rc;
}

/* One grain, of which [offset, offset + len) will be written; places are inside the extent. */
static int new_grain(struct image *im, struct vmdk_extent *x, uint64_t offset, uint64_t len,
                     uint64_t *host)
{
    uint64_t start = offset - offset % x->grain, end = start + x->grain, to = offset + len;
    int rc = alloc_grain(x, host);

    if (end > x->len)
        end = x->len;
    if (rc == 0)
        image_settle(im, *host);
    if (rc == 0)
        rc = image_fill(im, x->start + start, offset - start, x->file, *host, true);
    if (rc == 0)
        rc = image_fill(im, x->start + to, end - to, x->file, *host + (to - start), true);
    if (rc == 0)
        rc = set_entry(x, VMDK_T_GT, x->gd, start / x->grain, (uint32_t)(*host / IMAGE_SECTOR));
    if (rc == 0 && x->rgd)
        rc = set_entry(x, VMDK_T_RGT, x->rgd, start / x->grain, (uint32_t)(*host / IMAGE_SECTOR));
    return rc;
}

int vmdk_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = find_extent(im, offset);
    uint64_t in, host;
    int rc = 0;

    offset -= x->start;
    if (len > x->len - offset)
        len = x->len - offset;
    if (x->kind == VMDK_SPARSE ? !x->started : !v->changed && !im->same)
        rc = start_writing(im, x);
    if (rc < 0)
        return rc;
    if (x->kind == VMDK_FLAT) {
        *e = (struct image_extent){IMAGE_DATA, x->file, x->offset + offset, len};
        return 0;
    }
    in = offset % x->grain;
    rc = map_sparse(x, offset, len, e);
    if (rc == 0 && e->kind != IMAGE_DATA) {
        if (len > x->grain - in)
            len = x->grain - in;
        rc = new_grain(im, x, offset, len, &host);
        if (rc == 0)
            *e = (struct image_extent){IMAGE_DATA, x->file, host + in, len};
    }
    /* A file that ended inside a grain. */
    if (rc == 0 && !imgfile_inside(x->file->size, e->offset, e->len))
        rc = imgfile_resize(x->file, e->offset + e->len);
    return rc;
}

bool vmdk_is_dirty(const struct image *im)
{
    const struct vmdk *v = im->state;
    unsigned dirty = 0;

    for (unsigned i = 0; i < v->count; i++)
        dirty += v->extents[i].t.all_dirty;
    return dirty > 0;
}

static int flush_extent(struct vmdk_extent *x)
{
    int rc = imgfile_flush(x->file);

    if (rc < 0 || !x->t.all_dirty)
        return rc;
    rc = tables_write(&x->t, VMDK_T_GT);
    if (rc == 0)
        rc = tables_write(&x->t, VMDK_T_RGT);
    return rc ? rc : imgfile_flush(x->file);
}

int vmdk_flush(struct image *im)
{
    struct vmdk *v = im->state;
    int rc = 0;

    if (im->settle && vmdk_is_dirty(im))
        im->settle(im->settle_arg);
    for (unsigned i = 0; rc == 0 && i < v->count; i++)
        if (v->extents[i].file)
            rc = flush_extent(&v->extents[i]);
    return rc;
}

int vmdk_prepare(struct image *im)
{
    const struct vmdk *v = im->state;

    for (unsigned i = 0; i < v->count; i++)
        if (v->extents[i].t.all_dirty >= TABLES_DIRTY_MOST)
            return vmdk_flush(im);
    return 0;
}
