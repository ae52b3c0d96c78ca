/* SPDX-License-Identifier: MIT */
/* A token bucket: so many units a second on average, so many at once at most. Pure. */
#ifndef DOM0_CONSOLE_BUCKET_H
#define DOM0_CONSOLE_BUCKET_H

#include <stdint.h>

struct bucket {
    uint64_t rate;  /* units a second, not 0 */
    uint64_t burst; /* units at most */
    uint64_t level;
    uint64_t last_ns;
};

/* Full at first. */
void bucket_init(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ns);
/* The units that there are now. A time before the last call's counts as that. */
uint64_t bucket_level(struct bucket *b, uint64_t now_ns);
/* Takes n of them, not more than bucket_level(). */
void bucket_take(struct bucket *b, uint64_t n);
/* Nanoseconds until there are n units (n <= burst); 0 if there are. */
uint64_t bucket_wait_ns(const struct bucket *b, uint64_t n);

#endif
