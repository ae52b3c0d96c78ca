/* SPDX-License-Identifier: MIT */
#include "arch/x86/bootmem.h"

#include <string.h>

#include "arch/x86/layout.h"
#include "hv/boot_info.h"
#include "hv/log.h"
#include "mm/frame.h"

#define LOW_END     0x100000UL /* the first MiB is kept: trampoline, firmware data */
#define EARLY_LIMIT (1UL << 32)
#define FREE_RANGES (BOOT_RANGES + BOOT_MODULES + 2)
#define E820_RAM    1

extern const char image_start[], image_end[];

static struct {
    struct {
        maddr_t start, end;
    } free[FREE_RANGES];
    unsigned count;
    maddr_t limit;
    bool open;
} bootmem;

static void add_free(maddr_t start, maddr_t end)
{
    start = (start + PAGE_SIZE - 1) & PAGE_MASK;
    end &= PAGE_MASK;
    if (start >= end)
        return;
    if (bootmem.count == FREE_RANGES) {
        log_warn("memory %lx..%lx is left unused: too many ranges\n", start, end);
        return;
    }
    bootmem.free[bootmem.count].start = start;
    bootmem.free[bootmem.count++].end = end;
}

/* Takes [start, end), widened to pages, out of every free range. */
static void reserve(maddr_t start, maddr_t end)
{
    unsigned count = bootmem.count;

    start &= PAGE_MASK;
    end = (end + PAGE_SIZE - 1) & PAGE_MASK;
    for (unsigned i = 0; i < count; i++) {
        maddr_t from = bootmem.free[i].start, to = bootmem.free[i].end;

        if (to <= start || from >= end)
            continue;
        bootmem.free[i].end = from < start ? start : from; /* may become empty */
        if (from >= start)
            bootmem.free[i].start = bootmem.free[i].end = from;
        if (to > end)
            add_free(end, to);
    }
}

void bootmem_init(void)
{
    bootmem.count = 0;
    bootmem.limit = EARLY_LIMIT;
    bootmem.open = true;
    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];

        maddr_t end = r->end < LAYOUT_RAM_SIZE ? r->end : LAYOUT_RAM_SIZE;

        if (r->type != E820_RAM || r->start >= end)
            continue;
        reserve(r->start, end); /* what an earlier range had of it */
        add_free(r->start, end);
    }
    /* Ranges of firmware may overlap; whoever says "not RAM" wins. */
    for (unsigned i = 0; i < boot_info.range_count; i++) {
        if (boot_info.ranges[i].type != E820_RAM)
            reserve(boot_info.ranges[i].start, boot_info.ranges[i].end);
    }
    reserve(0, LOW_END);
    reserve((maddr_t)image_start - LAYOUT_IMAGE_BASE, (maddr_t)image_end - LAYOUT_IMAGE_BASE);
    for (unsigned i = 0; i < boot_info.module_count; i++)
        reserve(boot_info.modules[i].start, boot_info.modules[i].end);
}

void bootmem_no_limit(void)
{
    bootmem.limit = ~0UL;
}

bool bootmem_open(void)
{
    return bootmem.open;
}

/* From the end of the highest range that has room, so that low memory stays whole. */
maddr_t bootmem_take(uint64_t pages, uint64_t align)
{
    uint64_t bytes = pages << PAGE_SHIFT;
    maddr_t best = 0;
    unsigned from = 0;

    for (unsigned i = 0; i < bootmem.count; i++) {
        maddr_t end = bootmem.free[i].end < bootmem.limit ? bootmem.free[i].end : bootmem.limit;
        maddr_t start = bootmem.free[i].start;

        if (end < bytes || ((end - bytes) & ~(align - 1)) < start)
            continue;
        if (((end - bytes) & ~(align - 1)) > best) {
            best = (end - bytes) & ~(align - 1);
            from = i;
        }
    }
    if (best) {
        maddr_t tail = best + bytes, end = bootmem.free[from].end;

        bootmem.free[from].end = best;
        if (tail < end)
            add_free(tail, end);
    }
    return best;
}

maddr_t bootmem_page(void)
{
    maddr_t m = bootmem_take(1, PAGE_SIZE);

    if (m)
        memset((void *)(LAYOUT_RAM + m), 0, PAGE_SIZE);
    return m;
}

void bootmem_finish(void)
{
    bootmem.open = false;
    for (unsigned i = 0; i < bootmem.count; i++) {
        if (bootmem.free[i].start < bootmem.free[i].end)
            frame_add_range(bootmem.free[i].start, bootmem.free[i].end);
    }
}

maddr_t bootmem_ram_end(void)
{
    maddr_t end = 0;

    for (unsigned i = 0; i < boot_info.range_count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];

        if (r->type == E820_RAM && r->start < LAYOUT_RAM_SIZE && r->end > end)
            end = r->end;
    }
    return (end < LAYOUT_RAM_SIZE ? end : LAYOUT_RAM_SIZE) & PAGE_MASK;
}
