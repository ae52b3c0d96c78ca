/* SPDX-License-Identifier: MIT */
/*
 * XENMEM_exchange: a domain's frames for as many others, in extents of another order. For
 * hv/memory.c.
 */
#ifndef HV_EXCHANGE_H
#define HV_EXCHANGE_H

#include <stdint.h>

struct vcpu;

/* arg: guest address of a struct xen_memory_exchange. -XEN_ERESTART: to be called again with the
 * same; the other results are in docs/abi.md. */
long exchange_op(struct vcpu *v, uint64_t arg);

#endif
