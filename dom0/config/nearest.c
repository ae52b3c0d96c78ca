/* SPDX-License-Identifier: MIT */
#include "dom0/config/nearest.h"

#include <limits.h>
#include <string.h>

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned nearest_distance(const char *a, const char *b)
{
    /* Three rows of the usual table: the swap rule looks back two. */
    unsigned rows[3][NEAREST_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NEAREST_MAX)
        a_len = NEAREST_MAX;
    if (b_len > NEAREST_MAX)
        b_len = NEAREST_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned cost = fold(a[i - 1]) != fold(b[j - 1]);

            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *nearest_word(const char *word, const char *const *words, size_t count, size_t stride)
{
    const char *best = NULL;
    unsigned best_distance = UINT_MAX;

    for (size_t i = 0; i < count; i++) {
        const char *candidate = *(const char *const *)((const char *)words + i * stride);
        unsigned distance = nearest_distance(word, candidate);

        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}
