/* SPDX-License-Identifier: MIT */
/*
 * Questions to domain 0's block back end (<xen/io/blkif.h>), from a front end of its own that keeps
 * no rule. They need a disk whose content does not matter: its sectors are written.
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
#include <xen/io/protocols.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/trap.h>
#include <rt/xenbus.h>

#define SECOND_NS  1000000000UL
#define RING_SLOTS 32
#define NO_ANSWER  (-1000)
#define SCRATCH    0x0000200000000000UL

static struct {
    char dir[40];
    char *backend;
    blkif_sring_t *ring;
    RING_IDX prod, cons;
    int ref, port;
    uint64_t sectors;
} disk;

static char *data; /* RING_SLOTS pages */
static int data_ref[RING_SLOTS];

static void ignore(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
}

static int node(const char *name, const char *value)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%s", disk.dir, name);
    return xs_write(path, value);
}

static void node_number(const char *name, long value)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", value);
    node(name, text);
}

static enum xenbus_state wait_backend(enum xenbus_state state)
{
    return xenbus_wait_state(disk.backend, 1U << state, 10 * SECOND_NS);
}

/* A fresh ring, offered and taken. */
static bool connect(void)
{
    xenbus_set_state(disk.dir, XenbusStateInitialising);
    if (wait_backend(XenbusStateInitWait) != XenbusStateInitWait)
        return false;
    SHARED_RING_INIT(disk.ring);
    disk.prod = disk.cons = 0;
    disk.ref = grant_access(0, virt_to_mfn(disk.ring), false);
    disk.port = event_alloc_unbound(0, ignore, NULL);
    node_number("ring-ref", disk.ref);
    node_number("event-channel", disk.port);
    node("protocol", XEN_IO_PROTO_ABI_X86_64);
    xenbus_set_state(disk.dir, XenbusStateInitialised);
    return wait_backend(XenbusStateConnected) == XenbusStateConnected;
}

static void disconnect(void)
{
    xenbus_set_state(disk.dir, XenbusStateClosed);
    wait_backend(XenbusStateClosed);
    event_close((evtchn_port_t)disk.port);
    expect("the ring is ours again", grant_end((grant_ref_t)disk.ref), 0);
}

static bool open_disk(void)
{
    unsigned count = 0;
    char **disks = xs_ls("device/vbd", &count), path[96];

    if (!disks || count == 0) {
        expect("disks", 0, 1);
        return false;
    }
    snprintf(disk.dir, sizeof disk.dir, "device/vbd/%s", disks[0]);
    snprintf(path, sizeof path, "%s/backend", disk.dir);
    disk.backend = xs_read(path);
    disk.ring = page_alloc(0);
    data = page_alloc(5);
    for (unsigned i = 0; i < RING_SLOTS; i++)
        data_ref[i] = grant_access(0, virt_to_mfn(data + i * PAGE_SIZE), false);
    if (!connect()) {
        expect("connected", 0, 1);
        return false;
    }
    snprintf(path, sizeof path, "%s/sectors", disk.backend);
    xs_read_u64(path, &disk.sectors);
    return true;
}

/* ---- requests ---- */

static struct blkif_request request(uint8_t operation, unsigned slot, uint64_t sector)
{
    struct blkif_request r = {.operation = operation, .nr_segments = 1, .sector_number = sector};

    r.id = slot;
    r.seg[0] = (struct blkif_request_segment){.gref = (grant_ref_t)data_ref[slot], .last_sect = 7};
    return r;
}

static void put(const struct blkif_request *r)
{
    memcpy(&disk.ring->ring[disk.prod++ % RING_SLOTS].req, r, sizeof *r);
    __atomic_store_n(&disk.ring->req_prod, disk.prod, __ATOMIC_RELEASE);
}

/* The next answer's status, whatever it answers. */
static int answer(void)
{
    uint64_t end = clock_ns() + 10 * SECOND_NS;

    while (__atomic_load_n(&disk.ring->rsp_prod, __ATOMIC_ACQUIRE) == disk.cons) {
        if (clock_ns() > end)
            return NO_ANSWER;
        thread_sleep_ns(SECOND_NS / 1000);
    }
    return disk.ring->ring[disk.cons++ % RING_SLOTS].rsp.status;
}

static int ask(const struct blkif_request *r)
{
    put(r);
    event_send((evtchn_port_t)disk.port);
    return answer();
}

static void still_works(void)
{
    struct blkif_request r = request(BLKIF_OP_READ, 0, 0);

    expect("a good request", ask(&r), BLKIF_RSP_OKAY);
}

static void start_over(void)
{
    disconnect();
    expect("connected again", connect(), true);
    still_works();
}

static void bad_requests(void)
{
    struct blkif_request r;
    static const uint8_t counts[] = {0, 12, 255}, operations[] = {4, 7, 200, 255};
    static const struct blkif_request_segment places[] = {
        {.first_sect = 3, .last_sect = 2}, {.last_sect = 8}, {.first_sect = 255, .last_sect = 255}};

    for (unsigned i = 0; i < sizeof counts; i++) {
        r = request(BLKIF_OP_READ, 1, 0);
        r.nr_segments = counts[i];
        expect("a wrong number of segments", ask(&r), BLKIF_RSP_ERROR);
    }
    for (unsigned i = 0; i < 3; i++) {
        r = request(BLKIF_OP_WRITE, 1, 0);
        r.seg[0].first_sect = places[i].first_sect;
        r.seg[0].last_sect = places[i].last_sect;
        expect("a segment beyond its page", ask(&r), BLKIF_RSP_ERROR);
    }
    for (unsigned i = 0; i < sizeof operations; i++) {
        r = request(operations[i], 1, 0);
        expect("an operation that is not offered", ask(&r), BLKIF_RSP_EOPNOTSUPP);
    }
    r = request(BLKIF_OP_DISCARD, 1, 0);
    expect("a secure discard", ask(&r), BLKIF_RSP_EOPNOTSUPP);
    r = request(BLKIF_OP_INDIRECT, 1, 0);
    expect("an indirect request of no segments", ask(&r), BLKIF_RSP_ERROR);
    r = request(BLKIF_OP_FLUSH_DISKCACHE, 1, 0);
    expect("a flush with segments", ask(&r), BLKIF_RSP_ERROR);
}

static void bad_places(void)
{
    uint64_t sectors[] = {disk.sectors, disk.sectors - 7, ~0UL, ~0UL - 7, 1UL << 55, 1UL << 63};
    uint32_t refs[] = {0, 1, 499, 512, 100000, 0xffffffff};
    struct blkif_request r;

    for (unsigned i = 0; i < sizeof sectors / sizeof sectors[0]; i++) {
        r = request(BLKIF_OP_WRITE, 1, sectors[i]);
        expect("a sector beyond the end", ask(&r), BLKIF_RSP_ERROR);
    }
    /* 0 and 1 are the console's and the store's: lent to domain 0 by right. */
    for (unsigned i = 2; i < sizeof refs / sizeof refs[0]; i++) {
        r = request(BLKIF_OP_READ, 1, 0);
        r.seg[0].gref = refs[i];
        expect("a reference to nothing", ask(&r), BLKIF_RSP_ERROR);
    }
}

static void disk_requests(void)
{
    if (!open_disk())
        return;
    bad_requests();
    bad_places();
    still_works();
    start_over();
}

/* Random bytes as requests, by the ring's rules. */
static void disk_junk(void)
{
    struct blkif_request r;
    unsigned good = 0, bad = 0;

    if (!open_disk())
        return;
    for (unsigned i = 0; i < 2000; i++) {
        for (unsigned k = 0; k < sizeof r / 8; k++)
            ((uint64_t *)&r)[k] = random64();
        r.operation = (uint8_t)(random64() % 4);
        r.nr_segments = (uint8_t)(random64() % 13);
        if (random64() % 2)
            r.sector_number %= disk.sectors;
        for (unsigned k = 0; k < BLKIF_MAX_SEGMENTS_PER_REQUEST; k++) {
            r.seg[k].gref = (grant_ref_t)data_ref[random64() % RING_SLOTS] + !(random64() % 32);
            r.seg[k].first_sect = (uint8_t)(random64() % 8);
            r.seg[k].last_sect = (uint8_t)(r.seg[k].first_sect + random64() % 4);
        }
        *(ask(&r) ? &bad : &good) += 1;
    }
    printf("hostile: %u requests done, %u refused\n", good, bad);
    still_works();
}

/* ---- the ring itself ---- */

static void disk_index(void)
{
    static const uint32_t wild[] = {33, 0x80000000, 0xffffffff, 1000};

    if (!open_disk())
        return;
    for (unsigned i = 0; i < 4; i++) {
        __atomic_store_n(&disk.ring->req_prod, disk.prod + wild[i], __ATOMIC_SEQ_CST);
        __atomic_store_n(&disk.ring->rsp_prod, (RING_IDX)random64(), __ATOMIC_SEQ_CST);
        __atomic_store_n(&disk.ring->req_event, (RING_IDX)random64(), __ATOMIC_SEQ_CST);
        __atomic_store_n(&disk.ring->rsp_event, (RING_IDX)random64(), __ATOMIC_SEQ_CST);
        event_send((evtchn_port_t)disk.port);
        expect("the back end closes", wait_backend(XenbusStateClosing), XenbusStateClosing);
        start_over();
    }
}

/* Reads into a live page table, and into the ring that the answer belongs to. */
static void disk_aim(void)
{
    uint64_t *entry = pt_walk(pt_kernel_root(), SCRATCH, true);
    struct blkif_request r;
    int ref;

    if (!open_disk())
        return;
    ref = grant_access(0, virt_to_mfn(entry), false);
    r = request(BLKIF_OP_WRITE, 1, 0); /* what is there goes out and comes in again */
    r.seg[0].gref = (grant_ref_t)ref;
    expect("a page table written to the disk", ask(&r), BLKIF_RSP_OKAY);
    r.operation = BLKIF_OP_READ;
    expect("a page table read from the disk", ask(&r), BLKIF_RSP_OKAY);
    expect("lent back", grant_end((grant_ref_t)ref), 0);
    memset(data, 0x77, PAGE_SIZE);
    r = request(BLKIF_OP_WRITE, 0, 0);
    expect("junk on the disk", ask(&r), BLKIF_RSP_OKAY);
    r = request(BLKIF_OP_READ, 0, 0);
    r.seg[0].gref = (grant_ref_t)disk.ref;
    put(&r);
    event_send((evtchn_port_t)disk.port);
    thread_sleep_ns(SECOND_NS / 5);
    event_send((evtchn_port_t)disk.port);
    start_over();
}

static volatile unsigned faults;
static unsigned long resume_at;

static bool skip(struct trap_regs *r)
{
    faults++;
    r->rip = resume_at;
    return true;
}

static void touch(volatile uint64_t *p)
{
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov (%1), %%rax; 1:"
                 : "=m"(resume_at)
                 : "r"(p)
                 : "rax", "memory");
}

/* Entries that no hypercall would take, brought into a live page table by the disk's DMA. */
static void disk_forge(void)
{
    static const uint64_t forged[] = {0x7fff000UL << 12 | PTE_KERNEL, 0xfee00000UL | PTE_KERNEL,
                                      (1UL << 36) << 12 | PTE_KERNEL, PTE_ADDR | PTE_KERNEL};
    uint64_t *entry = pt_walk(pt_kernel_root(), SCRATCH, true);
    struct blkif_request r;
    int ref;

    if (!open_disk())
        return;
    trap_set_handler(14, skip);
    pt_write(entry, virt_to_mfn(data) << 12 | PTE_KERNEL);
    touch((volatile uint64_t *)SCRATCH);
    ref = grant_access(0, virt_to_mfn(entry), false);
    memcpy(data, (void *)((uintptr_t)entry & PAGE_MASK), PAGE_SIZE);
    for (unsigned i = 0; i < 64; i++)
        ((uint64_t *)data)[8 + i] = forged[i % 4];
    r = request(BLKIF_OP_WRITE, 0, 8);
    expect("the forged table to the disk", ask(&r), BLKIF_RSP_OKAY);
    r = request(BLKIF_OP_READ, 0, 8);
    r.seg[0].gref = (grant_ref_t)ref;
    expect("and over the live one", ask(&r), BLKIF_RSP_OKAY);
    pt_flush_all();
    touch((volatile uint64_t *)SCRATCH);
    expect("faults at its own page", faults, 0);
    printf("hostile: touching a forged entry\n");
    touch((volatile uint64_t *)(SCRATCH + 11 * PAGE_SIZE));
    printf("hostile: %u faults\n", faults);
}

/* ---- nodes ---- */

static void disk_nodes(void)
{
    static const char *const names[] = {"ring-ref", "event-channel", "state",
                                        "protocol", "backend",       "virtual-device"};
    static const char *const junk[] = {"",
                                       "-1",
                                       "4294967295",
                                       "99999999999999999999",
                                       "x",
                                       "4",
                                       "1",
                                       "3",
                                       "/local/domain/0",
                                       "6",
                                       "5",
                                       "7",
                                       "8",
                                       "0"};
    char path[96];

    if (!open_disk())
        return;
    for (unsigned i = 0; i < 600; i++) {
        const char *name = names[random64() % 6];

        if (random64() % 16 == 0) {
            snprintf(path, sizeof path, "%s/%s", disk.dir, name);
            xs_rm(path);
        } else {
            node(name, junk[random64() % (sizeof junk / sizeof junk[0])]);
        }
    }
    disconnect();
    expect("connected again", connect(), true);
    still_works();
    printf("hostile: its whole directory removed: %d\n", xs_rm(disk.dir));
}

/* Rings connected and left as fast as the back end follows. */
static void disk_flap(void)
{
    if (!open_disk())
        return;
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned k = 0; k < RING_SLOTS; k++) {
            struct blkif_request r = request(BLKIF_OP_READ, k, k * 8);
            put(&r);
        }
        event_send((evtchn_port_t)disk.port);
        disconnect();
        if (!connect())
            break;
    }
    still_works();
}

/* ---- what is lent, taken away in flight ---- */

struct grant_entry_v1 *grant_entries(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table op = {.dom = DOMID_SELF, .nr_frames = 1};
    uint64_t *entry = pt_walk(pt_kernel_root(), SCRATCH + PAGE_SIZE, true);

    set_xen_guest_handle(op.frame_list, &frame);
    if (hypercall_grant_table_op(GNTTABOP_setup_table, &op, 1) || op.status)
        return NULL;
    pt_write(entry, frame << PAGE_SHIFT | PTE_KERNEL | PTE_NX);
    return (struct grant_entry_v1 *)(SCRATCH + PAGE_SIZE);
}

static void burst(uint8_t operation)
{
    for (unsigned k = 0; k < RING_SLOTS; k++) {
        struct blkif_request r = request(operation, k, k * 8);
        put(&r);
    }
    event_send((evtchn_port_t)disk.port);
}

static unsigned count_answers(void)
{
    unsigned n = 0;

    while (n < RING_SLOTS && answer() != NO_ANSWER)
        n++;
    return n;
}

/* Entries emptied, turned to other frames and other domains while requests use them. */
static void disk_revoke(void)
{
    struct grant_entry_v1 *table = grant_entries();

    if (!open_disk() || !table)
        return;
    for (unsigned i = 0; i < 20; i++) {
        burst(i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);
        for (unsigned round = 0; round < 50; round++) {
            for (unsigned k = 0; k < RING_SLOTS; k++) {
                struct grant_entry_v1 *e = &table[data_ref[k]];

                __atomic_store_n(&e->flags, (uint16_t)random64(), __ATOMIC_SEQ_CST);
                e->domid = (domid_t)(random64() % 3);
                e->frame = (uint32_t)(random64() % 5000);
            }
            if (round % 10 == 0)
                thread_yield();
        }
        for (unsigned k = 0; k < RING_SLOTS; k++) {
            struct grant_entry_v1 *e = &table[data_ref[k]];

            e->frame = (uint32_t)virt_to_mfn(data + k * PAGE_SIZE);
            e->domid = 0;
            __atomic_store_n(&e->flags, GTF_permit_access, __ATOMIC_SEQ_CST);
        }
        expect("answers", count_answers(), RING_SLOTS);
    }
    still_works();
}

/* The pages themselves given back, and others taken in their place. */
static void disk_balloon(void)
{
    xen_pfn_t frames[RING_SLOTS];
    struct xen_memory_reservation r = {.nr_extents = RING_SLOTS, .domid = DOMID_SELF};

    if (!open_disk())
        return;
    for (unsigned k = 0; k < RING_SLOTS; k++)
        frames[k] = virt_to_mfn(data + k * PAGE_SIZE);
    set_xen_guest_handle(r.extent_start, frames);
    burst(BLKIF_OP_READ);
    printf("hostile: given back in flight: %ld\n",
           hypercall_memory_op(XENMEM_decrease_reservation, &r));
    expect("answers", count_answers(), RING_SLOTS);
    printf("hostile: and taken again: %ld\n", hypercall_memory_op(XENMEM_populate_physmap, &r));
    burst(BLKIF_OP_READ);
    expect("answers", count_answers(), RING_SLOTS);
    frames[0] = virt_to_mfn(disk.ring);
    r.nr_extents = 1;
    printf("hostile: the ring page given back: %ld\n",
           hypercall_memory_op(XENMEM_decrease_reservation, &r));
    event_send((evtchn_port_t)disk.port);
    thread_sleep_ns(SECOND_NS / 5);
    xenbus_set_state(disk.dir, XenbusStateClosed);
    wait_backend(XenbusStateClosed);
}

/* The port closed with requests in flight, and its number used for something else. */
static void disk_port(void)
{
    if (!open_disk())
        return;
    for (unsigned i = 0; i < 20; i++) {
        burst(BLKIF_OP_READ);
        event_close((evtchn_port_t)disk.port);
        int other = i & 1 ? event_bind_ipi(0, ignore, NULL) : event_alloc_unbound(1, ignore, NULL);
        thread_sleep_ns(SECOND_NS / 50);
        event_close((evtchn_port_t)other);
        xenbus_set_state(disk.dir, XenbusStateClosed);
        wait_backend(XenbusStateClosed);
        expect("the ring is ours again", grant_end((grant_ref_t)disk.ref), 0);
        if (!connect())
            break;
    }
    still_works();
}

/* Ends while all is in flight. */
static void disk_leave(void)
{
    if (!open_disk())
        return;
    burst(BLKIF_OP_WRITE);
    printf("hostile: disk-leave survived\n");
    start_shutdown(SHUTDOWN_crash);
}

const struct question disk_questions[] = {
    {"disk-requests", "bad requests to the block back end", disk_requests},
    {"disk-junk", "random requests to the block back end", disk_junk},
    {"disk-index", "wild indices in the disk's ring", disk_index},
    {"disk-aim", "reads into pages that are no data", disk_aim},
    {"disk-forge", "a forged page table from the disk", disk_forge},
    {"disk-nodes", "junk in the front end's nodes", disk_nodes},
    {"disk-flap", "a disk that comes and goes with requests in flight", disk_flap},
    {"disk-revoke", "grants rewritten in flight", disk_revoke},
    {"disk-balloon", "lent pages given back in flight", disk_balloon},
    {"disk-port", "its port closed in flight", disk_port},
    {"disk-leave", "ends with all requests in flight", disk_leave},
    {NULL, NULL, NULL},
};
