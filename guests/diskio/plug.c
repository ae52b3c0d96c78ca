/* SPDX-License-Identifier: MIT */
/*
 * What is read of each disk all the time is its first page, and the last one if the disk can be
 * written is written and read back: so there are requests in flight when a disk is taken away.
 */
#include "plug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/blkfront.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/thread.h>
#include <rt/xenbus.h>

#include "pattern.h"

#define DISKS        16
#define PAGE_SECTORS 8
#define PERIOD_NS    50000000UL

struct plugged {
    char number[24];
    struct blkfront *disk; /* NULL: a free place */
    uint64_t sectors;
    bool failed; /* and that was said */
};

static struct plugged plugged[DISKS];
static unsigned char *page;

static struct plugged *find(const char *number)
{
    for (unsigned i = 0; i < DISKS; i++) {
        if (plugged[i].disk && strcmp(plugged[i].number, number) == 0) {
            return &plugged[i];
        }
    }
    return NULL;
}

static void take(const char *number)
{
    struct plugged *p = plugged;
    int rc;

    while (p < plugged + DISKS && p->disk) {
        p++;
    }
    if (p == plugged + DISKS) {
        return;
    }
    p->disk = blkfront_open(number, &rc);
    if (!p->disk) {
        return; /* on its way in or out: another look will tell */
    }
    snprintf(p->number, sizeof(p->number), "%s", number);
    p->sectors = blkfront_sectors(p->disk);
    p->failed = false;
    printf("diskio: disk %s came, %lu sectors%s\n", number, p->sectors,
           blkfront_readonly(p->disk) ? ", read-only" : "");
}

static int use(struct plugged *p)
{
    uint64_t last = p->sectors - PAGE_SECTORS;
    int rc = blkfront_read(p->disk, 0, page, PAGE_SECTORS);

    if (rc || blkfront_readonly(p->disk)) {
        return rc;
    }
    for (unsigned i = 0; i < PAGE_SECTORS; i++) {
        pattern_fill(page + (size_t)i * BLKFRONT_SECTOR, 1, i);
    }
    rc = blkfront_write(p->disk, last, page, PAGE_SECTORS);
    memset(page, 0, PAGE_SIZE);
    rc = rc ? rc : blkfront_read(p->disk, last, page, PAGE_SECTORS);
    for (unsigned i = 0; i < PAGE_SECTORS && !rc; i++) {
        if (!pattern_check(page + (size_t)i * BLKFRONT_SECTOR, 1, i)) {
            printf("diskio: ERROR disk %s lost what was written\n", p->number);
        }
    }
    return rc;
}

static void look_at(struct plugged *p)
{
    int rc;

    if (p->sectors != blkfront_sectors(p->disk)) {
        p->sectors = blkfront_sectors(p->disk);
        p->failed = false;
        printf("diskio: disk %s has %lu sectors now\n", p->number, p->sectors);
    }
    rc = p->sectors >= PAGE_SECTORS ? use(p) : 0;
    if (rc) {
        blkfront_ask(p->disk); /* it may have gone, or have another size */
    }
    if (blkfront_leaving(p->disk)) {
        blkfront_close(p->disk);
        p->disk = NULL;
        printf("diskio: disk %s went\n", p->number);
    } else if (rc && !p->failed && p->sectors == blkfront_sectors(p->disk)) {
        p->failed = true;
        printf("diskio: ERROR %d on disk %s\n", rc, p->number);
    }
}

void plug_run(void)
{
    page = page_alloc(0);
    printf("diskio: waiting for disks\n");
    for (;;) {
        unsigned count = 0;
        char **numbers = xs_ls("device/vbd", &count);

        for (unsigned i = 0; numbers && i < count; i++) {
            if (!find(numbers[i])) {
                take(numbers[i]);
            }
        }
        free(numbers);
        for (unsigned i = 0; i < DISKS; i++) {
            if (plugged[i].disk) {
                look_at(&plugged[i]);
            }
        }
        thread_sleep_ns(PERIOD_NS);
    }
}
