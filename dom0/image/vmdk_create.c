/* SPDX-License-Identifier: MIT */
/* A new VMDK image: monolithicSparse, with redundant tables, or monolithicFlat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/vmdk.h"

#define GRAIN        128u /* sectors */
#define GTES         512u
#define GT_SECTORS   4u
#define DESC_AT      1u
#define DESC_SECTORS 20u
#define SIZE_MAX_    (1ull << 41) /* what 32-bit places reach, about */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The text; its length, or -XEN_EINVAL if it does not fit. */
static int make_desc(char *text, size_t size, const struct image_params *p, const char *extent,
                     uint32_t cids[2])
{
    bool flat = p->variant && !strcmp(p->variant, "monolithicFlat");
    unsigned long long sectors = p->size / IMAGE_SECTOR, cylinders = sectors / (16 * 63);
    int n = snprintf(text, size,
                     "# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=%08x\n"
                     "createType=\"%s\"\n%s%s%s\n"
                     "# Extent description\nRW %llu %s \"%s\"%s\n\n"
                     "# The Disk Data Base\n#DDB\n\n"
                     "ddb.virtualHWVersion = \"4\"\n"
                     "ddb.geometry.cylinders = \"%llu\"\n"
                     "ddb.geometry.heads = \"16\"\n"
                     "ddb.geometry.sectors = \"63\"\n"
                     "ddb.adapterType = \"ide\"\n",
                     cids[0], cids[1], flat ? "monolithicFlat" : "monolithicSparse",
                     p->base ? "parentFileNameHint=\"" : "", p->base ? p->base : "",
                     p->base ? "\"\n" : "", sectors, flat ? "FLAT" : "SPARSE", extent,
                     flat ? " 0" : "", cylinders < 16383 ? cylinders : 16383ull);

    return n < 0 || (size_t)n >= size ? -XEN_EINVAL : n;
}

/* "Hosted Sparse Extents": header, descriptor, second directory and tables, first ones, grains. */
struct layout {
    uint64_t tables, gd_sectors, rgd, gd, overhead;
};

static void plan(uint64_t sectors, struct layout *l)
{
    l->tables = (sectors + GRAIN * GTES - 1) / (GRAIN * GTES);
    l->gd_sectors = (l->tables * 4 + IMAGE_SECTOR - 1) / IMAGE_SECTOR;
    l->rgd = DESC_AT + DESC_SECTORS;
    l->gd = l->rgd + l->gd_sectors + l->tables * GT_SECTORS;
    l->overhead = l->gd + l->gd_sectors + l->tables * GT_SECTORS;
    l->overhead = (l->overhead + GRAIN - 1) / GRAIN * GRAIN;
}

static int write_directory(struct image_file *f, const struct layout *l, uint64_t gd)
{
    uint8_t sector[IMAGE_SECTOR];
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < l->gd_sectors; i++) {
        memset(sector, 0, sizeof sector);
        for (unsigned n = 0; n < IMAGE_SECTOR / 4; n++) {
            uint64_t table = i * (IMAGE_SECTOR / 4) + n;

            if (table < l->tables)
                put_le(sector + n * 4, 4, gd + l->gd_sectors + table * GT_SECTORS);
        }
        rc = imgfile_write(f, (gd + i) * IMAGE_SECTOR, sector, sizeof sector);
    }
    return rc;
}

static void make_header(uint8_t head[VMDK_HEAD], uint64_t sectors, const struct layout *l)
{
    memset(head, 0, VMDK_HEAD);
    put_le(head, 4, VMDK_MAGIC);
    put_le(head + VMDK_AT_VERSION, 4, 1);
    put_le(head + VMDK_AT_FLAGS, 4, VMDK_NEWLINES | VMDK_REDUNDANT);
    put_le(head + VMDK_AT_CAPACITY, 8, sectors);
    put_le(head + VMDK_AT_GRAIN, 8, GRAIN);
    put_le(head + VMDK_AT_DESC, 8, DESC_AT);
    put_le(head + VMDK_AT_DESC_LEN, 8, DESC_SECTORS);
    put_le(head + VMDK_AT_GTES, 4, GTES);
    put_le(head + VMDK_AT_RGD, 8, l->rgd);
    put_le(head + VMDK_AT_GD, 8, l->gd);
    put_le(head + VMDK_AT_OVERHEAD, 8, l->overhead);
    put_le(head + VMDK_AT_NEWLINES, 4, VMDK_NEWLINE_BYTES);
}

static int write_sparse(struct image_file *f, const struct image_params *p, const char *desc)
{
    uint8_t head[VMDK_HEAD];
    struct layout l;
    int rc;

    plan(p->size / IMAGE_SECTOR, &l);
    rc = imgfile_resize(f, l.overhead * IMAGE_SECTOR);
    if (rc == 0)
        rc = imgfile_write(f, DESC_AT * IMAGE_SECTOR, desc, strlen(desc));
    if (rc == 0)
        rc = write_directory(f, &l, l.rgd);
    if (rc == 0)
        rc = write_directory(f, &l, l.gd);
    if (rc == 0)
        rc = imgfile_flush(f);
    make_header(head, p->size / IMAGE_SECTOR, &l);
    return rc ? rc : imgfile_write(f, 0, head, sizeof head);
}

/* The content's file beside the descriptor's: NAME-flat.vmdk beside NAME.vmdk. */
static int flat_path(const char *path, char flat[IMAGE_PATH_MAX])
{
    size_t len = strlen(path);
    int stem = (int)(len > 5 && !strcmp(path + len - 5, ".vmdk") ? len - 5 : len);

    return snprintf(flat, IMAGE_PATH_MAX, "%.*s-flat.vmdk", stem, path) >= IMAGE_PATH_MAX
               ? -XEN_ENAMETOOLONG
               : 0;
}

/* A file of its own, of one size. */
static int make_flat(const struct image_env *env, const char *flat, uint64_t size, char *why)
{
    struct image_file *f;
    int rc = env->open(env, flat, IMAGE_FILE_WRITE | IMAGE_FILE_CREATE, &f, why);

    if (rc < 0)
        return rc;
    rc = imgfile_resize(f, size);
    if (rc == 0)
        rc = imgfile_flush(f);
    imgfile_close(f);
    if (rc < 0)
        env->remove(flat);
    return rc;
}

/* The base's CID, for the child to know it again. */
static int base_cid(const struct image_env *env, const char *path, const struct image_params *p,
                    uint32_t *cid, char *why)
{
    char base[IMAGE_PATH_MAX];
    struct image *im;
    int rc;

    *cid = VMDK_NO_PARENT;
    if (!p->base)
        return 0;
    if (p->base_format != IMAGE_VMDK)
        return image_fail(why, -XEN_EINVAL,
                          "a VMDK image needs a base that is VMDK, too: make it "
                          "qcow2");
    rc = image_base_path(path, p->base, base, why);
    if (rc == 0)
        rc = image_open(env, p->base_at ? p->base_at : base, IMAGE_VMDK, IMAGE_ALONE, &im, why);
    if (rc)
        return rc;
    *cid = ((struct vmdk *)im->state)->cid;
    return image_close(im);
}

static int check_params(const struct image_params *p, bool *flat, char *why)
{
    *flat = p->variant && !strcmp(p->variant, "monolithicFlat");
    if (p->variant && !*flat && strcmp(p->variant, "monolithicSparse"))
        return image_fail(why, -XEN_EINVAL, "VMDK is made as monolithicSparse or monolithicFlat");
    if (*flat && p->base)
        return image_fail(why, -XEN_EINVAL, "monolithicFlat has no base");
    if (p->unit)
        return image_fail(why, -XEN_EINVAL, "VMDK has no choice of clusters");
    if (p->size > SIZE_MAX_)
        return image_fail(why, -XEN_EINVAL, "a VMDK image has 2T at most");
    return 0;
}

int vmdk_create(const struct image_env *env, const char *path, const struct image_params *params,
                char *why)
{
    char flat[IMAGE_PATH_MAX], *desc;
    uint32_t cids[2] = {env->random() & 0x7fffffff};
    struct image_file *f;
    bool is_flat;
    int rc = check_params(params, &is_flat, why);

    if (rc == 0)
        rc = base_cid(env, path, params, &cids[1], why);
    if (rc == 0)
        rc = flat_path(path, flat);
    if (rc < 0)
        return rc;
    desc = malloc(DESC_SECTORS * IMAGE_SECTOR);
    if (!desc)
        return -XEN_ENOMEM;
    rc = make_desc(desc, DESC_SECTORS * IMAGE_SECTOR, params, file_name(is_flat ? flat : path),
                   cids);
    if (rc >= 0)
        rc = is_flat ? make_flat(env, flat, params->size, why) : 0;
    if (rc == 0) {
        rc = env->open(env, path, IMAGE_FILE_WRITE | IMAGE_FILE_CREATE, &f, why);
        if (rc == 0) {
            rc = is_flat ? imgfile_write(f, 0, desc, strlen(desc)) : write_sparse(f, params, desc);
            if (rc == 0)
                rc = imgfile_flush(f);
            imgfile_close(f);
            if (rc < 0)
                env->remove(path);
        }
        if (rc < 0 && is_flat)
            env->remove(flat);
    }
    free(desc);
    return rc;
}
