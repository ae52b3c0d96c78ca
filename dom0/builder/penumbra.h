/* SPDX-License-Identifier: MIT */
/*
 * Penumbra's own hypercall (hv/public/penumbra.h), one function per operation. For threads of dom0.
 * All return 0 or a negative errno: -XEN_ENOSYS on a hypervisor that is not Penumbra, -XEN_ESRCH if
 * there is no such domain.
 */
#ifndef DOM0_BUILDER_PENUMBRA_H
#define DOM0_BUILDER_PENUMBRA_H

#include <stdint.h>

#include <xen/xen.h>

#include "hv/public/penumbra.h"

int penumbra_counters(domid_t domid, struct penumbra_counters *counters);

/* walk->va, ->vcpu and ->user say what; the rest is the answer. -XEN_EINVAL: no address of a
 * guest's; -XEN_ENOENT: no such vCPU. */
int penumbra_walk(domid_t domid, struct penumbra_walk *walk);

int penumbra_get_store_mode(domid_t domid, struct penumbra_store_mode *mode);
int penumbra_set_store_mode(domid_t domid, unsigned mode);

/* The scheduler's trace; t->cmd says what, and which fields are used. */
int penumbra_trace(struct penumbra_trace *t);

/* The scheduler number `index`. -XEN_ENOENT after the last. */
int penumbra_scheduler(uint32_t index, struct penumbra_scheduler *scheduler);

#endif
