/* SPDX-License-Identifier: MIT */
/*
 * The back end's side of a block ring of one page (<xen/io/ring.h>, <xen/io/blkif.h>, x86_64
 * layout). Pure. The guest can write the page at any time: requests are copied out once, its index
 * is read once and checked, ours live here and are only published there.
 */
#ifndef DOM0_BLK_BLKRING_H
#define DOM0_BLK_BLKRING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>

/* Entries of a ring of one page: also the requests that can be in flight. */
#define BLKRING_SIZE 32

struct blkring {
    struct blkif_sring *page;
    uint32_t req_cons, rsp_prod;
    uint32_t published; /* the rsp_prod that the guest knows */
};

/* Goes on where the page says that a former back end has ended. -XEN_EINVAL: absurd indices. */
int blkring_start(struct blkring *r, struct blkif_sring *page);
/* 1 and a copy of the next request, 0 if there is none, -XEN_EIO if the guest's index is absurd. */
int blkring_take(struct blkring *r, struct blkif_request *copy);
/* Asks for an event with the next request; true if one has come already meanwhile. */
bool blkring_rearm(struct blkring *r);
/* Puts a response, not yet visible. */
void blkring_put(struct blkring *r, uint64_t id, uint8_t operation, int16_t status);
/* Makes the responses visible; true if the guest wants an event for them. */
bool blkring_publish(struct blkring *r);

#endif
