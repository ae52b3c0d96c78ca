/* SPDX-License-Identifier: MIT */
/*
 * Requests and answers of a virtual disk. A transfer is cut into requests; each
 * takes a slot, whose number is the request's id, and lends its pages while it is under way.
 * Answers are taken off the ring by whichever thread waits, never by the event handler, so all
 * state here belongs to threads. The other end is not trusted with memory: every id is checked, and
 * the request's own copy of its grants is used. Connecting is in blkfront_connect.c.
 */
#include "blkfront.h"

#include <stdio.h>
#include <string.h>

#include "blkfront_internal.h"
#include "event.h"
#include "grant.h"
#include "hypercall.h"
#include "mm.h"
#include "start.h"

/* One call of blkfront_read, _write or _flush. */
struct transfer {
    unsigned under_way; /* requests */
    int rc;             /* the first error */
};

/* --- answers ------------------------------------------------------------------------------ */

static void slot_finish(struct blkfront *disk, unsigned id, int rc)
{
    struct blkfront_slot *slot = &disk->slots[id];

    for (unsigned i = 0; i < slot->refs_count; i++) {
        if (grant_end(slot->refs[i])) {
            /* The page may change under its next owner: no way to go on with that memory. */
            panic("blkfront: the back end keeps a page of an answered request mapped");
        }
    }
    if (rc && !slot->transfer->rc) {
        slot->transfer->rc = rc;
    }
    slot->transfer->under_way--;
    slot->transfer = NULL;
    disk->free_slots++;
}

static void disk_break(struct blkfront *disk, const char *why)
{
    printf("blkfront: %s: %s; the disk is gone\n", disk->dir, why);
    disk->broken = true;
}

static void answer_take(struct blkfront *disk, const struct blkif_response *answer)
{
    if (answer->id >= BLKFRONT_SLOTS || !disk->slots[answer->id].transfer) {
        disk_break(disk, "an answer to no request");
        return;
    }
    slot_finish(disk, (unsigned)answer->id, answer->status == BLKIF_RSP_OKAY ? 0 : -XEN_EIO);
}

/* A back end that was taken away has nothing of ours mapped any more. */
static void answers_give_up(struct blkfront *disk)
{
    for (unsigned id = 0; id < BLKFRONT_SLOTS; id++) {
        if (disk->slots[id].transfer) {
            slot_finish(disk, id, -XEN_EIO);
        }
    }
    disk->broken = true;
}

/* Takes all answers off the ring, and asks for an event at the next one. */
static void answers_take(struct blkfront *disk)
{
    int more = 1;

    while (more && !disk->broken) {
        RING_IDX prod = __atomic_load_n(&disk->ring.sring->rsp_prod, __ATOMIC_ACQUIRE);

        if (prod - disk->ring.rsp_cons > BLKFRONT_SLOTS) {
            disk_break(disk, "answers without end");
            return;
        }
        while (disk->ring.rsp_cons != prod && !disk->broken) {
            struct blkif_response answer = *RING_GET_RESPONSE(&disk->ring, disk->ring.rsp_cons);

            disk->ring.rsp_cons++;
            answer_take(disk, &answer);
        }
        RING_FINAL_CHECK_FOR_RESPONSES(&disk->ring, more);
    }
    if (disk->gone) {
        answers_give_up(disk);
    }
}

/* --- requests ----------------------------------------------------------------------------- */

/* Waits for a slot; its number, or -XEN_EIO. */
static int slot_get(struct blkfront *disk)
{
    wait_event(&disk->wait, (answers_take(disk), disk->free_slots || disk->broken));
    for (unsigned id = 0; id < BLKFRONT_SLOTS && !disk->broken; id++) {
        if (!disk->slots[id].transfer) {
            return (int)id;
        }
    }
    return -XEN_EIO;
}

static void request_send(struct blkfront *disk, struct transfer *transfer, unsigned id,
                         const struct blkif_request *request)
{
    int notify;

    disk->slots[id].transfer = transfer;
    disk->free_slots--;
    transfer->under_way++;
    *RING_GET_REQUEST(&disk->ring, disk->ring.req_prod_pvt) = *request;
    disk->ring.req_prod_pvt++;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&disk->ring, notify);
    if (notify) {
        event_send(disk->port);
    }
}

/* What a request is to cover, and where its segments go, `most` of them at most. */
struct loan {
    const char *buf;
    uint32_t sectors;
    bool readonly;
    struct blkif_request_segment *segs;
    unsigned most;
};

/* Lends the pages and fills in the segments. Returns the sectors that they cover, or a negative
 * errno with nothing lent. */
static int lend_pages(struct blkfront *disk, struct blkfront_slot *slot, const struct loan *loan)
{
    uint32_t done = 0;

    slot->refs_count = 0;
    while (done < loan->sectors && slot->refs_count < loan->most) {
        const char *at = loan->buf + (size_t)done * BLKFRONT_SECTOR;
        unsigned first = (unsigned)((unsigned long)at % PAGE_SIZE / BLKFRONT_SECTOR);
        unsigned room = (unsigned)(PAGE_SIZE / BLKFRONT_SECTOR) - first;
        unsigned n = loan->sectors - done < room ? loan->sectors - done : room;
        int ref = grant_access(disk->backend, virt_to_mfn(at), loan->readonly);

        if (ref < 0) {
            for (unsigned i = 0; i < slot->refs_count; i++) {
                grant_end(slot->refs[i]);
            }
            return ref;
        }
        loan->segs[slot->refs_count] =
            (struct blkif_request_segment){.gref = (grant_ref_t)ref,
                                           .first_sect = (uint8_t)first,
                                           .last_sect = (uint8_t)(first + n - 1)};
        slot->refs[slot->refs_count++] = (grant_ref_t)ref;
        done += n;
    }
    return (int)done;
}

/* The page for a slot's segments, or NULL: then a request is a small one. */
static struct blkif_request_segment *indirect_page(const struct blkfront *disk,
                                                   struct blkfront_slot *slot)
{
    int ref;

    if (disk->max_segs <= BLKIF_MAX_SEGMENTS_PER_REQUEST || slot->indirect) {
        return slot->indirect;
    }
    slot->indirect = page_alloc(0);
    if (!slot->indirect) {
        return NULL;
    }
    ref = grant_access(disk->backend, virt_to_mfn(slot->indirect), true);
    if (ref < 0) {
        page_free(slot->indirect, 0);
        slot->indirect = NULL;
        return NULL;
    }
    slot->indirect_ref = (grant_ref_t)ref;
    return slot->indirect;
}

/* Makes one request of what begins at buf; with more pages than fit it, an indirect one. Returns as
 * lend_pages(). */
static int request_make(struct blkfront *disk, struct blkfront_slot *slot,
                        struct blkif_request *request, const char *buf, uint32_t sectors)
{
    struct loan loan = {buf, sectors, request->operation == BLKIF_OP_WRITE, request->seg,
                        BLKIF_MAX_SEGMENTS_PER_REQUEST};
    size_t bytes = (unsigned long)buf % PAGE_SIZE + (size_t)sectors * BLKFRONT_SECTOR;
    struct blkif_request_indirect indirect;
    int done;

    if (bytes <= BLKIF_MAX_SEGMENTS_PER_REQUEST * PAGE_SIZE || !indirect_page(disk, slot)) {
        done = lend_pages(disk, slot, &loan);
        request->nr_segments = (uint8_t)slot->refs_count;
        return done;
    }
    loan.segs = slot->indirect;
    loan.most = disk->max_segs;
    done = lend_pages(disk, slot, &loan);
    indirect = (struct blkif_request_indirect){.operation = BLKIF_OP_INDIRECT,
                                               .indirect_op = request->operation,
                                               .nr_segments = (uint16_t)slot->refs_count,
                                               .id = request->id,
                                               .sector_number = request->sector_number,
                                               .handle = request->handle,
                                               .indirect_grefs = {slot->indirect_ref}};
    memcpy(request, &indirect, sizeof(indirect));
    return done;
}

/* Waits until all requests of the transfer are answered. Those of a disk that broke are given up,
 * and their pages with them: the other end may still write there. */
static int transfer_wait(struct blkfront *disk, struct transfer *transfer)
{
    wait_event(&disk->wait, (answers_take(disk), !transfer->under_way || disk->broken));
    if (transfer->under_way) {
        panic("blkfront: requests of a broken disk cannot be taken back");
    }
    return transfer->rc;
}

static int transfer_run(struct blkfront *disk, uint8_t operation, uint64_t sector, const char *buf,
                        uint32_t count)
{
    struct transfer transfer = {0, 0};

    if ((unsigned long)buf % BLKFRONT_SECTOR || sector > disk->sectors ||
        count > disk->sectors - sector) {
        return -XEN_EINVAL;
    }
    while (count && !transfer.rc) {
        struct blkif_request request = {
            .operation = operation, .handle = disk->handle, .sector_number = sector};
        int id = slot_get(disk), done;

        if (id < 0) {
            transfer.rc = id;
            break;
        }
        request.id = (uint64_t)id;
        done = request_make(disk, &disk->slots[id], &request, buf, count);
        if (done < 0) {
            transfer.rc = done;
            break;
        }
        request_send(disk, &transfer, (unsigned)id, &request);
        sector += (uint64_t)done;
        buf += (size_t)done * BLKFRONT_SECTOR;
        count -= (uint32_t)done;
    }
    return transfer_wait(disk, &transfer);
}

int blkfront_read(struct blkfront *disk, uint64_t sector, void *buf, uint32_t count)
{
    return transfer_run(disk, BLKIF_OP_READ, sector, buf, count);
}

int blkfront_write(struct blkfront *disk, uint64_t sector, const void *buf, uint32_t count)
{
    return disk->readonly ? -XEN_EROFS : transfer_run(disk, BLKIF_OP_WRITE, sector, buf, count);
}

int blkfront_write_barrier(struct blkfront *disk, uint64_t sector, const void *buf, uint32_t count)
{
    if (disk->readonly) {
        return -XEN_EROFS;
    }
    return disk->can_barrier ? transfer_run(disk, BLKIF_OP_WRITE_BARRIER, sector, buf, count)
                             : -XEN_EOPNOTSUPP;
}

/* A request without memory. */
static int transfer_bare(struct blkfront *disk, struct blkif_request *request)
{
    struct transfer transfer = {0, 0};
    int id = slot_get(disk);

    if (id < 0) {
        return id;
    }
    request->id = (uint64_t)id;
    disk->slots[id].refs_count = 0;
    request_send(disk, &transfer, (unsigned)id, request);
    return transfer_wait(disk, &transfer);
}

int blkfront_flush(struct blkfront *disk)
{
    struct blkif_request request = {.operation = BLKIF_OP_FLUSH_DISKCACHE, .handle = disk->handle};

    return disk->can_flush ? transfer_bare(disk, &request) : 0;
}

int blkfront_discard(struct blkfront *disk, uint64_t sector, uint64_t count)
{
    struct blkif_request request = {.operation = BLKIF_OP_DISCARD, .sector_number = sector};
    struct blkif_request_discard *discard = (void *)&request;

    if (!disk->can_discard) {
        return -XEN_EOPNOTSUPP;
    }
    discard->handle = disk->handle;
    discard->nr_sectors = count;
    return transfer_bare(disk, &request);
}

uint64_t blkfront_sectors(const struct blkfront *disk)
{
    return disk->sectors;
}

bool blkfront_leaving(const struct blkfront *disk)
{
    return disk->leaving;
}

bool blkfront_readonly(const struct blkfront *disk)
{
    return disk->readonly;
}
