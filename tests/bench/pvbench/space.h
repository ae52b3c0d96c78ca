/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of the guest: a kernel root (the image and the user part) and a user root (the
 * user part alone), with one L3, one L2 and up to eight L1 tables under both. For the bench_*.c,
 * vCPU 0 only.
 *
 * User part, under L4 slot 0 and L3 slot 1: L1 table 0 has code, stack and samples, the further
 * ones are data, 2 MiB each.
 */
#ifndef BENCH_SPACE_H
#define BENCH_SPACE_H

#include <stdint.h>

#include "pages.h"

#define SPACE_BASE          0x40000000UL
#define SPACE_STACK         (SPACE_BASE + 0x10000)
#define SPACE_SAMPLES       (SPACE_BASE + 0x20000) /* space_samples, for u_* of user.S */
#define SPACE_DATA          (SPACE_BASE + 0x200000)
#define SPACE_L1_MAX        8
#define SPACE_TABLES_MAX    (4 + SPACE_L1_MAX)
#define SPACE_SAMPLES_BYTES (8 * PAGE_BYTES)

struct space {
    uint64_t *kernel_l4, *user_l4, *l3, *l2;
    uint64_t *l1[SPACE_L1_MAX];
    int l1_count;
};

extern struct space space_main;  /* where everything runs that says nothing else */
extern struct space space_other; /* its peer, to switch to */
extern uint64_t space_samples[SPACE_SAMPLES_BYTES / 8];

/* Makes both and switches to space_main, or panics. `boot_l4`: the root that the builder made. */
void space_init(const uint64_t *boot_l4);

/* Takes tables from the pool and fills them by plain stores; nothing is announced yet. */
void space_fill(struct space *s, int l1_count);

/* Gives all tables of s in the current space these bits, in one multicall; 0 or an error. */
long space_protect(const struct space *s, uint64_t bits);

/* Both roots; the tables must be read-only by then. 0 or an error. */
long space_pin(const struct space *s);
long space_unpin(const struct space *s);

/* The tables, writable again, go back to the pool. */
void space_free(struct space *s);

/* Kernel and user root as Linux does it, one multicall of two calls. 0 or an error. */
long space_switch_to(uint64_t kernel_frame, uint64_t user_frame);
long space_switch(const struct space *s);

/* The machine address of the entry of page `page` in the data part. */
static inline uint64_t space_data_entry(const struct space *s, unsigned page)
{
    return (pages_frame(s->l1[1 + page / 512]) << 12) + page % 512 * 8;
}

#endif
