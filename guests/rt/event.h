/* SPDX-License-Identifier: MIT */
/*
 * Event channels, 2-level ABI. A port is bound to a handler, which runs in the upcall with events
 * masked, on the vCPU that the port is bound to (0 unless it is an IPI or VIRQ of another): keep it
 * short (set a flag, waitq_wake()). The port's pending bit is cleared before its handler runs, so
 * an event that comes during it is not lost.
 *
 * Binding and closing are for threads on vCPU 0; event_send(), mask and unmask are legal anywhere.
 */
#ifndef RT_EVENT_H
#define RT_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#define EVENT_PORTS \
    1024 /* ports 0 to 1023 can have handlers here; binding beyond gives -XEN_ENOSPC */

typedef void (*event_fn)(evtchn_port_t port, void *arg);

/* Each makes a port, binds fn(port, arg) to it, unmasks it, and returns its number (> 0) or a
 * negative errno. */
int event_alloc_unbound(domid_t remote, event_fn fn, void *arg);
int event_bind_interdomain(domid_t remote, evtchn_port_t remote_port, event_fn fn, void *arg);
int event_bind_pirq(uint32_t pirq, event_fn fn, void *arg);

/* Per-vCPU ones; bind_virq uses the calling vCPU (global VIRQs: vCPU 0 only), bind_ipi the named
 * one. */
int event_bind_virq(uint32_t virq, event_fn fn, void *arg);
int event_bind_ipi(unsigned vcpu, event_fn fn, void *arg);

/* For a port that already exists (console and store of start_info): sets its handler and unmasks
 * it. 0 or -XEN_ENOSPC. */
int event_set_handler(evtchn_port_t port, event_fn fn, void *arg);

/* Notifies the other end. -XEN_EINVAL if the port is not bound to one. */
int event_send(evtchn_port_t port);

/* Ends the port; its handler does not run again after this returns. */
int event_close(evtchn_port_t port);

/* A masked port only remembers that it is pending; unmask delivers that. */
void event_mask(evtchn_port_t port);
void event_unmask(evtchn_port_t port);

/* Forgets a pending event. Returns whether there was one. */
bool event_clear(evtchn_port_t port);

/* Masks all upcalls on the calling vCPU. save returns what restore needs; they nest. */
bool event_upcalls_save(void);
void event_upcalls_restore(bool saved);

/* Set-up (all ports masked, no handlers), called once by the runtime; upcalls are still masked
 * after it. */
void event_init(void);

/* The event callback's body; called by the assembly entry. */
void event_upcall(void);

#endif
