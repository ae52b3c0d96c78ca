/* SPDX-License-Identifier: MIT */
/* The figures that `top` shows, fetched from the hypervisor and the back ends. For one thread. */
#ifndef DOM0_CLI_TOPSAMPLE_H
#define DOM0_CLI_TOPSAMPLE_H

#include <stdint.h>

#include "dom0/cli/topview.h"

/* All domains at one time. All zero to begin with; topsample_free() gives its memory back. */
struct topsample {
    struct top_machine machine;
    char version[24];
    uint64_t ns;                     /* system time when the domains were asked for */
    struct top_domain *domains;      /* by number */
    const struct top_domain **order; /* pointers to all of them, to be sorted */
    unsigned count, room;
};

/*
 * Fills a sample. What domains used of the CPUs is since `before`; 0 with NULL, and for those that
 * were not there then. Returns 0 or a negative errno.
 */
int topsample_take(struct topsample *s, const struct topsample *before);
void topsample_free(struct topsample *s);

#endif
