/* SPDX-License-Identifier: MIT */
/* Requests and responses share the entries of the ring; both indices run freely. */

#include "dom0/blk/blkring.h"

#include <assert.h>
#include <stddef.h>
#include <xen/errno.h>

static_assert(offsetof(struct blkif_sring, ring) == 64, "header of a shared ring");
static_assert(sizeof(union blkif_sring_entry) == 112, "x86_64 layout of a request");
static_assert(BLKRING_SIZE * sizeof(union blkif_sring_entry) + 64 <= 4096, "one page");

int blkring_start(struct blkring *r, struct blkif_sring *page)
{
    r->page = page;
    r->rsp_prod = __atomic_load_n(&page->rsp_prod, __ATOMIC_ACQUIRE);
    r->req_cons = r->published = r->rsp_prod;
    uint32_t prod = __atomic_load_n(&page->req_prod, __ATOMIC_ACQUIRE);
    return prod - r->rsp_prod > BLKRING_SIZE ? -XEN_EINVAL : 0;
}

int blkring_take(struct blkring *r, struct blkif_request *copy)
{
    uint32_t prod = __atomic_load_n(&r->page->req_prod, __ATOMIC_ACQUIRE);

    /* Neither more than the ring holds, nor over entries whose responses are still to come. */
    if (prod - r->rsp_prod > BLKRING_SIZE || prod - r->req_cons > BLKRING_SIZE) {
        return -XEN_EIO;
    }
    if (prod == r->req_cons) {
        return 0;
    }
    memcpy(copy, &r->page->ring[r->req_cons % BLKRING_SIZE].req, sizeof(*copy));
    /* What follows works on the copy: the compiler must not look at the page again. */
    __asm__ volatile("" ::: "memory");
    r->req_cons++;
    return 1;
}

bool blkring_rearm(struct blkring *r)
{
    __atomic_store_n(&r->page->req_event, r->req_cons + 1, __ATOMIC_RELAXED);
    /* Pairs with the guest's barrier between req_prod and its look at req_event. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&r->page->req_prod, __ATOMIC_ACQUIRE) != r->req_cons;
}

void blkring_put(struct blkring *r, uint64_t id, uint8_t operation, int16_t status)
{
    struct blkif_response rsp;

    memset(&rsp, 0, sizeof(rsp));
    rsp.id = id;
    rsp.operation = operation;
    rsp.status = status;
    memcpy(&r->page->ring[r->rsp_prod % BLKRING_SIZE].rsp, &rsp, sizeof(rsp));
    r->rsp_prod++;
}

bool blkring_publish(struct blkring *r)
{
    uint32_t old = r->published;

    if (old == r->rsp_prod) {
        return false;
    }
    __atomic_store_n(&r->page->rsp_prod, r->rsp_prod, __ATOMIC_RELEASE);
    r->published = r->rsp_prod;
    /* Pairs with the guest's barrier between rsp_event and its look at rsp_prod. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t event = __atomic_load_n(&r->page->rsp_event, __ATOMIC_ACQUIRE);
    return r->rsp_prod - event < r->rsp_prod - old;
}
