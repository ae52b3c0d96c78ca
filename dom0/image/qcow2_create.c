/* SPDX-License-Identifier: MIT */
/*
 * A new qcow2 image: header, refcount table, refcount blocks, L1 table, one behind the other. Data
 * and L2 tables come with the first writes.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/qcow2.h"

#define CLUSTER_USUAL (64u << 10)
#define ORDER         4 /* refcounts of 16 bits */

/* In clusters. */
struct layout {
    uint32_t bits;
    uint64_t l1_entries, l1, table, blocks, all;
};

static int plan(const struct image_params *p, struct layout *l, char *why)
{
    uint64_t cluster = p->unit ? p->unit : CLUSTER_USUAL, span, per_block = cluster / 2;

    if (cluster < 1u << QCOW2_BITS_MIN || cluster > 1u << QCOW2_BITS_MAX ||
        (cluster & (cluster - 1)))
        return image_fail(why, -XEN_EINVAL,
                          "clusters of %llu bytes: a power of two from 512 to 2M is wanted",
                          (unsigned long long)cluster);
    l->bits = (uint32_t)__builtin_ctzll(cluster);
    span = cluster * (cluster / 8);
    l->l1_entries = (p->size + span - 1) / span;
    if (l->l1_entries > QCOW2_L1_MAX / 8)
        return image_fail(why, -XEN_EINVAL, "too large for clusters of %llu bytes",
                          (unsigned long long)cluster);
    l->l1 = (l->l1_entries * 8 + cluster - 1) / cluster;
    for (uint64_t all = 0; all != l->all || !all;) {
        all = l->all;
        l->blocks = (all + per_block - 1) / per_block;
        l->table = (l->blocks * 8 + cluster - 1) / cluster;
        l->blocks += !l->blocks;
        l->table += !l->table;
        l->all = 1 + l->table + l->blocks + l->l1;
    }
    return 0;
}

/* A cluster; where it is zeros the file keeps its hole. */
static int write_cluster(struct image_file *f, const struct layout *l, uint64_t cluster,
                         const uint8_t *bytes)
{
    static const uint8_t zeros[4096];
    uint64_t len = 1ull << l->bits, part = len < sizeof zeros ? len : sizeof zeros;
    int rc = 0;

    for (uint64_t at = 0; rc == 0 && at < len; at += part)
        if (memcmp(bytes + at, zeros, part) != 0)
            rc = imgfile_write(f, (cluster << l->bits) + at, bytes + at, part);
    return rc;
}

static int write_counts(struct image_file *f, const struct layout *l, uint8_t *buffer)
{
    uint64_t cluster = 1ull << l->bits, left = l->all;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < l->blocks; i++) {
        memset(buffer, 0, cluster);
        for (uint64_t n = 0; n < cluster / 2 && left > 0; n++, left--)
            put_be(buffer + n * 2, 2, 1);
        rc = write_cluster(f, l, 1 + l->table + i, buffer);
    }
    for (uint64_t i = 0; rc == 0 && i < l->table; i++) {
        memset(buffer, 0, cluster);
        for (uint64_t n = 0; n < cluster / 8 && i * (cluster / 8) + n < l->blocks; n++)
            put_be(buffer + n * 8, 8, (1 + l->table + i * (cluster / 8) + n) << l->bits);
        rc = write_cluster(f, l, 1 + i, buffer);
    }
    return rc;
}

static void put_text(uint8_t *at, const char *text)
{
    while (*text)
        *at++ = (uint8_t)*text++;
}

/* The header with its extensions. `head` has a cluster. */
static int make_header(uint8_t *head, const struct image_params *p, const struct layout *l,
                       char *why)
{
    bool v2 = p->variant && !strcmp(p->variant, "v2");
    uint64_t cluster = 1ull << l->bits, at = v2 ? QCOW2_HEAD_V2 : QCOW2_HEAD_V3;

    memset(head, 0, cluster);
    put_be(head, 4, QCOW2_MAGIC);
    put_be(head + QCOW2_AT_VERSION, 4, v2 ? 2 : 3);
    put_be(head + QCOW2_AT_BITS, 4, l->bits);
    put_be(head + QCOW2_AT_SIZE, 8, p->size);
    put_be(head + QCOW2_AT_L1_SIZE, 4, l->l1_entries);
    put_be(head + QCOW2_AT_L1, 8, (1 + l->table + l->blocks) << l->bits);
    put_be(head + QCOW2_AT_TABLE, 8, cluster);
    put_be(head + QCOW2_AT_TABLE_LEN, 4, l->table);
    if (!v2) {
        put_be(head + QCOW2_AT_ORDER, 4, ORDER);
        put_be(head + QCOW2_AT_LENGTH, 4, QCOW2_HEAD_V3);
    }
    if (p->base) {
        const char *format = image_format_name(p->base_format);
        size_t len = strlen(p->base);

        if (len > QCOW2_NAME_MAX || at + 24 + len > cluster)
            return image_fail(why, -XEN_EINVAL, "the path of the base is too long for it");
        put_be(head + at, 4, QCOW2_EXT_BASE_FORMAT);
        put_be(head + at + 4, 4, strlen(format));
        put_text(head + at + 8, format);
        at += 24; /* the name fits into 8 bytes; then the end of extensions, 8 zeros */
        put_text(head + at, p->base);
        put_be(head + QCOW2_AT_BASE, 8, at);
        put_be(head + QCOW2_AT_BASE_LEN, 4, len);
    }
    return 0;
}

static int write_all(struct image_file *f, const struct image_params *p, const struct layout *l,
                     char *why)
{
    uint8_t *buffer = malloc(1ull << l->bits);
    int rc = buffer ? imgfile_resize(f, l->all << l->bits) : -XEN_ENOMEM;

    if (rc == 0)
        rc = write_counts(f, l, buffer);
    if (rc == 0)
        rc = imgfile_flush(f);
    if (rc == 0)
        rc = make_header(buffer, p, l, why);
    if (rc == 0)
        rc = write_cluster(f, l, 0, buffer);
    if (rc == 0)
        rc = imgfile_flush(f);
    free(buffer);
    return rc;
}

int qcow2_create(const struct image_env *env, const char *path, const struct image_params *params,
                 char *why)
{
    struct layout l = {0};
    struct image_file *f;
    int rc;

    if (params->variant && strcmp(params->variant, "v2") && strcmp(params->variant, "v3"))
        return image_fail(why, -XEN_EINVAL, "qcow2 is v2 or v3, not '%.20s'", params->variant);
    rc = plan(params, &l, why);
    if (rc == 0)
        rc = env->open(env, path, IMAGE_FILE_WRITE | IMAGE_FILE_CREATE, &f, why);
    if (rc < 0)
        return rc;
    rc = write_all(f, params, &l, why);
    imgfile_close(f);
    if (rc < 0)
        env->remove(path);
    return rc;
}
