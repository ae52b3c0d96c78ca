/* SPDX-License-Identifier: MIT */
/*
 * One call a line, with Xen 4.17's answer. Where Penumbra's differs on purpose, docs/abi.md says so
 * and the line is not here.
 */
#include "answers.h"

#include <stdio.h>
#include <string.h>

#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>
#include <rt/xenbus.h>

#define HOLE    0xffff800000000000UL
#define NOWHERE 0x0000500000000000UL /* no L1 table there */
#define ABSENT  (1UL << 39)          /* a frame that nobody has */

static char *page;
static unsigned wrong;

static void expect(const char *what, long got, long wanted)
{
    if (got != wanted) {
        printf("rtcheck: %s: %ld, not %ld\n", what, got, wanted);
        wrong++;
    }
}

static long extended(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2};

    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static void mmuext_answers(void)
{
    xen_pfn_t own = virt_to_mfn(page);
    uint64_t none = 0;

    expect("no such operation", extended(99, 0, 0), -XEN_ENOSYS);
    expect("MARK_SUPER", extended(MMUEXT_MARK_SUPER, own, 0), -XEN_EOPNOTSUPP);
    expect("UNMARK_SUPER", extended(MMUEXT_UNMARK_SUPER, own, 0), -XEN_EOPNOTSUPP);
    expect("pin of no frame", extended(MMUEXT_PIN_L1_TABLE, ABSENT, 0), -XEN_EINVAL);
    expect("unpin of no frame", extended(MMUEXT_UNPIN_TABLE, ABSENT, 0), -XEN_EINVAL);
    expect("root of no frame", extended(MMUEXT_NEW_BASEPTR, ABSENT, 0), -XEN_EINVAL);
    expect("user root of no frame", extended(MMUEXT_NEW_USER_BASEPTR, ABSENT, 0), -XEN_EINVAL);
    expect("clear of no frame", extended(MMUEXT_CLEAR_PAGE, ABSENT, 0), -XEN_EINVAL);
    expect("copy from no frame", extended(MMUEXT_COPY_PAGE, own, ABSENT), -XEN_EINVAL);
    expect("copy to no frame", extended(MMUEXT_COPY_PAGE, ABSENT, own), -XEN_EINVAL);
    expect("mask that is not there", extended(MMUEXT_TLB_FLUSH_MULTI, 0, NOWHERE), -XEN_EINVAL);
    expect("mask of nobody", extended(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)&none), 0);
    expect("an address of the hole", extended(MMUEXT_INVLPG_ALL, HOLE, 0), 0);
    expect("an address that is none", extended(MMUEXT_INVLPG_LOCAL, 1UL << 63, 0), 0);
    expect("caches", extended(MMUEXT_FLUSH_CACHE, 0, 0), start_is_dom0() ? 0 : -XEN_EACCES);
    if (start_is_dom0())
        expect("everybody's caches", extended(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), 0);
}

static void update_answers(void)
{
    struct mmu_update u = {.ptr = ABSENT << PAGE_SHIFT};
    unsigned long va = (unsigned long)page;
    uint64_t same = virt_to_mfn(page) << PAGE_SHIFT | PTE_KERNEL | PTE_NX;
    unsigned done = 77;

    expect("a table that is not there", hypercall_mmu_update(&u, 1, &done, DOMID_SELF),
           -XEN_EINVAL);
    expect("done", done, 0);
    u.ptr = ABSENT << PAGE_SHIFT | MMU_PT_UPDATE_NO_TRANSLATE;
    expect("the same, not translated", hypercall_mmu_update(&u, 1, NULL, DOMID_SELF), -XEN_EINVAL);
    u.ptr = virt_to_mfn(page) << PAGE_SHIFT | MMU_PT_UPDATE_NO_TRANSLATE;
    u.val = 12345;
    expect("not translated, in memory", hypercall_mmu_update(&u, 1, NULL, DOMID_SELF), 0);
    expect("what was written", (long)*(uint64_t *)page, 12345);
    u.ptr = virt_to_mfn(page) << PAGE_SHIFT | 4;
    expect("at an odd place", hypercall_mmu_update(&u, 1, NULL, DOMID_SELF), -XEN_ENOSYS);
    u.ptr = ABSENT << PAGE_SHIFT | MMU_MACHPHYS_UPDATE;
    expect("machine-to-phys of no frame", hypercall_mmu_update(&u, 1, NULL, DOMID_SELF),
           -XEN_EINVAL);
    expect("tables of nobody",
           hypercall_raw(__HYPERVISOR_mmu_update, (unsigned long)&u, 1, 0,
                         DOMID_SELF | 0x7001UL << 16),
           -XEN_ESRCH);
    expect("no list", hypercall_mmu_update((void *)NOWHERE, 1, NULL, DOMID_SELF), -XEN_EFAULT);
    expect("none at all", hypercall_mmu_update(NULL, 0, NULL, DOMID_SELF), 0);
    if (start_is_dom0()) /* others may name none anyway */
        expect("no such domain", hypercall_mmu_update(&u, 1, NULL, 0x7000), -XEN_ESRCH);
    expect("no L1 table", hypercall_update_va_mapping(NOWHERE, 0, 0), -XEN_EINVAL);
    expect("the hole", hypercall_update_va_mapping(HOLE, 0, 0), -XEN_EINVAL);
    expect("flush type 3", hypercall_update_va_mapping(va, same, 3), 0);
    expect("flush of a mask that is not there",
           hypercall_update_va_mapping(va, same, NOWHERE | UVMF_INVLPG), -XEN_EFAULT);
    expect("descriptor of no frame",
           hypercall_raw(__HYPERVISOR_update_descriptor, ABSENT << PAGE_SHIFT, 0, 0, 0),
           -XEN_EINVAL);
    expect(
        "descriptor at an odd place",
        hypercall_raw(__HYPERVISOR_update_descriptor, virt_to_mfn(page) << PAGE_SHIFT | 4, 0, 0, 0),
        -XEN_EINVAL);
    expect("GDT of too many", hypercall_set_gdt(NULL, 7169), -XEN_EINVAL);
    expect("GDT of no list", hypercall_set_gdt((void *)NOWHERE, 1), -XEN_EFAULT);
}

static void memory_answers(void)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info};
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = ABSENT};
    struct xen_add_to_physmap_batch batch = {.domid = DOMID_SELF, .space = XENMAPSPACE_gmfn};

    expect("add_to_physmap", hypercall_memory_op(XENMEM_add_to_physmap, &add), -XEN_EACCES);
    add.space = XENMAPSPACE_gmfn_foreign;
    expect("add_to_physmap, foreign", hypercall_memory_op(XENMEM_add_to_physmap, &add),
           -XEN_ENOSYS);
    add.domid = 0x7000;
    add.space = XENMAPSPACE_gmfn;
    expect("add_to_physmap, nobody", hypercall_memory_op(XENMEM_add_to_physmap, &add), -XEN_ESRCH);
    expect("add_to_physmap, no argument",
           hypercall_memory_op(XENMEM_add_to_physmap, (void *)NOWHERE), -XEN_EFAULT);
    batch.size = 1;
    expect("add_to_physmap_batch", hypercall_memory_op(XENMEM_add_to_physmap_batch, &batch),
           -XEN_EACCES);
    remove.gpfn = virt_to_mfn(page);
    expect("remove_from_physmap", hypercall_memory_op(XENMEM_remove_from_physmap, &remove),
           -XEN_EACCES);
    remove.domid = 0x7000;
    expect("remove_from_physmap, nobody", hypercall_memory_op(XENMEM_remove_from_physmap, &remove),
           -XEN_ESRCH);
    expect("no such memory_op", hypercall_memory_op(63, NULL), -XEN_ENOSYS);
}

static long grant(unsigned cmd, void *op)
{
    return hypercall_grant_table_op(cmd, op, 1);
}

static void grant_answers(void)
{
    struct gnttab_map_grant_ref m = {.flags = 0, .dom = 0, .ref = 100, .host_addr = NOWHERE};
    struct gnttab_unmap_grant_ref u = {.handle = 0x7fffffff};
    struct gnttab_unmap_and_replace r = {.handle = 0x7fffffff};
    struct gnttab_copy c = {.len = 4096, .source.offset = 1};
    struct gnttab_swap_grant_ref s = {.ref_a = 1 << 30, .ref_b = 8};
    struct gnttab_cache_flush f = {.op = GNTTAB_CACHE_CLEAN, .offset = 4095, .length = 2};
    struct gnttab_transfer t = {.mfn = ABSENT, .domid = 0x7000};

    expect("map", grant(GNTTABOP_map_grant_ref, &m), 0);
    expect("neither host nor device", m.status, GNTST_bad_gntref);
    m.flags = GNTMAP_host_map;
    m.dom = 0x7000;
    grant(GNTTABOP_map_grant_ref, &m);
    expect("granter that is not there", m.status, GNTST_bad_domain);
    m.dom = DOMID_SELF;
    grant(GNTTABOP_map_grant_ref, &m);
    expect("granter SELF", m.status, GNTST_bad_domain);
    m.dom = 0;
    m.ref = 1 << 30;
    grant(GNTTABOP_map_grant_ref, &m);
    expect("reference beyond the table", m.status, GNTST_bad_gntref);
    m.ref = 100;
    grant(GNTTABOP_map_grant_ref, &m);
    expect("reference that grants nothing", m.status, GNTST_general_error);
    expect("unmap", grant(GNTTABOP_unmap_grant_ref, &u), 0);
    expect("handle that is none", u.status, GNTST_bad_handle);
    expect("unmap_and_replace", grant(GNTTABOP_unmap_and_replace, &r), 0);
    expect("handle that is none", r.status, GNTST_bad_handle);
    c.source.domid = c.dest.domid = DOMID_SELF;
    c.source.u.gmfn = c.dest.u.gmfn = virt_to_mfn(page);
    grant(GNTTABOP_copy, &c);
    expect("copy across a page", c.status, GNTST_bad_copy_arg);
    c.source.offset = 0;
    c.dest.u.gmfn = ABSENT;
    grant(GNTTABOP_copy, &c);
    expect("copy to no frame", c.status, GNTST_bad_page);
    c.dest.domid = 0;
    grant(GNTTABOP_copy, &c);
    expect("copy to a frame of a number", c.status, GNTST_permission_denied);
    grant(GNTTABOP_swap_grant_ref, &s);
    expect("swap beyond the table", s.status, GNTST_bad_gntref);
    expect("cache_flush across a page", grant(GNTTABOP_cache_flush, &f), -XEN_EINVAL);
    f.length = 1;
    f.op = 8;
    expect("cache_flush of no kind", grant(GNTTABOP_cache_flush, &f), -XEN_EINVAL);
    grant(GNTTABOP_transfer, &t);
    expect("transfer of no frame", t.status, GNTST_bad_page);
    expect("no such grant_table_op", grant(99, &t), -XEN_ENOSYS);
    expect("too many", hypercall_grant_table_op(GNTTABOP_map_grant_ref, &m, 1u << 31), -XEN_EINVAL);
    expect("list that is not there", grant(GNTTABOP_map_grant_ref, (void *)NOWHERE), -XEN_EFAULT);
}

/* ---- grants of this domain to itself ---- */

static domid_t self;

static int16_t map(unsigned long at, unsigned flags, int ref, struct gnttab_map_grant_ref *m)
{
    *m = (struct gnttab_map_grant_ref){
        .host_addr = at, .flags = flags, .ref = (grant_ref_t)ref, .dom = self};
    grant(GNTTABOP_map_grant_ref, m);
    return m->status;
}

static int16_t unmap(unsigned long at, uint64_t bus, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = at, .dev_bus_addr = bus, .handle = handle};

    grant(GNTTABOP_unmap_grant_ref, &u);
    return u.status;
}

static int16_t replace(unsigned long at, unsigned long new, grant_handle_t handle)
{
    struct gnttab_unmap_and_replace u = {.host_addr = at, .new_addr = new, .handle = handle};

    grant(GNTTABOP_unmap_and_replace, &u);
    return u.status;
}

static int16_t swap(int a, int b)
{
    struct gnttab_swap_grant_ref s = {.ref_a = (grant_ref_t)a, .ref_b = (grant_ref_t)b};

    grant(GNTTABOP_swap_grant_ref, &s);
    return s.status;
}

static void mapping_answers(void)
{
    unsigned long at = map_reserve(3);
    uint64_t *entry = pt_walk(pt_kernel_root(), at, false);
    uint64_t entry_maddr = virt_to_mfn(entry) << PAGE_SHIFT | ((unsigned long)entry & ~PAGE_MASK);
    int ref = grant_access(self, virt_to_mfn(page), false);
    int readonly = grant_access(self, virt_to_mfn(page), true);
    struct gnttab_map_grant_ref m, n;

    expect("map where no table is", map(NOWHERE, GNTMAP_host_map, ref, &m), GNTST_general_error);
    expect("map in the hole", map(HOLE, GNTMAP_host_map, ref, &m), GNTST_general_error);
    expect("map at an entry of nobody's",
           map(ABSENT << PAGE_SHIFT, GNTMAP_host_map | GNTMAP_contains_pte, ref, &m),
           GNTST_general_error);
    expect("write what is lent read-only", map(at, GNTMAP_host_map, readonly, &m),
           GNTST_general_error);
    expect("map", map(at, GNTMAP_host_map | GNTMAP_device_map, ref, &m), GNTST_okay);
    expect("a second time", map(at + PAGE_SIZE, GNTMAP_host_map, ref, &n), GNTST_okay);
    expect("swap while in use", swap(ref, readonly), GNTST_eagain);
    expect("unmap elsewhere", unmap(at + 2 * PAGE_SIZE, 0, m.handle), GNTST_general_error);
    expect("unmap where no table is", unmap(NOWHERE, 0, m.handle), GNTST_general_error);
    expect("unmap for a device, wrong address", unmap(0, m.dev_bus_addr + PAGE_SIZE, m.handle),
           GNTST_bad_dev_addr);
    expect("unmap for a device", unmap(0, m.dev_bus_addr, m.handle), GNTST_okay);
    expect("unmap", unmap(at, 0, m.handle), GNTST_okay);
    expect("unmap again", unmap(at, 0, m.handle), GNTST_bad_handle);
    expect("replace by what has no table", replace(at + PAGE_SIZE, NOWHERE, n.handle),
           GNTST_general_error);
    expect("replace by nothing", replace(at + PAGE_SIZE, 0, n.handle), GNTST_okay);
    expect("map at an entry", map(entry_maddr, GNTMAP_host_map | GNTMAP_contains_pte, ref, &m),
           GNTST_okay);
    expect("unmap at another entry", unmap(entry_maddr + 8, 0, m.handle), GNTST_general_error);
    expect("unmap at the entry", unmap(entry_maddr, 0, m.handle), GNTST_okay);
    expect("swap", swap(ref, readonly), GNTST_okay);
    expect("swap with itself", swap(ref, ref), GNTST_okay);
    expect("ended", grant_end((grant_ref_t)ref), 0);
    expect("ended", grant_end((grant_ref_t)readonly), 0);
    map_release(at, 3);
}

bool check_answers(void)
{
    uint64_t id;

    page = page_alloc(0);
    self = xs_read_u64("domid", &id) ? 0 : (domid_t)id;
    mapping_answers();
    mmuext_answers();
    update_answers();
    memory_answers();
    grant_answers();
    page_free(page, 0);
    return wrong == 0;
}
