/* SPDX-License-Identifier: MIT */
/*
 * Guests' LDTs. The processor is shown copies, sanitised as those of a GDT (descriptor.c), in the
 * pCPU's descriptor window. A page of an LDT is copied when a selector first needs it: until then
 * the window's page is absent and the processor's look at the descriptor faults there.
 *
 * What a guest can change under them is what it can on Xen, which has the guest's own page in the
 * window and refuses every writable mapping of it until the LDT is given up: a descriptor by
 * update_descriptor, which renews the copies at once, and the rest by another LDT or another root,
 * which drop them. A store to a page that the guest has made writable meanwhile is in force after
 * the next of these. That the page is unmapped, or given back, changes nothing until then.
 *
 * Memory: a frame for each page that is in use, at most 16 a vCPU. They change under the
 * paging lock, against update_descriptor by another vCPU.
 */
#include "arch/x86/guest.h"

#include "arch/x86/desc.h"
#include "hv/arch.h"
#include "hv/log.h"
#include "mm/frame.h"

#define LDT_ENTRIES_MAX  8192
#define ENTRIES_PER_PAGE (PAGE_SIZE / 8)
#define SELECTOR_LDT     4u /* TI, in selectors and error codes */

bool x86_ldt_valid(uint64_t base, uint64_t entries)
{
    return entries <= LDT_ENTRIES_MAX && !(base & ~PAGE_MASK) && x86_guest_address(base);
}

/* For the vCPU itself, or while it does not run. The pCPU's window still shows the frames until it
 * loads something else; nothing looks there before. */
static void drop(struct vcpu *v)
{
    if (!v->arch.ldt_loaded)
        return;
    paging_lock(v->domain->paging);
    for (unsigned i = 0; i < LDT_PAGES; i++) {
        if (!v->arch.ldt[i])
            continue;
        frame_unmap(v->arch.ldt[i]);
        v->arch.ldt[i] = NULL;
        frame_free(v->arch.ldt_mfn[i], 0);
    }
    v->arch.ldt_loaded = 0;
    paging_unlock(v->domain->paging);
}

long arch_ldt_set(struct vcpu *v, uint64_t base, unsigned entries)
{
    if (!entries)
        base = 0;
    if (!x86_ldt_valid(base, entries))
        return refuse(v->domain, -XEN_EINVAL, "LDT of %u entries at %lx", entries, base);
    drop(v);
    v->arch.ldt_base = base;
    v->arch.ldt_entries = entries;
    if (v == current_vcpu())
        x86_ldt_load(v);
    return 0;
}

void x86_ldt_root_changed(struct vcpu *v)
{
    drop(v);
    x86_ldt_load(v);
}

void x86_ldt_release(struct vcpu *v)
{
    drop(v);
    v->arch.ldt_entries = 0;
}

void x86_ldt_load(const struct vcpu *v)
{
    x86_ldt_load_guest(v->arch.ldt, v->arch.ldt_entries);
}

/* ---- faults ---- */

/* The gfn behind a page of the LDT, in the kernel's tables; INVALID_GFN. */
static gfn_t gfn_behind(struct vcpu *v, uint64_t va)
{
    struct paging *p = v->domain->paging;
    gfn_t table, gfn = INVALID_GFN;
    uint64_t entry = 0;
    unsigned offset;

    paging_lock(p);
    if (!shadow_find_l1(p, &v->paging, va, &table, &offset))
        entry = shadow_load(p, table, offset, sizeof entry);
    if (entry & PTE_P)
        gfn = gfn_of((entry & PTE_ADDR) >> PAGE_SHIFT);
    paging_unlock(p);
    return gfn;
}

static bool publish(struct vcpu *v, unsigned page, gfn_t gfn, const uint64_t *from)
{
    mfn_t mfn = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO);
    unsigned left = v->arch.ldt_entries - page * ENTRIES_PER_PAGE;

    if (!mfn_valid(mfn))
        return false;
    /* Copied under the lock: a descriptor that is updated meanwhile is renewed afterwards. */
    paging_lock(v->domain->paging);
    v->arch.ldt[page] = frame_map(mfn);
    v->arch.ldt_mfn[page] = mfn;
    v->arch.ldt_gfn[page] = gfn;
    v->arch.ldt_loaded |= (uint16_t)(1u << page);
    x86_descriptors_copy(v->arch.ldt[page], from,
                         left < ENTRIES_PER_PAGE ? left : ENTRIES_PER_PAGE);
    paging_unlock(v->domain->paging);
    x86_ldt_load(v);
    return true;
}

/* Copies a page of the running vCPU's LDT. False: the guest has none there. */
static bool load_page(struct vcpu *v, unsigned page)
{
    uint64_t va = v->arch.ldt_base + page * PAGE_SIZE;
    struct frame_hold hold;
    bool done;
    gfn_t gfn;

    if (v->arch.ldt[page])
        return true; /* the processor was told meanwhile */
    if (!x86_guest_address(va))
        return false;
    gfn = gfn_behind(v, va);
    if (!gfn_valid(gfn) || !paging_hold(v->domain->paging, gfn, false, &hold))
        return false; /* absent, or not its own */
    done = publish(v, page, gfn, hold.va);
    paging_release(&hold);
    return done;
}

/* Is va in this pCPU's window of the vCPU's LDT? *offset: in the LDT. */
static bool in_window(const struct vcpu *v, uint64_t va, unsigned *offset)
{
    uint64_t at = va - x86_ldt_window();

    *offset = (unsigned)at;
    return v && at < v->arch.ldt_entries * 8UL;
}

bool x86_ldt_fault(struct vcpu *v, uint64_t va)
{
    unsigned offset;

    return in_window(v, va, &offset) && load_page(v, offset / PAGE_SIZE);
}

void x86_descriptor_fault(struct vcpu *v, uint64_t va)
{
    unsigned offset;

    if (!in_window(v, va, &offset)) {
        x86_inject(v, VEC_GP, true, 0);
    } else if (!load_page(v, offset / PAGE_SIZE)) {
        uint64_t guest_va = v->arch.ldt_base + offset;

        if (x86_guest_address(guest_va))
            x86_inject_page_fault(v, x86_guest_regs(), guest_va, v->arch.kernel_mode ? 0 : 4);
        else
            x86_inject(v, VEC_GP, true, (offset & ~7u) | SELECTOR_LDT);
    }
}

/* An 8-byte store is atomic for the processor. Paging lock held. */
void x86_ldt_descriptor_changed(struct vcpu *v, gfn_t gfn, unsigned offset, uint64_t desc)
{
    for (unsigned page = 0; v->arch.ldt_loaded >> page; page++) {
        if (!v->arch.ldt[page] || !gfn_equal(v->arch.ldt_gfn[page], gfn))
            continue;
        if (page * ENTRIES_PER_PAGE + offset / 8 < v->arch.ldt_entries)
            __atomic_store_n(&v->arch.ldt[page][offset / 8], desc, __ATOMIC_RELAXED);
    }
}
