/* SPDX-License-Identifier: MIT */
/* See fake_domain.h. */
#include "tests/unit/fake_domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <xen/errno.h>
#include "mm/guest.h"
#include "tests/unit/fake_arch.h"

struct fake_domain fake_domain[FAKE_DOMAINS];
struct domain *dom0;

struct domain *fake_domain_add(domid_t id, unsigned vcpus)
{
    struct fake_domain *f = &fake_domain[id];
    struct domain *d = &f->d;

    memset(f, 0, sizeof *f);
    d->id = id;
    d->refs = 1;
    d->privileged = id == 0;
    d->vcpu_max = vcpus;
    d->shared = &f->shared.info;
    for (unsigned i = 0; i < vcpus; i++) {
        d->vcpu[i] = &f->v[i];
        f->v[i].domain = d;
        f->v[i].id = i;
        f->v[i].info = &d->shared->vcpu_info[i];
    }
    if (id == 0)
        dom0 = d;
    return d;
}

void fake_domain_remove(domid_t id)
{
    assert_int_equal(fake_domain[id].d.refs, 1);
    fake_domain[id].d.refs = 0;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = id < FAKE_DOMAINS ? &fake_domain[id].d : NULL;

    if (!d || !d->refs || d->dying)
        return NULL;
    d->refs++;
    return d;
}

struct domain *domain_get_for(struct domain *caller, domid_t id)
{
    return domain_get(id == DOMID_SELF ? caller->id : id);
}

void domain_put(struct domain *d)
{
    assert_true(d->refs > 1);
    d->refs--;
}

void sched_wake(struct vcpu *v)
{
    fake_domain[v->domain->id].wakes[v->id]++;
}

void sched_kick(struct vcpu *v)
{
    fake_domain[v->domain->id].kicks[v->id]++;
}

size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    if (va < FAKE_BAD_ADDRESS)
        return bytes;
    memcpy(dst, (const void *)va, bytes);
    return 0;
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    if (va < FAKE_BAD_ADDRESS)
        return bytes;
    memcpy((void *)va, src, bytes);
    return 0;
}
