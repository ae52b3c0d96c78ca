/* SPDX-License-Identifier: MIT */
/* XENMEM_exchange: singles for one extent of contiguous frames, and what it refuses. */
#include "exchange.h"

#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>

#define ORDER 2
#define PAGES (1 << ORDER)
#define HOLE  0xffff800000000000UL

static xen_pfn_t in[PAGES], out[PAGES];
static struct xen_memory_exchange x;

static long exchange(uint64_t in_count, unsigned in_order, uint64_t out_count, unsigned out_order)
{
    memset(&x, 0, sizeof(x));
    set_xen_guest_handle(x.in.extent_start, in);
    set_xen_guest_handle(x.out.extent_start, out);
    x.in.nr_extents = in_count;
    x.in.extent_order = in_order;
    x.out.nr_extents = out_count;
    x.out.extent_order = out_order;
    x.in.domid = x.out.domid = DOMID_SELF;
    return hypercall_memory_op(XENMEM_exchange, &x);
}

/* The page's entry in the kernel's map of all memory. */
static bool map(char *page, bool present)
{
    uint64_t entry = present ? virt_to_mfn(page) << PAGE_SHIFT | PTE_KERNEL | PTE_NX : 0;

    return hypercall_update_va_mapping((unsigned long)page, entry, UVMF_INVLPG | UVMF_ALL) == 0;
}

/* For all pages; their frames are out[0] and the following ones then. They may be the old ones
 * again, if these were in order and nothing lower is free. */
static bool exchange_works(char *pages)
{
    xen_pfn_t *list = (xen_pfn_t *)start_info->mfn_list; /* of this domain's own pfns */
    bool ok = true;

    for (unsigned i = 0; i < PAGES; i++) {
        in[i] = virt_to_mfn(pages + i * PAGE_SIZE);
        ok = ok && map(pages + i * PAGE_SIZE, false);
    }
    out[0] = virt_to_pfn(pages);
    if (!ok || exchange(PAGES, 0, 1, ORDER) || x.nr_exchanged != PAGES) {
        return false;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        char *page = pages + i * PAGE_SIZE;

        ok = ok && machine_to_phys_mapping[out[0] + i] == virt_to_pfn(page);
        list[virt_to_pfn(page)] = out[0] + i;
        ok = map(page, true) && ok;
        page[i] = (char)i;
        ok = ok && page[i] == (char)i;
    }
    return ok && out[0] % PAGES == 0;
}

static bool refused(char *pages)
{
    bool ok;

    in[0] = virt_to_mfn(pages);
    out[0] = virt_to_pfn(pages);
    ok = exchange(1, 0, 1, 0) == -XEN_EINVAL && x.nr_exchanged == 0; /* it is mapped */
    in[0] = 1UL << 51;
    ok = ok && exchange(1, 0, 1, 0) == -XEN_EINVAL;
    ok = ok && exchange(1, 20, 1, 20) == -XEN_EPERM;
    ok = ok && exchange(3, 0, 1, 2) == -XEN_EINVAL;
    ok = ok && exchange(~0UL, 2, ~0UL, 2) == -XEN_EINVAL;
    ok = ok && exchange(0, 0, 0, 0) == 0;
    /* XSA-212: far from the list's start, in the hypervisor's own memory. */
    x.nr_exchanged = (HOLE - (unsigned long)out) / sizeof(out[0]);
    x.in.nr_extents = x.out.nr_extents = x.nr_exchanged + 1;
    ok = ok && hypercall_memory_op(XENMEM_exchange, &x) == -XEN_EFAULT;
    set_xen_guest_handle(x.out.extent_start, (xen_pfn_t *)HOLE);
    x.nr_exchanged = 0;
    x.in.nr_extents = x.out.nr_extents = 1;
    ok = ok && hypercall_memory_op(XENMEM_exchange, &x) == -XEN_EFAULT;
    x.out.domid = 0x7fe0;
    ok = ok && hypercall_memory_op(XENMEM_exchange, &x) == -XEN_EINVAL;
    return ok && hypercall_memory_op(XENMEM_exchange, (void *)HOLE) == -XEN_EFAULT;
}

bool check_exchange(void)
{
    char *pages = page_alloc(ORDER);
    bool ok = pages && exchange_works(pages) && refused(pages);

    page_free(pages, ORDER);
    return ok;
}
