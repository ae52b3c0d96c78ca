/* SPDX-License-Identifier: MIT */
/*
 * The E820 map that a domain is shown (XENMEM_memory_map), which its builder sets
 * (XENMEM_set_memory_map), and the machine's own (XENMEM_machine_memory_map, domain 0 only). For
 * hv/memory.c and the end of domains.
 */
#ifndef HV_MEMORY_MAP_H
#define HV_MEMORY_MAP_H

#include <stdint.h>

struct vcpu;
struct domain;

/* `arg`: guest address of the operation's argument. 0 or -XEN_EFAULT, -XEN_EINVAL, -XEN_EPERM,
 * -XEN_ESRCH, -XEN_ENOSYS (none set), -XEN_ENOMEM. */
long memory_map_get(struct vcpu *v, uint64_t arg);
long memory_map_set(struct vcpu *v, uint64_t arg);
long memory_map_machine(struct vcpu *v, uint64_t arg);

/* Frees what was set; a dying domain gets no new one. Takes the domain lock. */
void memory_map_release(struct domain *d);

#endif
