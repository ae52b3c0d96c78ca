/* SPDX-License-Identifier: MIT */
/* For the race_*.c files: the same function on all vCPUs at once, a fixed number of times. */
#ifndef HOSTILE_RACE_H
#define HOSTILE_RACE_H

#include <stdbool.h>
#include <stdint.h>

/* One vCPU of a race. */
struct racer {
    unsigned id;
    uint64_t random;
    unsigned done, refused;
};

/* Its own sequence, the same each run (another one with seed=N on the command line). */
uint64_t race_random(struct racer *r);
static inline unsigned race_pick(struct racer *r, unsigned n)
{
    return (unsigned)(race_random(r) % n);
}

/*
 * Runs step() `steps` times (times=N on the command line instead), or for 5 seconds (seconds=N), on
 * every vCPU that this domain has, vCPU 0 included; returns when all have ended. Faults of
 * race_touch() and race_store() are survived.
 */
void race_run(void (*step)(struct racer *r), unsigned steps);

bool race_alone(void); /* one vCPU */

/* Counts a hypercall's result. */
void race_note(struct racer *r, long rc);

/* A read or a write of a word that may fault. True if it did not. */
bool race_touch(const volatile void *p);
bool race_store(volatile void *p, uint64_t value);

#endif
