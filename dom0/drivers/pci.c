/* SPDX-License-Identifier: MIT */
#include "dom0/drivers/pci.h"

#include <stddef.h>
#include <xen/errno.h>
#include <xen/physdev.h>

#include <rt/hypercall.h>
#include <rt/mm.h>

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc

#define MSIX_CONTROL     2
#define MSIX_CONTROL_ON  0x8000
#define MSIX_TABLE       4
#define MAX_CAPS         48 /* as many as fit; the list of a broken device may be a ring */
#define MAX_BUSES        256
#define MAX_MAP_PAGES    64
#define BAR_IS_IO        1
#define BAR_TYPE         6
#define BAR_TYPE_64      4
#define BAR_FLAGS        0xf
#define HEADER_MULTI     0x80
#define HEADER_TYPE_MASK 0x7f
#define HEADER_BRIDGE    1

static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
    asm volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

int pci_init(void)
{
    /* 1 is what makes a guest kernel's port accesses reach the emulator; every access traps. */
    struct physdev_set_iopl iopl = {.iopl = 1};

    return (int)hypercall_physdev_op(PHYSDEVOP_set_iopl, &iopl);
}

/* The address register is written as a dword always: narrower writes to it are not ours on Xen. */
static void select_reg(const struct pci_device *dev, unsigned int reg)
{
    outl(PORT_ADDRESS,
         0x80000000u | (uint32_t)dev->bus << 16 | (uint32_t)dev->devfn << 8 | (reg & 0xfcu));
}

uint32_t pci_read32(const struct pci_device *dev, unsigned int reg)
{
    select_reg(dev, reg);
    return inl(PORT_DATA);
}

uint16_t pci_read16(const struct pci_device *dev, unsigned int reg)
{
    return (uint16_t)(pci_read32(dev, reg) >> ((reg & 2) * 8));
}

uint8_t pci_read8(const struct pci_device *dev, unsigned int reg)
{
    return (uint8_t)(pci_read32(dev, reg) >> ((reg & 3) * 8));
}

void pci_write16(const struct pci_device *dev, unsigned int reg, uint16_t value)
{
    select_reg(dev, reg);
    outw((uint16_t)(PORT_DATA + (reg & 2)), value);
}

/* Buses to look at: bus 0 and those behind bridges, each once. */
struct bus_list {
    uint8_t bus[MAX_BUSES];
    unsigned int count;
};

static void add_bus(struct bus_list *list, uint8_t bus)
{
    for (unsigned int i = 0; i < list->count; i++) {
        if (list->bus[i] == bus)
            return;
    }
    list->bus[list->count++] = bus; /* at most 256 different ones */
}

/* One of the 8 functions of a slot. *present tells whether there is one. */
static int scan_function(struct bus_list *buses, struct pci_device *dev, bool *present,
                         int (*fn)(const struct pci_device *dev, void *arg), void *arg)
{
    uint32_t id = pci_read32(dev, PCI_VENDOR_ID);

    *present = (id & 0xffff) != 0xffff;
    if (!*present)
        return 0;
    dev->vendor = (uint16_t)id;
    dev->device = (uint16_t)(id >> 16);
    if ((pci_read8(dev, PCI_HEADER_TYPE) & HEADER_TYPE_MASK) == HEADER_BRIDGE)
        add_bus(buses, pci_read8(dev, PCI_SECONDARY_BUS));
    return fn(dev, arg);
}

int pci_scan(int (*fn)(const struct pci_device *dev, void *arg), void *arg)
{
    struct bus_list buses = {.count = 1};

    for (unsigned int b = 0; b < buses.count; b++) {
        for (unsigned int devfn = 0; devfn < 256; devfn++) {
            struct pci_device dev = {.bus = buses.bus[b], .devfn = (uint8_t)devfn};
            bool present;
            int rc = scan_function(&buses, &dev, &present, fn, arg);

            if (rc)
                return rc;
            if (devfn % 8 == 0 && (!present || !(pci_read8(&dev, PCI_HEADER_TYPE) & HEADER_MULTI)))
                devfn += 7; /* no function 0, or only that */
        }
    }
    return 0;
}

unsigned int pci_find_cap(const struct pci_device *dev, uint8_t id, unsigned int after)
{
    unsigned int at;

    if (!(pci_read16(dev, PCI_STATUS) & PCI_STATUS_CAPS))
        return 0;
    at = pci_read8(dev, after ? after + 1 : PCI_CAPABILITIES) & 0xfcu;
    for (unsigned int i = 0; i < MAX_CAPS && at >= 0x40; i++) {
        if (pci_read8(dev, at) == id)
            return at;
        at = pci_read8(dev, at + 1) & 0xfcu;
    }
    return 0;
}

uint64_t pci_bar(const struct pci_device *dev, unsigned int bar)
{
    uint32_t low;
    uint64_t high = 0;

    if (bar > 5)
        return 0;
    low = pci_read32(dev, PCI_BAR0 + bar * 4);
    if (low & BAR_IS_IO)
        return 0;
    if ((low & BAR_TYPE) == BAR_TYPE_64) {
        if (bar == 5)
            return 0;
        high = pci_read32(dev, PCI_BAR0 + (bar + 1) * 4);
    }
    return high << 32 | (low & ~(uint32_t)BAR_FLAGS);
}

int pci_enable(const struct pci_device *dev)
{
    struct physdev_pci_device_add add = {.bus = dev->bus, .devfn = dev->devfn};
    int rc = (int)hypercall_physdev_op(PHYSDEVOP_pci_device_add, &add);

    if (rc < 0)
        return rc;
    pci_write16(dev, PCI_COMMAND, pci_read16(dev, PCI_COMMAND) | PCI_COMMAND_MEM | PCI_COMMAND_DMA);
    return 0;
}

int pci_bind_msix(const struct pci_device *dev, event_fn fn, void *arg)
{
    unsigned int cap = pci_find_cap(dev, PCI_CAP_MSIX, 0);
    struct physdev_map_pirq map = {
        .domid = DOMID_SELF,
        .type = MAP_PIRQ_TYPE_MSI_SEG,
        .index = -1,
        .pirq = -1,
        .bus = dev->bus,
        .devfn = dev->devfn,
        .entry_nr = 0,
    };
    int rc;

    if (!cap)
        return -XEN_ENODEV;
    /* The base of the BAR, without the table's offset in it; 0 would ask for plain MSI. */
    map.table_base = pci_bar(dev, pci_read32(dev, cap + MSIX_TABLE) & 7);
    if (!map.table_base)
        return -XEN_ENODEV;
    rc = (int)hypercall_physdev_op(PHYSDEVOP_map_pirq, &map);
    if (rc < 0)
        return rc;
    rc = event_bind_pirq((uint32_t)map.pirq, fn, arg);
    if (rc < 0) {
        struct physdev_unmap_pirq unmap = {.domid = DOMID_SELF, .pirq = map.pirq};

        hypercall_physdev_op(PHYSDEVOP_unmap_pirq, &unmap);
        return rc;
    }
    /* The table is the hypervisor's, this bit is ours, and only a 16-bit write of it is let
     * through. */
    pci_write16(dev, cap + MSIX_CONTROL, MSIX_CONTROL_ON);
    return rc;
}

void *pci_map(uint64_t maddr, uint32_t len)
{
    xen_pfn_t frames[MAX_MAP_PAGES];
    uint64_t offset = maddr & (PAGE_SIZE - 1), pages = (offset + len + PAGE_SIZE - 1) >> PAGE_SHIFT;
    char *va;

    if (len == 0 || pages > MAX_MAP_PAGES)
        return NULL;
    for (uint64_t i = 0; i < pages; i++)
        frames[i] = (maddr >> PAGE_SHIFT) + i;
    va = map_frames(frames, (unsigned int)pages, DOMID_IO, MAP_WRITE | MAP_UNCACHED, NULL);
    return va ? va + offset : NULL;
}
