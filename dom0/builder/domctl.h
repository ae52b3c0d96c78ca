/* SPDX-License-Identifier: MIT */
/*
 * The control interface on domains, XEN_DOMCTL_* of <xen/domctl.h>, as far as dom0 uses it: one
 * function per operation. For threads of dom0. All return 0 or the hypervisor's negative errno.
 */
#ifndef DOM0_BUILDER_DOMCTL_H
#define DOM0_BUILDER_DOMCTL_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/domctl.h>

/* A new, paused domain without memory, with that many vCPUs at most, in that pool of CPUs. */
int domctl_create(const uint8_t uuid[16], unsigned max_vcpus, uint32_t pool, domid_t *domid);
int domctl_max_vcpus(domid_t domid, unsigned max_vcpus);
int domctl_max_mem(domid_t domid, uint64_t kib);

/* The pool of shadow page tables, in bytes: before the domain runs. -XEN_EINVAL: too little. */
int domctl_set_paging_pool(domid_t domid, uint64_t bytes);

/* Start of the first kind, or again after a pause; pauses are counted. */
int domctl_pause(domid_t domid);
int domctl_unpause(domid_t domid);

/* Ends the domain and frees what is its own. May take many hypercalls; other threads run in
 * between. */
int domctl_destroy(domid_t domid);

/* -XEN_ESRCH if there is no domain of that number. */
int domctl_info(domid_t domid, struct xen_domctl_getdomaininfo *info);
int domctl_vcpu_info(domid_t domid, unsigned vcpu, struct xen_domctl_getvcpuinfo *info);

/* Fill the domain's frame `mfn` with hypercall stubs. */
int domctl_hypercall_page(domid_t domid, xen_pfn_t mfn);

/* Registers and roots of a vCPU that is not running. */
int domctl_set_context(domid_t domid, unsigned vcpu, const struct vcpu_guest_context *context);

/* Where a vCPU may run (hard) and likes to (soft), bit n for CPU n; CPUs above 63 are left out.
 * Set: NULL leaves one as it is; each becomes what is in force: the CPUs of it that the domain's
 * pool has, of soft those that hard allows. */
int domctl_set_affinity(domid_t domid, unsigned vcpu, uint64_t *hard, uint64_t *soft);
int domctl_get_affinity(domid_t domid, unsigned vcpu, uint64_t *hard, uint64_t *soft);

/* The log of the domain's dirty frames: s->op is XEN_DOMCTL_SHADOW_OP_*, with its fields; what it
 * answers is in *s. */
int domctl_shadow(domid_t domid, struct xen_domctl_shadow_op *s);
/* One past the domain's last frame number. */
int domctl_gfns(domid_t domid, uint64_t *gfns);

/* Weight and cap (percent of one CPU, 0: none) under scheduler `sched_id`, as sysctl_sched_id()
 * says; -XEN_EOPNOTSUPP for one that has neither. */
int domctl_get_share(domid_t domid, uint32_t sched_id, unsigned *weight, unsigned *cap);
int domctl_set_share(domid_t domid, uint32_t sched_id, unsigned weight, unsigned cap);

#endif
