/* SPDX-License-Identifier: MIT */
/*
 * A connection: bytes in become requests, replies and events become bytes out. Both queues are
 * bounded. While too many replies wait no request is taken, so that a guest that reads nothing
 * only stops itself.
 */

#include "dom0/store/core.h"

#include <stdlib.h>
#include <string.h>

struct store_conn *store_conn_new(struct store *s, domid_t domid)
{
    struct store_conn *conn = calloc(1, sizeof(*conn));

    if (!conn) {
        return NULL;
    }
    conn->store = s;
    conn->domid = domid;
    conn->out_tail = &conn->out;
    conn->next = s->conns;
    s->conns = conn;
    return conn;
}

/* Takes an event out of the list of those that a new one may be the same as. */
static void forget_waiting(struct store_conn *conn, struct store_msg *m)
{
    struct store_msg **link = &conn->waiting[m->hash % STORE_EVENT_LISTS];

    while (*link != m) {
        link = &(*link)->next_alike;
    }
    *link = m->next_alike;
}

static void pop(struct store_conn *conn)
{
    struct store_msg *m = conn->out;

    if (m->event && m->sent == 0) {
        forget_waiting(conn, m);
    }
    conn->out = m->next;
    if (!conn->out) {
        conn->out_tail = &conn->out;
    }
    if (m->event) {
        conn->event_bytes -= m->size;
    } else {
        conn->replies--;
    }
    free(m);
}

void store_conn_free(struct store_conn *conn)
{
    struct store_conn **link = &conn->store->conns;

    while (*link != conn) {
        link = &(*link)->next;
    }
    *link = conn->next;
    store_watch_drop_all(conn);
    store_txn_drop_all(conn);
    while (conn->out) {
        pop(conn);
    }
    free(conn);
}

size_t store_conn_wants(const struct store_conn *conn)
{
    if (conn->replies >= STORE_QUOTA_REPLIES) {
        return 0;
    }
    if (conn->got < sizeof(conn->header)) {
        return sizeof(conn->header) - conn->got;
    }
    return sizeof(conn->header) + conn->header.len - conn->got;
}

int store_conn_input(struct store_conn *conn, const void *data, size_t n)
{
    size_t head = sizeof(conn->header);

    if (conn->got < head) {
        memcpy((char *)&conn->header + conn->got, data, n);
    } else {
        memcpy(conn->payload + (conn->got - head), data, n);
    }
    conn->got += (uint32_t)n;
    if (conn->got < head) {
        return 0;
    }
    if (conn->header.len > XENSTORE_PAYLOAD_MAX) {
        return -XEN_EMSGSIZE;
    }
    if (conn->got == head + conn->header.len) {
        conn->payload[conn->header.len] = '\0';
        conn->got = 0;
        store_wire_handle(conn);
    }
    return 0;
}

size_t store_conn_output(struct store_conn *conn, const void **data)
{
    if (conn->event_bytes == 0) {
        store_watch_retry(conn);
    }
    if (!conn->out) {
        return 0;
    }
    *data = conn->out->data + conn->out->sent;
    return conn->out->size - conn->out->sent;
}

void store_conn_sent(struct store_conn *conn, size_t n)
{
    struct store_msg *m = conn->out;

    if (m->event && m->sent == 0 && n > 0) {
        forget_waiting(conn, m);
    }
    m->sent += (uint32_t)n;
    if (m->sent == m->size) {
        pop(conn);
    }
}

static struct store_msg *msg_new(const struct xsd_sockmsg *header)
{
    struct store_msg *m = malloc(sizeof(*m) + sizeof(*header) + header->len);

    if (m) {
        m->next = NULL;
        m->sent = 0;
        m->size = (uint32_t)(sizeof(*header) + header->len);
        memcpy(m->data, header, sizeof(*header));
    }
    return m;
}

static void push(struct store_conn *conn, struct store_msg *m)
{
    *conn->out_tail = m;
    conn->out_tail = &m->next;
    if (m->event) {
        conn->event_bytes += m->size;
    } else {
        conn->replies++;
    }
}

void store_conn_reply(struct store_conn *conn, uint32_t type, const void *data, size_t len)
{
    struct xsd_sockmsg header = {.type = type,
                                 .req_id = conn->header.req_id,
                                 .tx_id = conn->header.tx_id,
                                 .len = (uint32_t)len};
    struct store_msg *m = msg_new(&header);

    if (!m) {
        store_logf(conn->store, "store: no memory to answer d%u; its request is lost", conn->domid);
        return;
    }
    memcpy(m->data + sizeof(header), data, len);
    m->event = false;
    push(conn, m);
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u; /* FNV-1a */
    }
    return hash * 16777619u;
}

/* Does the same event wait already, untouched? */
static bool waits(const struct store_conn *conn, uint32_t hash, const char *path, const char *token)
{
    const struct store_msg *m = conn->waiting[hash % STORE_EVENT_LISTS];

    for (; m; m = m->next_alike) {
        const char *text = (const char *)m->data + sizeof(struct xsd_sockmsg);

        if (m->hash == hash && strcmp(text, path) == 0 &&
            strcmp(text + strlen(text) + 1, token) == 0) {
            return true;
        }
    }
    return false;
}

int store_conn_event(struct store_conn *conn, const char *path, const char *token)
{
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    struct xsd_sockmsg header = {.type = XS_WATCH_EVENT, .len = (uint32_t)(path_size + token_size)};
    uint32_t hash = hash_text(hash_text(2166136261u, path), token);

    if (waits(conn, hash, path, token)) {
        return 0;
    }
    if (conn->event_bytes + sizeof(header) + header.len > STORE_QUOTA_EVENT_BYTES) {
        return -XEN_ENOSPC;
    }
    struct store_msg *m = msg_new(&header);
    if (!m) {
        return -XEN_ENOMEM;
    }
    memcpy(m->data + sizeof(header), path, path_size);
    memcpy(m->data + sizeof(header) + path_size, token, token_size);
    m->event = true;
    m->hash = hash;
    m->next_alike = conn->waiting[hash % STORE_EVENT_LISTS];
    conn->waiting[hash % STORE_EVENT_LISTS] = m;
    push(conn, m);
    return 0;
}
