/* SPDX-License-Identifier: MIT */
/*
 * For tests of memory_op: domain 0 and a guest with the real p2m and frame allocator. Defines what
 * hv/ wants of the rest of the hypervisor, so one file of a test includes it. "Guest" memory is the
 * test's own.
 */
#ifndef MEMORY_WORLD_H
#define MEMORY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>

#include "hv/boot_info.h"
#include "hv/domain.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "hv/memory_map.h"
#include "mm/heap.h"
#include "tests/unit/fake_arch.h"

#define FRAMES 4096

static struct domain control, guest;
static struct vcpu control_vcpu = {.domain = &control}, guest_vcpu = {.domain = &guest};
static unsigned references, preempt_every, preempt_asked;
static xen_pfn_t list[1024];
/* Guest memory that is not there. */
static const char *bad_start, *bad_end;

struct boot_info boot_info;
struct domain *dom0 = &control;

struct domain *domain_get(domid_t id)
{
    struct domain *d = id == 0 ? &control : id == 1 ? &guest : NULL;

    references += d != NULL;
    return d;
}

struct domain *domain_get_for(struct domain *caller, domid_t id)
{
    return domain_get(id == DOMID_SELF ? caller->id : id);
}

void domain_put(struct domain *d)
{
    assert_non_null(d);
    references--;
}

bool hypercall_preempt(void)
{
    return preempt_every && ++preempt_asked % preempt_every == 0;
}

mfn_t grant_table_frame(struct domain *d, unsigned index)
{
    return d == &guest && index == 0 ? d->shared_mfn : INVALID_MFN;
}

static bool is_bad(uint64_t va, size_t bytes)
{
    return va < (uint64_t)bad_end && va + bytes > (uint64_t)bad_start;
}

size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    if (va < 4096 || is_bad(va, bytes))
        return bytes;
    memcpy(dst, (const void *)va, bytes);
    return 0;
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    /* A copy may find that the guest must be ended, which takes its lock. */
    assert_false(spin_held(&guest.lock));
    if (va < 4096 || is_bad(va, bytes))
        return bytes;
    memcpy((void *)va, src, bytes);
    return 0;
}

/* ---- the world ---- */

static void make(struct domain *d, domid_t id, unsigned flags, uint64_t pages)
{
    memset(d, 0, sizeof *d);
    d->id = id;
    d->max_pages = pages;
    d->privileged = flags;
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    d->paging = paging_create(id, pages, flags ? PAGING_DIRECT : 0, PAGING_POOL_MIN);
    assert_non_null(d->paging);
}

static int setup(void **state)
{
    (void)state;
    fake_machine_start(FRAMES, 1);
    make(&control, 0, 1, 1024);
    make(&guest, 1, 0, 1200);
    references = preempt_every = preempt_asked = 0;
    bad_start = bad_end = NULL;
    return 0;
}

static void end(struct domain *d)
{
    long rc;

    memory_map_release(d);
    do {
        paging_lock(d->paging);
        paging_unlock(d->paging);
        rc = paging_teardown(d->paging);
    } while (rc == -XEN_ERESTART);
    assert_int_equal(rc, 0);
    paging_free(d->paging);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(references, 0);
    end(&guest);
    end(&control);
    assert_int_equal(heap_used_bytes(), 0);
    assert_int_equal(frame_free_count(), FRAMES - 1);
    fake_machine_stop();
    return 0;
}

static uint64_t owned(struct domain *d)
{
    return p2m_ram_count(d->paging);
}

static long op(struct vcpu *v, unsigned cmd, void *arg)
{
    struct hypercall call = {.arg = {cmd, (uint64_t)arg}};
    long rc;

    while ((rc = hypercall_memory_op(v, &call)) == -XEN_ERESTART)
        continue;
    return rc;
}

static long reserve(struct vcpu *v, unsigned cmd, domid_t id, uint64_t count, unsigned order)
{
    struct xen_memory_reservation r = {
        .extent_start.p = list, .nr_extents = count, .extent_order = order, .domid = id};

    return op(v, cmd, &r);
}

static void number_list(uint64_t first, uint64_t step)
{
    for (unsigned i = 0; i < 1024; i++)
        list[i] = first + i * step;
}

#endif
