/* SPDX-License-Identifier: MIT */
/* The store page's two byte rings (<xen/io/xs_wire.h>, struct xenstore_domain_interface). */

#include "dom0/store/transport.h"
#include "dom0/store/core.h"

#include <string.h>

/* Steps of one pump; a request or reply takes two or more. */
#define PUMP_STEPS 32

/* The one read of a word that the other domain writes. */
static uint32_t shared_read(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

int store_ring_start(struct store_ring *r, struct xenstore_domain_interface *page,
                     struct store_conn *conn)
{
    memset(r, 0, sizeof(*r));
    r->page = page;
    r->conn = conn;
    r->req_cons = shared_read(&page->req_cons);
    r->rsp_prod = shared_read(&page->rsp_prod);
    if (shared_read(&page->req_prod) - r->req_cons > XENSTORE_RING_SIZE ||
        r->rsp_prod - shared_read(&page->rsp_cons) > XENSTORE_RING_SIZE) {
        return -XEN_EINVAL;
    }
    page->server_features = XENSTORE_SERVER_FEATURE_ERROR;
    page->error = XENSTORE_ERROR_NONE;
    page->connection = XENSTORE_CONNECTED;
    return 0;
}

static enum store_ring_result give_up(struct store_ring *r, uint32_t error, const char *why)
{
    r->broken = true;
    r->page->error = error;
    store_logf(r->conn->store, "store: d%u: %s; its connection is closed", r->conn->domid, why);
    store_watch_drop_all(r->conn);
    store_txn_drop_all(r->conn);
    return STORE_RING_BROKEN;
}

/* The part of n bytes that neither the count at hand nor the ring's end cuts. */
static size_t chunk(size_t n, uint32_t have, uint32_t index)
{
    uint32_t to_end = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(index);

    n = n < have ? n : have;
    return n < to_end ? n : to_end;
}

static enum store_ring_result take(struct store_ring *r)
{
    uint32_t have = shared_read(&r->page->req_prod) - r->req_cons;
    char copy[256];

    if (have > XENSTORE_RING_SIZE) {
        return give_up(r, XENSTORE_ERROR_RINGIDX, "bad request index in the store ring");
    }
    size_t n = chunk(store_conn_wants(r->conn), have, r->req_cons);
    n = n < sizeof(copy) ? n : sizeof(copy);
    if (n == 0) {
        return STORE_RING_IDLE;
    }
    memcpy(copy, &r->page->req[MASK_XENSTORE_IDX(r->req_cons)], n);
    r->req_cons += (uint32_t)n;
    __atomic_store_n(&r->page->req_cons, r->req_cons, __ATOMIC_RELEASE);
    if (store_conn_input(r->conn, copy, n)) {
        return give_up(r, XENSTORE_ERROR_PROTO, "a request longer than 4096 bytes");
    }
    return STORE_RING_MOVED;
}

static enum store_ring_result give(struct store_ring *r)
{
    uint32_t used = r->rsp_prod - shared_read(&r->page->rsp_cons);
    const void *data;

    if (used > XENSTORE_RING_SIZE) {
        return give_up(r, XENSTORE_ERROR_RINGIDX, "bad response index in the store ring");
    }
    size_t n = store_conn_output(r->conn, &data);
    n = chunk(n, XENSTORE_RING_SIZE - used, r->rsp_prod);
    if (n == 0) {
        return STORE_RING_IDLE;
    }
    memcpy(&r->page->rsp[MASK_XENSTORE_IDX(r->rsp_prod)], data, n);
    r->rsp_prod += (uint32_t)n;
    __atomic_store_n(&r->page->rsp_prod, r->rsp_prod, __ATOMIC_RELEASE);
    store_conn_sent(r->conn, n);
    return STORE_RING_MOVED;
}

enum store_ring_result store_ring_pump(struct store_ring *r)
{
    enum store_ring_result all = STORE_RING_IDLE;

    if (r->broken) {
        return STORE_RING_BROKEN;
    }
    for (unsigned i = 0; i < PUMP_STEPS; i++) {
        enum store_ring_result in = take(r);
        enum store_ring_result out = in == STORE_RING_BROKEN ? in : give(r);

        if (out == STORE_RING_BROKEN) {
            return out;
        }
        if (in == STORE_RING_IDLE && out == STORE_RING_IDLE) {
            break;
        }
        all = STORE_RING_MOVED;
    }
    return all;
}
