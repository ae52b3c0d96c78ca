/* SPDX-License-Identifier: MIT */
#include "dom0/drivers/nvme_ctrl.h"

#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/nvme_regs.h"

#define REGISTERS_LEN 0x2000u /* the doorbells of our two queues are in the second page */
#define TIMEOUT_NS    30000000000ull
#define POLL_NS       1000000ull

static uint64_t maddr_of(const void *va)
{
    return ((uint64_t)virt_to_mfn((void *)(uintptr_t)va) << PAGE_SHIFT) +
           ((uintptr_t)va & (PAGE_SIZE - 1));
}

static uint32_t reg_read(const struct nvme_ctrl *c, uint32_t reg)
{
    return *(volatile uint32_t *)(c->regs + reg);
}

static void reg_write(const struct nvme_ctrl *c, uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)(c->regs + reg) = value;
}

static void reg_write64(const struct nvme_ctrl *c, uint32_t reg, uint64_t value)
{
    reg_write(c, reg, (uint32_t)value);
    reg_write(c, reg + 4, (uint32_t)(value >> 32));
}

/* --- queues --- */

static void doorbell(const struct nvme_ctrl *c, const struct nvme_queue *q, unsigned int completion,
                     uint32_t value)
{
    uint32_t stride = 4u << NVME_CAP_DSTRD(c->cap);

    reg_write(c, NVME_DOORBELL + (2 * q->id + completion) * stride, value);
}

static void queue_reset(struct nvme_queue *q)
{
    memset((void *)(uintptr_t)q->sq, 0, PAGE_SIZE);
    memset((void *)(uintptr_t)q->cq, 0, PAGE_SIZE);
    q->sq_tail = q->cq_head = 0;
    q->phase = 1;
}

/* Writes a command behind the others; the doorbell is rung by the caller. */
void nvme_queue_put(struct nvme_queue *q, const struct nvme_sqe *sqe)
{
    q->sq[q->sq_tail] = *sqe;
    q->sq_tail = (q->sq_tail + 1) % NVME_QUEUE_SIZE;
}

void nvme_queue_ring(const struct nvme_ctrl *c, const struct nvme_queue *q)
{
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the commands before the doorbell */
    doorbell(c, q, 0, q->sq_tail);
}

bool nvme_queue_ready(const struct nvme_queue *q)
{
    return (q->cq[q->cq_head].status & 1) == q->phase;
}

/* Takes a completion out, if there is one. */
bool nvme_queue_take(const struct nvme_ctrl *c, struct nvme_queue *q, uint16_t *cid,
                     uint16_t *status)
{
    if (!nvme_queue_ready(q))
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the phase before what it publishes */
    *cid = q->cq[q->cq_head].cid;
    *status = q->cq[q->cq_head].status >> 1;
    q->cq_head = (q->cq_head + 1) % NVME_QUEUE_SIZE;
    if (q->cq_head == 0)
        q->phase ^= 1;
    doorbell(c, q, 1, q->cq_head);
    return true;
}

/* --- start --- */

/* Waits for CSTS.RDY, as long as the controller says it may take. */
static int wait_ready(const struct nvme_ctrl *c, uint32_t ready)
{
    uint64_t end = clock_ns() + (NVME_CAP_TO(c->cap) + 1) * 500000000ull;

    for (;;) {
        uint32_t csts = reg_read(c, NVME_CSTS);

        if (csts == UINT32_MAX || (ready && (csts & NVME_CSTS_FATAL)))
            return -XEN_EIO;
        if ((csts & NVME_CSTS_READY) == ready)
            return 0;
        if (clock_ns() > end)
            return -XEN_ETIMEDOUT;
        thread_sleep_ns(POLL_NS);
    }
}

/* Off: from then on it uses no memory of ours. */
int nvme_ctrl_off(struct nvme_ctrl *c)
{
    reg_write(c, NVME_CC, 0);
    return wait_ready(c, 0);
}

/* One command of the admin queue, waited for. */
static int admin_run(struct nvme_ctrl *c, struct nvme_sqe *sqe)
{
    uint64_t end = clock_ns() + TIMEOUT_NS;
    uint16_t cid, status;

    nvme_queue_put(&c->admin, sqe);
    nvme_queue_ring(c, &c->admin);
    while (!nvme_queue_take(c, &c->admin, &cid, &status)) {
        if (clock_ns() > end)
            return -XEN_ETIMEDOUT;
        thread_sleep_ns(POLL_NS);
    }
    return status ? -XEN_EIO : 0;
}

int nvme_ctrl_identify(struct nvme_ctrl *c, uint32_t what, uint32_t nsid)
{
    struct nvme_sqe sqe = {
        .opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .prp1 = maddr_of(c->identity), .cdw10 = what};

    return admin_run(c, &sqe);
}

static int create_queues(struct nvme_ctrl *c)
{
    uint32_t size = c->io.id | (NVME_QUEUE_SIZE - 1) << 16;
    struct nvme_sqe number = {.opcode = NVME_ADMIN_SET_FEATURES, .cdw10 = NVME_FEATURE_NUMQ};
    struct nvme_sqe cq = {.opcode = NVME_ADMIN_CREATE_CQ,
                          .prp1 = maddr_of((void *)(uintptr_t)c->io.cq),
                          .cdw10 = size,
                          .cdw11 = NVME_QUEUE_PAGE | NVME_QUEUE_IRQ}; /* entry 0 of MSI-X */
    struct nvme_sqe sq = {.opcode = NVME_ADMIN_CREATE_SQ,
                          .prp1 = maddr_of((void *)(uintptr_t)c->io.sq),
                          .cdw10 = size,
                          .cdw11 = NVME_QUEUE_PAGE | c->io.id << 16};
    int rc = admin_run(c, &number);

    if (rc == 0)
        rc = admin_run(c, &cq);
    return rc ? rc : admin_run(c, &sq);
}

/* From whatever state to one in which it takes requests. */
int nvme_ctrl_start(struct nvme_ctrl *c, const char **why)
{
    int rc = nvme_ctrl_off(c);

    *why = "it does not let itself be switched off";
    if (rc < 0)
        return rc;
    queue_reset(&c->admin);
    queue_reset(&c->io);
    reg_write(c, NVME_AQA, (NVME_QUEUE_SIZE - 1) << 16 | (NVME_QUEUE_SIZE - 1));
    reg_write64(c, NVME_ASQ, maddr_of((void *)(uintptr_t)c->admin.sq));
    reg_write64(c, NVME_ACQ, maddr_of((void *)(uintptr_t)c->admin.cq));
    reg_write(c, NVME_CC, NVME_CC_ON);
    *why = "it does not become ready";
    rc = wait_ready(c, NVME_CSTS_READY);
    if (rc < 0)
        return rc;
    *why = "it refuses a queue for requests";
    return create_queues(c);
}

bool nvme_ctrl_alloc(struct nvme_ctrl *c)
{
    c->io.id = 1;
    c->identity = page_alloc(0);
    c->admin.sq = page_alloc(0);
    c->admin.cq = page_alloc(0);
    c->io.sq = page_alloc(0);
    c->io.cq = page_alloc(0);
    return c->identity && c->admin.sq && c->admin.cq && c->io.sq && c->io.cq;
}

int nvme_ctrl_map(struct nvme_ctrl *c, const char **why)
{
    uint64_t bar = pci_bar(&c->pci, 0);

    *why = "its registers cannot be mapped";
    c->regs = bar ? pci_map(bar, REGISTERS_LEN) : NULL;
    if (!c->regs)
        return -XEN_EIO;
    c->cap = reg_read(c, NVME_CAP) | (uint64_t)reg_read(c, NVME_CAP + 4) << 32;
    *why = "it does not have queues of 64 commands, pages of 4 KiB and the NVM command set";
    if (NVME_CAP_MQES(c->cap) < NVME_QUEUE_SIZE - 1 || NVME_CAP_MPSMIN(c->cap) ||
        !NVME_CAP_NVM(c->cap) || NVME_DOORBELL + (16u << NVME_CAP_DSTRD(c->cap)) > REGISTERS_LEN)
        return -XEN_EOPNOTSUPP;
    return 0;
}
