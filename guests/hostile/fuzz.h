/* SPDX-License-Identifier: MIT */
/* For the fuzz*.c files: hypercalls made up from what this guest has. */
#ifndef HOSTILE_FUZZ_H
#define HOSTILE_FUZZ_H

#include <stdint.h>
#include <xen/xen.h>

#include "race.h"

/* One call as it will be made; its structures are in the racer's arena until its next step. */
struct fuzz_call {
    unsigned nr;
    uint64_t a[4];
    unsigned depth; /* 1 inside a multicall */
};

/* fuzz_make.c: fills in a call that has a chance to be accepted. */
void fuzz_make(struct racer *r, struct fuzz_call *c);
/* After it: was it accepted, all of it? What it gave (frames, handles, ports) is used later. */
bool fuzz_result(struct racer *r, const struct fuzz_call *c, long rc);
/* The rest: fuzz_pool.c. Once, before any racer runs: pages, tables, grants to itself. False: no
 * memory. */
bool fuzz_set_up(void);
/* What the processor does with what was set up: loads of addresses and selectors, stores. */
void fuzz_use(struct racer *r);
/* Zeroed room for an argument, for this step. */
void *fuzz_take(struct racer *r, unsigned bytes);
void fuzz_forget(struct racer *r);

#endif
