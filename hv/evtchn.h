/* SPDX-License-Identifier: MIT */
/*
 * Event channels, 2-level ABI: unbound, interdomain, VIRQ, IPI and PIRQ ports. A port number
 * indexes its domain's table directly. Sending sets bits in shared_info and wakes the vCPU;
 * delivery happens on the way out to the guest (arch/x86/bounce.c).
 */
#ifndef HV_EVTCHN_H
#define HV_EVTCHN_H

#include "hv/domain.h"

long evtchn_domain_init(struct domain *d); /* -ENOMEM */
/* Dying: every port closed, peers become unbound. -XEN_ERESTART in steps. */
long evtchn_domain_unbind(struct domain *d);
void evtchn_domain_free(struct domain *d);

/* EVTCHNOP_* with the guest address of its argument. Called from the hypercall table. */
long evtchn_op(struct vcpu *v, unsigned cmd, uint64_t arg);

long evtchn_send(struct domain *d, uint32_t port);     /* as if d's guest called EVTCHNOP_send */
void evtchn_raise_virq(struct vcpu *v, unsigned virq); /* per-vCPU VIRQ; nothing if unbound */
void evtchn_raise_global_virq(struct domain *d, unsigned virq); /* to whichever vCPU bound it */
void evtchn_raise_pirq(struct domain *d, unsigned pirq);

/* Is an event to be delivered to v now: pending and not masked? */
static inline bool evtchn_upcall_due(const struct vcpu *v)
{
    return *(volatile uint8_t *)&v->info->evtchn_upcall_pending &&
           !*(volatile uint8_t *)&v->info->evtchn_upcall_mask;
}
/* Is anything pending, masked or not? Block and poll check this after being marked blocked. */
static inline bool evtchn_upcall_pending(const struct vcpu *v)
{
    return *(volatile uint8_t *)&v->info->evtchn_upcall_pending;
}
/* SCHEDOP_poll: is any of the ports pending? Ports copied already; -EINVAL for a bad one. */
long evtchn_any_pending(struct domain *d, const uint32_t *ports, unsigned count);
/* After vcpu_info moved: everything pending is announced again, so that nothing is lost. */
void evtchn_vcpu_info_moved(struct vcpu *v);

unsigned evtchn_count(struct domain *d); /* open ports, for the leak audit */

#endif
