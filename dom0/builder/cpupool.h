/* SPDX-License-Identifier: MIT */
/*
 * Pools of physical CPUs, each with a scheduler and domains of its own, by XEN_SYSCTL_cpupool_op.
 * The hypervisor knows them by number; their names are nodes of the store, /local/pool/N/name, as
 * xl keeps them. For threads of dom0. Functions return 0 or a negative errno unless they say
 * otherwise.
 */
#ifndef DOM0_BUILDER_CPUPOOL_H
#define DOM0_BUILDER_CPUPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

#include "hv/public/penumbra.h"

#define CPUPOOL_NAME_MAX 32 /* with its NUL */

struct cpupool {
    uint32_t id;
    uint32_t sched_id; /* XEN_SCHEDULER_* of <xen/domctl.h> */
    uint32_t domains;  /* how many are in it */
    uint64_t cpus;     /* bit n: CPU n is in it; those above 63 are left out */
};

/* The pool of that number or, if there is none, the next higher one. -XEN_ENOENT: no more. */
int cpupool_next(uint32_t id, struct cpupool *pool);

/* The pool of that number. -XEN_ENOENT. */
int cpupool_info(uint32_t id, struct cpupool *pool);

/* The pool that is called so, or has that number. -XEN_ENOENT. */
int cpupool_find(const char *name_or_number, struct cpupool *pool);

/* The pool's name; "Pool-N" if the store has none. Returns buf. */
char *cpupool_name(uint32_t id, char buf[CPUPOOL_NAME_MAX]);

/* May a pool be called so? Up to 31 letters, digits and _.-+:, not digits alone. */
bool cpupool_name_valid(const char *name);

/* CPUs that are in no pool. */
int cpupool_free_cpus(uint64_t *cpus);

/*
 * Changes. Names are checked by the caller: valid, and not another pool's. The hypervisor's errors
 * are those of <xen/sysctl.h>: -XEN_EBUSY there are domains in it, -XEN_ENODEV the CPU is not free
 * (add) or not in the pool (remove).
 */
int cpupool_create(const char *name, uint32_t sched_id, uint32_t *id);
int cpupool_destroy(uint32_t id); /* without CPUs and domains */
int cpupool_rename(uint32_t id, const char *name);
int cpupool_add_cpu(uint32_t id, unsigned cpu);
int cpupool_remove_cpu(uint32_t id, unsigned cpu);
int cpupool_move_domain(uint32_t id, domid_t domid);

/* What the scheduler of that number is, and of that name: -XEN_ENOENT. On a hypervisor that does
 * not tell, Xen's names and numbers, without times. And its index'th, -XEN_ENOENT after the last.
 */
int cpupool_scheduler(uint32_t sched_id, struct penumbra_scheduler *s);
int cpupool_find_scheduler(const char *name, struct penumbra_scheduler *s);
int cpupool_scheduler_at(uint32_t index, struct penumbra_scheduler *s);

/* Writes the name of pool 0, once at start. */
int cpupool_service_start(void);

#endif
