/* SPDX-License-Identifier: MIT */
/*
 * Questions to domain 0 over the rings that every guest has: console and store (<xen/io/console.h>,
 * <xen/io/xs_wire.h>), and their event channels. Nothing here waits for a thread of the runtime
 * while its ring is in an absurd state.
 */
#include "hostile.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#include <rt/clock.h>
#include <rt/console.h>
#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/xenbus.h>

#define SECOND_NS 1000000000UL

static uint64_t deadline;

static bool time_is_up(void)
{
    return clock_ns() > deadline;
}

static void start_clock(uint64_t ns)
{
    deadline = clock_ns() + ns;
}

static void give_way(void)
{
    hypercall_sched_op(SCHEDOP_yield, NULL);
}

/* ---- console ---- */

/* The console cannot say how this ended: the hypervisor's log does. */
static void end_without_console(const char *name)
{
    char line[64];
    int n = snprintf(line, sizeof line, "hostile: %s survived\n", name);

    hypercall_console_io(CONSOLEIO_write, (unsigned)n, line);
    start_shutdown(SHUTDOWN_poweroff);
}

static void console_index(void)
{
    static const uint32_t wild[] = {0x80000000, 4096, 2049, 0xffffffff, 0, 1};
    struct xencons_interface *c = mfn_to_virt(start_info->console.domU.mfn);

    for (unsigned i = 0; i < 6000; i++) {
        __atomic_store_n(&c->out_prod, c->out_cons + wild[i % 6], __ATOMIC_SEQ_CST);
        __atomic_store_n(&c->in_cons, c->in_prod + wild[i / 6 % 6], __ATOMIC_SEQ_CST);
        __atomic_store_n(&c->out_cons, (uint32_t)random64(), __ATOMIC_SEQ_CST);
        __atomic_store_n(&c->in_prod, (uint32_t)random64(), __ATOMIC_SEQ_CST);
        event_send(start_info->console.domU.evtchn);
        if (i % 100 == 0)
            give_way();
    }
    end_without_console("console-index");
}

/* ---- store: bytes that the runtime's client knows nothing of ---- */

static struct xenstore_domain_interface *store(void)
{
    return mfn_to_virt(start_info->store_mfn);
}

static void store_kick(void)
{
    event_send(start_info->store_evtchn);
}

/* Lets the runtime's own first requests pass: a ring has one writer at a time. */
static void store_settle(void)
{
    thread_sleep_ns(SECOND_NS / 5);
}

/* As many of the bytes as the service takes before the deadline; `reading` lets the runtime take
 * answers. */
static size_t store_send(const void *bytes, size_t size, bool reading)
{
    struct xenstore_domain_interface *s = store();
    const char *from = bytes;
    size_t done = 0;

    while (done < size && !time_is_up()) {
        uint32_t prod = s->req_prod;
        uint32_t room =
            XENSTORE_RING_SIZE - (prod - __atomic_load_n(&s->req_cons, __ATOMIC_ACQUIRE));

        for (; room && done < size; room--)
            s->req[MASK_XENSTORE_IDX(prod++)] = from[done++];
        __atomic_store_n(&s->req_prod, prod, __ATOMIC_RELEASE);
        store_kick();
        if (reading)
            thread_yield();
        if (done < size)
            give_way();
    }
    return done;
}

struct message {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX];
};

static bool message_send(struct message *m, uint32_t type, uint32_t tx, uint32_t length,
                         bool reading)
{
    size_t size = sizeof m->header + length;

    m->header =
        (struct xsd_sockmsg){.type = type, .req_id = 0xdeadbeef, .tx_id = tx, .len = length};
    return store_send(m, size, reading) == size;
}

static void store_index(void)
{
    struct xenstore_domain_interface *s = store();

    store_settle();
    for (unsigned i = 0; i < 6000; i++) {
        __atomic_store_n(&s->req_prod, s->req_cons + 1025 + (uint32_t)random64() % 0x80000000U,
                         __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->rsp_cons, (uint32_t)random64(), __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->req_cons, (uint32_t)random64(), __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->rsp_prod, (uint32_t)random64(), __ATOMIC_SEQ_CST);
        store_kick();
        if (i % 100 == 0)
            give_way();
    }
    start_clock(5 * SECOND_NS);
    while (s->error != XENSTORE_ERROR_RINGIDX && !time_is_up())
        give_way();
    expect("the store says that the ring is broken", s->error, XENSTORE_ERROR_RINGIDX);
}

static void store_length(void)
{
    static struct message m;
    struct xenstore_domain_interface *s = store();

    store_settle();
    start_clock(SECOND_NS / 2);
    m.header = (struct xsd_sockmsg){.type = XS_WRITE, .len = 0xffffffff};
    store_send(&m, sizeof m, false);
    start_clock(5 * SECOND_NS);
    while (s->error == XENSTORE_ERROR_NONE && !time_is_up())
        give_way();
    expect("the store says that the request is too long", s->error, XENSTORE_ERROR_PROTO);
}

/* The beginning of a request, one byte at a time with an event each, and never its end. */
static void store_half(void)
{
    static struct message m;

    store_settle();
    m.header = (struct xsd_sockmsg){.type = XS_WRITE, .len = sizeof m.payload};
    start_clock(10 * SECOND_NS);
    for (unsigned i = 0; i < sizeof m - 1; i++)
        store_send((char *)&m + i, 1, false);
    for (unsigned i = 0; i < 20000; i++)
        store_kick();
    printf("hostile: a request without its end\n");
}

static const char list_root[] = "/local/domain";

/* Requests whose answers nobody takes. */
static void store_unread(void)
{
    static struct message m;
    unsigned sent = 0;

    store_settle();
    memcpy(m.payload, list_root, sizeof list_root);
    start_clock(3 * SECOND_NS);
    while (message_send(&m, XS_DIRECTORY, 0, sizeof list_root, false) && sent < 100000)
        sent++;
    printf("hostile: %u requests taken with no answer read\n", sent);
    expect("more than a bounded number", sent > 2000, 0);
}

static uint32_t pack(struct message *m, const char *a, const char *b)
{
    return (uint32_t)snprintf(m->payload, sizeof m->payload, "%s%c%s", a, 1, b);
}

/* a NUL b NUL */
static uint32_t pack_strings(struct message *m, const char *a, const char *b)
{
    uint32_t n = pack(m, a, b);

    *strchr(m->payload, 1) = '\0';
    return n + 1;
}

/* Every watch that the quota allows, with the longest tokens, on what it then changes; events are
 * not read. */
static void store_watches(void)
{
    static struct message m;
    static char token[900];
    char path[32];
    unsigned sent = 0;

    store_settle();
    start_clock(20 * SECOND_NS);
    for (unsigned i = 0; i < 140; i++) {
        memset(token, 'a' + (int)i % 26, sizeof token - 1);
        snprintf(token, sizeof token, "%u", i);
        message_send(&m, XS_WATCH, 0, pack_strings(&m, i % 2 ? "data" : "@releaseDomain", token),
                     true);
    }
    thread_sleep_ns(SECOND_NS / 10);
    start_clock(10 * SECOND_NS);
    while (sent < 20000 && !time_is_up()) {
        snprintf(path, sizeof path, "data/w%u", sent % 500);
        if (!message_send(&m, XS_WRITE, 0, pack_strings(&m, path, "x"), sent % 4000 < 3900))
            break;
        sent++;
    }
    printf("hostile: %u changes for 128 watches\n", sent);
}

/* Transactions of many changes, each seen by all watches at once when they end. */
static void store_commit(void)
{
    static struct message m;
    char path[32], token[16];
    unsigned rounds = 0;

    store_settle();
    start_clock(20 * SECOND_NS);
    for (unsigned i = 0; i < 120; i++) {
        snprintf(token, sizeof token, "%03u", i);
        message_send(&m, XS_WATCH, 0, pack_strings(&m, "data", token), true);
    }
    start_clock(start_option_u64("seconds", 5) * SECOND_NS);
    for (; !time_is_up(); rounds++) {
        message_send(&m, XS_TRANSACTION_START, 0, 1, true);
        for (unsigned i = 0; i < 250; i++) {
            snprintf(path, sizeof path, "data/c%03u", i);
            /* Numbers of transactions count from 1 in each connection. */
            message_send(&m, XS_WRITE, rounds + 1, pack_strings(&m, path, "x"), true);
        }
        m.payload[0] = 'T';
        m.payload[1] = '\0';
        message_send(&m, XS_TRANSACTION_END, rounds + 1, 2, true);
    }
    printf("hostile: %u transactions of 250 changes\n", rounds);
}

/* Messages of right length and random type, transaction and payload. */
static void store_junk(void)
{
    static const char *const words[] = {"data",        "/",
                                        "T",           "F",
                                        "n0",          "@releaseDomain",
                                        "device/vbd",  "/local/domain/0",
                                        "..",          "data//x",
                                        "b4294967295", ""};
    static struct message m;
    unsigned sent = 0;

    store_settle();
    start_clock(20 * SECOND_NS);
    for (; sent < 4000 && !time_is_up(); sent++) {
        uint32_t length = 0, parts = (uint32_t)random64() % 4;

        for (unsigned i = 0; i < parts; i++) {
            const char *word = words[random64() % (sizeof words / sizeof words[0])];

            length += (uint32_t)snprintf(m.payload + length, sizeof m.payload - length, "%s", word);
            length += random64() % 8 != 0; /* its NUL */
        }
        if (random64() % 8 == 0) {
            length = (uint32_t)random64() % sizeof m.payload;
            for (unsigned i = 0; i < length; i++)
                m.payload[i] = (char)random64();
        }
        message_send(&m, (uint32_t)random64() % 25, (uint32_t)random64() % 4, length, true);
    }
    printf("hostile: %u junk messages\n", sent);
    start_clock(SECOND_NS);
    message_send(&m, XS_RESET_WATCHES, 0, 0, true);
}

/* Transactions that are filled and never end. */
static void store_transactions(void)
{
    static struct message m;
    char path[32], value[1025];
    unsigned sent = 0;

    store_settle();
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    start_clock(20 * SECOND_NS);
    for (unsigned i = 0; i < 20; i++)
        message_send(&m, XS_TRANSACTION_START, 0, 1, true);
    for (; sent < 3000 && !time_is_up(); sent++) {
        snprintf(path, sizeof path, "data/t%u", sent % 300);
        message_send(&m, XS_WRITE, sent / 100 % 64, pack_strings(&m, path, value), true);
    }
    printf("hostile: %u changes in transactions\n", sent);
}

/* ---- events ---- */

static void storm_vcpu(void *unused)
{
    (void)unused;
    while (!time_is_up()) {
        event_send(start_info->console.domU.evtchn);
        event_send(start_info->store_evtchn);
    }
}

/* Both ports, from all vCPUs, as fast as they can. */
static void storm(void)
{
    unsigned vcpus = smp_vcpus();

    start_clock(start_option_u64("seconds", 5) * SECOND_NS);
    printf("hostile: storm of %u vCPUs\n", vcpus);
    for (unsigned v = 1; v < vcpus; v++)
        smp_boot_vcpu(v, storm_vcpu, NULL);
    storm_vcpu(NULL);
}

static void close_ports(void)
{
    struct evtchn_close op = {.port = start_info->store_evtchn};

    expect("closing the store's port", hypercall_event_channel_op(EVTCHNOP_close, &op), 0);
    expect_refused("closing it again", hypercall_event_channel_op(EVTCHNOP_close, &op));
    printf("hostile: the console's port goes next\n");
    console_flush();
    op.port = start_info->console.domU.evtchn;
    hypercall_event_channel_op(EVTCHNOP_close, &op);
    end_without_console("close-ports");
}

/* Gives the pages of its rings back while domain 0 has them mapped. */
static void drop_rings(void)
{
    xen_pfn_t frames[2] = {start_info->store_mfn, start_info->console.domU.mfn};
    struct xen_memory_reservation r = {.nr_extents = 2, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, frames);
    console_flush();
    if (hypercall_memory_op(XENMEM_decrease_reservation, &r) == 2)
        end_without_console("drop-rings");
    start_shutdown(SHUTDOWN_crash);
}

const struct question ring_questions[] = {
    {"console-index", "wild indices in the console ring", console_index},
    {"store-index", "wild indices in the store's ring", store_index},
    {"store-length", "a request to the store of 4 GiB", store_length},
    {"store-half", "a request to the store without its end", store_half},
    {"store-unread", "requests to the store whose answers nobody reads", store_unread},
    {"store-watches", "as many and as busy watches as there can be", store_watches},
    {"store-commit", "large transactions under many watches", store_commit},
    {"store-junk", "junk requests to the store", store_junk},
    {"store-txn", "transactions without an end", store_transactions},
    {"storm", "events for domain 0, as fast as all vCPUs can", storm},
    {"close-ports", "closes the ports of store and console", close_ports},
    {"drop-rings", "gives the pages of its rings away", drop_rings},
    {NULL, NULL, NULL},
};
