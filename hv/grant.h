/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: a domain lends frames to others. Map (host address or device address),
 * unmap, copy, set-up and queries. A mapped grant is an alias gfn in the mapper's p2m window that
 * holds a reference (invariant S6).
 */
#ifndef HV_GRANT_H
#define HV_GRANT_H

#include "hv/domain.h"

long grant_domain_init(struct domain *d, unsigned max_frames, unsigned max_maptrack_frames);
/* Dying mapper: every mapping dropped, -XEN_ERESTART in steps. Dying granter: entries stay valid
 * for others until unmapped. */
long grant_domain_release(struct domain *d);
void grant_domain_free(struct domain *d);

/* GNTTABOP_*; arg is a guest array of `count`. a[] may be changed for a continuation
 * (-XEN_ERESTART). */
struct hypercall;
long grant_table_op(struct vcpu *v, struct hypercall *call, unsigned cmd, uint64_t arg,
                    unsigned count);

/* Machine frame of d's grant-table frame `index` (XENMEM_acquire_resource), growing the table;
 * INVALID_MFN. */
mfn_t grant_table_frame(struct domain *d, unsigned index);

/* For the leak audit: live mappings that d holds, and pages of handles, which it keeps for its
 * life. */
unsigned grant_map_count(struct domain *d);
unsigned grant_handle_pages(struct domain *d);

#endif
