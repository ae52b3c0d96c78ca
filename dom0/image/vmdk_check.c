/* SPDX-License-Identifier: MIT */
/* What a VMDK image says of itself: entries inside the file, no grain used twice, both tables
 * equal.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/vmdk.h"

#define WINDOW (1u << 23) /* sectors of the file that are looked at in one walk; a bit each */

struct check {
    struct image *im;
    struct vmdk_extent *x;
    struct image_check *result;
    struct image_findings findings;
    uint8_t *used;
    uint64_t window;
};

/* A grain at a sector of the file: no sector belongs to two. Of a compressed one only the begin is
 * looked at. */
static void use(struct check *c, uint64_t sector, uint64_t grain)
{
    uint64_t sectors = c->x->flags & VMDK_PACKED ? 1 : c->x->grain / IMAGE_SECTOR;
    bool twice = false;

    for (uint64_t s = sector; s < sector + sectors; s++) {
        uint64_t bit = s - c->window;

        if (bit >= WINDOW)
            continue;
        twice |= c->used[bit / 8] >> bit % 8 & 1;
        c->used[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    if (!twice)
        return;
    c->result->errors++;
    image_finding(&c->findings, "grain %llu uses sector %llu, as another one does",
                  (unsigned long long)grain, (unsigned long long)sector);
}

static void check_entry(struct check *c, uint64_t sector, uint64_t grain)
{
    if (sector == 0 || (sector == 1 && c->x->flags & VMDK_ZEROS))
        return;
    if (sector * IMAGE_SECTOR < c->x->file->size) {
        use(c, sector, grain);
        c->result->data += c->window ? 0 : c->x->grain;
    } else if (!c->window) {
        c->result->errors++;
        image_finding(&c->findings, "grain %llu is at sector %llu, behind the end of the file",
                      (unsigned long long)grain, (unsigned long long)sector);
    }
}

static int check_tables(struct check *c)
{
    struct vmdk_extent *x = c->x;

    for (uint64_t i = 0; i < x->gd_entries; i++) {
        uint64_t table;
        int rc = vmdk_table(x, x->gd, i, &table);

        if (rc == -XEN_EIO) {
            c->result->errors += !c->window;
            continue;
        }
        if (image_pause(c->im->env))
            return -XEN_EAGAIN;
        for (uint32_t n = 0; rc == 0 && table && n < x->gtes; n++) {
            uint8_t *at;

            rc = tables_at(&x->t, VMDK_T_GT, table + n * 4ull, false, &at);
            if (rc == 0)
                check_entry(c, get_le(at, 4), i * x->gtes + n);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One grain table and its second. */
static int copy_table(struct vmdk_extent *x, uint64_t table, uint64_t second, bool write,
                      uint64_t *differ)
{
    for (uint32_t n = 0; n < x->gtes; n++) {
        uint8_t *at;
        uint64_t entry;
        int rc = tables_at(&x->t, VMDK_T_GT, table + n * 4ull, false, &at);

        entry = rc ? 0 : get_le(at, 4);
        if (rc == 0)
            rc = tables_at(&x->t, VMDK_T_RGT, second + n * 4ull, false, &at);
        if (rc < 0)
            return rc;
        if (get_le(at, 4) == entry)
            continue;
        ++*differ;
        rc = write ? tables_at(&x->t, VMDK_T_RGT, second + n * 4ull, true, &at) : 0;
        if (rc < 0)
            return rc;
        if (write)
            put_le(at, 4, entry);
    }
    return 0;
}

int vmdk_copy_tables(struct image *im, struct vmdk_extent *x, bool write,
                     struct image_findings *findings, uint64_t *differ)
{
    uint64_t all = 0;
    int rc = 0;

    for (uint64_t i = 0; x->rgd && rc == 0 && i < x->gd_entries; i++) {
        uint64_t table, second, before = all;

        rc = vmdk_table(x, x->gd, i, &table);
        if (rc == 0)
            rc = vmdk_table(x, x->rgd, i, &second);
        if (rc == 0 && table && second)
            rc = copy_table(x, table, second, write, &all);
        if (rc == 0 && findings && all > before)
            image_finding(findings, "grain table %llu and its copy differ", (unsigned long long)i);
        if (rc == 0 && x->t.all_dirty >= TABLES_DIRTY_MOST)
            rc = tables_write(&x->t, VMDK_T_RGT);
        image_pause(im->env);
    }
    if (rc == 0 && write)
        rc = tables_write(&x->t, VMDK_T_RGT);
    if (differ)
        *differ = all;
    return rc;
}

static int check_extent(struct check *c, bool repair)
{
    uint64_t differ = 0, sectors = c->x->file->size / IMAGE_SECTOR + 1;
    int rc = 0;

    for (c->window = 0; rc == 0 && c->window < sectors; c->window += WINDOW) {
        memset(c->used, 0, WINDOW / 8);
        rc = check_tables(c);
    }
    if (rc == 0)
        rc = vmdk_copy_tables(c->im, c->x, repair, &c->findings, &differ);
    if (rc == -XEN_EIO) {
        image_finding(&c->findings, "a grain table lies outside of the file");
        c->result->errors++;
        rc = 0;
    }
    c->result->errors += differ;
    c->result->repaired += repair ? differ : 0;
    return rc;
}

int vmdk_check(struct image *im, bool repair, void (*report)(const char *),
               struct image_check *result)
{
    struct vmdk *v = im->state;
    struct check c = {.im = im, .result = result, .findings = {.report = report}};
    int rc = 0;

    c.used = malloc(WINDOW / 8);
    if (!c.used)
        return -XEN_ENOMEM;
    for (unsigned i = 0; rc == 0 && i < v->count; i++) {
        c.x = &v->extents[i];
        if (c.x->kind == VMDK_SPARSE)
            rc = check_extent(&c, repair);
        else if (c.x->kind == VMDK_FLAT)
            result->data += c.x->len;
    }
    free(c.used);
    return rc;
}
