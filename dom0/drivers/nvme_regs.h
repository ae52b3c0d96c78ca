/* SPDX-License-Identifier: MIT */
/*
 * NVMe's registers and structures, as the NVM Express Base Specification 1.4 has them
 * (sections 3.1, 4.2, 4.6, 5.15, 6). For nvme*.c.
 */
#ifndef DOM0_DRIVERS_NVME_REGS_H
#define DOM0_DRIVERS_NVME_REGS_H

#include <assert.h>
#include <stdint.h>

/* Registers, by offset in BAR 0. */
#define NVME_CAP      0x00 /* 64 bits */
#define NVME_CC       0x14
#define NVME_CSTS     0x1c
#define NVME_AQA      0x24
#define NVME_ASQ      0x28
#define NVME_ACQ      0x30
#define NVME_DOORBELL 0x1000

#define NVME_CAP_MQES(cap)   ((uint32_t)(cap)&0xffff)         /* entries of a queue, less one */
#define NVME_CAP_TO(cap)     ((uint32_t)((cap) >> 24) & 0xff) /* of 500 ms: until it is ready */
#define NVME_CAP_DSTRD(cap)  ((uint32_t)((cap) >> 32) & 0xf)
#define NVME_CAP_NVM(cap)    ((cap) >> 37 & 1)
#define NVME_CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48) & 0xf)

/* Enabled, the NVM command set, pages of 4 KiB, entries of 64 and 16 bytes. */
#define NVME_CC_ON        (1u | 6u << 16 | 4u << 20)
#define NVME_CSTS_READY   1u
#define NVME_CSTS_FATAL   2u
#define NVME_QUEUE_PAGE   1u /* physically contiguous */
#define NVME_QUEUE_IRQ    2u
#define NVME_FEATURE_NUMQ 7u

enum nvme_admin {
    NVME_ADMIN_CREATE_SQ = 0x01,
    NVME_ADMIN_CREATE_CQ = 0x05,
    NVME_ADMIN_IDENTIFY = 0x06,
    NVME_ADMIN_SET_FEATURES = 0x09,
};

enum nvme_command {
    NVME_FLUSH = 0x00,
    NVME_WRITE = 0x01,
    NVME_READ = 0x02,
};

struct nvme_sqe {
    uint8_t opcode;
    uint8_t flags;
    uint16_t cid;
    uint32_t nsid;
    uint64_t reserved;
    uint64_t metadata;
    uint64_t prp1, prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "submission queue entry");

struct nvme_cqe {
    uint32_t result;
    uint32_t reserved;
    uint16_t sq_head;
    uint16_t sq_id;
    uint16_t cid;
    uint16_t status; /* bit 0: the phase, which changes with each round of the queue */
};
static_assert(sizeof(struct nvme_cqe) == 16, "completion queue entry");

/* Of the answers to Identify. */
#define NVME_ID_NAMESPACE  0
#define NVME_ID_CONTROLLER 1
#define NVME_IDC_MDTS      77  /* 2^n pages are the most that a command moves; 0: no limit */
#define NVME_IDC_VWC       525 /* bit 0: there is a cache */
#define NVME_IDN_SIZE      0   /* 64 bits: logical blocks */
#define NVME_IDN_FORMAT    26  /* bits 0-3: which of the formats */
#define NVME_IDN_FORMATS   128 /* of 4 bytes: metadata (2), log2 of the block size, performance */

#endif
