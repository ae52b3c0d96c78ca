/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: this domain's pages lent to others (front ends), others' pages mapped
 * here (back ends). For threads on vCPU 0 only. References 0 and 1 belong to console and store and
 * are never given out.
 */
#ifndef RT_GRANT_H
#define RT_GRANT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#define GRANT_MAP_MAX 32 /* pages of one grant_map() */

/* Lends the frame to domain `to`. Returns the reference (> 0), or -XEN_ENOSPC when the table is
 * full and cannot grow. */
int grant_access(domid_t to, xen_pfn_t mfn, bool readonly);

/* Takes the loan back. -XEN_EBUSY, and nothing changes, while the other domain has it mapped. */
int grant_end(grant_ref_t ref);

/* References that are lent now. */
unsigned grant_count(void);

struct grant_mapping {
    void *va;
    unsigned n;
    grant_handle_t handle[GRANT_MAP_MAX];
    uint64_t dev_bus_addr[GRANT_MAP_MAX]; /* for DMA: machine address of each page */
};

/*
 * Maps n (1 to GRANT_MAP_MAX) pages that `dom` lent, contiguously, all or nothing. 0, or:
 * -XEN_EINVAL bad n, -XEN_ENOSPC no address space, -XEN_EPERM lent to another domain, -XEN_ENOENT
 * bad reference, -XEN_ESRCH bad domain, -XEN_EIO otherwise (a page lent read-only, too). On error
 * *out has va NULL.
 */
int grant_map(domid_t dom, const grant_ref_t *refs, unsigned n, bool readonly,
              struct grant_mapping *out);

/* Ends a mapping made above; 0, or -XEN_EIO if the hypervisor refused one page (its address is then
 * never reused). */
int grant_unmap(struct grant_mapping *map);

#endif
