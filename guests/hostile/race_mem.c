/* SPDX-License-Identifier: MIT */
/* Questions of several vCPUs at once: page tables, memory, grants. See race.h. */
#include "race.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/xenbus.h>

#include "hostile.h"

#define SCRATCH 0x0000200000000000UL
#define PAGES   16

static char pages[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static xen_pfn_t frames[PAGES]; /* of `pages`, or of what has come in their place */
static uint64_t *entries;       /* the L1 table of SCRATCH */
static uint64_t *roots[3];      /* the kernel's own and two like it */

static void set_up(void)
{
    entries = pt_walk(pt_kernel_root(), SCRATCH, true);
    for (unsigned i = 0; i < PAGES; i++)
        frames[i] = virt_to_mfn(pages[i]);
    roots[0] = pt_kernel_root();
    for (unsigned i = 1; i < 3; i++) {
        roots[i] = page_alloc(0);
        memcpy(roots[i], roots[0], PAGE_SIZE);
        expect("another root", pt_make_table(roots[i]), 0);
    }
}

static uint64_t maddr(const void *entry)
{
    return virt_to_mfn(entry) << PAGE_SHIFT | ((uintptr_t)entry & ~PAGE_MASK);
}

static long update(const void *entry, uint64_t value, unsigned type)
{
    struct mmu_update u = {.ptr = maddr(entry) | type, .val = value};

    return hypercall_mmu_update(&u, 1, NULL, DOMID_SELF);
}

static long extended(unsigned cmd, xen_pfn_t mfn)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = mfn};

    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static uint64_t some_entry(struct racer *r)
{
    static const uint64_t flags[] = {PTE_KERNEL,
                                     PTE_KERNEL,
                                     PTE_P | PTE_A,
                                     PTE_P,
                                     PTE_P | PTE_RW,
                                     0,
                                     PTE_KERNEL | PTE_US | PTE_NX};

    return frames[race_pick(r, PAGES)] << PAGE_SHIFT | flags[race_pick(r, 7)];
}

static char *some_address(struct racer *r)
{
    return (char *)SCRATCH + race_pick(r, PAGES) * PAGE_SIZE;
}

/* ---- the same entries ---- */

static void entries_step(struct racer *r)
{
    char *va = some_address(r);
    uint64_t *e = &entries[race_pick(r, PAGES)], value = some_entry(r);

    switch (race_pick(r, 8)) {
    case 0:
        race_note(r, update(e, value, MMU_NORMAL_PT_UPDATE));
        break;
    case 1:
        race_note(r, update(e, value, MMU_PT_UPDATE_PRESERVE_AD));
        break;
    case 2:
        race_note(r, hypercall_update_va_mapping((uintptr_t)va, value,
                                                 race_pick(r, 2) ? UVMF_INVLPG | UVMF_ALL : 0));
        break;
    case 3:
        race_store(e, value); /* emulated, or a fault */
        break;
    case 4:
        race_note(r, extended(race_pick(r, 2) ? MMUEXT_TLB_FLUSH_ALL : MMUEXT_TLB_FLUSH_LOCAL, 0));
        break;
    case 5:
        race_store(va + race_pick(r, 512) * 8,
                   some_entry(r) | PTE_US); /* the page may be a table */
        break;
    default:
        race_touch(va);
    }
}

static void race_entries(void)
{
    set_up();
    race_run(entries_step, 5000);
}

/* ---- tables ---- */

static void tables_step(struct racer *r)
{
    uint64_t *root = roots[race_pick(r, 3)];
    static const unsigned pins[] = {MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE,
                                    MMUEXT_PIN_L4_TABLE, MMUEXT_UNPIN_TABLE};

    switch (race_pick(r, 8)) {
    case 0:
    case 1:
        race_note(r, extended(MMUEXT_NEW_BASEPTR, virt_to_mfn(root)));
        break;
    case 2:
        race_note(r, extended(pins[race_pick(r, 5)], virt_to_mfn(root)));
        break;
    case 3: /* what is data, as any kind of table */
        race_note(r, extended(pins[race_pick(r, 5)], frames[race_pick(r, PAGES)]));
        break;
    case 4:
        race_note(r, extended(MMUEXT_NEW_USER_BASEPTR,
                              race_pick(r, 2) ? virt_to_mfn(root) : frames[race_pick(r, PAGES)]));
        break;
    case 5: /* data as an L3, L2 or L1 of the scratch area of a root */
        race_note(r, update(&root[101], frames[race_pick(r, PAGES)] << PAGE_SHIFT | PTE_TABLE, 0));
        race_touch((char *)(101UL << 39) + race_pick(r, PAGES) * PAGE_SIZE);
        break;
    case 6:
        race_store(pages[race_pick(r, PAGES)] + race_pick(r, 512) * 8, some_entry(r) | PTE_US);
        break;
    default:
        entries_step(r);
    }
}

static void race_tables(void)
{
    set_up();
    race_run(tables_step, 2500);
}

/* ---- memory ---- */

static void give_back(struct racer *r)
{
    unsigned i = race_pick(r, PAGES);
    xen_pfn_t mfn = frames[i];
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(res.extent_start, mfn ? &mfn : NULL);
    if (race_pick(r, 2)) {
        race_note(r, hypercall_memory_op(XENMEM_decrease_reservation, &res) - 1);
    } else {
        mfn = virt_to_pfn(pages[i]);
        if (hypercall_memory_op(XENMEM_populate_physmap, &res) == 1)
            frames[i] = mfn;
    }
}

static void memory_step(struct racer *r)
{
    struct mmuext_op copy = {.cmd = MMUEXT_COPY_PAGE,
                             .arg1.mfn = frames[race_pick(r, PAGES)],
                             .arg2.src_mfn = frames[race_pick(r, PAGES)]};

    switch (race_pick(r, 8)) {
    case 0:
        give_back(r);
        break;
    case 1:
        race_note(r, extended(MMUEXT_CLEAR_PAGE, frames[race_pick(r, PAGES)]));
        break;
    case 2:
        race_note(r, hypercall_mmuext_op(&copy, 1, NULL, DOMID_SELF));
        break;
    case 3: /* an entry of a table that is given back at the same time */
        race_note(r, hypercall_raw(__HYPERVISOR_mmu_update, 0, 0, 0, DOMID_SELF));
        race_note(r, update(&roots[1][101], frames[race_pick(r, PAGES)] << 12 | PTE_TABLE, 0));
        break;
    case 4:
        tables_step(r);
        break;
    default:
        entries_step(r);
    }
}

static void race_memory(void)
{
    set_up();
    race_run(memory_step, 5000);
}

/* ---- grants to itself ---- */

#define REFS 8
static int refs[REFS];
static domid_t self;
static grant_handle_t handles[64];
static struct grant_entry_v1 *table;

static bool set_up_grants(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table op = {.dom = DOMID_SELF, .nr_frames = 1};
    uint64_t id = 0;

    set_up();
    if (xs_read_u64("domid", &id))
        return false;
    self = (domid_t)id;
    for (unsigned i = 0; i < REFS; i++)
        refs[i] = grant_access(self, frames[i], i & 1);
    set_xen_guest_handle(op.frame_list, &frame);
    if (hypercall_grant_table_op(GNTTABOP_setup_table, &op, 1) || op.status)
        return false;
    update(&entries[PAGES], frame << PAGE_SHIFT | PTE_KERNEL | PTE_NX, 0);
    table = (struct grant_entry_v1 *)(SCRATCH + PAGES * PAGE_SIZE);
    return true;
}

static void map_one(struct racer *r)
{
    struct gnttab_map_grant_ref m = {.host_addr = (uintptr_t)some_address(r),
                                     .flags =
                                         GNTMAP_host_map | (race_pick(r, 2) ? GNTMAP_readonly : 0),
                                     .ref = (grant_ref_t)refs[race_pick(r, REFS)],
                                     .dom = self};

    if (race_pick(r, 4) == 0) {
        m.flags |= GNTMAP_contains_pte;
        m.host_addr = maddr(&entries[race_pick(r, PAGES)]);
    }
    if (race_pick(r, 8) == 0)
        m.flags |= GNTMAP_device_map;
    race_note(r, hypercall_grant_table_op(GNTTABOP_map_grant_ref, &m, 1));
    if (m.status == GNTST_okay)
        handles[race_pick(r, 64)] = m.handle;
    race_note(r, m.status);
}

static void unmap_one(struct racer *r)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = (uintptr_t)some_address(r),
                                       .handle = race_pick(r, 4) ? handles[race_pick(r, 64)]
                                                                 : race_pick(r, 300)};
    struct gnttab_unmap_and_replace x = {
        .host_addr = u.host_addr, .new_addr = (uintptr_t)some_address(r), .handle = u.handle};

    if (race_pick(r, 4) == 0)
        u.host_addr = maddr(&entries[race_pick(r, PAGES)]);
    if (race_pick(r, 4)) {
        race_note(r, hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &u, 1));
        race_note(r, u.status);
    } else {
        race_note(r, hypercall_grant_table_op(GNTTABOP_unmap_and_replace, &x, 1));
        race_note(r, x.status);
    }
}

static void copy_one(struct racer *r)
{
    struct gnttab_copy c = {.len = (uint16_t)race_pick(r, 4097),
                            .flags = (uint16_t)race_pick(r, 4)};

    c.source.domid = c.dest.domid = race_pick(r, 2) ? self : DOMID_SELF;
    c.source.offset = (uint16_t)race_pick(r, 64);
    if (c.flags & GNTCOPY_source_gref)
        c.source.u.ref = (grant_ref_t)refs[race_pick(r, REFS)];
    else
        c.source.u.gmfn = frames[race_pick(r, PAGES)];
    if (c.flags & GNTCOPY_dest_gref)
        c.dest.u.ref = (grant_ref_t)refs[race_pick(r, REFS)];
    else
        c.dest.u.gmfn = frames[race_pick(r, PAGES)];
    race_note(r, hypercall_grant_table_op(GNTTABOP_copy, &c, 1));
}

static void grants_step(struct racer *r)
{
    struct grant_entry_v1 *e = &table[refs[race_pick(r, REFS)]];

    switch (race_pick(r, 10)) {
    case 0:
    case 1:
    case 2:
        map_one(r);
        break;
    case 3:
    case 4:
    case 5:
        unmap_one(r);
        break;
    case 6:
        copy_one(r);
        break;
    case 7:
        e->frame = (uint32_t)(race_pick(r, 8) ? frames[race_pick(r, PAGES)] : race_random(r));
        break;
    case 8:
        e->flags = (uint16_t)(race_pick(r, 4) ? GTF_permit_access : race_random(r));
        e->domid = race_pick(r, 8) ? self : 0;
        break;
    default:
        entries_step(r);
    }
}

static void race_grants(void)
{
    if (!set_up_grants())
        expect("grants", 0, 1);
    else
        race_run(grants_step, 5000);
}

static void grants_memory_step(struct racer *r)
{
    if (race_pick(r, 4))
        grants_step(r);
    else
        memory_step(r);
}

static void race_all(void)
{
    if (!set_up_grants())
        expect("grants", 0, 1);
    else
        race_run(grants_memory_step, 5000);
}

const struct question race_memory_questions[] = {
    {"race-entries", "one page table changed by all vCPUs", race_entries},
    {"race-tables", "roots pinned, loaded and changed at once", race_tables},
    {"race-memory", "memory given back while it is used", race_memory},
    {"race-grants", "grants to itself mapped, moved and ended at once", race_grants},
    {"race-all", "grants, tables and memory at once", race_all},
    {NULL, NULL, NULL},
};
