/* SPDX-License-Identifier: MIT */
/*
 * The memory that a domain owns, growing and shrinking: XENMEM_increase_reservation,
 * decrease_reservation, populate_physmap and claim_pages. For hv/memory.c.
 */
#ifndef HV_RESERVATION_H
#define HV_RESERVATION_H

#include <stdint.h>
#include "mm/types.h"

struct vcpu;
struct domain;
struct hypercall;

/* call->arg[0]: operation and the extents done already (MEMOP_EXTENT_SHIFT), arg[1]: guest address
 * of a struct xen_memory_reservation. Returns the number of extents done, as Xen does even when the
 * arguments are bad; -XEN_ERESTART to continue. */
long reservation_op(struct vcpu *v, struct hypercall *call);
/* 0, -XEN_EINVAL, -XEN_EPERM, -XEN_ESRCH, -XEN_ENOMEM. Nothing is set aside: it says whether the
 * memory is there now. */
long reservation_claim(struct vcpu *v, uint64_t arg);

/* The largest extent that the domain may ask for. */
unsigned reservation_order_max(const struct domain *caller);
/* One extent of memory, whatever the limit; its gfn goes to *gfn, pfn and those that follow to the
 * machine-to-phys table. Domain lock held. -XEN_ENOMEM. */
long reservation_fill(struct domain *d, unsigned order, uint64_t pfn, gfn_t *gfn);
/* It goes again; holes in it are left alone. Domain lock held. */
void reservation_take_back(struct domain *d, gfn_t gfn, unsigned order);

/* Bits 0 to 5 of memory_op's command are the operation, the rest is progress. */
#define MEMOP_EXTENT_SHIFT 6
#define MEMOP_CMD_MASK     ((1UL << MEMOP_EXTENT_SHIFT) - 1)

#endif
