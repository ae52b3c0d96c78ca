/* SPDX-License-Identifier: MIT */
#include "dom0/cli/size.h"

#include <string.h>
#include <xen/errno.h>

#define SIZE_MAX_BYTES (1ull << 62)

/* The power of two that a suffix stands for, -1 if it is none. */
static int suffix_shift(const char *s)
{
    static const char letters[] = "KkMmGgTt";
    const char *found;

    if (!strcmp(s, "B") || !strcmp(s, "b"))
        return 0;
    found = strchr(letters, *s);
    if (!found)
        return -1;
    s++;
    if (*s && strcmp(s, "B") && strcmp(s, "iB") && strcmp(s, "b"))
        return -1;
    return 10 * (int)((found - letters) / 2 + 1);
}

/* A number with a suffix, in bytes; `bare` is what a number without one counts, as a shift. */
static int parse(const char *text, int bare, uint64_t *bytes)
{
    uint64_t n = 0;
    int shift;

    if (*text < '0' || *text > '9')
        return -XEN_EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (unsigned)(*text - '0');
        if (n > SIZE_MAX_BYTES)
            return -XEN_EINVAL;
    }
    shift = *text ? suffix_shift(text) : bare;
    if (shift < 0 || n > SIZE_MAX_BYTES >> shift || !n)
        return -XEN_EINVAL;
    *bytes = n << shift;
    return 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
    uint64_t n;
    int rc = parse(text, 0, &n);

    if (rc < 0 || n % 512)
        return -XEN_EINVAL;
    *bytes = n;
    return 0;
}

int size_parse_memory(const char *text, uint64_t *kib)
{
    uint64_t n;
    int rc = parse(text, 20, &n);

    if (rc < 0 || n % 1024)
        return -XEN_EINVAL;
    *kib = n >> 10;
    return 0;
}
