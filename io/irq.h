/* SPDX-License-Identifier: MIT */
/*
 * Physical interrupts for dom0: the table of pirqs (PHYSDEVOP_map_pirq), their vectors and event channels (EVTCHNOP_bind_pirq).
 */
#ifndef IO_IRQ_H
#define IO_IRQ_H

#include <stdint.h>

long irq_map_msix(uint16_t bdf, unsigned entry); /* a pirq >= 0, or -errno as xen's map_pirq */
long irq_unmap(unsigned pirq);                   /* -EINVAL if not mapped */
/* Called by evtchn.c under the event lock: bind starts delivery (vector aimed, entry unmasked). */
long irq_bind(unsigned pirq);                    /* -EEXIST, -EPERM not mapped */
void irq_unbind(unsigned pirq);
void irq_release_all(void);                      /* dom0 died */

#endif
