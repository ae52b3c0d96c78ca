/* SPDX-License-Identifier: MIT */
/*
 * flusher: writes its disk in rounds, each closed by a flush, so that a power cut at any moment can
 * be judged from outside: every sector says in which round it was written and where it belongs, and
 * whoever sees a sector of round n on the device knows that the flush of round n - 1 had returned.
 * tests/boot/powercut.py does that. Each round writes some runs at random places, half of them near
 * each other. Options: rounds=N (100), seed=N (1), barrier=1 (each round is closed by a write that
 * is a barrier, instead). Prints flusher: N rounds and powers off. With load=N it does not flush: N
 * threads write for ever, so that the disk always has N requests of it.
 */
#include <stdio.h>
#include <string.h>

#include <rt/blkfront.h>
#include <rt/mm.h>
#include <rt/start.h>
#include <rt/thread.h>

#define MAGIC       "flusher1"
#define RUNS        6
#define RUN_SECTORS 64u

/* A sector: this, and the round and its number again at the end, so that a torn one is seen. */
struct stamp {
    char magic[8];
    uint64_t round;
    uint64_t sector;
    uint64_t seed;
    uint8_t fill[BLKFRONT_SECTOR - 48];
    uint64_t round_again;
    uint64_t sector_again;
};
_Static_assert(sizeof(struct stamp) == BLKFRONT_SECTOR, "a sector");

static struct blkfront *disk;
static uint64_t state;

static uint64_t below(uint64_t limit)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545f4914f6cdd1d >> 33) % limit;
}

typedef int (*write_fn)(struct blkfront *, uint64_t, const void *, uint32_t);

static int write_run(struct stamp *buf, uint64_t round, uint64_t seed, write_fn write)
{
    uint64_t sectors = blkfront_sectors(disk), span = below(2) ? sectors : 2048;
    uint32_t count = 1 + (uint32_t)below(below(2) ? 8 : RUN_SECTORS);
    uint64_t first = below(span - RUN_SECTORS);

    for (uint32_t i = 0; i < count; i++) {
        struct stamp *s = &buf[i];

        memset(s, (int)round, sizeof(*s));
        memcpy(s->magic, MAGIC, sizeof(s->magic));
        s->round = s->round_again = round;
        s->sector = s->sector_again = first + i;
        s->seed = seed;
    }
    return write(disk, first, buf, count);
}

static void load_thread(void *arg)
{
    struct stamp *buf = page_alloc(3);

    (void)arg;
    while (buf && write_run(buf, 0, 0, blkfront_write) == 0) {
        ;
    }
    printf("flusher: ERROR in a thread\n");
}

static void load(uint64_t threads)
{
    while (threads-- > 0) {
        thread_create("load", load_thread, NULL);
    }
    for (;;) {
        thread_sleep_ns(3600000000000UL);
    }
}

int main(void)
{
    uint64_t rounds = start_option_u64("rounds", 100), seed = start_option_u64("seed", 1);
    bool barrier = start_option_u64("barrier", 0);
    struct stamp *buf = page_alloc(3); /* RUN_SECTORS sectors */
    int rc;

    disk = blkfront_open(NULL, &rc);
    if (!disk || !buf || blkfront_sectors(disk) < 2048) {
        printf("flusher: ERROR %d, no disk of 1 MiB; give one in the configuration\n", rc);
        return 1;
    }
    state = seed * 0x9e3779b97f4a7c15 + 1;
    if (start_option_u64("load", 0)) {
        load(start_option_u64("load", 0));
    }
    rc = 0;
    for (uint64_t round = 1; round <= rounds && rc == 0; round++) {
        for (int run = 0; run < RUNS && rc == 0; run++) {
            rc = write_run(buf, round, seed, blkfront_write);
        }
        if (rc == 0) {
            rc = barrier ? write_run(buf, round, seed, blkfront_write_barrier)
                         : blkfront_flush(disk);
        }
    }
    if (rc) {
        printf("flusher: ERROR %d\n", rc);
    } else {
        printf("flusher: %lu rounds\n", rounds);
    }
    blkfront_close(disk);
    return rc ? 1 : 0;
}
