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

/* A page of another domain's, mapped by itself. */
struct grant_page {
    void *va;
    uint64_t dev_bus_addr; /* for DMA: machine address */
    grant_handle_t handle;
};

/*
 * Maps n (1 to GRANT_MAP_MAX) pages that `dom` lent, all or nothing. 0, or: -XEN_EINVAL bad n,
 * -XEN_ENOSPC no address space, -XEN_EPERM lent to another domain, -XEN_ENOENT bad reference,
 * -XEN_ESRCH bad domain, -XEN_EIO otherwise (a page lent read-only, too).
 */
int grant_map_pages(domid_t dom, const grant_ref_t *refs, unsigned n, bool readonly,
                    struct grant_page *pages);
/* Ends n such mappings (1 to GRANT_MAP_MAX), made by one call or by several; 0, or -XEN_EIO if the
 * hypervisor refused a page (no address of these is used again then). */
int grant_unmap_pages(const struct grant_page *pages, unsigned n);

/* Several pages in a row. */
struct grant_mapping {
    void *va;
    unsigned n;
    struct grant_page pages[GRANT_MAP_MAX];
};

/* As grant_map_pages(), contiguously. On error *out has va NULL. */
int grant_map(domid_t dom, const grant_ref_t *refs, unsigned n, bool readonly,
              struct grant_mapping *out);

/* Ends a mapping made above; 0, or -XEN_EIO if the hypervisor refused one page (its address is then
 * never reused). */
int grant_unmap(struct grant_mapping *map);

#endif
