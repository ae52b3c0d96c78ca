/* SPDX-License-Identifier: MIT */
/*
 * grant.*: pages that the domain grants to itself: mapped, unmapped, copied, one at a time and in
 * batches.
 */
#include "bench.h"

#include <stddef.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>

#include "event.h"
#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"

#define REF        20
#define BATCH_REF  32
#define BATCH      32
#define COPIES     16
#define RUNS       500
#define BATCH_RUNS 64
#define MARK       0x5a

static uint8_t table_page[PAGE_BYTES] PAGE_ALIGNED;
static volatile struct grant_entry_v1 *const table = (void *)table_page;
static domid_t own;

/* Grants take a number where other calls take DOMID_SELF: an unbound port of ours knows it. */
static domid_t own_domid(void)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_status status = {.dom = DOMID_SELF};

    if (hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, HYPER_ARG(&alloc)) == 0) {
        status.port = alloc.port;
        hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_status, HYPER_ARG(&status));
        event_close(alloc.port);
    }
    text_info("own domid", status.u.unbound.dom);
    return status.u.unbound.dom;
}

static long grant_op(unsigned cmd, void *ops, unsigned count, const int16_t *status)
{
    long rc = hyper3(__HYPERVISOR_grant_table_op, cmd, HYPER_ARG(ops), count);

    return rc ? rc : *status;
}

static long table_init(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1};
    long rc;

    set_xen_guest_handle(setup.frame_list, &frame);
    rc = grant_op(GNTTABOP_setup_table, &setup, 1, &setup.status);
    return rc ? rc : mmu_map(HYPER_ARG(table_page), frame << 12 | PTE_KERNEL_RW, UVMF_INVLPG);
}

static void give(unsigned ref, const void *page)
{
    table[ref].domid = own;
    table[ref].frame = (uint32_t)pages_frame(page);
    cpu_barrier(); /* the flags make it valid */
    table[ref].flags = GTF_permit_access;
    cpu_barrier();
}

static void fill_map(struct gnttab_map_grant_ref *map, unsigned i, unsigned ref)
{
    map->host_addr = SPACE_DATA + i * PAGE_BYTES;
    map->flags = GNTMAP_host_map;
    map->ref = ref;
    map->dom = own;
}

static void fill_unmap(struct gnttab_unmap_grant_ref *unmap, const struct gnttab_map_grant_ref *map)
{
    unmap->host_addr = map->host_addr;
    unmap->dev_bus_addr = 0;
    unmap->handle = map->handle;
}

/* `count` grants from `ref` on, n times; false if one of them failed. */
static bool map_and_unmap(const char *map_name, const char *unmap_name, unsigned ref, int count,
                          int n)
{
    static struct gnttab_map_grant_ref map[BATCH];
    static struct gnttab_unmap_grant_ref unmap[BATCH];
    static uint64_t unmap_ticks[RUNS];

    for (int run = 0; run < n; run++) {
        uint64_t start;

        for (int i = 0; i < count; i++) {
            fill_map(&map[i], (unsigned)i, ref + (unsigned)i);
        }
        start = cpu_tsc();
        hyper3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, HYPER_ARG(map),
               (uint64_t)count);
        figure_samples[run] = cpu_tsc() - start;
        for (int i = 0; i < count; i++) {
            fill_unmap(&unmap[i], &map[i]);
        }
        start = cpu_tsc();
        hyper3(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, HYPER_ARG(unmap),
               (uint64_t)count);
        unmap_ticks[run] = cpu_tsc() - start;
        if (map[count - 1].status || unmap[count - 1].status) {
            figure_refused(map_name, map[count - 1].status);
            figure_refused(unmap_name, unmap[count - 1].status);
            return false;
        }
    }
    figure_report(map_name, n, count);
    figure_report_from(unmap_name, unmap_ticks, n, count, figure_overhead);
    return true;
}

/* A first map by hand: does it show the granted page? */
static long try_map(void)
{
    struct gnttab_map_grant_ref map;
    struct gnttab_unmap_grant_ref unmap;
    long rc;

    fill_map(&map, 0, REF);
    rc = grant_op(GNTTABOP_map_grant_ref, &map, 1, &map.status);
    if (rc) {
        return rc;
    }
    if (*(volatile uint8_t *)SPACE_DATA != MARK) {
        text_panic("grant map content", *(volatile uint8_t *)SPACE_DATA);
    }
    fill_unmap(&unmap, &map);
    return grant_op(GNTTABOP_unmap_grant_ref, &unmap, 1, &unmap.status);
}

static void maps(void)
{
    long rc = try_map();

    if (rc) {
        figure_refused("grant.map", rc);
        return;
    }
    if (!map_and_unmap("grant.map1", "grant.unmap1", REF, 1, RUNS)) {
        return;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        give(BATCH_REF + i, pages_data[i]);
    }
    map_and_unmap("grant.map32.per_page", "grant.unmap32.per_page", BATCH_REF, BATCH, BATCH_RUNS);
}

static void copies(const uint8_t *to)
{
    static struct gnttab_copy copy, batch[COPIES];
    long rc;

    copy.source.u.ref = REF;
    copy.source.domid = own;
    copy.dest.u.gmfn = pages_frame(to);
    copy.dest.domid = DOMID_SELF;
    copy.len = PAGE_BYTES;
    copy.flags = GNTCOPY_source_gref;
    rc = grant_op(GNTTABOP_copy, &copy, 1, &copy.status);
    if (rc) {
        figure_refused("grant.copy4k", rc);
        return;
    }
    if (to[PAGE_BYTES - 1] != MARK) {
        text_panic("grant copy content", to[PAGE_BYTES - 1]);
    }
    MEASURE("grant.copy4k", RUNS, 1,
            hyper3(__HYPERVISOR_grant_table_op, GNTTABOP_copy, HYPER_ARG(&copy), 1));
    copy.len = 64;
    MEASURE("grant.copy64b", RUNS, 1,
            hyper3(__HYPERVISOR_grant_table_op, GNTTABOP_copy, HYPER_ARG(&copy), 1));
    copy.len = PAGE_BYTES;
    for (int i = 0; i < COPIES; i++) {
        batch[i] = copy;
    }
    MEASURE("grant.copy4k_batch16.per_copy", 100, COPIES,
            hyper3(__HYPERVISOR_grant_table_op, GNTTABOP_copy, HYPER_ARG(batch), COPIES));
}

/* The guest's own copy of a page, for scale: -icount takes each byte for an instruction. */
static inline void copy_page(void *to, const void *from)
{
    uint64_t n = PAGE_BYTES;

    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

void bench_grant(void)
{
    uint8_t *from, *to;
    long rc;

    own = own_domid();
    rc = table_init();
    if (rc) {
        figure_refused("grant", rc);
        return;
    }
    from = pages_take();
    to = pages_take_zeroed();
    memset(from, MARK, PAGE_BYTES);
    give(REF, from);
    maps();
    copies(to);
    MEASURE("grant.guest_rep_movsb_4k", RUNS, 1, copy_page(to, from));
    table[REF].flags = 0;
    pages_give(from);
    pages_give(to);
}
