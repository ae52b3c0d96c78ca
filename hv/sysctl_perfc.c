/* SPDX-License-Identifier: MIT */
/*
 * XEN_SYSCTL_perfc_op: counters by name. One value each; sums over all domains where they are kept
 * per domain. A leak shows here: after a domain is gone, each gauge is what it was before it came.
 * Two parts of the memory may have grown with the needs of the domains that stay, which keep them:
 * kept_frames and kept_heap_pages say how much of free_frames and heap_bytes they are.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/sysctl.h>
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/grant.h"
#include "mm/guest.h"
#include "mm/heap.h"

/* In the order of the names. */
enum counter {
    DOMAINS,
    FREE_FRAMES,
    TOTAL_FRAMES,
    HEAP_BYTES,
    EVENT_PORTS,
    GRANT_MAPS,
    WINDOW_GFNS,
    KEPT_FRAMES,
    KEPT_HEAP_PAGES,
    SHADOWS,
    SHADOWS_RECLAIMED,
    FAULTS_GUEST,
    FAULTS_FILL,
    FAULTS_STORE,
    FAULTS_AD,
    TLB_FLUSHES,
    COUNTERS
};

static const char *const names[COUNTERS] = {
    [DOMAINS] = "domain_structs",
    [FREE_FRAMES] = "free_frames",
    [TOTAL_FRAMES] = "total_frames",
    [HEAP_BYTES] = "heap_bytes",
    [EVENT_PORTS] = "event_ports",
    [GRANT_MAPS] = "grant_maps",
    [WINDOW_GFNS] = "window_gfns",
    [KEPT_FRAMES] = "kept_frames",
    [KEPT_HEAP_PAGES] = "kept_heap_pages",
    [SHADOWS] = "shadow_tables",
    [SHADOWS_RECLAIMED] = "shadow_reclaimed",
    [FAULTS_GUEST] = "faults_guest",
    [FAULTS_FILL] = "faults_fill",
    [FAULTS_STORE] = "faults_store",
    [FAULTS_AD] = "faults_ad",
    [TLB_FLUSHES] = "tlb_flushes",
};

static void add_domain(struct domain *d, uint64_t *values)
{
    struct paging_counters c;

    paging_get_counters(d->paging, &c);
    values[EVENT_PORTS] += evtchn_count(d);
    values[GRANT_MAPS] += grant_map_count(d);
    values[WINDOW_GFNS] += c.window_gfns;
    values[KEPT_HEAP_PAGES] += grant_handle_pages(d) + c.window_pages;
    values[KEPT_FRAMES] += grant_handle_pages(d) + c.window_pages + c.pool_frames;
    values[SHADOWS] += c.shadows;
    values[SHADOWS_RECLAIMED] += c.reclaimed;
    values[FAULTS_GUEST] += c.faults_guest;
    values[FAULTS_FILL] += c.faults_fill;
    values[FAULTS_STORE] += c.faults_store;
    values[FAULTS_AD] += c.faults_ad;
    values[TLB_FLUSHES] += c.flushes;
}

static void collect(uint64_t *values)
{
    struct domain *d;
    unsigned id = 0;

    memset(values, 0, COUNTERS * sizeof *values);
    values[DOMAINS] = domain_count();
    values[FREE_FRAMES] = frame_free_count();
    values[TOTAL_FRAMES] = frame_total_count();
    values[HEAP_BYTES] = heap_used_bytes();
    while (id < DOMID_FIRST_RESERVED && (d = domain_next((domid_t)id))) {
        id = d->id + 1u;
        add_domain(d, values);
        domain_put(d);
    }
}

long sysctl_perfc(struct xen_sysctl_perfc_op *op)
{
    uint64_t desc_at = (uint64_t)op->desc.p, val_at = (uint64_t)op->val.p;
    uint64_t values[COUNTERS];

    if (op->cmd != XEN_SYSCTL_PERFCOP_query)
        return op->cmd == XEN_SYSCTL_PERFCOP_reset ? -XEN_EOPNOTSUPP : -XEN_EINVAL;
    op->nr_counters = op->nr_vals = COUNTERS;
    if (!desc_at || !val_at)
        return 0;
    collect(values);
    for (unsigned i = 0; i < COUNTERS; i++) {
        xen_sysctl_perfc_val_t value = (xen_sysctl_perfc_val_t)values[i];
        struct xen_sysctl_perfc_desc desc = {.nr_vals = 1};

        snprintf(desc.name, sizeof desc.name, "%s", names[i]);
        if (guest_write_item(&desc, desc_at, i) || guest_write_item(&value, val_at, i))
            return -XEN_EFAULT;
    }
    return 0;
}
