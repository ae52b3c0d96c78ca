/* SPDX-License-Identifier: MIT */
/* What the fuzzer's calls are made from, what becomes of it, and its use by the processor. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/xenbus.h>

#include "fuzz.h"
#include "fuzz_pool.h"
#include "hostile.h"

#define ARENA 16384 /* more than any step takes, a multicall of the largest ones too */

struct fuzz_pool pool;
static struct arena {
    char bytes[ARENA];
    unsigned used;
} arena[SMP_MAX] __attribute__((aligned(16)));

void *fuzz_take(struct racer *r, unsigned bytes)
{
    struct arena *a = &arena[r->id];
    void *p;

    bytes = (bytes + 15) & ~15u;
    if (a->used + bytes > ARENA)
        panic("fuzz: a step needs more than %u bytes", ARENA);
    p = a->bytes + a->used;
    a->used += bytes;
    return memset(p, 0, bytes);
}

void fuzz_forget(struct racer *r)
{
    arena[r->id].used = 0;
}

bool fuzz_set_up(void)
{
    uint64_t id = 0;

    pool.entries = pt_walk(pt_kernel_root(), SCRATCH, true);
    if (!pool.entries || xs_read_u64("domid", &id))
        return false;
    pool.self = (domid_t)id;
    hypercall_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    pool.roots[0] = pt_kernel_root();
    for (unsigned i = 1; i < 3; i++) {
        pool.roots[i] = page_alloc(0);
        memcpy(pool.roots[i], pool.roots[0], PAGE_SIZE);
        if (pt_make_table(pool.roots[i]))
            return false;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        pool.pages[i] = page_alloc(0);
        pool.frames[i] = virt_to_mfn(pool.pages[i]);
        if (i >= PAGES / 2)
            hypercall_update_va_mapping((unsigned long)pool.pages[i], 0, UVMF_INVLPG | UVMF_ALL);
    }
    for (unsigned i = 0; i < REFS; i++)
        pool.refs[i] = grant_access(pool.self, pool.frames[i % PAGES], i & 1);
    return true;
}

/* ---- values ---- */

bool fuzz_rarely(struct racer *r)
{
    return race_pick(r, 16) == 0;
}

uint64_t fuzz_wild(struct racer *r)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   ~0UL,
                                   1UL << 63,
                                   0xffff800000000000UL,
                                   0xffff880000000000UL,
                                   0x800000000000UL,
                                   1UL << 36,
                                   0xfee00UL,
                                   0xffffffffUL,
                                   0x7ff0};

    return race_pick(r, 3) ? odd[race_pick(r, 11)] + race_pick(r, 4) : race_random(r);
}

xen_pfn_t fuzz_some_frame(struct racer *r)
{
    switch (race_pick(r, 24)) {
    case 0:
        return (1UL << 36) + race_pick(r, 32); /* what has a gfn and is not its memory */
    case 1:
        return virt_to_mfn(pool.roots[1 + race_pick(r, 2)]);
    case 2:
        return fuzz_wild(r);
    default:
        return pool.frames[race_pick(r, PAGES)];
    }
}

uint64_t fuzz_some_address(struct racer *r)
{
    return fuzz_rarely(r) ? fuzz_wild(r)
                          : SCRATCH + race_pick(r, 2 * PAGES) * PAGE_SIZE + race_pick(r, 2) * 8;
}

uint64_t fuzz_some_entry(struct racer *r)
{
    static const uint64_t flags[] = {PTE_KERNEL, PTE_P | PTE_A, PTE_P | PTE_RW,
                                     0,          PTE_TABLE,     PTE_KERNEL | PTE_NX};

    xen_pfn_t frame = fuzz_some_frame(r);
    uint64_t flag = flags[race_pick(r, 6)];

    /* A run-state area may lie at any page of SCRATCH, and the hypervisor writes it there whatever
     * the page has become: in the shared page that would overwrite pending events and the clock. */
    if (frame == start_info->shared_info >> PAGE_SHIFT)
        flag &= ~PTE_RW;
    return fuzz_rarely(r) ? fuzz_wild(r) : frame << PAGE_SHIFT | flag;
}

/* Where pool.entries are: SCRATCH's table, the spare roots' free slots, data that may become a
 * table. */
uint64_t fuzz_some_slot(struct racer *r)
{
    switch (race_pick(r, 8)) {
    case 0:
        return virt_to_mfn(pool.roots[1 + race_pick(r, 2)]) << PAGE_SHIFT |
               (100 + race_pick(r, 8)) * 8;
    case 1:
        return pool.frames[race_pick(r, PAGES)] << PAGE_SHIFT | race_pick(r, 512) * 8;
    case 2:
        return fuzz_rarely(r)
                   ? fuzz_wild(r)
                   : virt_to_mfn(pool.roots[1]) << PAGE_SHIFT | (256 + race_pick(r, 16)) * 8;
    default:
        return virt_to_mfn(pool.entries) << PAGE_SHIFT | race_pick(r, 2 * PAGES) * 8;
    }
}

domid_t fuzz_some_domain(struct racer *r)
{
    return fuzz_rarely(r) ? (domid_t)race_pick(r, 4) : race_pick(r, 4) ? DOMID_SELF : pool.self;
}

unsigned fuzz_some_count(struct racer *r, unsigned have)
{
    return fuzz_rarely(r) ? (unsigned)fuzz_wild(r) & 0x1f : 1 + race_pick(r, have);
}

bool fuzz_is_harmless(uint64_t entry)
{
    for (unsigned i = 0; i < PAGES; i++) {
        if ((entry & PTE_ADDR) >> PAGE_SHIFT == pool.frames[i])
            return true;
    }
    return !(entry & PTE_P);
}

/* ---- results ---- */

static bool grant_result(struct racer *r, const struct fuzz_call *c)
{
    const struct gnttab_map_grant_ref *m = (void *)c->a[1];
    const struct gnttab_copy *g = (void *)c->a[1];

    switch (c->a[0]) {
    case GNTTABOP_map_grant_ref:
        if (m->status == GNTST_okay)
            pool.handles[race_pick(r, 64)] = m->handle;
        return m->status == GNTST_okay;
    case GNTTABOP_unmap_grant_ref:
        return ((const struct gnttab_unmap_grant_ref *)m)->status == GNTST_okay;
    case GNTTABOP_unmap_and_replace:
        return ((const struct gnttab_unmap_and_replace *)m)->status == GNTST_okay;
    case GNTTABOP_copy:
        return g->status == GNTST_okay;
    default:
        return true;
    }
}

/* What is not its own any more. */
static void lost(const xen_pfn_t *list, unsigned count)
{
    for (unsigned k = 0; k < count && k < 8; k++) {
        for (unsigned i = 0; i < PAGES; i++) {
            if (pool.frames[i] == list[k])
                pool.frames[i] = GONE;
        }
    }
}

static bool memory_result(struct racer *r, const struct fuzz_call *c, long rc)
{
    const struct xen_memory_exchange *x = (void *)c->a[1];

    if ((uint64_t)x - (uint64_t)arena[r->id].bytes >= ARENA)
        return true;        /* not what was made here */
    switch (c->a[0] & 63) { /* without what it is to begin with */
    case XENMEM_populate_physmap:
    case XENMEM_increase_reservation:
        if (rc == 1)
            pool.frames[race_pick(r, PAGES)] = x->in.extent_start.p[0];
        return rc == 1;
    case XENMEM_decrease_reservation:
        if (rc > 0)
            lost(x->in.extent_start.p, (unsigned)rc);
        return rc > 0;
    case XENMEM_exchange:
        lost(x->in.extent_start.p, 1u << x->out.extent_order);
        pool.frames[race_pick(r, PAGES)] = x->out.extent_start.p[0];
        return true;
    default:
        return true;
    }
}

bool fuzz_result(struct racer *r, const struct fuzz_call *c, long rc)
{
    const uint32_t *words = (void *)c->a[1];

    if (rc < 0)
        return false;
    switch (c->nr) {
    case __HYPERVISOR_grant_table_op:
        return grant_result(r, c);
    case __HYPERVISOR_memory_op:
        return memory_result(r, c, rc);
    case __HYPERVISOR_event_channel_op:
        if (c->a[0] == EVTCHNOP_alloc_unbound || c->a[0] == EVTCHNOP_bind_ipi)
            pool.ports[race_pick(r, 32)] = words[1];
        else if (c->a[0] == EVTCHNOP_bind_virq || c->a[0] == EVTCHNOP_bind_interdomain)
            pool.ports[race_pick(r, 32)] = words[2];
        return true;
    default:
        return true;
    }
}

void fuzz_use(struct racer *r)
{
    unsigned i = race_pick(r, 2 * PAGES);
    char *va = (char *)SCRATCH + i * PAGE_SIZE;
    /* Others may change it before it is touched. */
    bool harmless = fuzz_is_harmless(pool.entries[i]) && (race_alone() || race_pick(r, 64) == 0);
    uint64_t good;

    switch (race_pick(r, 4)) {
    case 0:
        if (harmless)
            race_touch(va);
        break;
    case 1:
        if (harmless)
            race_store(va + race_pick(r, 512) * 8, fuzz_some_entry(r));
        break;
    case 2:
        race_store(&pool.entries[i], fuzz_some_entry(r));
        break;
    default:
        asm volatile("lea 1f(%%rip), %%rbx; mov %1, %%fs; mov $1, %%eax; 1:"
                     : "=&a"(good)
                     : "r"((uint32_t)race_pick(r, 16384) << 2 | 3)
                     : "rbx", "memory");
    }
}
