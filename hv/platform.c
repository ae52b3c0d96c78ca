/* SPDX-License-Identifier: MIT */
/*
 * platform_op: the time of day, idle times, switching the machine off. Domain 0 only (the
 * hypercall table sees to that).
 */
#include <stdint.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/platform.h>
#include "hv/arch.h"
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/wallclock.h"
#include "mm/guest.h"

#define CPUMAP_MAX 4096 /* bits of a CPU bitmap: more is a mistake */

/* ACPI's sleeping state S5 alone. The values that the guest found in its tables are not used: the
 * hypervisor has its own. */
static long enter_sleep(struct domain *d, const struct xenpf_enter_acpi_sleep *op)
{
    if (op->flags || op->sleep_state != 5)
        return refuse(d, -XEN_EINVAL, "sleep state S%u", op->sleep_state);
    log_info("Domain 0 powers the machine off\n");
    arch_power_off();
}

/* The EFI configuration table is not kept; what it is read for, the ACPI root pointer, has the same
 * answer on every boot path: the firmware areas that domain 0 may map. */
static long firmware_info(struct domain *d, const struct xenpf_firmware_info *op)
{
    return refuse(d, -XEN_ENOSYS, "firmware_info %u", op->type);
}

/* Idle times of the pCPUs in the caller's bitmap; bits of others are cleared. */
static long get_idle_time(struct xenpf_getidletime *op)
{
    uint64_t bitmap_at = (uint64_t)op->cpumap_bitmap.p, times_at = (uint64_t)op->idletime.p;
    uint64_t online = arch_pcpu_mask();

    if (op->cpumap_nr_cpus > CPUMAP_MAX)
        return -XEN_EINVAL;
    for (uint32_t i = 0; i < op->cpumap_nr_cpus; i++) {
        uint64_t time;
        uint8_t bits;

        if (guest_read(&bits, bitmap_at + i / 8, 1))
            return -XEN_EFAULT;
        if (!(bits >> i % 8 & 1))
            continue;
        if (i >= 64 || !(online >> i & 1)) {
            bits &= ~(1U << i % 8);
            if (guest_write(bitmap_at + i / 8, &bits, 1))
                return -XEN_EFAULT;
            continue;
        }
        time = sched_idle_time(i);
        if (guest_write_item(&time, times_at, i))
            return -XEN_EFAULT;
    }
    op->now = arch_time_ns();
    return 0;
}

#define NS_PER_S 1000000000U

static long set_time(struct domain *d, uint64_t seconds, uint32_t ns, uint64_t system_time)
{
    if (ns >= NS_PER_S || seconds > UINT64_MAX / NS_PER_S - 1)
        return refuse(d, -XEN_EINVAL, "time of day %lu s %u ns", seconds, ns);
    if (!control_trylock())
        return -XEN_ERESTART;
    wallclock_set(seconds, ns, system_time);
    control_unlock();
    return 0;
}

long hypercall_platform_op(struct vcpu *v, struct hypercall *call)
{
    struct xen_platform_op op;
    long rc;

    if (guest_read(&op, call->arg[0], sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return refuse(v->domain, -XEN_EACCES, "platform_op interface %x", op.interface_version);
    switch (op.cmd) {
    case XENPF_settime32:
        return set_time(v->domain, op.u.settime32.secs, op.u.settime32.nsecs,
                        op.u.settime32.system_time);
    case XENPF_settime64:
        if (op.u.settime64.mbz)
            return -XEN_EINVAL;
        return set_time(v->domain, op.u.settime64.secs, op.u.settime64.nsecs,
                        op.u.settime64.system_time);
    case XENPF_enter_acpi_sleep:
        return enter_sleep(v->domain, &op.u.enter_acpi_sleep);
    case XENPF_firmware_info:
        return firmware_info(v->domain, &op.u.firmware_info);
    case XENPF_getidletime:
        rc = get_idle_time(&op.u.getidletime);
        break;
    default:
        return refuse(v->domain, -XEN_ENOSYS, "platform_op %u", op.cmd);
    }
    if (!rc && guest_write(call->arg[0], &op, sizeof op))
        rc = -XEN_EFAULT;
    return rc;
}
