/* SPDX-License-Identifier: MIT */
/*
 * Announced devices: their BARs are sized (PCI Local Bus Specification 3.0, 6.2.5.1: write ones,
 * read which bits stick) with decoding switched off meanwhile, and opened to domain 0's mappings.
 */
#include "io/pci_device.h"

#include <string.h>
#include <xen/errno.h>
#include "hv/config.h"
#include "hv/log.h"
#include "io/mmio.h"
#include "io/pci.h"

#define BAR_IO       1
#define BAR_64BIT    4 /* of bits 1-2, in a memory BAR */
#define BAR_FLAGS    0xfU
#define CAP_LIST_MAX 48 /* capabilities that fit: a longer list is a loop */

static struct pci_device devices[PCI_DEVICES];

struct pci_device *pci_device_find(uint16_t bdf)
{
    for (unsigned i = 0; i < PCI_DEVICES; i++)
        if (devices[i].used && devices[i].bdf == bdf)
            return &devices[i];
    return NULL;
}

static uint32_t bar_size_mask(uint16_t bdf, unsigned reg)
{
    uint32_t old = pci_read(bdf, reg, 4), mask;

    pci_write(bdf, reg, 4, ~0U);
    mask = pci_read(bdf, reg, 4);
    pci_write(bdf, reg, 4, old);
    return mask;
}

/* Reads BAR i; returns how many registers it takes. */
static unsigned bar_read(struct pci_device *dev, unsigned i)
{
    unsigned reg = PCI_BAR0 + 4 * i;
    uint32_t low = pci_read(dev->bdf, reg, 4);
    bool wide = !(low & BAR_IO) && (low & 6) == BAR_64BIT && i + 1 < dev->bar_registers;
    uint64_t mask, start, bytes;

    if (low & BAR_IO)
        return 1;
    mask = bar_size_mask(dev->bdf, reg) & ~BAR_FLAGS;
    start = low & ~BAR_FLAGS;
    if (wide) {
        mask |= (uint64_t)bar_size_mask(dev->bdf, reg + 4) << 32;
        start |= (uint64_t)pci_read(dev->bdf, reg + 4, 4) << 32;
    } else if (mask) {
        mask |= ~0UL << 32;
    }
    bytes = ~mask + 1;
    /* A size is a power of two. A BAR over memory would make us write there, to its MSI-X table. */
    if (mask && !(bytes & (bytes - 1)) && mmio_is_device(start, start + bytes)) {
        dev->bars[i].start = start;
        dev->bars[i].bytes = bytes;
    } else if (mask && start) {
        log_warn("pci %x: BAR %u at %lx cannot be used\n", dev->bdf, i, start);
    }
    return wide ? 2 : 1;
}

static void bars_read(struct pci_device *dev)
{
    uint16_t command = (uint16_t)pci_read(dev->bdf, PCI_COMMAND, 2);
    unsigned type = pci_read(dev->bdf, PCI_HEADER_TYPE, 1) & 0x7f;

    dev->bar_registers = type == 0 ? PCI_BARS : type == 1 ? 2 : 0;
    pci_write(dev->bdf, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
    for (unsigned i = 0; i < dev->bar_registers;)
        i += bar_read(dev, i);
    pci_write(dev->bdf, PCI_COMMAND, 2, command);
}

static void capabilities_read(struct pci_device *dev)
{
    unsigned at;

    if (!(pci_read(dev->bdf, PCI_STATUS, 2) & PCI_STATUS_CAPS))
        return;
    at = pci_read(dev->bdf, PCI_CAPABILITIES, 1) & 0xfc;
    for (unsigned n = 0; at >= 0x40 && n < CAP_LIST_MAX; n++) {
        unsigned id = pci_read(dev->bdf, at, 1);

        if (id == PCI_CAP_MSIX && at + MSIX_CAP_BYTES <= 256)
            dev->msix = at;
        if (id == PCI_CAP_MSI) {
            dev->msi = at;
            dev->msi_bytes = 24; /* the longest form: 64-bit address and masks */
        }
        at = pci_read(dev->bdf, at + 1, 1) & 0xfc;
    }
    /* A shorter MSI capability ends where the next one begins. */
    if (dev->msi && dev->msix > dev->msi && dev->msix < dev->msi + dev->msi_bytes)
        dev->msi_bytes = dev->msix - dev->msi;
}

static void bars_open(const struct pci_device *dev)
{
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (dev->bars[i].bytes)
            mmio_allow(dev->bars[i].start, dev->bars[i].start + dev->bars[i].bytes,
                       MMIO_READ_WRITE);
}

static void bars_close(struct pci_device *dev)
{
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (dev->bars[i].bytes)
            mmio_forget(dev->bars[i].start, dev->bars[i].start + dev->bars[i].bytes);
    memset(dev->bars, 0, sizeof dev->bars);
}

static struct pci_device *device_new(uint16_t bdf)
{
    for (unsigned i = 0; i < PCI_DEVICES; i++)
        if (!devices[i].used) {
            volatile uint32_t *table = devices[i].table;
            maddr_t table_at = devices[i].table_at;

            /* A mapping of an earlier device's table is kept: it may be the same device again. */
            devices[i] =
                (struct pci_device){.used = true, .bdf = bdf, .table = table, .table_at = table_at};
            return &devices[i];
        }
    return NULL;
}

static long device_add_locked(uint16_t bdf)
{
    struct pci_device *dev = pci_device_find(bdf);

    if (dev && dev->mapped)
        return 0;
    if (pci_read(bdf, PCI_VENDOR, 2) == 0xffff)
        return -XEN_ENODEV;
    if (!dev)
        dev = device_new(bdf);
    if (!dev)
        return -XEN_ENOSPC;
    bars_close(dev);
    dev->msi = dev->msix = 0;
    bars_read(dev);
    capabilities_read(dev);
    bars_open(dev);
    msix_probe(dev);
    return 0;
}

long pci_device_add(uint16_t bdf)
{
    long rc;

    pci_lock();
    rc = device_add_locked(bdf);
    pci_unlock();
    return rc;
}

long pci_device_remove(uint16_t bdf)
{
    struct pci_device *dev;
    long rc = 0;

    pci_lock();
    dev = pci_device_find(bdf);
    if (!dev) {
        rc = -XEN_ENODEV;
    } else if (dev->mapped) {
        rc = -XEN_EBUSY;
    } else {
        bars_close(dev);
        dev->used = false;
    }
    pci_unlock();
    return rc;
}
