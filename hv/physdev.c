/* SPDX-License-Identifier: MIT */
/*
 * physdev_op: the hardware that domain 0 drives. The smallest set that does it with MSI-X devices;
 * legacy interrupts and the calls that only serve them do not exist. Some are harmless and open to
 * every domain, as in Xen.
 */
#include <stdint.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/physdev.h>
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "io/irq.h"
#include "io/pci.h"
#include "mm/guest.h"

/* The IOPL that the guest's kernel believes in; the hardware's stays 0, and every port access is
 * decided by us. */
static long set_iopl(struct vcpu *v, uint64_t arg)
{
    struct physdev_set_iopl op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.iopl > 3)
        return refuse(v->domain, -XEN_EINVAL, "iopl %u", op.iopl);
    v->arch.iopl = op.iopl;
    return 0;
}

/* Ports for user mode: accepted and not honoured, since no port of a guest reaches hardware by a
 * bitmap. */
static long set_iobitmap(uint64_t arg)
{
    struct physdev_set_iobitmap op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    return op.nr_ports > 65536 ? -XEN_EINVAL : 0;
}

/* Messages are edges: there is nothing to end. */
static long eoi(struct domain *d, uint64_t arg)
{
    struct physdev_eoi op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    return d->privileged && op.irq < PIRQ_MAX ? 0 : -XEN_EINVAL;
}

static long irq_status(uint64_t arg)
{
    struct physdev_irq_status_query op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.irq >= PIRQ_MAX)
        return -XEN_EINVAL;
    op.flags = 0;
    return guest_write(arg, &op, sizeof op) ? -XEN_EFAULT : 0;
}

static long map_pirq(struct domain *d, uint64_t arg)
{
    struct physdev_map_pirq op;
    long pirq;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.domid != DOMID_SELF && op.domid != d->id)
        return refuse(d, -XEN_EPERM, "map_pirq for domain %u", op.domid);
    if (op.type != MAP_PIRQ_TYPE_MSI && op.type != MAP_PIRQ_TYPE_MSI_SEG)
        return refuse(d, -XEN_EINVAL, "map_pirq of type %d", op.type);
    /* The segment is in the upper half of bus with MSI_SEG. */
    if (op.type == MAP_PIRQ_TYPE_MSI_SEG && op.bus >> 16)
        return refuse(d, -XEN_ENODEV, "segment %u", (unsigned)op.bus >> 16);
    if ((op.bus & 0xffff) > 255 || op.devfn < 0 || op.devfn > 255 || op.entry_nr < 0)
        return refuse(d, -XEN_EINVAL, "map_pirq of %x:%x entry %d", op.bus, op.devfn, op.entry_nr);
    /* No table: plain MSI, which no device may use here. */
    if (!op.table_base)
        return refuse(d, -XEN_ENODEV, "map_pirq without an MSI-X table");
    pirq = irq_map_msix((uint16_t)((op.bus & 0xff) << 8 | op.devfn), (unsigned)op.entry_nr);
    if (pirq < 0)
        return refuse(d, pirq, "map_pirq of %x:%x entry %d", op.bus, op.devfn, op.entry_nr);
    op.pirq = (int)pirq;
    op.type =
        MAP_PIRQ_TYPE_MSI; /* as Xen leaves it: the caller fills the structure anew each time */
    if (guest_write(arg, &op, sizeof op)) {
        irq_unmap((unsigned)pirq);
        return -XEN_EFAULT;
    }
    return 0;
}

static long unmap_pirq(struct domain *d, uint64_t arg)
{
    struct physdev_unmap_pirq op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.domid != DOMID_SELF && op.domid != d->id)
        return refuse(d, -XEN_EPERM, "unmap_pirq for domain %u", op.domid);
    return op.pirq < 0 ? -XEN_EINVAL : irq_unmap((unsigned)op.pirq);
}

static long device_add(uint64_t arg)
{
    struct physdev_pci_device_add op;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.seg)
        return -XEN_ENODEV;
    return pci_device_add((uint16_t)(op.bus << 8 | op.devfn));
}

static long manage_pci(uint64_t arg, bool add)
{
    struct physdev_manage_pci op;
    uint16_t bdf;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    bdf = (uint16_t)(op.bus << 8 | op.devfn);
    return add ? pci_device_add(bdf) : pci_device_remove(bdf);
}

/* For domain 0 alone. */
static long privileged_op(struct vcpu *v, unsigned cmd, uint64_t arg)
{
    switch (cmd) {
    case PHYSDEVOP_map_pirq:
        return map_pirq(v->domain, arg);
    case PHYSDEVOP_unmap_pirq:
        return unmap_pirq(v->domain, arg);
    case PHYSDEVOP_pci_device_add:
        return device_add(arg);
    case PHYSDEVOP_manage_pci_add:
        return manage_pci(arg, true);
    case PHYSDEVOP_manage_pci_remove:
        return manage_pci(arg, false);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "physdev_op %u", cmd);
    }
}

/* What Xen has and refuses to others than domain 0; the rest does not exist for anybody. */
static bool known_privileged(unsigned cmd)
{
    switch (cmd) {
    case PHYSDEVOP_map_pirq:
    case PHYSDEVOP_unmap_pirq:
    case PHYSDEVOP_pci_device_add:
    case PHYSDEVOP_pci_device_remove:
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_remove:
    case PHYSDEVOP_manage_pci_add_ext:
    case PHYSDEVOP_prepare_msix:
    case PHYSDEVOP_release_msix:
    case PHYSDEVOP_setup_gsi:
    case PHYSDEVOP_pci_mmcfg_reserved:
    case PHYSDEVOP_restore_msi:
    case PHYSDEVOP_restore_msi_ext:
    case PHYSDEVOP_apic_read:
    case PHYSDEVOP_apic_write:
    case PHYSDEVOP_dbgp_op:
        return true;
    default:
        return false;
    }
}

long hypercall_physdev_op(struct vcpu *v, struct hypercall *call)
{
    unsigned cmd = (unsigned)call->arg[0];
    uint64_t arg = call->arg[1];

    switch (cmd) {
    case PHYSDEVOP_set_iopl:
        return set_iopl(v, arg);
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(arg);
    case PHYSDEVOP_eoi:
        return eoi(v->domain, arg);
    case PHYSDEVOP_irq_status_query:
        return irq_status(arg);
    default:
        if (v->domain->privileged)
            return privileged_op(v, cmd, arg);
        return refuse(v->domain, known_privileged(cmd) ? -XEN_EPERM : -XEN_ENOSYS, "physdev_op %u",
                      cmd);
    }
}
