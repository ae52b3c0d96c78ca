/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller: its registers, its two pairs of queues, and its start. Of nvme.c, whose rules
 * hold here too: threads of vCPU 0 only.
 */
#ifndef DOM0_DRIVERS_NVME_CTRL_H
#define DOM0_DRIVERS_NVME_CTRL_H

#include <stdbool.h>
#include <stdint.h>

#include "dom0/drivers/pci.h"

struct nvme_sqe;
struct nvme_cqe;

#define NVME_QUEUE_SIZE 64u /* commands: a page */

/* A queue of commands and that of their completions. Number 0 is the controller's own. */
struct nvme_queue {
    unsigned int id;
    volatile struct nvme_sqe *sq; /* a page each */
    volatile struct nvme_cqe *cq;
    uint32_t sq_tail;
    uint32_t cq_head;
    uint16_t phase;
};

struct nvme_ctrl {
    struct pci_device pci;
    volatile uint8_t *regs;
    uint64_t cap;
    struct nvme_queue admin, io;
    uint8_t *identity; /* a page for the answers to Identify */
};

/* The pages of the queues. */
bool nvme_ctrl_alloc(struct nvme_ctrl *c);
/* Maps the registers, and refuses a controller that lacks what we need. *why: a short reason. */
int nvme_ctrl_map(struct nvme_ctrl *c, const char **why);
/* From whatever state to one in which the queue `io` takes commands, and is empty. Waits. */
int nvme_ctrl_start(struct nvme_ctrl *c, const char **why);
/* Off: when this returns 0 it uses no memory of ours any more. Waits. */
int nvme_ctrl_off(struct nvme_ctrl *c);
/* What it or a namespace is, into c->identity. Waits. */
int nvme_ctrl_identify(struct nvme_ctrl *c, uint32_t what, uint32_t nsid);

/* Writes a command behind the others; nvme_queue_ring() tells the controller of them. */
void nvme_queue_put(struct nvme_queue *q, const struct nvme_sqe *sqe);
void nvme_queue_ring(const struct nvme_ctrl *c, const struct nvme_queue *q);
/* Whether there is a completion, and taking it out. */
bool nvme_queue_ready(const struct nvme_queue *q);
bool nvme_queue_take(const struct nvme_ctrl *c, struct nvme_queue *q, uint16_t *cid,
                     uint16_t *status);

#endif
