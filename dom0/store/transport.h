/* SPDX-License-Identifier: MIT */
/*
 * Moves bytes between a store page and its connection. Pure: for ring.c, which maps the page and
 * waits for events, and for the tests. The other domain can write the page at any time: its indices
 * are read once and checked, ours are kept here and only published there.
 */
#ifndef DOM0_STORE_TRANSPORT_H
#define DOM0_STORE_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

struct store_conn;
struct xenstore_domain_interface;

struct store_ring {
    struct xenstore_domain_interface *page;
    struct store_conn *conn;
    uint32_t req_cons, rsp_prod;
    bool broken;
};

/* -XEN_EINVAL if the page's indices are absurd from the start. */
int store_ring_start(struct store_ring *r, struct xenstore_domain_interface *page,
                     struct store_conn *conn);

enum store_ring_result {
    STORE_RING_IDLE,  /* nothing to do now */
    STORE_RING_MOVED, /* notify the other end; there may be more to do */
    STORE_RING_BROKEN /* the connection has ended, with its watches and transactions */
};

/* Takes and answers what it can, but only so much that other domains have their turn. */
enum store_ring_result store_ring_pump(struct store_ring *r);

#endif
