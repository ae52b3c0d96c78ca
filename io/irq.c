/* SPDX-License-Identifier: MIT */
/*
 * A pirq is a row of this table; its interrupt handler knows only the row. Messages are edges:
 * nothing needs an end-of-interrupt from the guest, and one that comes while the event is pending
 * changes nothing.
 */
#include "io/irq.h"

#include <stdbool.h>
#include <stddef.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "io/pci.h"

#define PIRQ_FIRST 16 /* lower numbers look like the ISA bus's to a guest */

static struct pirq {
    bool mapped, bound;
    uint16_t bdf;
    unsigned entry;
    int vector;
} pirqs[PIRQ_MAX];

/* In the interrupt; no lock is needed: a row changes only while its entry is masked, and a late
 * message finds `bound` unset. */
static void irq_arrived(void *arg)
{
    unsigned pirq = (unsigned)(uintptr_t)arg;

    if (__atomic_load_n(&pirqs[pirq].bound, __ATOMIC_ACQUIRE))
        evtchn_raise_pirq(dom0, pirq);
}

static unsigned pirq_free(void)
{
    for (unsigned i = PIRQ_FIRST; i < PIRQ_MAX; i++)
        if (!pirqs[i].mapped)
            return i;
    return 0;
}

long irq_map_msix(uint16_t bdf, unsigned entry)
{
    unsigned pirq;
    int vector;
    long rc;

    pci_lock();
    pirq = pirq_free();
    vector = pirq ? arch_irq_vector_alloc(irq_arrived, (void *)(uintptr_t)pirq) : -XEN_ENOSPC;
    rc = vector;
    if (vector >= 0) {
        rc = pci_msix_map(bdf, entry, vector);
        if (rc)
            arch_irq_vector_free(vector);
        else
            pirqs[pirq] =
                (struct pirq){.mapped = true, .bdf = bdf, .entry = entry, .vector = vector};
    }
    pci_unlock();
    return rc < 0 ? rc : (long)pirq;
}

static void unmap_locked(struct pirq *p)
{
    __atomic_store_n(&p->bound, false, __ATOMIC_RELEASE);
    pci_msix_unmap(p->bdf, p->entry);
    arch_irq_vector_free(p->vector);
    p->mapped = false;
}

long irq_unmap(unsigned pirq)
{
    long rc = -XEN_EINVAL;

    pci_lock();
    if (pirq < PIRQ_MAX && pirqs[pirq].mapped) {
        unmap_locked(&pirqs[pirq]);
        rc = 0;
    }
    pci_unlock();
    return rc;
}

long irq_bind(unsigned pirq)
{
    struct pirq *p = &pirqs[pirq < PIRQ_MAX ? pirq : 0];
    long rc = 0;

    if (pirq >= PIRQ_MAX)
        return -XEN_EINVAL;
    pci_lock();
    if (!p->mapped) {
        rc = -XEN_EPERM;
    } else if (p->bound) {
        rc = -XEN_EEXIST;
    } else {
        __atomic_store_n(&p->bound, true, __ATOMIC_RELEASE);
        pci_msix_mask(p->bdf, p->entry, false);
    }
    pci_unlock();
    return rc;
}

void irq_unbind(unsigned pirq)
{
    struct pirq *p = &pirqs[pirq < PIRQ_MAX ? pirq : 0];

    pci_lock();
    if (p->mapped && p->bound) {
        pci_msix_mask(p->bdf, p->entry, true);
        __atomic_store_n(&p->bound, false, __ATOMIC_RELEASE);
    }
    pci_unlock();
}

void irq_release_all(void)
{
    pci_lock();
    for (unsigned i = 0; i < PIRQ_MAX; i++)
        if (pirqs[i].mapped)
            unmap_locked(&pirqs[i]);
    pci_unlock();
}
