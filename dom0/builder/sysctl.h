/* SPDX-License-Identifier: MIT */
/*
 * The control interface on the machine, XEN_SYSCTL_* of <xen/sysctl.h>, as far as dom0 uses it.
 * For threads of dom0. All return 0 or the hypervisor's negative errno.
 */
#ifndef DOM0_BUILDER_SYSCTL_H
#define DOM0_BUILDER_SYSCTL_H

#include <stdint.h>

#include <xen/xen.h>
#include <xen/sysctl.h>

int sysctl_physinfo(struct xen_sysctl_physinfo *info);

/* XEN_SCHEDULER_* of <xen/domctl.h>. */
int sysctl_sched_id(uint32_t *sched_id);

/* The least time, in microseconds, that whoever is chosen in that pool runs before another one may
 * preempt it; the pool's scheduler is sched_id. -XEN_EOPNOTSUPP: it has no such parameter. */
int sysctl_get_ratelimit(uint32_t pool, uint32_t sched_id, uint32_t *us);
int sysctl_set_ratelimit(uint32_t pool, uint32_t sched_id, uint32_t us);

/* Domains numbered `first` or higher, at most max, in order. Returns how many. */
int sysctl_domains(domid_t first, struct xen_domctl_getdomaininfo *infos, unsigned max);

/* Calls fn(ctx, info) for each domain there is, in the order of their numbers. fn may wait: a
 * domain that comes or goes meanwhile is told of or not. -XEN_ENOMEM too. */
int sysctl_each_domain(void (*fn)(void *ctx, const struct xen_domctl_getdomaininfo *info),
                       void *ctx);

/*
 * A piece of the hypervisor's log into buf. *index is where to go on: 0 at first, updated.
 * Returns the bytes, 0 at the end.
 */
int sysctl_read_log(char *buf, unsigned size, uint32_t *index);

/* Empties the hypervisor's log. */
int sysctl_clear_log(void);

/*
 * The hypervisor's own counters: calls fn(ctx, name, value) for each, with the sum over all CPUs.
 * -XEN_ENOSYS or -XEN_EOPNOTSUPP where there are none.
 */
int sysctl_counters(void (*fn)(void *ctx, const char *name, uint64_t value), void *ctx);

#endif
