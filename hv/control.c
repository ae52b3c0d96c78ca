/* SPDX-License-Identifier: MIT */
#include "hv/control.h"

#include <string.h>
#include <xen/errno.h>
#include "hv/domain.h"
#include "mm/guest.h"

#define BITMAP_MAX 4096 /* bits that a caller may want to see: more is a mistake */

static struct spinlock lock = SPINLOCK_INIT(LOCK_DOMCTL);

bool control_trylock(void)
{
    return spin_trylock(&lock);
}

void control_unlock(void)
{
    spin_unlock(&lock);
}

static uint32_t vcpu_flags(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    uint32_t flags = XEN_DOMINF_blocked;

    for (unsigned i = 0; i < d->vcpu_max; i++) {
        struct vcpu *v = d->vcpu[i];

        info->max_vcpu_id = i;
        info->cpu_time += sched_cpu_time(v);
        if (!v->sched.up)
            continue;
        info->nr_online_vcpus++;
        if (!v->sched.blocked)
            flags &= ~XEN_DOMINF_blocked;
        if (v->sched.on_pcpu)
            flags |= XEN_DOMINF_running;
    }
    return info->nr_online_vcpus ? flags : 0;
}

void control_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof *info);
    info->domain = d->id;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    info->flags = vcpu_flags(d, info);
    if (d->dying)
        info->flags |= XEN_DOMINF_dying;
    if (d->controller_paused)
        info->flags |= XEN_DOMINF_paused;
    if (d->is_shut_down)
        info->flags |= XEN_DOMINF_shutdown | (uint32_t)d->shutdown_code << XEN_DOMINF_shutdownshift;
    info->max_pages = d->max_pages;
    paging_lock(d->paging);
    info->tot_pages = p2m_ram_count(d->paging);
    paging_unlock(d->paging);
    info->cpupool = sched_pool_of(d);
    info->shared_info_frame = d->shared_gfn.n;
    memcpy(info->handle, d->handle, sizeof info->handle);
}

static uint64_t low_bits(uint32_t count)
{
    return count >= 64 ? ~0UL : (1UL << count) - 1;
}

long control_bitmap_read(uint64_t *bits, const struct xenctl_bitmap *map)
{
    size_t bytes = ((uint64_t)map->nr_bits + 7) / 8;

    *bits = 0;
    if (guest_read(bits, (uint64_t)map->bitmap.p, bytes < 8 ? bytes : 8))
        return -XEN_EFAULT;
    *bits &= low_bits(map->nr_bits);
    return 0;
}

long control_bitmap_write(const struct xenctl_bitmap *map, uint64_t bits)
{
    uint64_t at = (uint64_t)map->bitmap.p, bytes = ((uint64_t)map->nr_bits + 7) / 8;
    static const uint8_t zeros[64];

    if (map->nr_bits > BITMAP_MAX)
        return -XEN_EINVAL;
    bits &= low_bits(map->nr_bits);
    for (uint64_t done = 0; done < bytes;) {
        const void *from = done ? (const void *)zeros : &bits;
        uint64_t part = done ? sizeof zeros : 8;

        if (part > bytes - done)
            part = bytes - done;
        if (guest_write(at + done, from, part))
            return -XEN_EFAULT;
        done += part;
    }
    return 0;
}
