/* SPDX-License-Identifier: MIT */
/*
 * event.*: an event to oneself, by an IPI port and by two ports of one channel: until the handler's
 * first instruction, and until the sender goes on, with a handler in C and with the least one.
 */
#include "bench.h"

#include <stddef.h>
#include <stdint.h>
#include <xen/callback.h>

#include "event.h"
#include "figure.h"
#include "trap.h"

#define RUNS     1000
#define NO_EVENT (-1000) /* of our own: it never came */

struct names {
    const char *base, *roundtrip_c, *to_entry, *roundtrip_min, *send_pending, *send_masked;
};

#define NAMES(base)                                                                               \
    {                                                                                             \
        base, base "_roundtrip_c", base "_to_entry", base "_roundtrip_min", base "_send_pending", \
            base "_send_masked"                                                                   \
    }

/* Two ports of a channel with oneself; 0 or an error. */
static long loopback(evtchn_port_t *send, evtchn_port_t *arrive)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF};
    long rc = hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, HYPER_ARG(&alloc));

    if (rc) {
        return rc;
    }
    bind.remote_port = alloc.port;
    rc = hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, HYPER_ARG(&bind));
    *arrive = alloc.port;
    *send = bind.local_port;
    return rc;
}

/* Whether an event comes at all. Upcalls are on afterwards. */
static bool arrives(evtchn_port_t send, evtchn_port_t arrive)
{
    uint64_t seen;

    event_mask(arrive); /* binding may have left one pending */
    event_send(send);
    event_clear(arrive);
    event_unmask(arrive);
    event_on();
    seen = event_count[arrive];
    event_send(send);
    for (int i = 0; i < 100000 && event_count[arrive] == seen; i++) {
        cpu_barrier();
    }
    return event_count[arrive] != seen;
}

static void delivered(const struct names *names, evtchn_port_t send)
{
    static uint64_t to_entry[RUNS];

    for (int i = 0; i < RUNS; i++) {
        uint64_t start = cpu_tsc(), end;

        event_send(send);
        end = cpu_tsc();
        figure_samples[i] = end - start;
        to_entry[i] = event_tsc[0] - start;
    }
    figure_report(names->roundtrip_c, RUNS, 1);
    figure_report_from(names->to_entry, to_entry, RUNS, 1, 0);
    event_min_word = (volatile uint64_t *)&event_shared()->evtchn_pending[0];
    trap_callback(CALLBACKTYPE_event, 0, event_entry_min);
    MEASURE(names->roundtrip_min, RUNS, 1, event_send(send));
    trap_callback(CALLBACKTYPE_event, 0, event_entries[0]);
}

/* Nothing is delivered: it is pending already, or its port masked. */
static void not_delivered(const struct names *names, evtchn_port_t send, evtchn_port_t arrive)
{
    event_off();
    MEASURE(names->send_pending, 500, 1, event_send(send));
    event_mask(arrive);
    MEASURE(names->send_masked, 500, 1, event_send(send));
    event_clear(arrive);
    event_shared()->vcpu_info[0].evtchn_upcall_pending = 0;
    event_shared()->vcpu_info[0].evtchn_pending_sel = 0;
}

static void measure(const struct names *names, evtchn_port_t send, evtchn_port_t arrive)
{
    if (arrives(send, arrive)) {
        delivered(names, send);
        not_delivered(names, send, arrive);
    } else {
        figure_refused(names->base, NO_EVENT);
        event_off();
    }
    event_close(arrive);
    if (send != arrive) {
        event_close(send);
    }
}

void bench_event(void)
{
    static const struct names ipi = NAMES("event.self_ipi"), loop = NAMES("event.loopback");
    evtchn_port_t send, arrive;
    long port = event_bind_ipi(0), rc;

    if (port < 0) {
        figure_refused(ipi.base, port);
    } else {
        measure(&ipi, (evtchn_port_t)port, (evtchn_port_t)port);
    }
    rc = loopback(&send, &arrive);
    if (rc) {
        figure_refused(loop.base, rc);
    } else {
        measure(&loop, send, arrive);
    }
}
