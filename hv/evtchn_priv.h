/* SPDX-License-Identifier: MIT */
/*
 * Between hv/evtchn.c (the port table and delivery) and hv/evtchn_op.c (the hypercall): nobody
 * else.
 */
#ifndef HV_EVTCHN_PRIV_H
#define HV_EVTCHN_PRIV_H

#include "hv/evtchn.h"
#include <xen/event_channel.h> /* wants the fixed-width types first */

/* One port, in one 8-byte word: written under its domain's event lock, read without it in one
 * piece. So a send, which is the hot path, takes no lock of the domain's. */
struct port {
    uint8_t state;  /* EVTCHNSTAT_*; closed: free */
    uint8_t vcpu;   /* whom it notifies */
    domid_t remote; /* unbound: who may bind; interdomain: the peer */
    uint16_t peer;  /* interdomain: the peer's port; virq and pirq: its number */
    uint16_t spare;
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct port) == 8, "read in one piece");

#define PORT_BUCKET 128 /* ports allocated at a time */

struct evtchn_table {
    struct port
        *bucket[EVTCHN_MAX / PORT_BUCKET]; /* grows, never shrinks before the domain is freed */
    uint32_t lowest;                       /* no free port below; event lock */
    uint32_t open;                         /* ports not closed; event lock */
    uint16_t pirq_port[PIRQ_MAX];          /* 0: unbound */
};

/* A consistent copy, with or without the lock; closed for a port that does not exist. */
struct port evtchn_port_read(const struct domain *d, uint32_t port);
bool evtchn_port_valid(const struct domain *d, uint32_t port); /* within what was ever allocated */

/* Event lock of d held. */
long evtchn_port_alloc(
    struct domain *d); /* the lowest free port, still closed; -ENOSPC, -ENOMEM, -EINVAL (dying) */
void evtchn_port_write(struct domain *d, uint32_t port, struct port value);

/* Takes the locks itself; a peer becomes unbound. -EINVAL: not open. */
long evtchn_port_close(struct domain *d, uint32_t port);
long evtchn_close_all(struct domain *d); /* -XEN_ERESTART in steps, at least one port each */

/* Locks of both, in order; b may be NULL or a. */
void evtchn_lock_pair(struct domain *a, struct domain *b);
void evtchn_unlock_pair(struct domain *a, struct domain *b);

/* Any context; no lock needed. */
void evtchn_set_pending(struct domain *d, uint32_t port, unsigned vcpu);
void evtchn_port_unmask(struct domain *d, uint32_t port, unsigned vcpu);

bool evtchn_virq_is_global(unsigned virq);

#endif
