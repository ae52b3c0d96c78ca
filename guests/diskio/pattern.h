/* SPDX-License-Identifier: MIT */
/*
 * The pattern of diskio: each sector's 64 words are a stream of pseudo-random numbers (xorshift64*,
 * Vigna 2016) seeded by boot and sector, so that a misplaced, stale or torn sector is seen. Pure.
 */
#ifndef DISKIO_PATTERN_H
#define DISKIO_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PATTERN_WORDS 64

static inline uint64_t pattern_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

/* `sector` is 512 bytes. */
static inline void pattern_fill(void *sector, uint64_t seed, uint64_t number)
{
    uint64_t state = seed ^ (number + 1) * 0xd1342543de82ef95, *words = sector;

    state = state ? state : 1; /* of 0 comes only 0 */
    for (int i = 0; i < PATTERN_WORDS; i++) {
        words[i] = pattern_next(&state);
    }
}

static inline bool pattern_check(const void *sector, uint64_t seed, uint64_t number)
{
    uint64_t expected[PATTERN_WORDS];

    pattern_fill(expected, seed, number);
    return memcmp(sector, expected, sizeof(expected)) == 0;
}

#endif
