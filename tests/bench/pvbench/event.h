/* SPDX-License-Identifier: MIT */
/*
 * Event channels: ports of the first word, upcalls, the shared page. For the bench_*.c. The calls
 * are for vCPU 0, but event_send().
 */
#ifndef BENCH_EVENT_H
#define BENCH_EVENT_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#include "hyper.h"
#include "pages.h"
#include "vcpu.h"

#define EVENT_PORTS 64 /* the guest never has more */

extern uint8_t event_shared_page[PAGE_BYTES]; /* shared_info */

extern volatile uint64_t event_count[EVENT_PORTS]; /* upcalls handled, by port */
extern volatile uint64_t event_tsc[VCPU_MAX];      /* at the entry of the latest upcall, by vCPU */
extern uint64_t event_ports_of[VCPU_MAX];          /* ports bound to each; vCPU 0: all others */

/* While it is not 0, vCPU 1 answers each event by one to this port. */
extern volatile evtchn_port_t event_answer_port;

/* Entries of upcall.S: one a vCPU; and a minimal one for vCPU 0, clears *event_min_word. */
extern void *const event_entries[VCPU_MAX];
extern char event_entry_min[];
extern volatile uint64_t *event_min_word;

static inline volatile struct shared_info *event_shared(void)
{
    return (volatile struct shared_info *)event_shared_page;
}

static inline long event_send(evtchn_port_t port)
{
    struct evtchn_send send = {.port = port};

    return hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, HYPER_ARG(&send));
}

/* Maps the shared page, with upcalls off and all ports masked; panics if it cannot. */
void event_init(const start_info_t *info);

/* Upcalls of vCPU 0. When they go on, one that is pending is taken at once. */
void event_on(void);
void event_off(void);

/* Waits in SCHEDOP_block until the port's count is not `seen`. Upcalls are off before, on after. */
void event_block(evtchn_port_t port, uint64_t seen);

void event_mask(evtchn_port_t port);
void event_unmask(evtchn_port_t port);
void event_clear(evtchn_port_t port); /* no longer pending */

/* An IPI to a vCPU, bound and unmasked: its port, or an error. */
long event_bind_ipi(unsigned vcpu);
void event_close(evtchn_port_t port);

#endif
