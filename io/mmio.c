/* SPDX-License-Identifier: MIT */
/*
 * A list of ranges, read from the end. A new range swallows those that lie inside it, so that a
 * device that comes and goes does not fill the list.
 */
#include "io/mmio.h"

#include "hv/boot_info.h"
#include "hv/log.h"
#include "io/pci.h"

#define RANGES_MAX 512

/* IO-APICs, HPET, local APICs and message-signalled interrupts of every PC chipset (Intel chipset
 * datasheets, "System Address Map"): no device's memory lies here. */
#define CHIPSET_START 0xfec00000UL
#define CHIPSET_END   0xff000000UL

#define LOW_END 0x100000UL

#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3
#define E820_NVS      4

struct range {
    uint64_t first, last; /* frame numbers, both included */
    enum mmio_access access;
};

static struct range ranges[RANGES_MAX];
static unsigned range_count;

enum mmio_access mmio_access(mfn_t mfn)
{
    enum mmio_access access = MMIO_DENIED;

    if (mfn.n >= CHIPSET_START >> PAGE_SHIFT && mfn.n < CHIPSET_END >> PAGE_SHIFT)
        return MMIO_DENIED;
    if (frame_of(mfn))
        return MMIO_DENIED;
    pci_lock();
    for (unsigned i = range_count; i--;)
        if (mfn.n >= ranges[i].first && mfn.n <= ranges[i].last) {
            access = ranges[i].access;
            break;
        }
    pci_unlock();
    return access;
}

static void drop_ranges_inside(const struct range *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < range_count; i++)
        if (ranges[i].first < r->first || ranges[i].last > r->last)
            ranges[kept++] = ranges[i];
    range_count = kept;
}

static void add(maddr_t start, maddr_t end, enum mmio_access access)
{
    struct range r = {start >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT, access};

    drop_ranges_inside(&r);
    if (range_count == RANGES_MAX) {
        log_warn("mmio: no room for range %lx-%lx: domain 0 cannot map it\n", start, end);
        return;
    }
    ranges[range_count++] = r;
}

bool mmio_is_device(maddr_t start, maddr_t end)
{
    if (start >= end || start < LOW_END || (start < CHIPSET_END && end > CHIPSET_START))
        return false;
    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];

        if (r->type == E820_RAM && start < r->end && r->start < end)
            return false;
    }
    return true;
}

void mmio_allow(maddr_t start, maddr_t end, enum mmio_access access)
{
    if (mmio_is_device(start, end))
        add(start, end, access);
}

void mmio_forget(maddr_t start, maddr_t end)
{
    mmio_allow(start, end, MMIO_DENIED);
}

void mmio_init(void)
{
    /* Real-mode data, the extended BIOS data area and the BIOS area: where the ACPI root pointer is
     * looked for. The low 640 KiB between hold the hypervisor's own trampoline. */
    if (!boot_info.efi) {
        add(0, PAGE_SIZE, MMIO_READ);
        add(0x9f000, 0xa0000, MMIO_READ);
        add(0xe0000, LOW_END, MMIO_READ);
    }
    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];

        if (r->start < r->end &&
            (r->type == E820_RESERVED || r->type == E820_ACPI || r->type == E820_NVS))
            add(r->start, r->end, MMIO_READ);
    }
}
