/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (Virtual I/O Device specification 1.2, section 5.2). Each request is a chain of
 * descriptors: a header, the pieces of memory, a status byte. Header and status live in a slot of a
 * page of our own.
 *
 * All state belongs to threads of vCPU 0, which switch only where they wait, so there are no locks.
 * The interrupt only wakes the driver's thread; that thread takes completions out of the ring and
 * calls done(). When MSI-X cannot be had, the same thread looks every millisecond while requests
 * are in flight.
 *
 * A device that does not answer for half a minute is reset, after which it touches no memory any
 * more; only then do its requests fail.
 */
#include "dom0/drivers/virtio_blk.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/blksync.h"
#include "dom0/drivers/virtio_pci.h"

#define DEVICE_BLK_MODERN       0x1042
#define DEVICE_BLK_TRANSITIONAL 0x1001

#define F_SEG_MAX  (1ull << 2)
#define F_RO       (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH    (1ull << 9)

#define CONFIG_CAPACITY 0
#define CONFIG_SEG_MAX  12
#define CONFIG_BLK_SIZE 20

#define T_IN     0
#define T_OUT    1
#define T_FLUSH  4
#define S_OK     0
#define S_UNSUPP 2
#define S_NONE   0xff

#define SLOTS      128u /* requests in flight; a chain has at least two descriptors */
#define MAX_SEGS   64u
#define NO_DESC    0xffff
#define TIMEOUT_NS 30000000000ull
#define CHECK_NS   1000000000ull
#define POLL_NS    1000000ull

/* What the device reads and writes beside the data. */
struct slot {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
    uint8_t status;
    uint8_t pad[15];
};
_Static_assert(sizeof(struct slot) * SLOTS == PAGE_SIZE, "slots fill a page");

static struct {
    struct blkdev dev;
    struct virtio_device vio;
    struct virtq vq;
    bool msix;
    bool dead;
    bool resetting;    /* the ring is nobody's: requests wait */
    struct waitq work; /* the driver's thread */

    /* Our own account of the ring: the device could write to the one that it sees. */
    uint16_t next[VIRTQ_SIZE_MAX]; /* of a chain, or of the list of free descriptors */
    uint16_t free_first;
    uint16_t free_count;
    uint16_t avail_idx;
    uint16_t used_idx;
    uint8_t slot_of[VIRTQ_SIZE_MAX]; /* by first descriptor of a chain */

    volatile struct slot *slots; /* one page */
    struct blk_request *in_flight[SLOTS];
    uint16_t head[SLOTS];
    unsigned int flying;

    struct blk_request *waiting; /* did not fit the ring yet, oldest first */
    struct blk_request **waiting_end;
    char problem[200];
} blk;

/* --- the ring --- */

static void ring_init(void)
{
    for (uint16_t i = 0; i < blk.vq.size; i++)
        blk.next[i] = (uint16_t)(i + 1);
    blk.free_first = 0;
    blk.free_count = blk.vq.size;
    blk.avail_idx = 0;
    blk.used_idx = 0;
    blk.flying = 0;
    memset(blk.in_flight, 0, sizeof(blk.in_flight));
}

static uint16_t desc_take(uint64_t maddr, uint32_t len, uint16_t flags)
{
    uint16_t i = blk.free_first;

    blk.free_first = blk.next[i];
    blk.free_count--;
    blk.vq.desc[i].addr = maddr;
    blk.vq.desc[i].len = len;
    blk.vq.desc[i].flags = flags;
    return i;
}

/* Puts a descriptor behind `last` of its chain. */
static uint16_t desc_append(uint16_t last, uint64_t maddr, uint32_t len, uint16_t flags)
{
    uint16_t i = desc_take(maddr, len, flags);

    blk.next[last] = i;
    blk.vq.desc[last].next = i;
    blk.vq.desc[last].flags = blk.vq.desc[last].flags | VIRTQ_DESC_NEXT;
    return i;
}

static void chain_free(uint16_t head)
{
    uint16_t last = head, n = 1;

    while (blk.next[last] != NO_DESC) {
        last = blk.next[last];
        n++;
    }
    blk.next[last] = blk.free_first;
    blk.free_first = head;
    blk.free_count = (uint16_t)(blk.free_count + n);
}

static uint64_t slot_maddr(unsigned int slot)
{
    return ((uint64_t)virt_to_mfn((const void *)blk.slots) << PAGE_SHIFT) +
           slot * sizeof(struct slot);
}

static unsigned int slot_find(void)
{
    unsigned int slot = 0;

    while (slot < SLOTS && blk.in_flight[slot])
        slot++;
    return slot;
}

/* False if there is no room in the ring now. */
static bool ring_put(struct blk_request *req)
{
    unsigned int slot = slot_find();
    uint16_t head, last, data = req->op == BLK_READ ? VIRTQ_DESC_WRITE : 0;

    if (slot == SLOTS || blk.free_count < req->nsegs + 2)
        return false;
    blk.slots[slot].type = req->op == BLK_READ ? T_IN : req->op == BLK_WRITE ? T_OUT : T_FLUSH;
    blk.slots[slot].reserved = 0;
    blk.slots[slot].sector = req->op == BLK_FLUSH ? 0 : req->sector;
    blk.slots[slot].status = S_NONE;
    head = last = desc_take(slot_maddr(slot), offsetof(struct slot, status), 0);
    for (unsigned int i = 0; i < req->nsegs; i++)
        last = desc_append(last, req->segs[i].maddr, req->segs[i].len, data);
    last = desc_append(last, slot_maddr(slot) + offsetof(struct slot, status), 1, VIRTQ_DESC_WRITE);
    blk.next[last] = NO_DESC;

    req->started_ns = clock_ns();
    blk.in_flight[slot] = req;
    blk.head[slot] = head;
    blk.slot_of[head] = (uint8_t)slot;
    blk.flying++;
    blk.vq.avail->ring[blk.avail_idx++ & (blk.vq.size - 1)] = head;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the chain before the index that publishes it */
    blk.vq.avail->idx = blk.avail_idx;
    return true;
}

static void ring_kick(void)
{
    /* The index must be out before we look whether the device wants to hear of it (2.7.13.4.1). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(blk.vq.used->flags & VIRTQ_USED_NO_NOTIFY))
        *blk.vq.notify = 0;
}

static void put_waiting(void)
{
    bool any = false;

    while (blk.waiting) {
        struct blk_request *req = blk.waiting, *next = req->next;

        if (!ring_put(req))
            break;
        blk.waiting = next;
        if (!next)
            blk.waiting_end = &blk.waiting;
        any = true;
    }
    if (any)
        ring_kick();
}

static int status_errno(uint8_t status)
{
    if (status == S_OK)
        return 0;
    return status == S_UNSUPP ? -XEN_EOPNOTSUPP : -XEN_EIO;
}

static void device_recover(const char *why);

/* Takes one completion out of the ring. False if there is none. */
static bool ring_take(void)
{
    struct blk_request *req;
    uint32_t head;
    uint8_t slot;

    if (blk.vq.used->idx == blk.used_idx)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index before what it publishes */
    head = blk.vq.used->ring[blk.used_idx & (blk.vq.size - 1)].id;
    slot = head < blk.vq.size ? blk.slot_of[head] : 0;
    if (head >= blk.vq.size || !blk.in_flight[slot] || blk.head[slot] != head) {
        device_recover("completed a request that it does not have");
        return false;
    }
    blk.used_idx++;
    req = blk.in_flight[slot];
    blk.in_flight[slot] = NULL;
    blk.flying--;
    chain_free((uint16_t)head);
    req->done(req, status_errno(blk.slots[slot].status));
    return true;
}

/* --- start and restart --- */

static int device_start(const char **why)
{
    int rc = virtio_negotiate(&blk.vio, F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH, why);

    if (rc == 0)
        rc = virtio_queue(&blk.vio, &blk.vq, blk.msix, why);
    if (rc == -XEN_EIO && blk.msix) {
        blk.msix = false;
        rc = virtio_queue(&blk.vio, &blk.vq, false, why);
    }
    if (rc < 0) {
        if (blk.vio.common)
            virtio_fail(&blk.vio);
        return rc;
    }
    ring_init();
    virtio_ready(&blk.vio);
    return 0;
}

static void device_recover(const char *why)
{
    struct blk_request *lost = NULL;
    const char *again;
    int rc;

    printf("%s: the device %s; resetting it\n", blk.dev.name, why);
    blk.resetting = true;
    rc = virtio_reset(&blk.vio);
    if (rc < 0) {
        /* It may still write to memory: the requests stay with it for ever. */
        printf("%s: it does not obey; the disk is lost\n", blk.dev.name);
        blk.dead = true;
        return;
    }
    for (unsigned int slot = 0; slot < SLOTS; slot++) {
        if (blk.in_flight[slot]) {
            blk.in_flight[slot]->next = lost;
            lost = blk.in_flight[slot];
        }
    }
    memset(blk.in_flight, 0, sizeof(blk.in_flight));
    blk.flying = 0;
    rc = device_start(&again);
    if (rc < 0) {
        printf("%s: the disk is lost: %s\n", blk.dev.name, again);
        blk.dead = true;
    }
    blk.resetting = false;
    blksync_fail_all(lost, -XEN_ETIMEDOUT);
}

static void check_timeouts(void)
{
    uint64_t now = clock_ns();

    for (unsigned int slot = 0; slot < SLOTS; slot++) {
        if (blk.in_flight[slot] && now - blk.in_flight[slot]->started_ns > TIMEOUT_NS) {
            device_recover("has not answered for 30 seconds");
            return;
        }
    }
}

static void on_interrupt(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    waitq_wake(&blk.work);
}

/* A lost disk: what still waits fails; submit() takes nothing more. */
static void bury_waiting(void)
{
    struct blk_request *rest = blk.waiting;

    blk.waiting = NULL;
    blk.waiting_end = &blk.waiting;
    blksync_fail_all(rest, -XEN_EIO);
}

static void driver_thread(void *arg)
{
    uint64_t checked = clock_ns();

    (void)arg;
    while (!blk.dead) {
        while (!blk.dead && ring_take())
            ;
        if (blk.dead)
            break;
        put_waiting();
        if (clock_ns() - checked > CHECK_NS) {
            checked = clock_ns();
            check_timeouts();
        }
        if (blk.flying == 0)
            wait_event(&blk.work, blk.flying || blk.waiting);
        else
            wait_event_timeout(&blk.work, blk.vq.used->idx != blk.used_idx,
                               blk.msix ? CHECK_NS : POLL_NS);
    }
    bury_waiting();
}

/* --- struct blkdev --- */

static int blk_submit(struct blkdev *dev, struct blk_request *req)
{
    int rc = blksync_check(dev, req);

    if (rc < 0)
        return rc;
    if (blk.dead)
        return -XEN_EIO;
    req->next = NULL;
    if (!blk.waiting && !blk.resetting && ring_put(req)) {
        ring_kick();
    } else {
        *blk.waiting_end = req;
        blk.waiting_end = &req->next;
    }
    waitq_wake(&blk.work);
    return 0;
}

static int blk_flush(struct blkdev *dev)
{
    if (!(blk.vio.features & F_FLUSH))
        return 0; /* a device without a cache */
    return blksync_flush(dev);
}

static const struct blkdev_ops blk_ops = {blksync_read, blksync_write, blk_flush, blk_submit};

/* --- finding it --- */

static int is_blk(const struct pci_device *dev, void *arg)
{
    if (dev->vendor != VIRTIO_VENDOR ||
        (dev->device != DEVICE_BLK_MODERN && dev->device != DEVICE_BLK_TRANSITIONAL))
        return 0;
    *(struct pci_device *)arg = *dev;
    return 1;
}

const char *virtio_blk_problem(void)
{
    return blk.problem;
}

static int fail(int rc, const char *why)
{
    snprintf(blk.problem, sizeof(blk.problem), "the virtio disk cannot be used: %s", why);
    return rc;
}

/* What the device's configuration says, into blk.dev. */
static int read_config(const char **why)
{
    uint32_t segs = virtio_config32(&blk.vio, CONFIG_SEG_MAX);

    if ((blk.vio.features & F_BLK_SIZE) &&
        virtio_config32(&blk.vio, CONFIG_BLK_SIZE) > BLK_SECTOR_SIZE) {
        *why = "its sectors are larger than 512 bytes (start QEMU without logical_block_size)";
        return -XEN_EOPNOTSUPP;
    }
    blk.dev.sectors = virtio_config64(&blk.vio, CONFIG_CAPACITY);
    blk.dev.readonly = blk.vio.features & F_RO;
    blk.dev.max_segs = MAX_SEGS;
    if (blk.dev.max_segs + 2 > blk.vq.size)
        blk.dev.max_segs = blk.vq.size > 2 ? blk.vq.size - 2u : 0;
    if ((blk.vio.features & F_SEG_MAX) && segs > 0 && segs < blk.dev.max_segs)
        blk.dev.max_segs = segs;
    if (blk.dev.max_segs < 2) {
        *why = "its queue is too short for requests of two pieces of memory";
        return -XEN_EOPNOTSUPP;
    }
    return 0;
}

int virtio_blk_start(struct blkdev **out)
{
    const char *why = "";
    int rc;

    rc = pci_init();
    if (rc < 0)
        return fail(rc, "the hypervisor does not let dom0 use I/O ports");
    if (!pci_scan(is_blk, &blk.vio.pci)) {
        snprintf(blk.problem, sizeof(blk.problem),
                 "no virtio disk found: start QEMU with -drive file=build/dom0.img,format=raw,"
                 "if=none,id=d -device virtio-blk-pci,drive=d,disable-legacy=on");
        return -XEN_ENODEV;
    }
    rc = pci_enable(&blk.vio.pci);
    if (rc < 0)
        return fail(rc, "the hypervisor does not accept the device");
    blk.slots = page_alloc(0);
    if (!blk.slots)
        return fail(-XEN_ENOMEM, "out of memory");
    blk.dev.name = "vda";
    blk.dev.ops = &blk_ops;
    blk.waiting_end = &blk.waiting;
    blk.msix = pci_bind_msix(&blk.vio.pci, on_interrupt, NULL) > 0;
    rc = virtio_map(&blk.vio, &why);
    if (rc == 0)
        rc = device_start(&why);
    if (rc == 0)
        rc = read_config(&why);
    if (rc < 0)
        return fail(rc, why);
    if (!thread_create("disk", driver_thread, NULL))
        return fail(-XEN_ENOMEM, "out of memory");
    if (!blk.msix)
        printf("vda: no MSI-X interrupt to be had, polling\n");
    *out = &blk.dev;
    return 0;
}
