/* SPDX-License-Identifier: MIT */
/* Grant tables: lending pages, and mapping lent ones. See grant.h. */
#include "grant.h"

#include <stddef.h>

#include "hypercall.h"
#include "mm.h"
#include "pt.h"
#include "start.h"
#include "thread.h"

#define FRAMES_MAX 32 /* of our table: 16384 references */
#define PER_FRAME  (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define REFS_MAX   (FRAMES_MAX * PER_FRAME)
#define RETRY_NS   1000000
#define RETRIES    1000

static struct grant_entry_v1 *table; /* address space for FRAMES_MAX; frames_used of it mapped */
static unsigned frames_used;
static uint16_t next_free[REFS_MAX]; /* list of free references, 0 ends it */
static uint16_t first_free;
static unsigned lent;

/* --- lending ------------------------------------------------------------------------------ */

/* Makes the table one frame larger. */
static int table_grow(void)
{
    xen_pfn_t frames[FRAMES_MAX] = {0};
    struct gnttab_setup_table op = {.dom = DOMID_SELF, .nr_frames = frames_used + 1};
    uint64_t *entry;
    unsigned first = frames_used * PER_FRAME;

    if (frames_used == FRAMES_MAX) {
        return -XEN_ENOSPC;
    }
    if (!table) {
        table = (struct grant_entry_v1 *)map_reserve(FRAMES_MAX);
        if (!table) {
            return -XEN_ENOSPC;
        }
    }
    set_xen_guest_handle(op.frame_list, frames);
    if (hypercall_grant_table_op(GNTTABOP_setup_table, &op, 1) || op.status != GNTST_okay) {
        return -XEN_ENOSPC;
    }
    entry = pt_walk(pt_kernel_root(), (unsigned long)&table[first], false);
    if (pt_write(entry, frames[frames_used] << PAGE_SHIFT | PTE_KERNEL | PTE_NX)) {
        return -XEN_ENOSPC;
    }
    frames_used++;
    for (unsigned ref = first + PER_FRAME; ref-- > first;) {
        if (ref >= GNTTAB_NR_RESERVED_ENTRIES) {
            next_free[ref] = first_free;
            first_free = (uint16_t)ref;
        }
    }
    return 0;
}

int grant_access(domid_t to, xen_pfn_t mfn, bool readonly)
{
    unsigned ref;

    if (!first_free) {
        int rc = table_grow();

        if (rc) {
            return rc;
        }
    }
    ref = first_free;
    first_free = next_free[ref];
    lent++;
    table[ref].domid = to;
    table[ref].frame = (uint32_t)mfn;
    /* The hypervisor may look as soon as the type is there; partner: its read of flags. */
    __atomic_store_n(&table[ref].flags, GTF_permit_access | (readonly ? GTF_readonly : 0),
                     __ATOMIC_RELEASE);
    return (int)ref;
}

int grant_end(grant_ref_t ref)
{
    uint16_t flags = __atomic_load_n(&table[ref].flags, __ATOMIC_ACQUIRE);

    do {
        if (flags & (GTF_reading | GTF_writing)) {
            return -XEN_EBUSY;
        }
    } while (!__atomic_compare_exchange_n(&table[ref].flags, &flags, 0, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_ACQUIRE));
    next_free[ref] = first_free;
    first_free = (uint16_t)ref;
    lent--;
    return 0;
}

unsigned grant_count(void)
{
    return lent;
}

/* --- mapping ------------------------------------------------------------------------------ */

static int status_to_errno(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return -XEN_ESRCH;
    case GNTST_bad_gntref:
        return -XEN_ENOENT;
    case GNTST_permission_denied:
        return -XEN_EPERM;
    case GNTST_no_space:
        return -XEN_ENOSPC;
    default:
        return -XEN_EIO;
    }
}

/* Unmaps those of n pages that have an address. */
static int unmap_pages(const struct grant_page *pages, unsigned n)
{
    struct gnttab_unmap_grant_ref ops[GRANT_MAP_MAX];
    unsigned count = 0;
    int rc = 0;

    for (unsigned i = 0; i < n; i++) {
        if (pages[i].va) {
            ops[count++] = (struct gnttab_unmap_grant_ref){.host_addr = (unsigned long)pages[i].va,
                                                           .handle = pages[i].handle};
        }
    }
    if (count && hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, ops, count)) {
        return -XEN_EIO;
    }
    for (unsigned i = 0; i < count; i++) {
        if (ops[i].status != GNTST_okay) {
            rc = -XEN_EIO;
        }
    }
    return rc;
}

/* The granter's page may be on its way in or out (paging, sharing): ask again for a while. */
static void map_retry(struct gnttab_map_grant_ref *op)
{
    for (int i = 0; i < RETRIES && op->status == GNTST_eagain; i++) {
        thread_sleep_ns(RETRY_NS);
        if (hypercall_grant_table_op(GNTTABOP_map_grant_ref, op, 1)) {
            op->status = GNTST_general_error;
        }
    }
}

int grant_map_pages(domid_t dom, const grant_ref_t *refs, unsigned n, bool readonly,
                    struct grant_page *pages)
{
    struct gnttab_map_grant_ref ops[GRANT_MAP_MAX];
    unsigned long va = n <= GRANT_MAP_MAX ? map_reserve(n) : 0;
    int rc = 0;

    if (!va) {
        return n == 0 || n > GRANT_MAP_MAX ? -XEN_EINVAL : -XEN_ENOSPC;
    }
    for (unsigned i = 0; i < n; i++) {
        ops[i] = (struct gnttab_map_grant_ref){.host_addr = va + i * PAGE_SIZE,
                                               .flags = GNTMAP_host_map |
                                                        (readonly ? GNTMAP_readonly : 0),
                                               .ref = refs[i],
                                               .dom = dom,
                                               .status = GNTST_general_error};
    }
    if (hypercall_grant_table_op(GNTTABOP_map_grant_ref, ops, n)) {
        rc = -XEN_EIO;
    }
    for (unsigned i = 0; i < n; i++) {
        bool mapped;

        map_retry(&ops[i]);
        mapped = ops[i].status == GNTST_okay;
        pages[i].va = mapped ? (void *)(va + i * PAGE_SIZE) : NULL;
        pages[i].handle = ops[i].handle;
        pages[i].dev_bus_addr = ops[i].dev_bus_addr;
        rc = rc ? rc : status_to_errno(ops[i].status);
    }
    /* A page that cannot be taken back keeps its address for good. */
    if (rc && unmap_pages(pages, n) == 0) {
        map_release(va, n);
    }
    return rc;
}

int grant_unmap_pages(const struct grant_page *pages, unsigned n)
{
    int rc = n > GRANT_MAP_MAX ? -XEN_EINVAL : unmap_pages(pages, n);

    for (unsigned i = 0; i < n && rc == 0; i++) {
        map_release((unsigned long)pages[i].va, 1);
    }
    return rc;
}

int grant_map(domid_t dom, const grant_ref_t *refs, unsigned n, bool readonly,
              struct grant_mapping *out)
{
    int rc = grant_map_pages(dom, refs, n, readonly, out->pages);

    out->va = rc ? NULL : out->pages[0].va;
    out->n = n;
    return rc;
}

int grant_unmap(struct grant_mapping *map)
{
    map->va = NULL;
    return grant_unmap_pages(map->pages, map->n);
}
