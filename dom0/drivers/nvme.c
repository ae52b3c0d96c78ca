/* SPDX-License-Identifier: MIT */
/*
 * NVMe. A request becomes one command, or a few where its memory has gaps that PRPs cannot say
 * (nvme_prp.h). Of a queue's 64 commands 63 may be in flight; the number of a command is its slot,
 * with a list of PRPs of its own.
 *
 * As in virtio_blk.c, all state belongs to threads of vCPU 0, which switch only where they wait, so
 * there are no locks; the interrupt only wakes the driver's thread, and without MSI-X that thread
 * looks every millisecond. A controller that does not answer for half a minute is reset, after
 * which it touches no memory any more; only then do its requests fail.
 */
#include "dom0/drivers/nvme.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/blksync.h"
#include "dom0/drivers/nvme_ctrl.h"
#include "dom0/drivers/nvme_prp.h"
#include "dom0/drivers/nvme_regs.h"
#include "dom0/drivers/pci.h"

#define PCI_CLASS_REG  0x08
#define PCI_CLASS_NVME 0x010802u
#define SLOTS          (NVME_QUEUE_SIZE - 1) /* a full queue looks like an empty one */
#define LIST_BYTES     512u
#define LISTS_PAGES    (NVME_QUEUE_SIZE * LIST_BYTES / PAGE_SIZE)
#define MAX_SEGS       32u /* each of them a command at worst */
#define NAMESPACE      1u
#define TIMEOUT_NS     30000000000ull
#define CHECK_NS       1000000000ull
#define POLL_NS        1000000ull

static struct {
    struct blkdev dev;
    struct nvme_ctrl ctrl;
    bool started, msix, cache, dead, resetting;
    uint32_t max_bytes;           /* of a command */
    uint64_t *lists[LISTS_PAGES]; /* of PRPs, LIST_BYTES for each slot */
    struct waitq work;            /* the driver's thread */

    struct blk_request *in_flight[SLOTS];
    unsigned int flying;
    struct blk_request *waiting; /* did not fit the queue yet, oldest first */
    struct blk_request **waiting_end;
    char problem[200];
} nvme;

static uint64_t maddr_of(const void *va)
{
    return ((uint64_t)virt_to_mfn((void *)(uintptr_t)va) << PAGE_SHIFT) +
           ((uintptr_t)va & (PAGE_SIZE - 1));
}

/* --- requests --- */

/* The command for a part of a request. */
static void put_command(struct blk_request *req, const struct nvme_part *part, uint64_t sector,
                        uint16_t slot)
{
    uint64_t *list = nvme.lists[slot / (PAGE_SIZE / LIST_BYTES)] +
                     slot % (PAGE_SIZE / LIST_BYTES) * (LIST_BYTES / sizeof(*list));
    struct nvme_sqe sqe = {.cid = slot, .nsid = NAMESPACE, .opcode = NVME_FLUSH};

    if (req->op != BLK_FLUSH) {
        sqe.opcode = req->op == BLK_READ ? NVME_READ : NVME_WRITE;
        sqe.prp1 = part->prp[0];
        if (part->prps == 2)
            sqe.prp2 = part->prp[1];
        if (part->prps > 2) {
            memcpy(list, &part->prp[1], (part->prps - 1) * sizeof(*list));
            sqe.prp2 = maddr_of(list);
        }
        sqe.cdw10 = (uint32_t)sector;
        sqe.cdw11 = (uint32_t)(sector >> 32);
        sqe.cdw12 = part->bytes / BLK_SECTOR_SIZE - 1;
    }
    nvme.in_flight[slot] = req;
    nvme.flying++;
    req->parts++;
    nvme_queue_put(&nvme.ctrl.io, &sqe);
}

static uint16_t slot_find(void)
{
    uint16_t slot = 0;

    while (nvme.in_flight[slot])
        slot++;
    return slot;
}

/* How many commands a request becomes, or a negative errno. */
static int count_parts(const struct blk_request *req)
{
    struct nvme_part part;
    int n = 0;

    if (req->op == BLK_FLUSH)
        return 1;
    for (unsigned int i = 0; i < req->nsegs; i += part.segs, n++) {
        int rc = nvme_prp_part(req->segs + i, req->nsegs - i, nvme.max_bytes, &part);

        if (rc < 0)
            return rc;
    }
    return n;
}

/* False if there is no room in the queue now. */
static bool start_request(struct blk_request *req)
{
    struct nvme_part part = {0};
    uint64_t sector = req->sector;

    if (SLOTS - nvme.flying < (unsigned int)count_parts(req))
        return false;
    req->started_ns = clock_ns();
    req->parts = 0;
    req->status = 0;
    if (req->op == BLK_FLUSH)
        put_command(req, &part, 0, slot_find());
    for (unsigned int i = 0; i < req->nsegs; i += part.segs) {
        nvme_prp_part(req->segs + i, req->nsegs - i, nvme.max_bytes, &part);
        put_command(req, &part, sector, slot_find());
        sector += part.bytes / BLK_SECTOR_SIZE;
    }
    return true;
}

static void start_waiting(void)
{
    bool any = false;

    while (nvme.waiting) {
        struct blk_request *req = nvme.waiting, *next = req->next;

        if (!start_request(req))
            break;
        nvme.waiting = next;
        if (!next)
            nvme.waiting_end = &nvme.waiting;
        any = true;
    }
    if (any)
        nvme_queue_ring(&nvme.ctrl, &nvme.ctrl.io);
}

/* One command of a request has ended. */
static void part_done(struct blk_request *req, int status)
{
    if (status && !req->status)
        req->status = status;
    if (--req->parts == 0)
        req->done(req, req->status);
}

static void controller_recover(const char *why);

static bool take_completion(void)
{
    struct blk_request *req;
    uint16_t cid, status;

    if (!nvme_queue_take(&nvme.ctrl, &nvme.ctrl.io, &cid, &status))
        return false;
    if (cid >= SLOTS || !nvme.in_flight[cid]) {
        controller_recover("completed a command that it does not have");
        return false;
    }
    req = nvme.in_flight[cid];
    nvme.in_flight[cid] = NULL;
    nvme.flying--;
    part_done(req, status ? -XEN_EIO : 0);
    return true;
}

static int nvme_submit(struct blkdev *dev, struct blk_request *req)
{
    int rc = blksync_check(dev, req);

    if (rc == 0)
        rc = count_parts(req);
    if (rc < 0)
        return rc;
    if (nvme.dead)
        return -XEN_EIO;
    req->next = NULL;
    if (!nvme.waiting && !nvme.resetting && start_request(req)) {
        nvme_queue_ring(&nvme.ctrl, &nvme.ctrl.io);
    } else {
        *nvme.waiting_end = req;
        nvme.waiting_end = &req->next;
    }
    waitq_wake(&nvme.work);
    return 0;
}

/* --- the thread --- */

/* The controller is off: commands that it had come back. */
static void fail_in_flight(void)
{
    struct blk_request *lost[SLOTS];

    memcpy(lost, nvme.in_flight, sizeof(lost));
    memset(nvme.in_flight, 0, sizeof(nvme.in_flight));
    nvme.flying = 0;
    for (unsigned int slot = 0; slot < SLOTS; slot++) {
        if (lost[slot])
            part_done(lost[slot], -XEN_ETIMEDOUT);
    }
}

static void controller_recover(const char *why)
{
    const char *again = "";
    int rc;

    printf("%s: the controller %s; resetting it\n", nvme.dev.name, why);
    nvme.resetting = true;
    if (nvme_ctrl_off(&nvme.ctrl) < 0) {
        /* It may still write to memory: the requests stay with it for ever. */
        printf("%s: it does not obey; the disk is lost\n", nvme.dev.name);
        nvme.dead = true;
        return;
    }
    rc = nvme_ctrl_start(&nvme.ctrl, &again);
    if (rc < 0) {
        printf("%s: the disk is lost: %s\n", nvme.dev.name, again);
        nvme.dead = true;
    }
    fail_in_flight();
    nvme.resetting = false;
}

static void check_timeouts(void)
{
    uint64_t now = clock_ns();

    for (unsigned int slot = 0; slot < SLOTS; slot++) {
        if (nvme.in_flight[slot] && now - nvme.in_flight[slot]->started_ns > TIMEOUT_NS) {
            controller_recover("has not answered for 30 seconds");
            return;
        }
    }
}

static void on_interrupt(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    waitq_wake(&nvme.work);
}

/* A lost disk: what still waits fails; submit() takes nothing more. */
static void bury_waiting(void)
{
    struct blk_request *rest = nvme.waiting;

    nvme.waiting = NULL;
    nvme.waiting_end = &nvme.waiting;
    blksync_fail_all(rest, -XEN_EIO);
}

static void driver_thread(void *arg)
{
    uint64_t checked = clock_ns();

    (void)arg;
    while (!nvme.dead) {
        while (!nvme.dead && take_completion())
            ;
        if (nvme.dead)
            break;
        start_waiting();
        if (clock_ns() - checked > CHECK_NS) {
            checked = clock_ns();
            check_timeouts();
        }
        if (nvme.flying == 0)
            wait_event(&nvme.work, nvme.flying || nvme.waiting);
        else
            wait_event_timeout(&nvme.work, nvme_queue_ready(&nvme.ctrl.io),
                               nvme.msix ? CHECK_NS : POLL_NS);
    }
    bury_waiting();
}

/* --- struct blkdev --- */

/* Memory that PRPs cannot say goes through a page of our own. */
static int transfer_unaligned(bool write, uint64_t sector, uint8_t *buf, uint32_t sectors)
{
    uint8_t *page = page_alloc(0);
    int rc = page ? 0 : -XEN_ENOMEM;

    while (rc == 0 && sectors > 0) {
        uint32_t n = sectors < PAGE_SIZE / BLK_SECTOR_SIZE ? sectors : PAGE_SIZE / BLK_SECTOR_SIZE;

        if (write)
            memcpy(page, buf, n * BLK_SECTOR_SIZE);
        rc = write ? blksync_write(&nvme.dev, sector, page, n)
                   : blksync_read(&nvme.dev, sector, page, n);
        if (rc == 0 && !write)
            memcpy(buf, page, n * BLK_SECTOR_SIZE);
        sector += n;
        buf += n * BLK_SECTOR_SIZE;
        sectors -= n;
    }
    if (page)
        page_free(page, 0);
    return rc;
}

static int nvme_read(struct blkdev *dev, uint64_t sector, void *buf, uint32_t sectors)
{
    if ((uintptr_t)buf % 4)
        return transfer_unaligned(false, sector, buf, sectors);
    return blksync_read(dev, sector, buf, sectors);
}

static int nvme_write(struct blkdev *dev, uint64_t sector, const void *buf, uint32_t sectors)
{
    if ((uintptr_t)buf % 4)
        return transfer_unaligned(true, sector, (uint8_t *)(uintptr_t)buf, sectors);
    return blksync_write(dev, sector, buf, sectors);
}

static int nvme_flush(struct blkdev *dev)
{
    return nvme.cache ? blksync_flush(dev) : 0;
}

static const struct blkdev_ops nvme_ops = {nvme_read, nvme_write, nvme_flush, nvme_submit};

/* --- finding it --- */

static int is_nvme(const struct pci_device *dev, void *arg)
{
    if (pci_read32(dev, PCI_CLASS_REG) >> 8 != PCI_CLASS_NVME)
        return 0;
    *(struct pci_device *)arg = *dev;
    return 1;
}

const char *nvme_problem(void)
{
    return nvme.problem;
}

static int fail(int rc, const char *why)
{
    snprintf(nvme.problem, sizeof(nvme.problem), "the NVMe disk cannot be used: %s", why);
    return rc;
}

/* Sizes and limits, from the controller and its first namespace. */
static int read_identity(const char **why)
{
    uint32_t format, mdts;
    int rc = nvme_ctrl_identify(&nvme.ctrl, NVME_ID_CONTROLLER, 0);

    *why = "it does not identify itself";
    if (rc < 0)
        return rc;
    nvme.cache = nvme.ctrl.identity[NVME_IDC_VWC] & 1;
    mdts = nvme.ctrl.identity[NVME_IDC_MDTS];
    nvme.max_bytes = mdts && mdts < 8 ? NVME_PAGE << mdts : NVME_PRPS_MAX * NVME_PAGE;
    nvme.dev.max_bytes = nvme.max_bytes;
    *why = "it has no first namespace";
    rc = nvme_ctrl_identify(&nvme.ctrl, NVME_ID_NAMESPACE, NAMESPACE);
    if (rc < 0)
        return rc;
    memcpy(&nvme.dev.sectors, nvme.ctrl.identity + NVME_IDN_SIZE, sizeof(nvme.dev.sectors));
    memcpy(&format,
           nvme.ctrl.identity + NVME_IDN_FORMATS +
               (nvme.ctrl.identity[NVME_IDN_FORMAT] & 0xf) * sizeof(format),
           sizeof(format));
    if ((format >> 16 & 0xff) != BLK_SECTOR_SHIFT || (format & 0xffff)) {
        *why = "its blocks are not of 512 bytes, or have metadata: format its namespace anew";
        return -XEN_EOPNOTSUPP;
    }
    return nvme.dev.sectors ? 0 : -XEN_ENODEV;
}

static bool alloc_lists(void)
{
    for (unsigned int i = 0; i < LISTS_PAGES; i++) {
        nvme.lists[i] = page_alloc(0);
        if (!nvme.lists[i])
            return false;
    }
    return true;
}

int nvme_start(struct blkdev **out)
{
    const char *why = "";
    int rc;

    if (!pci_scan(is_nvme, &nvme.ctrl.pci)) {
        snprintf(nvme.problem, sizeof(nvme.problem), "no NVMe disk found");
        return -XEN_ENODEV;
    }
    rc = pci_enable(&nvme.ctrl.pci);
    if (rc < 0)
        return fail(rc, "the hypervisor does not accept the device");
    if (!nvme_ctrl_alloc(&nvme.ctrl) || !alloc_lists())
        return fail(-XEN_ENOMEM, "out of memory");
    nvme.dev.name = "nvme0n1";
    nvme.dev.ops = &nvme_ops;
    nvme.dev.max_segs = MAX_SEGS;
    nvme.waiting_end = &nvme.waiting;
    nvme.msix = pci_bind_msix(&nvme.ctrl.pci, on_interrupt, NULL) > 0;
    rc = nvme_ctrl_map(&nvme.ctrl, &why);
    if (rc == 0)
        rc = nvme_ctrl_start(&nvme.ctrl, &why);
    if (rc == 0)
        rc = read_identity(&why);
    if (rc < 0)
        return fail(rc, why);
    if (!thread_create("nvme", driver_thread, NULL))
        return fail(-XEN_ENOMEM, "out of memory");
    if (!nvme.msix)
        printf("nvme0n1: no MSI-X interrupt to be had, polling\n");
    *out = &nvme.dev;
    nvme.started = true;
    return 0;
}

struct blkdev *nvme_disk(void)
{
    return nvme.started ? &nvme.dev : NULL;
}
