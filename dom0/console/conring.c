/* SPDX-License-Identifier: MIT */
/* Two byte rings with free-running indices. */

#include "dom0/console/conring.h"

#include <string.h>
#include <xen/errno.h>

static uint32_t shared_read(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void conring_init(struct conring *r, struct xencons_interface *page)
{
    r->page = page;
    r->out_cons = shared_read(&page->out_cons);
    r->in_prod = shared_read(&page->in_prod);
}

long conring_take(struct conring *r, char *buf, size_t n)
{
    uint32_t have = shared_read(&r->page->out_prod) - r->out_cons;

    if (have > sizeof(r->page->out)) {
        return -XEN_EIO;
    }
    n = n < have ? n : have;
    for (size_t i = 0; i < n; i++) {
        buf[i] = r->page->out[MASK_XENCONS_IDX(r->out_cons + i, r->page->out)];
    }
    r->out_cons += (uint32_t)n;
    /* After the bytes were read; pairs with the guest's read before it writes there again. */
    __atomic_store_n(&r->page->out_cons, r->out_cons, __ATOMIC_RELEASE);
    return (long)n;
}

long conring_give(struct conring *r, const char *buf, size_t n)
{
    uint32_t used = r->in_prod - shared_read(&r->page->in_cons);

    if (used > sizeof(r->page->in)) {
        return -XEN_EIO;
    }
    n = n < sizeof(r->page->in) - used ? n : sizeof(r->page->in) - used;
    for (size_t i = 0; i < n; i++) {
        r->page->in[MASK_XENCONS_IDX(r->in_prod + i, r->page->in)] = buf[i];
    }
    r->in_prod += (uint32_t)n;
    __atomic_store_n(&r->page->in_prod, r->in_prod, __ATOMIC_RELEASE);
    return (long)n;
}
