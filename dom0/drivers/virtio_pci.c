/* SPDX-License-Identifier: MIT */
#include "dom0/drivers/virtio_pci.h"

#include <stddef.h>
#include <xen/errno.h>

#include <rt/mm.h>
#include <rt/thread.h>

/* Capability, section 4.1.4. */
#define CAP_TYPE       3
#define CAP_BAR        4
#define CAP_OFFSET     8
#define CAP_LENGTH     12
#define CAP_MULTIPLIER 16
#define TYPE_COMMON    1
#define TYPE_NOTIFY    2
#define TYPE_DEVICE    4

/* Common configuration, section 4.1.4.3. */
#define COMMON_DEVICE_FEATURE_SELECT 0x00
#define COMMON_DEVICE_FEATURE        0x04
#define COMMON_DRIVER_FEATURE_SELECT 0x08
#define COMMON_DRIVER_FEATURE        0x0c
#define COMMON_CONFIG_VECTOR         0x10
#define COMMON_STATUS                0x14
#define COMMON_GENERATION            0x15
#define COMMON_QUEUE_SELECT          0x16
#define COMMON_QUEUE_SIZE            0x18
#define COMMON_QUEUE_VECTOR          0x1a
#define COMMON_QUEUE_ENABLE          0x1c
#define COMMON_QUEUE_NOTIFY_OFF      0x1e
#define COMMON_QUEUE_DESC            0x20
#define COMMON_QUEUE_DRIVER          0x28
#define COMMON_QUEUE_DEVICE          0x30
#define COMMON_LEN                   0x38

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_FAILED      128

#define NO_VECTOR      0xffff
#define RESET_TRIES    1000
#define RESET_PAUSE_NS 1000000

static uint32_t get32(volatile uint8_t *base, uint32_t offset)
{
    return *(volatile uint32_t *)(base + offset);
}

static uint16_t get16(volatile uint8_t *base, uint32_t offset)
{
    return *(volatile uint16_t *)(base + offset);
}

static void put32(volatile uint8_t *base, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(base + offset) = value;
}

static void put16(volatile uint8_t *base, uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(base + offset) = value;
}

static void put64(volatile uint8_t *base, uint32_t offset, uint64_t value)
{
    put32(base, offset, (uint32_t)value);
    put32(base, offset + 4, (uint32_t)(value >> 32));
}

static void set_status(struct virtio_device *dev, uint8_t bits)
{
    dev->common[COMMON_STATUS] = dev->common[COMMON_STATUS] | bits;
}

/* Maps the block that a capability describes; *len is its length. */
static volatile uint8_t *map_block(struct virtio_device *dev, unsigned int cap, uint32_t *len)
{
    uint64_t bar = pci_bar(&dev->pci, pci_read8(&dev->pci, cap + CAP_BAR));
    uint32_t offset = pci_read32(&dev->pci, cap + CAP_OFFSET);

    *len = pci_read32(&dev->pci, cap + CAP_LENGTH);
    return bar ? pci_map(bar + offset, *len) : NULL;
}

int virtio_map(struct virtio_device *dev, const char **why)
{
    unsigned int cap = 0;
    uint32_t common_len = 0;

    while ((cap = pci_find_cap(&dev->pci, PCI_CAP_VENDOR, cap)) != 0) {
        uint8_t type = pci_read8(&dev->pci, cap + CAP_TYPE);

        /* The first of each type is the one that the device likes best. */
        if (type == TYPE_COMMON && !dev->common) {
            dev->common = map_block(dev, cap, &common_len);
        } else if (type == TYPE_NOTIFY && !dev->notify) {
            dev->notify = map_block(dev, cap, &dev->notify_len);
            dev->notify_multiplier = pci_read32(&dev->pci, cap + CAP_MULTIPLIER);
        } else if (type == TYPE_DEVICE && !dev->config) {
            dev->config = map_block(dev, cap, &dev->config_len);
        }
    }
    if (dev->common && common_len >= COMMON_LEN && dev->notify && dev->config)
        return 0;
    *why = "its virtio 1.x registers are missing or cannot be mapped (start QEMU with "
           "disable-legacy=on)";
    return -XEN_ENODEV;
}

int virtio_reset(struct virtio_device *dev)
{
    dev->common[COMMON_STATUS] = 0;
    for (int i = 0; i < RESET_TRIES; i++) {
        if (dev->common[COMMON_STATUS] == 0)
            return 0;
        thread_sleep_ns(RESET_PAUSE_NS);
    }
    return -XEN_ETIMEDOUT;
}

int virtio_negotiate(struct virtio_device *dev, uint64_t wanted, const char **why)
{
    uint64_t offered;
    int rc = virtio_reset(dev);

    if (rc < 0) {
        *why = "it does not answer a reset";
        return rc;
    }
    set_status(dev, STATUS_ACKNOWLEDGE);
    set_status(dev, STATUS_DRIVER);
    put32(dev->common, COMMON_DEVICE_FEATURE_SELECT, 0);
    offered = get32(dev->common, COMMON_DEVICE_FEATURE);
    put32(dev->common, COMMON_DEVICE_FEATURE_SELECT, 1);
    offered |= (uint64_t)get32(dev->common, COMMON_DEVICE_FEATURE) << 32;
    if (!(offered & VIRTIO_F_VERSION_1)) {
        *why = "it is older than virtio 1.0";
        return -XEN_EOPNOTSUPP;
    }
    if (offered & VIRTIO_F_ACCESS_PLATFORM) {
        *why = "it sits behind an IOMMU (start QEMU without iommu_platform=on)";
        return -XEN_EOPNOTSUPP;
    }
    dev->features = offered & (wanted | VIRTIO_F_VERSION_1);
    put32(dev->common, COMMON_DRIVER_FEATURE_SELECT, 0);
    put32(dev->common, COMMON_DRIVER_FEATURE, (uint32_t)dev->features);
    put32(dev->common, COMMON_DRIVER_FEATURE_SELECT, 1);
    put32(dev->common, COMMON_DRIVER_FEATURE, (uint32_t)(dev->features >> 32));
    set_status(dev, STATUS_FEATURES_OK);
    if (!(dev->common[COMMON_STATUS] & STATUS_FEATURES_OK)) {
        *why = "it does not agree to the features that it offers";
        return -XEN_EOPNOTSUPP;
    }
    return 0;
}

static int queue_pages(struct virtq *vq)
{
    if (!vq->desc)
        vq->desc = page_alloc(0);
    if (!vq->avail)
        vq->avail = page_alloc(0);
    if (!vq->used)
        vq->used = page_alloc(0);
    if (!vq->desc || !vq->avail || !vq->used)
        return -XEN_ENOMEM;
    vq->avail->idx = 0;
    vq->used->idx = 0;
    return 0;
}

static uint64_t page_maddr(const volatile void *page)
{
    return (uint64_t)virt_to_mfn((const void *)page) << PAGE_SHIFT;
}

int virtio_queue(struct virtio_device *dev, struct virtq *vq, bool msix, const char **why)
{
    uint16_t size, offset, vector = msix ? 0 : NO_VECTOR;

    if (queue_pages(vq) < 0) {
        *why = "no memory for its queue";
        return -XEN_ENOMEM;
    }
    put16(dev->common, COMMON_CONFIG_VECTOR, NO_VECTOR);
    put16(dev->common, COMMON_QUEUE_SELECT, 0);
    size = get16(dev->common, COMMON_QUEUE_SIZE);
    if (size == 0 || (size & (size - 1))) {
        *why = "it has no queue";
        return -XEN_ENODEV;
    }
    vq->size = size < VIRTQ_SIZE_MAX ? size : VIRTQ_SIZE_MAX;
    put16(dev->common, COMMON_QUEUE_SIZE, vq->size);
    put16(dev->common, COMMON_QUEUE_VECTOR, vector);
    if (get16(dev->common, COMMON_QUEUE_VECTOR) != vector) {
        *why = "it has no interrupt vector left";
        return -XEN_EIO;
    }
    offset = get16(dev->common, COMMON_QUEUE_NOTIFY_OFF);
    if ((uint64_t)offset * dev->notify_multiplier + sizeof(uint16_t) > dev->notify_len) {
        *why = "its queue has no notification register";
        return -XEN_ENODEV;
    }
    vq->notify = (volatile uint16_t *)(dev->notify + offset * dev->notify_multiplier);
    put64(dev->common, COMMON_QUEUE_DESC, page_maddr(vq->desc));
    put64(dev->common, COMMON_QUEUE_DRIVER, page_maddr(vq->avail));
    put64(dev->common, COMMON_QUEUE_DEVICE, page_maddr(vq->used));
    put16(dev->common, COMMON_QUEUE_ENABLE, 1);
    return 0;
}

void virtio_ready(struct virtio_device *dev)
{
    set_status(dev, STATUS_DRIVER_OK);
}

void virtio_fail(struct virtio_device *dev)
{
    set_status(dev, STATUS_FAILED);
}

uint32_t virtio_config32(const struct virtio_device *dev, uint32_t offset)
{
    return offset + 4 <= dev->config_len ? get32(dev->config, offset) : 0;
}

uint64_t virtio_config64(const struct virtio_device *dev, uint32_t offset)
{
    uint8_t generation;
    uint64_t value;

    do {
        generation = dev->common[COMMON_GENERATION];
        value = virtio_config32(dev, offset);
        value |= (uint64_t)virtio_config32(dev, offset + 4) << 32;
    } while (generation != dev->common[COMMON_GENERATION]);
    return value;
}
