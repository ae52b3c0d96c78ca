/* SPDX-License-Identifier: MIT */
/*
 * What domctl and sysctl share: one lock, CPU bitmaps, and the description of a domain. For
 * hv/domctl*.c and hv/sysctl*.c.
 */
#ifndef HV_CONTROL_H
#define HV_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>

struct domain;
struct vcpu;
struct hypercall;

/* One control operation at a time: false if another pCPU is at it; the caller is then continued
 * (-XEN_ERESTART). */
bool control_trylock(void);
void control_unlock(void);

void control_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* A guest's bitmap of CPUs; bits that it does not have are 0. -XEN_EFAULT. */
long control_bitmap_read(uint64_t *bits, const struct xenctl_bitmap *map);
/* Writes as many bits as the guest's bitmap has. -XEN_EFAULT, -XEN_EINVAL (absurdly many). */
long control_bitmap_write(const struct xenctl_bitmap *map, uint64_t bits);

/* domctl on a vCPU's context, affinity and state (hv/domctl_vcpu.c). `op` is the hypervisor's copy;
 * *copy_back is set if it is to be written to the guest. The control lock is held, `d` is not
 * dying. */
long domctl_set_context(struct vcpu *caller, struct domain *d, struct xen_domctl *op);
long domctl_get_context(struct vcpu *caller, struct domain *d, struct xen_domctl *op);
long domctl_vcpu_info(struct domain *d, struct xen_domctl *op);
long domctl_affinity(struct domain *d, struct xen_domctl *op, bool set);
long domctl_scheduler(struct domain *d, struct xen_domctl *op);
/* XEN_DOMCTL_shadow_op (hv/domctl_shadow.c); its answer is in *op. -XEN_ERESTART. */
long domctl_shadow(struct vcpu *caller, struct domain *d, struct xen_domctl *op);

/* Pools of pCPUs and their schedulers (hv/sysctl_sched.c); answers are in *op. */
struct xen_sysctl_cpupool_op;
struct xen_sysctl_scheduler_op;
struct penumbra_scheduler;
long sysctl_cpupool(struct xen_sysctl_cpupool_op *op);
long sysctl_scheduler(struct xen_sysctl_scheduler_op *op);
uint32_t sysctl_scheduler_id(void); /* XEN_SCHEDULER_* or PENUMBRA_SCHEDULER_* of Pool-0 */
long sysctl_describe_scheduler(struct penumbra_scheduler *s);

/* Counters (hv/sysctl_perfc.c). */
struct xen_sysctl_perfc_op;
long sysctl_perfc(struct xen_sysctl_perfc_op *op);

#endif
