/* SPDX-License-Identifier: MIT */
/*
 * Making and ending vCPUs; for hv/domain.c, which owns them.
 */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include "hv/domain.h"

/* A vCPU of d, down, with d's pause count. Domain lock held. -ENOMEM. */
long vcpu_create(struct domain *d, unsigned id, struct vcpu **out);
void vcpu_stop_timers(struct vcpu *v);
/*
 * The pCPUs on which vCPUs of d run now; vcpus: a bit each, of those that are meant. For flushes of
 * what was removed before the call: a vCPU that is not found running, or that moves afterwards,
 * begins with a new root table on its pCPU, which flushes too.
 */
uint64_t vcpu_pcpus(const struct domain *d, uint64_t vcpus);
/* Gives back what it holds of the domain's memory: page-table roots, vcpu_info page. It does not
 * run any more. */
void vcpu_release(struct vcpu *v);
void vcpu_free(struct vcpu *v);

#endif
