/* SPDX-License-Identifier: MIT */
/*
 * The questions that the hostile guest can ask, one function each. A question either returns, when
 * the guest is meant to survive it, or must end in the hypervisor's killing this guest alone.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

struct question {
    const char *name;
    const char *tries; /* printed before */
    void (*ask)(void);
};

/* cpu.c: what the processor state can be abused for. */
extern const struct question cpu_questions[];
/* memory.c: page tables. */
extern const struct question memory_questions[];
/* service.c: the console, the store, the hypercalls. */
extern const struct question service_questions[];
/* rings.c: the console ring and the store's, and their events. */
extern const struct question ring_questions[];
/* disk.c: the block back end; needs a disk. */
extern const struct question disk_questions[];
/* diskfuzz.c: the same by chance. */
extern const struct question disk_fuzz_questions[];
/* race.c, race_mem.c: several vCPUs at once. */
extern const struct question race_questions[];
extern const struct question race_memory_questions[];
/* tables.c: frames that are several things at once. */
extern const struct question table_questions[];
/* fuzz.c: hypercalls by chance. */
extern const struct question fuzz_questions[];
/* review.c: what reading the hypervisor gave cause to ask. */
extern const struct question review_questions[];

/* Prints `what` and the result, and whether it is as it must be; counts the failures. */
void expect(const char *what, long got, long wanted);
void expect_refused(const char *what, long got); /* any negative result */

/* xorshift64: the same numbers each run. For one vCPU at a time. */
uint64_t random64(void);
/* Other numbers. */
void random_seed(uint64_t seed);

/* Its own way to the first frame of the grant table, for the runtime keeps rules; NULL: refused. */
struct grant_entry_v1;
struct grant_entry_v1 *grant_entries(void);

#endif
