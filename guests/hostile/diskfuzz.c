/* SPDX-License-Identifier: MIT */
/*
 * A front end by chance: rounds of connecting in a random way (one ring or several, grants that
 * stay mapped or not), random requests, and in between all that can be written is written over:
 * ring entries and indices, pages of segments, grants, nodes of the store. After each round the
 * back end must have let go of every page. rounds=N, seed=N on the command line repeat a run.
 */
#include "hostile.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/blkif.h>

#include <rt/event.h>
#include <rt/grant.h>
#include <rt/mm.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/xenbus.h>

#define SECOND_NS  1000000000UL
#define RING_SLOTS 32
#define RINGS      4
#define PAGES      32 /* lent for data */
#define STEPS      24 /* of a round */

static struct {
    blkif_sring_t *shared;
    RING_IDX prod;
    int ref, port;
} rings[RINGS];

static char dir[40], *backend;
static uint64_t sectors;
static unsigned char *data; /* PAGES pages */
static int refs[PAGES];
static struct grant_entry_v1 *grants;

static uint64_t dice(uint64_t n)
{
    return random64() % n;
}

static void ignore(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
}

static void node(const char *name, long value)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    xs_printf(path, "%ld", value);
}

static bool backend_is(enum xenbus_state state)
{
    return xenbus_wait_state(backend, 1U << state, 20 * SECOND_NS) == state;
}

/* ---- connecting ---- */

static void offer_ring(unsigned i, bool several)
{
    char name[40];

    memset(rings[i].shared, 0, PAGE_SIZE);
    SHARED_RING_INIT(rings[i].shared);
    rings[i].prod = 0;
    rings[i].ref = grant_access(0, virt_to_mfn(rings[i].shared), false);
    rings[i].port = event_alloc_unbound(0, ignore, NULL);
    snprintf(name, sizeof name, several ? "queue-%u/ring-ref" : "ring-ref", i);
    node(name, rings[i].ref);
    snprintf(name, sizeof name, several ? "queue-%u/event-channel" : "event-channel", i);
    node(name, rings[i].port);
}

static bool connect(unsigned count, bool persistent)
{
    xenbus_set_state(dir, XenbusStateInitialising);
    if (!backend_is(XenbusStateInitWait))
        return false;
    for (unsigned i = 0; i < PAGES; i++)
        refs[i] = grant_access(0, virt_to_mfn(data + i * PAGE_SIZE), false);
    for (unsigned i = 0; i < count; i++)
        offer_ring(i, count > 1);
    node("multi-queue-num-queues", count);
    node("feature-persistent", persistent);
    xenbus_set_state(dir, XenbusStateInitialised);
    return backend_is(XenbusStateConnected);
}

/* The back end is left, and must have nothing of ours. Pages that it keeps are counted. */
static unsigned disconnect(unsigned count)
{
    static const char *const left[] = {"queue-0", "queue-1", "queue-2", "queue-3", "protocol"};
    unsigned kept = 0;
    char path[96];

    for (unsigned i = 0; i < PAGES; i++) {
        grants[refs[i]].frame = (uint32_t)virt_to_mfn(data + i * PAGE_SIZE);
        grants[refs[i]].domid = 0;
    }
    xenbus_set_state(dir, XenbusStateClosed);
    if (!backend_is(XenbusStateClosed))
        return PAGES;
    for (unsigned i = 0; i < count; i++) {
        event_close((evtchn_port_t)rings[i].port);
        kept += grant_end((grant_ref_t)rings[i].ref) != 0;
    }
    for (unsigned i = 0; i < PAGES; i++)
        kept += grant_end((grant_ref_t)refs[i]) != 0;
    for (unsigned i = 0; i < sizeof left / sizeof left[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        xs_rm(path);
    }
    return kept;
}

/* ---- requests ---- */

static struct blkif_request_segment segment(void)
{
    unsigned first = (unsigned)dice(8);
    struct blkif_request_segment seg = {.gref = (grant_ref_t)refs[dice(PAGES)],
                                        .first_sect = (uint8_t)first,
                                        .last_sect = (uint8_t)(first + dice(8 - first))};

    if (dice(64) == 0)
        seg.gref = (grant_ref_t)random64();
    if (dice(64) == 0)
        seg.last_sect = (uint8_t)random64();
    return seg;
}

static void fill_indirect(unsigned page)
{
    struct blkif_request_segment *segs = (void *)(data + page * PAGE_SIZE);

    for (unsigned i = 0; i < PAGE_SIZE / sizeof *segs; i++)
        segs[i] = segment();
}

static void make_request(struct blkif_request *r)
{
    memset(r, 0, sizeof *r);
    r->operation = (uint8_t)(dice(16) ? dice(7) : random64());
    r->id = random64();
    r->sector_number = dice(16) ? dice(sectors) : random64();
    if (r->operation == BLKIF_OP_INDIRECT) {
        struct blkif_request_indirect *indirect = (void *)r;
        unsigned page = (unsigned)dice(PAGES);

        fill_indirect(page);
        indirect->indirect_op = (uint8_t)dice(3);
        indirect->nr_segments = (uint16_t)dice(dice(4) ? 257 : 65536);
        indirect->indirect_grefs[0] = (grant_ref_t)refs[page];
    } else if (r->operation == BLKIF_OP_DISCARD) {
        ((struct blkif_request_discard *)r)->nr_sectors = dice(8) ? dice(2000) : random64();
    } else {
        r->nr_segments = (uint8_t)(r->operation == BLKIF_OP_FLUSH_DISKCACHE ? dice(2) : dice(13));
        for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
            r->seg[i] = segment();
    }
}

/* By the rules of the ring, as far as room and notification go. */
static void send(unsigned ring)
{
    blkif_sring_t *s = rings[ring].shared;

    for (uint64_t n = 1 + dice(16); n > 0; n--) {
        if (rings[ring].prod - __atomic_load_n(&s->rsp_prod, __ATOMIC_ACQUIRE) >= RING_SLOTS)
            break;
        make_request(&s->ring[rings[ring].prod++ % RING_SLOTS].req);
    }
    __atomic_store_n(&s->req_prod, rings[ring].prod, __ATOMIC_RELEASE);
    event_send((evtchn_port_t)rings[ring].port);
}

/* ---- what is written over ---- */

static void scribble(void *area, size_t size)
{
    ((uint32_t *)area)[dice(size / 4)] = (uint32_t)random64();
}

static void junk_node(void)
{
    static const char *const names[] = {"ring-ref",           "event-channel",
                                        "protocol",           "state",
                                        "feature-persistent", "multi-queue-num-queues",
                                        "queue-0/ring-ref",   "queue-1/event-channel",
                                        "virtual-device",     "backend"};
    static const char *const values[] = {"",  "0", "1",  "2",           "4",
                                         "5", "7", "-1", "99999999999", "x"};
    char path[96];

    snprintf(path, sizeof path, "%s/%s", dir, names[dice(sizeof names / sizeof names[0])]);
    if (dice(4))
        xs_write(path, values[dice(sizeof values / sizeof values[0])]);
    else
        xs_rm(path);
}

/* To another of the pages, or to none; not to a page table, for which it would be ended. */
static void turn_grant(void)
{
    struct grant_entry_v1 *e = &grants[refs[dice(PAGES)]];

    e->frame = (uint32_t)(dice(2) ? virt_to_mfn(data + dice(PAGES) * PAGE_SIZE) : 1u << 20);
    e->domid = (domid_t)dice(3);
}

static void disturb(unsigned ring)
{
    switch (dice(8)) {
    case 0:
        scribble(rings[ring].shared->ring, PAGE_SIZE - sizeof(blkif_sring_t));
        break;
    case 1:
        scribble(data, PAGES * PAGE_SIZE);
        break;
    case 2:
        if (dice(4) == 0)
            scribble(rings[ring].shared, 16); /* the indices */
        break;
    case 3:
        turn_grant();
        break;
    case 4:
        if (dice(4) == 0)
            junk_node();
        break;
    case 5:
        thread_sleep_ns(dice(SECOND_NS / 500));
        break;
    default:
        send(ring);
        break;
    }
}

static bool find_disk(void)
{
    unsigned count = 0;
    char **disks = xs_ls("device/vbd", &count), path[96];

    if (!disks || count == 0)
        return false;
    snprintf(dir, sizeof dir, "device/vbd/%s", disks[0]);
    snprintf(path, sizeof path, "%s/backend", dir);
    backend = xs_read(path);
    snprintf(path, sizeof path, "%s/sectors", backend);
    xs_read_u64(path, &sectors);
    data = page_alloc(5);
    for (unsigned i = 0; i < RINGS; i++)
        rings[i].shared = page_alloc(0);
    grants = grant_entries();
    return grants && sectors > 0;
}

static void disk_fuzz(void)
{
    uint64_t rounds = start_option_u64("rounds", 100);
    unsigned connected = 0, kept = 0;

    random_seed(start_option_u64("seed", 1));
    if (!find_disk()) {
        expect("disks", 0, 1);
        return;
    }
    for (uint64_t n = 0; n < rounds; n++) {
        unsigned count = (unsigned)(dice(2) ? 1 : 1 + dice(RINGS));

        connected += connect(count, dice(2));
        for (unsigned i = 0; i < STEPS; i++)
            disturb((unsigned)dice(count));
        kept += disconnect(count);
    }
    expect("rounds that connected", connected, (long)rounds);
    expect("pages that were kept", kept, 0);
}

const struct question disk_fuzz_questions[] = {
    {"disk-fuzz", "everything of its disk written over in flight", disk_fuzz},
    {NULL, NULL, NULL},
};
