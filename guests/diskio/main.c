/* SPDX-License-Identifier: MIT */
/*
 * diskio: proves that a virtual disk keeps what it is given. The first page of the disk is a header
 * with a boot counter; all behind it, up to mib=N (default: everything) MiB, is filled with a
 * pattern that depends on the boot and the place. Each boot verifies the pattern of the one before,
 * announces in the header that it begins to write, writes its own, flushes, reads it back, and only
 * then counts itself. After a power cut in between, each sector must have one of the two patterns.
 * Prints diskio: boot N, verified M MiB and powers off; stay=1 on the command line keeps it
 * running, disk=NAME takes another than the first disk. at=N: the disk begins N MiB behind its
 * begin. patient=1: what cannot be written is tried again until it can. plug=1 does none of that,
 * but uses whatever disks come and go. discard=N: N times it gives up all of the disk's content,
 * which reads as zeros afterwards. bench=N: N requests that somebody counts (bench.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/blkfront.h>
#include <rt/console.h>
#include <rt/mm.h>
#include <rt/start.h>
#include <rt/thread.h>

#include "bench.h"
#include "pattern.h"
#include "plug.h"

#define MAGIC          "diskio 1"
#define HEADER_SECTORS 8
#define CHUNK_SECTORS  512 /* 256 KiB: several requests in flight */
#define MIB_SECTORS    2048
#define ERRORS_SHOWN   5
#define RETRY_NS       200000000

struct header {
    char magic[8];
    uint64_t boots;     /* completed */
    uint64_t seed;      /* of the pattern on the disk */
    uint64_t sectors;   /* covered by it, from sector 0; the header itself excluded */
    uint64_t next_seed; /* of the pattern being written over it, 0: none */
};

static struct blkfront *disk;
static unsigned char *buf;
static uint64_t base; /* sectors */
static bool patient;

/* True: it is to be tried again. */
static bool wait_for_room(bool *told)
{
    if (patient && !*told) {
        printf("diskio: cannot write, waiting\n");
        *told = true;
    }
    if (patient) {
        thread_sleep_ns(RETRY_NS);
    }
    return patient;
}

static bool transfer(bool write, uint64_t sector, uint32_t count)
{
    bool told = false;
    int rc;

    do {
        rc = write ? blkfront_write(disk, base + sector, buf, count)
                   : blkfront_read(disk, base + sector, buf, count);
    } while (rc && write && wait_for_room(&told));
    if (rc) {
        printf("diskio: ERROR %d %s %u sectors at %lu\n", rc, write ? "writing" : "reading", count,
               sector);
    }
    return rc == 0;
}

static bool sector_good(const struct header *header, const unsigned char *data, uint64_t sector)
{
    return pattern_check(data, header->seed, sector) ||
           (header->next_seed && pattern_check(data, header->next_seed, sector));
}

static bool verify(const struct header *header)
{
    unsigned errors = 0;

    for (uint64_t sector = HEADER_SECTORS; sector < header->sectors; sector += CHUNK_SECTORS) {
        uint64_t left = header->sectors - sector;
        uint32_t count = left < CHUNK_SECTORS ? (uint32_t)left : CHUNK_SECTORS;

        if (!transfer(false, sector, count)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (!sector_good(header, buf + i * BLKFRONT_SECTOR, sector + i) &&
                errors++ < ERRORS_SHOWN) {
                printf(
                    "diskio: ERROR sector %lu is not what boot %lu wrote: %02x %02x %02x %02x...\n",
                    sector + i, header->boots, buf[i * BLKFRONT_SECTOR],
                    buf[i * BLKFRONT_SECTOR + 1], buf[i * BLKFRONT_SECTOR + 2],
                    buf[i * BLKFRONT_SECTOR + 3]);
            }
        }
    }
    if (errors) {
        printf("diskio: ERROR %u sectors differ\n", errors);
    }
    return errors == 0;
}

static bool fill(uint64_t seed, uint64_t sectors)
{
    for (uint64_t sector = HEADER_SECTORS; sector < sectors; sector += CHUNK_SECTORS) {
        uint64_t left = sectors - sector;
        uint32_t count = left < CHUNK_SECTORS ? (uint32_t)left : CHUNK_SECTORS;

        for (uint32_t i = 0; i < count; i++) {
            pattern_fill(buf + i * BLKFRONT_SECTOR, seed, sector + i);
        }
        if (!transfer(true, sector, count)) {
            return false;
        }
    }
    return true;
}

static bool flush(void)
{
    bool told = false;
    int rc;

    do {
        rc = blkfront_flush(disk);
    } while (rc && wait_for_room(&told));
    if (rc) {
        printf("diskio: ERROR %d flushing\n", rc);
    }
    return rc == 0;
}

/* Reads the header; a disk without one gets boot 0. */
static bool read_header(struct header *header)
{
    if (!transfer(false, 0, HEADER_SECTORS)) {
        return false;
    }
    memcpy(header, buf, sizeof(*header));
    if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0) {
        printf("diskio: a new disk\n");
        *header = (struct header){.boots = 0};
        memcpy(header->magic, MAGIC, sizeof(header->magic));
    } else if (header->sectors > blkfront_sectors(disk) - base) {
        printf("diskio: ERROR the disk has shrunk from %lu to %lu sectors\n", header->sectors,
               blkfront_sectors(disk) - base);
        return false;
    }
    return true;
}

static bool write_header(const struct header *header)
{
    memset(buf, 0, HEADER_SECTORS * BLKFRONT_SECTOR);
    memcpy(buf, header, sizeof(*header));
    return transfer(true, 0, HEADER_SECTORS) && flush();
}

static bool run(void)
{
    uint64_t sectors = blkfront_sectors(disk),
             limit = start_option_u64("mib", UINT64_MAX / MIB_SECTORS);
    struct header header;
    uint64_t verified;

    patient = start_option_u64("patient", 0);
    base = start_option_u64("at", 0) * MIB_SECTORS;
    if (base > sectors || sectors - base < MIB_SECTORS) {
        printf("diskio: ERROR the disk has %lu sectors, less than 1 MiB\n", sectors);
        return false;
    }
    sectors -= base;
    if (blkfront_readonly(disk)) {
        printf("diskio: ERROR the disk is read-only; attach it with w\n");
        return false;
    }
    if (!read_header(&header) || !verify(&header)) {
        return false;
    }
    if (header.next_seed) {
        printf("diskio: boot %lu was cut off while it wrote\n", header.boots + 1);
    }
    verified = header.sectors;
    header.next_seed = (header.boots + 1) * 0x9e3779b97f4a7c15;
    if (!write_header(&header)) {
        return false;
    }
    sectors = sectors / MIB_SECTORS <= limit ? sectors : limit * MIB_SECTORS;
    if (!fill(header.next_seed, sectors) || !flush()) {
        return false;
    }
    header.boots++;
    header.seed = header.next_seed;
    header.next_seed = 0;
    header.sectors = sectors;
    if (!verify(&header) || !write_header(&header)) {
        return false;
    }
    printf("diskio: boot %lu, verified %lu MiB\n", header.boots,
           (header.boots > 1 ? verified : header.sectors) / MIB_SECTORS);
    return true;
}

static bool discard_once(void)
{
    int rc = blkfront_discard(disk, 0, blkfront_sectors(disk));

    if (rc) {
        printf("diskio: ERROR %d discarding\n", rc);
        return false;
    }
    for (uint64_t sector = 0; sector < blkfront_sectors(disk); sector += CHUNK_SECTORS) {
        uint64_t left = blkfront_sectors(disk) - sector;
        uint32_t count = left < CHUNK_SECTORS ? (uint32_t)left : CHUNK_SECTORS;

        if (!transfer(false, sector, count)) {
            return false;
        }
        for (uint32_t i = 0; i < count * BLKFRONT_SECTOR; i++) {
            if (buf[i]) {
                printf("diskio: ERROR sector %lu is not zero\n", sector + i / BLKFRONT_SECTOR);
                return false;
            }
        }
    }
    return true;
}

static bool discard(uint64_t times)
{
    while (times-- > 0) {
        if (!discard_once()) {
            return false;
        }
    }
    printf("diskio: discarded %lu sectors\n", blkfront_sectors(disk));
    return true;
}

static bool act(void)
{
    if (start_option_u64("bench", 0)) {
        return bench_run(disk, buf);
    }
    if (start_option_u64("discard", 0)) {
        return discard(start_option_u64("discard", 0));
    }
    return run();
}

int main(void)
{
    char name[32];
    int rc;

    if (start_option_u64("plug", 0)) {
        plug_run();
    }
    buf = page_alloc(6);
    disk = blkfront_open(start_option("disk", name, sizeof(name)) ? name : NULL, &rc);
    if (!disk || !buf) {
        printf("diskio: ERROR %d, no disk; give one in the configuration (disk = [...])\n", rc);
        return 1;
    }
    printf("diskio: disk of %lu sectors, %lu MiB\n", blkfront_sectors(disk),
           blkfront_sectors(disk) / MIB_SECTORS);
    rc = act() ? 0 : 1;
    blkfront_close(disk);
    while (start_option_u64("stay", 0)) {
        thread_sleep_ns(3600000000000UL);
    }
    return rc;
}
