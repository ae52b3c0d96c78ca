/* SPDX-License-Identifier: MIT */
/* Questions about what a frame may be at the same time: a page table, a descriptor table, memory
 * that is given away, lent or exchanged. */
#include "hostile.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>
#include <rt/trap.h>
#include <rt/xenbus.h>

#define SCRATCH  0x0000200000000000UL
#define HOLE     0xffff800000000000UL
#define SLOT(n)  ((uint64_t)(n) << 39)
#define SELECTOR 4u /* of an LDT */

static volatile unsigned faults, vector;
static volatile unsigned long fault_address;

static bool skip(struct trap_regs *r)
{
    if (r->rbx - r->rip > 32)
        return false;
    faults++;
    vector = (unsigned)r->vector;
    fault_address = trap_fault_address();
    r->rip = r->rbx;
    return true;
}

/* Selectors that do not load any more are null, and that is that. */
static bool go_on(struct trap_regs *r)
{
    (void)r;
    return true;
}

/* Stores to its read-only tables are done for it. */
static void survive_faults(void)
{
    faults = 0;
    hypercall_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    trap_set_handler(TRAP_FAILSAFE, go_on);
    for (unsigned v = 11; v <= 14; v++)
        trap_set_handler(v, skip);
}

/* How many faults one access gives: 0 or 1. */
static unsigned read_faults(uint64_t va)
{
    unsigned before = faults;

    asm volatile("lea 1f(%%rip), %%rbx; mov (%0), %%rax; 1:" : : "r"(va) : "rax", "rbx", "memory");
    return faults - before;
}

static unsigned write_faults(uint64_t va, uint64_t value)
{
    unsigned before = faults;

    asm volatile("lea 1f(%%rip), %%rbx; mov %1, (%0); 1:"
                 :
                 : "r"(va), "r"(value)
                 : "rbx", "memory");
    return faults - before;
}

static unsigned selector_faults(unsigned selector)
{
    unsigned before = faults;

    asm volatile("lea 1f(%%rip), %%rbx; mov %0, %%fs; 1:" : : "r"(selector) : "rbx", "memory");
    return faults - before;
}

static uint64_t maddr(const void *p)
{
    return virt_to_mfn(p) << PAGE_SHIFT | ((uintptr_t)p & ~PAGE_MASK);
}

static long update(const uint64_t *entry, uint64_t value)
{
    struct mmu_update u = {.ptr = maddr(entry), .val = value};

    return hypercall_mmu_update(&u, 1, NULL, DOMID_SELF);
}

static long extended(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2};

    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static long map(const void *page, uint64_t flags)
{
    return hypercall_update_va_mapping((uintptr_t)page, flags ? maddr(page) | flags : 0,
                                       UVMF_INVLPG | UVMF_ALL);
}

static long give_back(xen_pfn_t mfn)
{
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(res.extent_start, &mfn);
    return hypercall_memory_op(XENMEM_decrease_reservation, &res);
}

static long exchange(xen_pfn_t mfn)
{
    struct xen_memory_exchange x = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    xen_pfn_t out = 0;

    set_xen_guest_handle(x.in.extent_start, &mfn);
    set_xen_guest_handle(x.out.extent_start, &out);
    return hypercall_memory_op(XENMEM_exchange, &x);
}

static domid_t own_number(void)
{
    uint64_t id = 0;

    return xs_read_u64("domid", &id) ? 0 : (domid_t)id;
}

/* ---- descriptors ---- */

static long set_ldt(const void *base, unsigned entries)
{
    return extended(MMUEXT_SET_LDT, (uintptr_t)base, entries);
}

static const uint64_t system_descriptors[] = {
    0x0000890000000067UL,             /* TSS */
    0x0000820000000fffUL,             /* LDT */
    0x0000ec00e0080000UL,             /* call gate to the hypervisor's code */
    0x0000ee00e0080000UL,             /* interrupt gate */
    0x0000850000000000UL,             /* task gate */
    0x00afda000000ffffUL | 3UL << 53, /* code of 64 and 32 bits */
};
#define SYSTEM_COUNT (sizeof system_descriptors / sizeof *system_descriptors)

static void ldt_descriptors(void)
{
    uint64_t *table = page_alloc(0);
    uint32_t rights = 0;

    survive_faults();
    expect_refused("an LDT that is not at a page", set_ldt(&table[1], 8));
    expect_refused("an LDT of 8193", set_ldt(table, 8193));
    expect_refused("an LDT in the hypervisor", set_ldt((void *)(HOLE + 0x1000000000), 8));
    table[1] = 0x00cf92000000ffffUL; /* data, ring 0 */
    for (unsigned i = 0; i < SYSTEM_COUNT; i++)
        table[2 + i] = system_descriptors[i];
    map(table, PTE_P | PTE_A);
    expect("set", set_ldt(table, 512), 0);
    expect("data of ring 0: faults", selector_faults(1 << 3 | SELECTOR | 3), 0);
    asm volatile("lar %1, %0" : "+r"(rights) : "r"(1u << 3 | SELECTOR | 3));
    expect("its ring", rights >> 13 & 3, 3);
    for (unsigned i = 0; i < SYSTEM_COUNT; i++) {
        unsigned selector = (2 + i) << 3 | SELECTOR | 3;
        struct {
            uint32_t offset;
            uint16_t selector;
        } far = {0, (uint16_t)selector};
        unsigned before = faults;

        expect("a system descriptor as data: faults", selector_faults(selector), 1);
        asm volatile("lea 1f(%%rip), %%rbx; lcall *%0; 1:" : : "m"(far) : "rbx", "memory");
        expect("a call through it: faults", faults - before, 2);
        expect_refused("one by update_descriptor",
                       hypercall_raw(__HYPERVISOR_update_descriptor, maddr(&table[9]),
                                     system_descriptors[i], 0, 0));
    }
    selector_faults(0);
    set_ldt(NULL, 0);
}

/* What is loaded stays, whatever becomes of the page; what is loaded later is what is there then.
 */
static void ldt_gone(void)
{
    uint64_t *table = page_alloc(0), *root = pt_kernel_root();
    unsigned selector = 1 << 3 | SELECTOR | 3, used = 0;

    survive_faults();
    table[1] = 0x00cff2000000ffffUL;
    map(table, PTE_P | PTE_A);
    expect("set", set_ldt(table, 512), 0);
    expect("faults", selector_faults(selector), 0);
    map(table, 0);
    expect("unmapped: faults", selector_faults(selector), 0);
    expect("given back", give_back(virt_to_mfn(table)), 1);
    expect("faults", selector_faults(selector), 0);
    expect("set again", set_ldt(table, 511), 0);
    expect("faults", selector_faults(selector), 1);
    expect("a page fault", vector, 14);
    expect("where the descriptor was", fault_address == (uintptr_t)&table[1], 1);
    /* A page table as one: whatever its entries look like. */
    expect("its root as LDT", set_ldt(root, 512), 0);
    for (unsigned i = 0; i < 512; i++)
        used += !selector_faults(i << 3 | SELECTOR | 3);
    selector_faults(0);
    set_ldt(NULL, 0);
    printf("hostile: %u entries of the root are segments\n", used);
    expect("an entry of the root", update(&root[100], maddr(root) | PTE_TABLE), 0);
    expect("and away", update(&root[100], 0), 0);
}

/* Descriptor tables in a page that another lent (itself, here), and in the hypervisor's. */
static void ldt_foreign(void)
{
    char *page = page_alloc(0);
    domid_t me = own_number();
    grant_ref_t ref = (grant_ref_t)grant_access(me, virt_to_mfn(page), false);
    struct grant_mapping g;
    xen_ulong_t frame;

    survive_faults();
    ((uint64_t *)page)[1] = 0x00cff2000000ffffUL;
    expect("mapped", grant_map(me, &ref, 1, true, &g), 0);
    expect("an LDT there", set_ldt(g.va, 512), 0);
    expect("faults", selector_faults(1 << 3 | SELECTOR | 3), 1);
    frame = (*pt_walk(pt_kernel_root(), (uintptr_t)g.va, false) & PTE_ADDR) >> PAGE_SHIFT;
    expect_refused("a GDT there", hypercall_set_gdt(&frame, 512));
    frame = 0xfee00;
    expect_refused("a GDT in the local APIC", hypercall_set_gdt(&frame, 512));
    expect("an LDT at the machine-to-phys table", set_ldt((void *)0x00007ffffffff000UL, 1024), 0);
    expect("faults", selector_faults(600u << 3 | SELECTOR | 3), 1);
    selector_faults(0);
    set_ldt(NULL, 0);
    expect("given back", grant_unmap(&g), 0);
    expect("taken back", grant_end(ref), 0);
}

static void bad_context(void)
{
    struct vcpu_guest_context *ctx = calloc(1, sizeof *ctx);

    ctx->flags = VGCF_IN_KERNEL;
    ctx->ctrlreg[3] = xen_pfn_to_cr3(virt_to_mfn(pt_kernel_root()));
    ctx->ldt_base = 8;
    ctx->ldt_ents = 8;
    expect("a context with an LDT at 8", hypercall_vcpu_op(VCPUOP_initialise, 1, ctx), -XEN_EINVAL);
    ctx->ldt_base = 0;
    ctx->ldt_ents = 8193;
    expect("one with 8193", hypercall_vcpu_op(VCPUOP_initialise, 1, ctx), -XEN_EINVAL);
    ctx->ldt_ents = 0;
    ctx->gdt_ents = 512;
    ctx->gdt_frames[0] = 0xfee00;
    expect("one with a GDT in the local APIC", hypercall_vcpu_op(VCPUOP_initialise, 1, ctx),
           -XEN_EINVAL);
    ctx->gdt_ents = 0;
    ctx->ldt_ents = 8192;
    expect("a good one", hypercall_vcpu_op(VCPUOP_initialise, 1, ctx), 0);
    free(ctx);
}

/* ---- page tables ---- */

/* One frame is table of all levels, and the page at the end. */
static void all_levels(void)
{
    uint64_t *root = pt_kernel_root(), *table = page_alloc(0);
    uint64_t self = maddr(table) | PTE_TABLE;

    survive_faults();
    table[0] = self;
    map(table, PTE_P | PTE_A);
    expect("linked", update(&root[100], self), 0);
    expect("through all levels: faults", read_faults(SLOT(100)), 0);
    expect("what is there", *(uint64_t *)SLOT(100) == self, 1);
    expect("an entry by a store through itself: faults", write_faults(SLOT(100) + 8, 0), 0);
    expect("its last entry, of another page", update(&table[511], maddr(root) | PTE_P | PTE_A), 0);
    expect("seen at level 1: faults", read_faults(SLOT(100) | 511UL << 12), 0);
    expect("written: faults", write_faults(SLOT(100) | 511UL << 12 | 256 * 8, 0), 0);
    expect("a large page in it", update(&table[1], self | 0x80), -XEN_EINVAL);
    expect("pinned as level 1", extended(MMUEXT_PIN_L1_TABLE, virt_to_mfn(table), 0), 0);
    expect("and as level 3", extended(MMUEXT_PIN_L3_TABLE, virt_to_mfn(table), 0), 0);
    expect("unpinned", extended(MMUEXT_UNPIN_TABLE, virt_to_mfn(table), 0), 0);
    expect("unlinked", update(&root[100], 0), 0);
    pt_flush_all();
    expect("gone: faults", read_faults(SLOT(100)), 1);
}

/* The hypervisor's slots of the live root, by plain stores. */
static void hole_stores(void)
{
    uint64_t *root = pt_kernel_root();
    unsigned reached = 0;

    survive_faults();
    for (unsigned slot = 256; slot < 272; slot++)
        reached += write_faults((uintptr_t)&root[slot], maddr(root) | PTE_TABLE);
    expect("stores refused", reached, 0);
    pt_flush_all();
    for (unsigned slot = 257; slot < 272; slot++) {
        uint64_t va = 0xffff000000000000UL | SLOT(slot);

        reached += !read_faults(va) + !read_faults(va | 1UL << 38) + !write_faults(va, 0);
    }
    expect("addresses of the hypervisor's that it reaches", reached, 0);
    expect("its machine-to-phys table: faults", read_faults(HOLE), 0);
    expect("written: faults", write_faults(HOLE, 0), 1);
    for (unsigned slot = 256; slot < 272; slot++)
        write_faults((uintptr_t)&root[slot], 0);
    expect("the root is good", extended(MMUEXT_NEW_BASEPTR, virt_to_mfn(root), 0), 0);
}

static void pins(void)
{
    char *page = page_alloc(0);
    xen_pfn_t data = virt_to_mfn(page), root = virt_to_mfn(pt_kernel_root());

    for (unsigned cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++) {
        printf("hostile: pinning data, twice, and the root: %ld %ld %ld\n", extended(cmd, data, 0),
               extended(cmd, data, 0), extended(cmd, root, 0));
        expect_refused("pinning a window frame", extended(cmd, 1UL << 36, 0));
        expect_refused("pinning what there is not", extended(cmd, 1UL << 51, 0));
        page[cmd] = 1; /* it is memory all the same */
    }
    extended(MMUEXT_UNPIN_TABLE, data, 0);
    extended(MMUEXT_UNPIN_TABLE, data, 0);
    extended(MMUEXT_UNPIN_TABLE, root, 0);
    expect("still there", page[MMUEXT_PIN_L4_TABLE], 1);
}

/* ---- memory that is in use ---- */

static void exchange_used(void)
{
    char *page = page_alloc(0);
    domid_t me = own_number();
    grant_ref_t ref = (grant_ref_t)grant_access(me, virt_to_mfn(page), false);
    struct grant_mapping g;
    char local = 1;

    *(volatile char *)page = 1;
    expect("its root", exchange(virt_to_mfn(pt_kernel_root())), -XEN_EINVAL);
    expect("its stack", exchange(virt_to_mfn(&local)), -XEN_EINVAL);
    expect("its code", exchange(virt_to_mfn((void *)exchange_used)), -XEN_EINVAL);
    expect("a page that is mapped", exchange(virt_to_mfn(page)), -XEN_EINVAL);
    expect("a window frame", exchange(1UL << 36), -XEN_EINVAL);
    expect("lent and mapped", grant_map(me, &ref, 1, true, &g), 0);
    map(page, 0);
    expect("a page that is lent", exchange(virt_to_mfn(page)), -XEN_EINVAL);
    /* Given back it is the borrower's until the unmap. */
    expect("given back", give_back(virt_to_mfn(page)), 1);
    expect("twice", give_back(virt_to_mfn(page)), 0);
    expect("what the loan shows", ((volatile char *)g.va)[0], 1);
    expect("unmapped", grant_unmap(&g), 0);
    expect("ended", grant_end(ref), 0);
}

static void balloon_root(void)
{
    printf("hostile: giving back the root: %ld\n", give_back(virt_to_mfn(pt_kernel_root())));
    pt_flush_all();
    asm volatile("mov (%0), %%rax" : : "r"(SCRATCH) : "rax", "memory");
}

static void balloon_stack(void)
{
    char local[16];

    printf("hostile: giving back the stack\n");
    give_back(virt_to_mfn(local));
    pt_flush_all();
    asm volatile("push %%rax; pop %%rax" : : : "memory");
}

/* ---- grants ---- */

static int16_t map_at(uint64_t at, unsigned flags, int ref, grant_handle_t *handle)
{
    struct gnttab_map_grant_ref m = {.host_addr = at,
                                     .flags = GNTMAP_host_map | flags,
                                     .ref = (grant_ref_t)ref,
                                     .dom = own_number()};

    hypercall_grant_table_op(GNTTABOP_map_grant_ref, &m, 1);
    *handle = m.handle;
    return m.status;
}

static int16_t unmap_at(uint64_t at, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = at, .handle = handle};

    hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &u, 1);
    return u.status;
}

static void grant_places(void)
{
    uint64_t *entry = pt_walk(pt_kernel_root(), SCRATCH, true);
    char *page = page_alloc(0);
    int ref = grant_access(own_number(), virt_to_mfn(page), false);
    grant_handle_t handle, other;

    survive_faults();
    expect_refused("no table there", map_at(0x0000510000000000UL, 0, ref, &handle));
    expect_refused("in the hypervisor", map_at(HOLE, 0, ref, &handle));
    expect_refused("an entry of nobody's", map_at(1UL << 51, GNTMAP_contains_pte, ref, &handle));
    expect_refused("an entry in the shared page",
                   map_at((1UL << 36) << 12, GNTMAP_contains_pte, ref, &handle));
    expect_refused("an entry at an odd place",
                   map_at(maddr(entry) + 4, GNTMAP_contains_pte, ref, &handle));
    expect_refused("in the hypervisor's slot of the root",
                   map_at(maddr(&pt_kernel_root()[260]), GNTMAP_contains_pte, ref, &handle));
    expect("at an entry", map_at(maddr(entry), GNTMAP_contains_pte, ref, &handle), 0);
    expect("and at an address", map_at(SCRATCH + PAGE_SIZE, 0, ref, &other), 0);
    expect("seen: faults", read_faults(SCRATCH) + read_faults(SCRATCH + PAGE_SIZE), 0);
    expect_refused("the first, at the other's entry", unmap_at(maddr(&entry[1]), handle));
    expect_refused("the other, at the first's address", unmap_at(SCRATCH, other));
    expect("the first", unmap_at(maddr(entry), handle), 0);
    expect("again", unmap_at(maddr(entry), handle), GNTST_bad_handle);
    expect("seen: faults", read_faults(SCRATCH) + read_faults(SCRATCH + PAGE_SIZE), 1);
    expect("the other", unmap_at(SCRATCH + PAGE_SIZE, other), 0);
    expect("a number that was none", unmap_at(SCRATCH, ~0u), GNTST_bad_handle);
    expect("ended", grant_end((grant_ref_t)ref), 0);
}

const struct question table_questions[] = {
    {"ldt", "an LDT with descriptors that are not for guests", ldt_descriptors},
    {"ldt-gone", "an LDT whose page goes away, and one that is a page table", ldt_gone},
    {"ldt-foreign", "descriptor tables in pages that are not its own", ldt_foreign},
    {"ldt-context", "a vCPU that starts with bad descriptor tables", bad_context},
    {"all-levels", "one frame as the table of every level, and as the page", all_levels},
    {"hole-stores", "stores to the hypervisor's slots of its root", hole_stores},
    {"pins", "pins of what is no table", pins},
    {"exchange-used", "memory in use exchanged, and a lent page given back", exchange_used},
    {"balloon-root", "its root given back", balloon_root},
    {"balloon-stack", "its stack given back", balloon_stack},
    {"grant-places", "grants mapped and unmapped where they may not be", grant_places},
    {NULL, NULL, NULL},
};
