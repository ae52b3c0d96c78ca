/* SPDX-License-Identifier: MIT */
/*
 * Physical interrupts for domain 0: the table of pirqs (PHYSDEVOP_map_pirq) with their vectors, and
 * where each is delivered (EVTCHNOP_bind_pirq). Message-signalled interrupts only. LOCK_IRQ is
 * taken here.
 */
#ifndef IO_IRQ_H
#define IO_IRQ_H

#include <stdint.h>

/* A pirq (> 0) for MSI-X entry `entry` of the device, masked. -XEN_ENODEV, -XEN_EINVAL, -XEN_EBUSY
 * (mapped already), -XEN_ENXIO (memory decoding off), -XEN_ENOSPC, -XEN_ENOMEM. */
long irq_map_msix(uint16_t bdf, unsigned entry);
/* Stops it and gives it back; -XEN_EINVAL if not mapped. The event channel, if any, stays and is
 * silent. */
long irq_unmap(unsigned pirq);
/* Called under the event lock: from now on each interrupt calls evtchn_raise_pirq(dom0, pirq).
 * -XEN_EINVAL: no such number, -XEN_EPERM: not mapped, -XEN_EEXIST. */
long irq_bind(unsigned pirq);
void irq_unbind(unsigned pirq);
/* All of them, when domain 0 is gone. */
void irq_release_all(void);

#endif
