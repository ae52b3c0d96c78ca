/* SPDX-License-Identifier: MIT */
/*
 * The PCI transport of virtio 1.x ("modern" devices; Virtual I/O Device specification 1.2,
 * section 4.1): the device's register blocks, its start-up, and its one virtqueue. For
 * virtio_blk.c.
 */
#ifndef DOM0_DRIVERS_VIRTIO_PCI_H
#define DOM0_DRIVERS_VIRTIO_PCI_H

#include <stdint.h>

#include "dom0/drivers/pci.h"

#define VIRTIO_VENDOR 0x1af4

#define VIRTIO_F_VERSION_1       (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)

#define VIRTQ_SIZE_MAX 256u /* so that each of the three parts fits a page */

/* Split virtqueue, section 2.7. */
struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
#define VIRTQ_DESC_NEXT  1
#define VIRTQ_DESC_WRITE 2 /* by the device */

struct virtq_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[VIRTQ_SIZE_MAX];
};

struct virtq_used_elem {
    uint32_t id;
    uint32_t len;
};

struct virtq_used {
    uint16_t flags;
    uint16_t idx;
    struct virtq_used_elem ring[VIRTQ_SIZE_MAX];
};
#define VIRTQ_USED_NO_NOTIFY 1

/* The three parts lie in a page each; they need not be neighbours in machine memory. */
struct virtq {
    uint16_t size;
    volatile struct virtq_desc *desc;
    volatile struct virtq_avail *avail;
    volatile struct virtq_used *used;
    volatile uint16_t *notify;
};

struct virtio_device {
    struct pci_device pci;
    volatile uint8_t *common;
    volatile uint8_t *config; /* the device type's own block */
    uint32_t config_len;
    volatile uint8_t *notify;
    uint32_t notify_len;
    uint32_t notify_multiplier;
    uint64_t features; /* agreed */
};

/* Maps the register blocks. On failure *why says what is wrong. */
int virtio_map(struct virtio_device *dev, const char **why);

/* Resets the device: afterwards it uses no memory of ours. -ETIMEDOUT if it does not obey. */
int virtio_reset(struct virtio_device *dev);

/*
 * Reset, then agree on `wanted` features out of those offered; VERSION_1 is a must, ACCESS_PLATFORM
 * (an IOMMU before the device) refused.
 */
int virtio_negotiate(struct virtio_device *dev, uint64_t wanted, const char **why);

/*
 * Sets up queue 0 in vq's pages, allocated at the first call and used again after a reset. msix:
 * completions interrupt by MSI-X entry 0. -EIO if the device does not take that vector.
 */
int virtio_queue(struct virtio_device *dev, struct virtq *vq, bool msix, const char **why);

/* The device may work from here on. */
void virtio_ready(struct virtio_device *dev);

/* The device cannot be used: tells it so. */
void virtio_fail(struct virtio_device *dev);

uint32_t virtio_config32(const struct virtio_device *dev, uint32_t offset);
uint64_t virtio_config64(const struct virtio_device *dev, uint32_t offset);

#endif
