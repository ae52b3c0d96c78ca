/* SPDX-License-Identifier: MIT */
/*
 * The store's client. A request is put on the ring by its thread, which then waits for the answer;
 * the thread "xenbus" takes answers off the ring and gives them to the waiting requests by their
 * number, and changes of watched nodes to the thread "xenwatch", which calls the watches'
 * functions. Wire format: <xen/io/xs_wire.h>.
 */
#include "xenbus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "event.h"
#include "hypercall.h"
#include "mm.h"
#include "start.h"
#include "thread.h"
#include "xenbus_internal.h"

struct request {
    struct request *next;
    uint32_t id;
    bool done;
    char *reply; /* malloc'd, one NUL more than length; NULL on error */
    uint32_t length;
    int error;
};

/* A thread's open transaction. */
struct transaction {
    struct transaction *next;
    struct thread *owner;
    uint32_t id;
};

struct happening {
    struct happening *next;
    char *payload; /* path NUL token NUL */
    uint32_t length;
};

static struct xenstore_domain_interface *ring;
static evtchn_port_t ring_port;
static bool broken; /* the ring's contents are absurd: nothing works any more */

static struct waitq ring_wait = WAITQ_INIT; /* room or answers */
static struct waitq reply_wait = WAITQ_INIT;
static struct waitq watch_wait = WAITQ_INIT;
static struct mutex send_lock = MUTEX_INIT;

static struct request *requests;
static struct transaction *transactions;
static struct happening *happenings, **last_happening = &happenings;
static uint32_t next_id = 1;
static int last_error;

/* --- bytes on the ring -------------------------------------------------------------------- */

static uint32_t request_room(void)
{
    return XENSTORE_RING_SIZE -
           (ring->req_prod - __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE));
}

static uint32_t reply_bytes(void)
{
    return __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE) - ring->rsp_cons;
}

static void ring_send(const void *bytes, size_t count)
{
    const char *from = bytes;

    while (count) {
        uint32_t prod = ring->req_prod, room;

        wait_event(&ring_wait, request_room() != 0);
        room = request_room();
        if (room > XENSTORE_RING_SIZE) {
            broken = true;
            return;
        }
        while (room && count) {
            ring->req[MASK_XENSTORE_IDX(prod++)] = *from++;
            room--;
            count--;
        }
        __atomic_store_n(&ring->req_prod, prod, __ATOMIC_RELEASE);
        event_send(ring_port);
    }
}

/* Takes `count` bytes off; `to` NULL throws them away. */
static void ring_receive(void *to, size_t count)
{
    char *at = to;

    while (count && !broken) {
        uint32_t cons = ring->rsp_cons, there;

        wait_event(&ring_wait, reply_bytes() != 0);
        there = reply_bytes();
        if (there > XENSTORE_RING_SIZE) {
            broken = true;
            return;
        }
        while (there && count) {
            char byte = ring->rsp[MASK_XENSTORE_IDX(cons++)];

            if (at) {
                *at++ = byte;
            }
            there--;
            count--;
        }
        __atomic_store_n(&ring->rsp_cons, cons, __ATOMIC_RELEASE);
        event_send(ring_port);
    }
}

/* --- answers ------------------------------------------------------------------------------ */

static int error_from_name(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } names[] = {
        {"EINVAL", XEN_EINVAL},       {"EACCES", XEN_EACCES},   {"EEXIST", XEN_EEXIST},
        {"EISDIR", XEN_EISDIR},       {"ENOENT", XEN_ENOENT},   {"ENOMEM", XEN_ENOMEM},
        {"ENOSPC", XEN_ENOSPC},       {"EIO", XEN_EIO},         {"ENOSYS", XEN_ENOSYS},
        {"ENOTEMPTY", XEN_ENOTEMPTY}, {"EROFS", XEN_EROFS},     {"EBUSY", XEN_EBUSY},
        {"EAGAIN", XEN_EAGAIN},       {"EISCONN", XEN_EISCONN}, {"E2BIG", XEN_E2BIG},
        {"EPERM", XEN_EPERM},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return -names[i].error;
        }
    }
    return -XEN_EIO;
}

static struct request *request_take(uint32_t id)
{
    for (struct request **at = &requests; *at; at = &(*at)->next) {
        struct request *r = *at;

        if (r->id == id) {
            *at = r->next;
            return r;
        }
    }
    return NULL;
}

static void request_answer(const struct xsd_sockmsg *header, char *payload)
{
    struct request *r = request_take(header->req_id);

    if (!r) {
        free(payload);
        return;
    }
    if (!payload) {
        r->error = -XEN_ENOMEM;
    } else if (header->type == XS_ERROR) {
        r->error = error_from_name(payload);
        free(payload);
    } else {
        r->reply = payload;
        r->length = header->len;
    }
    r->done = true;
    waitq_wake(&reply_wait);
}

static void happening_queue(char *payload, uint32_t length)
{
    struct happening *h = payload ? malloc(sizeof(*h)) : NULL;

    if (!h) {
        printf("xenbus: no memory, a watch event is lost\n");
        free(payload);
        return;
    }
    *h = (struct happening){NULL, payload, length};
    *last_happening = h;
    last_happening = &h->next;
    waitq_wake(&watch_wait);
}

static void receiver(void *arg)
{
    (void)arg;
    while (!broken) {
        struct xsd_sockmsg header;
        char *payload;

        ring_receive(&header, sizeof(header));
        if (broken || header.len > XENSTORE_PAYLOAD_MAX) {
            break;
        }
        payload = malloc(header.len + 1);
        ring_receive(payload, header.len);
        if (payload) {
            payload[header.len] = '\0';
        }
        if (header.type == XS_WATCH_EVENT) {
            happening_queue(payload, header.len);
        } else {
            request_answer(&header, payload);
        }
    }
    broken = true;
    printf("xenbus: the store's ring is corrupt, the store is gone\n");
    waitq_wake(&reply_wait);
    waitq_wake(&ring_wait);
}

/* --- requests ----------------------------------------------------------------------------- */

static struct transaction **transaction_find(void)
{
    struct transaction **at = &transactions;

    while (*at && (*at)->owner != thread_self()) {
        at = &(*at)->next;
    }
    return at;
}

/* Watches and the store's own business belong to no transaction. */
static uint32_t transaction_id(uint32_t type)
{
    struct transaction *t = *transaction_find();

    return t && type != XS_WATCH && type != XS_UNWATCH ? t->id : 0;
}

int xenbus_request(uint32_t type, const struct xenbus_part *parts, unsigned count, char **reply,
                   uint32_t *length)
{
    struct xsd_sockmsg header = {.type = type, .tx_id = transaction_id(type)};
    struct request request = {.next = requests};

    *reply = NULL;
    for (unsigned i = 0; i < count; i++) {
        header.len += (uint32_t)parts[i].size;
        if (parts[i].size > XENSTORE_PAYLOAD_MAX || header.len > XENSTORE_PAYLOAD_MAX) {
            return last_error = -XEN_E2BIG;
        }
    }
    if (!ring) {
        return last_error = -XEN_ENODEV;
    }
    mutex_lock(&send_lock);
    request.id = header.req_id = next_id++;
    request.next = requests;
    requests = &request;
    ring_send(&header, sizeof(header));
    for (unsigned i = 0; i < count; i++) {
        ring_send(parts[i].bytes, parts[i].size);
    }
    mutex_unlock(&send_lock);

    wait_event(&reply_wait, request.done || broken);
    if (!request.done) {
        request_take(request.id);
        return last_error = -XEN_EIO;
    }
    if (request.error) {
        return last_error = request.error;
    }
    *reply = request.reply;
    if (length) {
        *length = request.length;
    }
    return 0;
}

int xs_begin(void)
{
    struct xenbus_part none = {"", 1};
    struct transaction *t = malloc(sizeof(*t));
    char *reply;
    int rc;

    if (!t) {
        return -XEN_ENOMEM;
    }
    if (*transaction_find()) {
        panic("thread %s begins a transaction in a transaction", thread_name(thread_self()));
    }
    rc = xenbus_request(XS_TRANSACTION_START, &none, 1, &reply, NULL);
    if (rc) {
        free(t);
        return rc;
    }
    *t = (struct transaction){transactions, thread_self(), (uint32_t)strtoul(reply, NULL, 10)};
    transactions = t;
    free(reply);
    return 0;
}

int xs_end(bool abort)
{
    struct xenbus_part verdict = {abort ? "F" : "T", 2};
    struct transaction **at = transaction_find(), *t = *at;
    char *reply;
    int rc;

    if (!t) {
        return -XEN_EINVAL;
    }
    rc = xenbus_request(XS_TRANSACTION_END, &verdict, 1, &reply, NULL);
    free(reply);
    at = transaction_find();
    *at = t->next;
    free(t);
    return rc;
}

bool xs_available(void)
{
    return ring && !broken;
}

int xs_last_error(void)
{
    return last_error;
}

/* --- watch events ------------------------------------------------------------------------- */

bool xenbus_next_event(const char **path, const char **token, char **payload)
{
    struct happening *h;
    size_t length;

    wait_event(&watch_wait, happenings != NULL);
    h = happenings;
    happenings = h->next;
    if (!happenings) {
        last_happening = &happenings;
    }
    *payload = h->payload;
    length = strnlen(h->payload, h->length);
    *path = h->payload;
    /* The payload has a NUL of its own behind its length, so that a missing token reads as "". */
    *token = h->payload + (length < h->length ? length + 1 : length);
    free(h);
    return **token != '\0';
}

static void ring_event(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    waitq_wake(&ring_wait);
}

void xenbus_init(void)
{
    if (start_is_dom0() || !start_info->store_mfn || !start_info->store_evtchn) {
        return;
    }
    ring = mfn_to_virt(start_info->store_mfn);
    ring_port = start_info->store_evtchn;
    if (event_set_handler(ring_port, ring_event, NULL) ||
        !thread_create("xenbus", receiver, NULL)) {
        ring = NULL;
        return;
    }
    xenbus_start_watching();
}
