/* SPDX-License-Identifier: MIT */
/*
 * Guest descriptor tables. A guest's GDT frames are never loaded: each vCPU has sanitised copies of
 * up to 7,168 entries, which the pCPU it runs on maps into its own GDT window, below the
 * hypervisor's two pages. Guests keep their frames read-only and change them by update_descriptor,
 * which renews the copies; one that writes them otherwise fools only itself.
 */
#include "arch/x86/guest.h"

#include <string.h>
#include "arch/x86/desc.h"
#include "hv/log.h"
#include "mm/frame.h"

#define DESC_DPL     (3UL << 45)
#define DESC_S       (1UL << 44) /* code or data */
#define DESC_P       (1UL << 47)
#define DESC_CODE    (1UL << 43)
#define DESC_CONFORM (1UL << 42)
#define DESC_L       (1UL << 53)
#define DESC_D       (1UL << 54)

#define ENTRIES_PER_PAGE (PAGE_SIZE / 8)

/*
 * Code and data only, with privilege raised to ring 3. System descriptors and gates would let a
 * guest choose where ring 0 goes; conforming code keeps the caller's level and may stay.
 */
uint64_t x86_descriptor_sanitise(uint64_t desc)
{
    if (!(desc & DESC_P) || !(desc & DESC_S))
        return 0;
    if ((desc & DESC_CODE) && (desc & DESC_L) && (desc & DESC_D))
        return 0; /* reserved combination */
    return desc | DESC_DPL;
}

void x86_descriptors_copy(uint64_t *to, const uint64_t *from, unsigned entries)
{
    for (unsigned i = 0; i < entries; i++)
        to[i] = x86_descriptor_sanitise(__atomic_load_n(&from[i], __ATOMIC_RELAXED));
}

static unsigned gdt_pages(unsigned entries)
{
    return (entries + ENTRIES_PER_PAGE - 1) / ENTRIES_PER_PAGE;
}

struct gdt_copy {
    uint64_t *page[GDT_GUEST_PAGES];
    mfn_t mfn[GDT_GUEST_PAGES];
};

static void free_copies(uint64_t **pages, const mfn_t *mfns)
{
    for (unsigned i = 0; i < GDT_GUEST_PAGES; i++) {
        if (!pages[i])
            continue;
        frame_unmap(pages[i]);
        frame_free(mfns[i], 0);
        pages[i] = NULL;
    }
}

static long copy_frame(struct domain *d, gfn_t gfn, unsigned entries, struct gdt_copy *copy,
                       unsigned i)
{
    struct frame_hold hold;
    mfn_t mfn;

    if (!paging_hold(d->paging, gfn, false, &hold))
        return refuse(d, -XEN_EINVAL, "GDT frame %lx is not its own", gfn.n);
    mfn = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
    if (mfn_valid(mfn)) {
        copy->mfn[i] = mfn;
        copy->page[i] = frame_map(mfn);
        x86_descriptors_copy(copy->page[i], hold.va, entries);
    }
    paging_release(&hold);
    return mfn_valid(mfn) ? 0 : -XEN_ENOMEM;
}

/* The new copies take the old ones' place, which come back in *copy. The lock: another vCPU may be
 * renewing a descriptor in the old ones (x86_descriptor_changed), and must not find them freed. */
static void swap_copies(struct vcpu *v, struct gdt_copy *copy, const uint64_t *frames,
                        unsigned entries)
{
    struct gdt_copy old;

    paging_lock(v->domain->paging);
    memcpy(old.page, v->arch.gdt, sizeof old.page);
    memcpy(old.mfn, v->arch.gdt_mfn, sizeof old.mfn);
    memcpy(v->arch.gdt, copy->page, sizeof copy->page);
    memcpy(v->arch.gdt_mfn, copy->mfn, sizeof copy->mfn);
    v->arch.gdt_entries = entries;
    v->arch.gdt_pages = gdt_pages(entries);
    for (unsigned i = 0; i < GDT_GUEST_PAGES && copy->page[i]; i++)
        v->arch.gdt_gfn[i] = gfn_of(frames[i]);
    paging_unlock(v->domain->paging);
    *copy = old;
}

/* All or nothing: the new copies are made before the old ones go. */
long x86_gdt_set(struct vcpu *v, const uint64_t *frames, unsigned entries)
{
    struct gdt_copy copy = {{NULL}, {{0}}};
    unsigned count = gdt_pages(entries);

    if (entries > DESC_GDT_ENTRIES_GUEST)
        return refuse(v->domain, -XEN_EINVAL, "GDT of %u entries", entries);
    for (unsigned i = 0; i < count; i++) {
        unsigned left = entries - i * ENTRIES_PER_PAGE;
        long err = copy_frame(v->domain, gfn_of(frames[i]),
                              left < ENTRIES_PER_PAGE ? left : ENTRIES_PER_PAGE, &copy, i);
        if (err) {
            free_copies(copy.page, copy.mfn);
            return err;
        }
    }
    if (v == current_vcpu())
        x86_gdt_load_guest(copy.page, count);
    swap_copies(v, &copy, frames, entries);
    free_copies(copy.page, copy.mfn);
    return 0;
}

void x86_gdt_release(struct vcpu *v)
{
    free_copies(v->arch.gdt, v->arch.gdt_mfn);
    v->arch.gdt_entries = v->arch.gdt_pages = 0;
}

static void gdt_descriptor_changed(struct vcpu *v, gfn_t gfn, unsigned offset, uint64_t desc)
{
    for (unsigned page = 0; page < GDT_GUEST_PAGES; page++) {
        if (!v->arch.gdt[page] || !gfn_equal(v->arch.gdt_gfn[page], gfn))
            continue;
        if (page * ENTRIES_PER_PAGE + offset / 8 < v->arch.gdt_entries)
            __atomic_store_n(&v->arch.gdt[page][offset / 8], desc, __ATOMIC_RELAXED);
    }
}

/* A descriptor in a guest frame changed: renew it in every vCPU's copies of that frame, under the
 * lock that keeps the copies (swap_copies). Eight-byte stores are atomic for the processor. */
void x86_descriptor_changed(struct domain *d, gfn_t gfn, unsigned offset, uint64_t desc)
{
    desc = x86_descriptor_sanitise(desc);
    paging_lock(d->paging);
    for (unsigned i = 0; i < d->vcpu_max; i++) {
        if (!d->vcpu[i])
            continue;
        gdt_descriptor_changed(d->vcpu[i], gfn, offset, desc);
        x86_ldt_descriptor_changed(d->vcpu[i], gfn, offset, desc);
    }
    paging_unlock(d->paging);
}
