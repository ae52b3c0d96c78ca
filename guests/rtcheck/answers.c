/* SPDX-License-Identifier: MIT */
/*
 * One call a line, with Xen 4.17's answer. Where Penumbra's differs on purpose, docs/abi.md says so
 * and the line is not here.
 */
#include "answers.h"

#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>

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

bool check_answers(void)
{
    page = page_alloc(0);
    mmuext_answers();
    update_answers();
    memory_answers();
    grant_answers();
    page_free(page, 0);
    return wrong == 0;
}
