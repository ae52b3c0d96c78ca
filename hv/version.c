/* SPDX-License-Identifier: MIT */
/*
 * xen_version: what a guest may know of us; and vm_assist. We answer as Xen 4.17, whose interface
 * this is; the extra version and the changeset say who we are.
 */
#include "hv/hypercall.h"

#include <string.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/features.h>
#include <xen/version.h>
#include "hv/domain.h"
#include "hv/log.h"
#include "hv/version.h"
#include "mm/guest.h"

/* Bits 5 and 7 are required by Linux; the table is in docs/abi.md. */
static uint32_t features(const struct domain *d)
{
    uint32_t f = 1u << XENFEAT_pae_pgdir_above_4gb | 1u << XENFEAT_mmu_pt_update_preserve_ad |
                 1u << XENFEAT_highmem_assist | 1u << XENFEAT_gnttab_map_avail_bits |
                 1u << XENFEAT_direct_mapped;

    if (d->privileged)
        f |= 1u << XENFEAT_dom0;
    return f;
}

static long give_string(uint64_t va, const char *s, size_t size)
{
    char buf[1024] = {0};

    ASSERT(size <= sizeof buf);
    strncpy(buf, s, size - 1);
    return guest_write(va, buf, size);
}

static long compile_info(uint64_t va)
{
    struct xen_compile_info info = {0};

    strncpy(info.compiler, VERSION_COMPILER, sizeof info.compiler - 1);
    strncpy(info.compile_by, "penumbra", sizeof info.compile_by - 1);
    strncpy(info.compile_domain, "localdomain", sizeof info.compile_domain - 1);
    strncpy(info.compile_date, VERSION_DATE, sizeof info.compile_date - 1);
    return guest_write(va, &info, sizeof info);
}

static long feature_info(const struct domain *d, uint64_t va)
{
    struct xen_feature_info info;

    if (guest_read(&info, va, sizeof info))
        return -XEN_EFAULT;
    info.submap = info.submap_idx == 0 ? features(d) : 0;
    return guest_write(va, &info, sizeof info);
}

static __attribute__((noinline)) long tell(struct vcpu *v, const struct hypercall *call)
{
    uint64_t va = call->arg[1], start = HYPERVISOR_VIRT_START;

    switch (call->arg[0]) {
    case XENVER_extraversion:
        return give_string(va, VERSION_EXTRA, sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(va);
    case XENVER_capabilities:
        return give_string(va, "xen-3.0-x86_64 ", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return give_string(va, VERSION_CHANGESET, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return guest_write(va, &start, sizeof start);
    case XENVER_get_features:
        return feature_info(v->domain, va);
    case XENVER_pagesize:
        return PAGE_SIZE;
    case XENVER_guest_handle:
        return guest_write(va, v->domain->handle, sizeof v->domain->handle);
    case XENVER_commandline:
        if (!v->domain->privileged)
            return give_string(va, "<denied>", sizeof(xen_commandline_t));
        return give_string(va, version_command_line(), sizeof(xen_commandline_t));
    default:
        return refuse(v->domain, -XEN_ENOSYS, "xen_version %lu", call->arg[0]);
    }
}

/* arg: XENVER_*, pointer. Guests ask for the version when they want events delivered: the most
 * frequent call that does nothing. */
long hypercall_xen_version(struct vcpu *v, struct hypercall *call)
{
    if (call->arg[0] == XENVER_version)
        return VERSION_MAJOR << 16 | VERSION_MINOR;
    return tell(v, call);
}

/* arg: enable or disable, VMASST_TYPE_*. */
long hypercall_vm_assist(struct vcpu *v, struct hypercall *call)
{
    uint64_t type = call->arg[1];

    if (type >= 32 || !(DOMAIN_ASSISTS & 1u << type))
        return refuse(v->domain, -XEN_EINVAL, "assist %lu", type);
    switch (call->arg[0]) {
    case VMASST_CMD_enable:
        __atomic_or_fetch(&v->domain->vm_assist, 1u << type, __ATOMIC_RELAXED);
        return 0;
    case VMASST_CMD_disable:
        __atomic_and_fetch(&v->domain->vm_assist, ~(1u << type), __ATOMIC_RELAXED);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}
