/* SPDX-License-Identifier: MIT */
/*
 * A map is a list of entries in the form of the BIOS call INT 15h, AX=E820h: 64-bit base, 64-bit
 * length, 32-bit type. It is the guest's and its builder's affair; the hypervisor keeps it without
 * a look inside.
 */
#include "hv/memory_map.h"

#include <stdint.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>
#include "hv/boot_info.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "mm/guest.h"
#include "mm/heap.h"

#define ENTRIES_MAX 128

struct e820_entry {
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

_Static_assert(sizeof(struct e820_entry) == 20, "INT 15h AX=E820h entry");

struct memory_map {
    unsigned count;
    struct e820_entry entries[];
};

/* Copies as many entries as the guest has room for, and says how many. */
static long map_out(uint64_t arg, const struct e820_entry *entries, unsigned count)
{
    struct xen_memory_map map;

    if (guest_read(&map, arg, sizeof map))
        return -XEN_EFAULT;
    if (map.nr_entries > count)
        map.nr_entries = count;
    if (guest_write((uint64_t)map.buffer.p, entries, map.nr_entries * sizeof *entries) ||
        guest_write(arg, &map, sizeof map))
        return -XEN_EFAULT;
    return 0;
}

long memory_map_get(struct vcpu *v, uint64_t arg)
{
    struct e820_entry entries[ENTRIES_MAX];
    struct domain *d = v->domain;
    unsigned count = 0;
    bool has_map;

    /* Not copied to the guest under the lock: an address that ends the guest takes it again. */
    spin_lock(&d->lock);
    has_map = d->memory_map;
    if (has_map) {
        count = d->memory_map->count;
        memcpy(entries, d->memory_map->entries, count * sizeof entries[0]);
    }
    spin_unlock(&d->lock);
    return has_map ? map_out(arg, entries, count) : -XEN_ENOSYS;
}

long memory_map_set(struct vcpu *v, uint64_t arg)
{
    struct xen_foreign_memory_map foreign;
    struct memory_map *map, *old;
    struct domain *d;
    size_t bytes;

    if (guest_read(&foreign, arg, sizeof foreign))
        return -XEN_EFAULT;
    if (foreign.map.nr_entries > ENTRIES_MAX)
        return refuse(v->domain, -XEN_EINVAL, "a memory map of %u entries", foreign.map.nr_entries);
    if (!v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "set_memory_map");
    d = domain_get_for(v->domain, foreign.domid);
    if (!d)
        return -XEN_ESRCH;

    bytes = foreign.map.nr_entries * sizeof map->entries[0];
    map = heap_alloc(sizeof *map + bytes);
    if (!map) {
        domain_put(d);
        return -XEN_ENOMEM;
    }
    map->count = foreign.map.nr_entries;
    if (guest_read(map->entries, (uint64_t)foreign.map.buffer.p, bytes)) {
        heap_free(map);
        domain_put(d);
        return -XEN_EFAULT;
    }
    spin_lock(&d->lock);
    old = d->dying ? map : d->memory_map;
    if (!d->dying)
        d->memory_map = map;
    spin_unlock(&d->lock);
    heap_free(old);
    domain_put(d);
    return 0;
}

long memory_map_machine(struct vcpu *v, uint64_t arg)
{
    struct e820_entry entries[BOOT_RANGES];
    unsigned count = boot_info.range_count;

    if (!v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "machine_memory_map");
    for (unsigned i = 0; i < count; i++) {
        const struct boot_range *r = &boot_info.ranges[i];

        entries[i] = (struct e820_entry){r->start, r->end - r->start, r->type};
    }
    return map_out(arg, entries, count);
}

void memory_map_release(struct domain *d)
{
    struct memory_map *map;

    spin_lock(&d->lock);
    map = d->memory_map;
    d->memory_map = NULL;
    spin_unlock(&d->lock);
    heap_free(map);
}
