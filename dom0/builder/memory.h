/* SPDX-License-Identifier: MIT */
/*
 * The memory of domains that live: how much one is to have (its balloon driver's business), and the
 * most that it may be told to have. For threads. Sizes are KiB.
 */
#ifndef DOM0_BUILDER_MEMORY_H
#define DOM0_BUILDER_MEMORY_H

#include <stdint.h>

#include <xen/xen.h>

struct cfg_error;

#define MEMORY_MIN_KIB 4096 /* no target is below it: less no kernel lives with */

/*
 * Tell a domain to have that much, and let it have no more. What becomes of that, it decides: see
 * memory_now. Returns 0, or a negative error with one line in err, and then nothing has changed.
 */
int memory_set_target(domid_t domid, uint64_t kib, struct cfg_error *err);

/* Change the most that its target may be. Returns as memory_set_target. */
int memory_set_max(domid_t domid, uint64_t kib, struct cfg_error *err);

/* What it has now, and what it is to have. -XEN_ESRCH if it is gone. */
int memory_now(domid_t domid, uint64_t *has, uint64_t *target);

#endif
