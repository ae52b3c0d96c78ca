/* SPDX-License-Identifier: MIT */
/*
 * sysctl: the machine as domain 0 sees it (<xen/sysctl.h>, interface version 15h). The argument is
 * copied once; answers are written to the copy, which goes back as a whole.
 */
#include <stdint.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/sysctl.h>
#include "hv/arch.h"
#include "hv/control.h"
#include "hv/debug_keys.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/guest.h"

#define DEBUG_KEYS_MAX 32
#define LOCAL_DISTANCE 10 /* ACPI SLIT: a node's distance to itself */

static long read_console(struct xen_sysctl_readconsole *op)
{
    uint64_t buffer = (uint64_t)op->buffer.p;
    uint32_t index = op->incremental ? op->index : 0, done = 0;
    char part[256];

    while (done < op->count) {
        size_t want = op->count - done < sizeof part ? op->count - done : sizeof part;
        size_t got = log_read(part, want, &index);

        if (!got)
            break;
        if (guest_write(buffer + done, part, got))
            return -XEN_EFAULT;
        done += got;
    }
    if (op->clear)
        log_clear();
    op->count = done;
    op->index = index;
    return 0;
}

static void phys_info(struct xen_sysctl_physinfo *info)
{
    memset(info, 0, sizeof *info);
    info->threads_per_core = 1;
    info->cores_per_socket = arch_pcpu_count();
    info->nr_cpus = arch_pcpu_count();
    info->max_cpu_id = arch_pcpu_count() - 1;
    info->nr_nodes = 1;
    info->cpu_khz = arch_cpu_khz();
    info->capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_directio |
                         XEN_SYSCTL_PHYSCAP_shadow | XEN_SYSCTL_PHYSCAP_gnttab_v1;
    info->total_pages = frame_total_count();
    info->free_pages = frame_free_count();
    info->max_mfn = frame_max_mfn();
    arch_cpu_capabilities(info->hw_cap);
}

static long domain_list(struct xen_sysctl_getdomaininfolist *op)
{
    unsigned id = op->first_domain;
    uint32_t count = 0;

    while (count < op->max_domains && id < DOMID_FIRST_RESERVED) {
        struct xen_domctl_getdomaininfo info;
        struct domain *d = domain_next((domid_t)id);

        if (!d)
            break;
        id = d->id + 1u;
        control_domain_info(d, &info);
        domain_put(d);
        if (guest_write_item(&info, (uint64_t)op->buffer.p, count))
            return -XEN_EFAULT;
        count++;
    }
    op->num_domains = count;
    return 0;
}

static long debug_keys(const struct xen_sysctl_debug_keys *op)
{
    char keys[DEBUG_KEYS_MAX];

    if (op->nr_keys > sizeof keys)
        return -XEN_EINVAL;
    if (guest_read(keys, (uint64_t)op->keys.p, op->nr_keys))
        return -XEN_EFAULT;
    for (uint32_t i = 0; i < op->nr_keys; i++)
        debug_key(keys[i]);
    return 0;
}

static long cpu_info(struct xen_sysctl_getcpuinfo *op)
{
    uint32_t count = op->max_cpus < arch_pcpu_count() ? op->max_cpus : arch_pcpu_count();

    for (uint32_t i = 0; i < count; i++) {
        struct xen_sysctl_cpuinfo info = {.idletime = sched_idle_time(i)};

        if (guest_write_item(&info, (uint64_t)op->info.p, i))
            return -XEN_EFAULT;
    }
    op->nr_cpus = count;
    return 0;
}

/* Each pCPU is a core of one socket on one node: what the machine really has is not looked for. */
static long cpu_topology(struct xen_sysctl_cputopoinfo *op)
{
    uint64_t list = (uint64_t)op->cputopo.p;

    for (uint32_t i = 0; list && i < op->num_cpus && i < arch_pcpu_count(); i++) {
        struct xen_sysctl_cputopo topo = {.core = i};

        if (guest_write_item(&topo, list, i))
            return -XEN_EFAULT;
    }
    if (!list || op->num_cpus > arch_pcpu_count())
        op->num_cpus = arch_pcpu_count();
    return 0;
}

static long numa_info(struct xen_sysctl_numainfo *op)
{
    uint64_t mem_at = (uint64_t)op->meminfo.p, distance_at = (uint64_t)op->distance.p;
    struct xen_sysctl_meminfo mem = {frame_total_count() << PAGE_SHIFT, frame_free_count()
                                                                            << PAGE_SHIFT};
    uint32_t distance = LOCAL_DISTANCE;

    if ((mem_at || distance_at) && op->num_nodes) {
        if (mem_at && guest_write(mem_at, &mem, sizeof mem))
            return -XEN_EFAULT;
        if (distance_at && guest_write(distance_at, &distance, sizeof distance))
            return -XEN_EFAULT;
    }
    op->num_nodes = 1;
    return 0;
}

static long dispatch(struct vcpu *v, struct xen_sysctl *op)
{
    switch (op->cmd) {
    case XEN_SYSCTL_readconsole:
        return read_console(&op->u.readconsole);
    case XEN_SYSCTL_physinfo:
        phys_info(&op->u.physinfo);
        return 0;
    case XEN_SYSCTL_sched_id:
        op->u.sched_id.sched_id = sysctl_scheduler_id();
        return 0;
    case XEN_SYSCTL_perfc_op:
        return sysctl_perfc(&op->u.perfc_op);
    case XEN_SYSCTL_getdomaininfolist:
        return domain_list(&op->u.getdomaininfolist);
    case XEN_SYSCTL_debug_keys:
        return debug_keys(&op->u.debug_keys);
    case XEN_SYSCTL_getcpuinfo:
        return cpu_info(&op->u.getcpuinfo);
    case XEN_SYSCTL_availheap:
        op->u.availheap.avail_bytes = frame_free_count() << PAGE_SHIFT;
        return 0;
    case XEN_SYSCTL_cputopoinfo:
        return cpu_topology(&op->u.cputopoinfo);
    case XEN_SYSCTL_numainfo:
        return numa_info(&op->u.numainfo);
    case XEN_SYSCTL_cpupool_op:
        return sysctl_cpupool(&op->u.cpupool_op);
    case XEN_SYSCTL_scheduler_op:
        return sysctl_scheduler(&op->u.scheduler_op);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "sysctl %u", op->cmd);
    }
}

long hypercall_sysctl(struct vcpu *v, struct hypercall *call)
{
    struct xen_sysctl op;
    long rc;

    if (guest_read(&op, call->arg[0], sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return refuse(v->domain, -XEN_EACCES, "sysctl interface %x", op.interface_version);
    if (!control_trylock())
        return -XEN_ERESTART;
    rc = dispatch(v, &op);
    control_unlock();
    if (!rc && guest_write(call->arg[0], &op, sizeof op))
        rc = -XEN_EFAULT;
    return rc;
}
