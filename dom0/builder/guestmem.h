/* SPDX-License-Identifier: MIT */
/*
 * The memory of a domain under construction: gives it pages and writes to them through small
 * windows, so that nothing of the guest stays mapped when its page tables are to be pinned. For the
 * builder.
 */
#ifndef DOM0_BUILDER_GUESTMEM_H
#define DOM0_BUILDER_GUESTMEM_H

#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

struct guestmem {
    domid_t domid;
    uint64_t page_count;
    xen_pfn_t *frames; /* by pfn; opaque numbers of the hypervisor's choice */
};

/*
 * Give the domain page_count pages and note their frames. Returns 0, or -XEN_ENOMEM if dom0 or the
 * machine has not enough; what was given stays the domain's until it is destroyed.
 */
int guestmem_populate(struct guestmem *gm, domid_t domid, uint64_t page_count);

/* Free the list of frames. */
void guestmem_free(struct guestmem *gm);

/* Write len bytes at byte offset `at` from pfn 0; zeros if buf is NULL. -XEN_EFAULT beyond the
 * domain's memory, or the error of mapping. */
int guestmem_write(const struct guestmem *gm, uint64_t at, const void *buf, uint64_t len);

/* The frame of a pfn, in the form that ptbuild_fill wants; ctx is the guestmem. */
uint64_t guestmem_frame(void *ctx, uint64_t pfn);

#endif
