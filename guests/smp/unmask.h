/* SPDX-License-Identifier: MIT */
/*
 * Is a notification lost that comes just as its vCPU unmasks upcalls? vCPU 1 masks and unmasks
 * them without end, by plain stores as Linux does (xen_irq_enable()), and never enters the
 * hypervisor by itself; vCPU 0 notifies it again and again.
 */
#ifndef SMP_UNMASK_H
#define SMP_UNMASK_H

/* From vCPU 0, before vCPU 1 is started. Prints the result; 0, or 1: something was lost. */
int unmask_race(unsigned long times);

#endif
