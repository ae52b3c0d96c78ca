/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's trace: a ring of records (hv/public/trace.h) for each pCPU, which overwrites its
 * oldest ones, so that the last seconds before a stop are always there.
 *
 * Each ring has one producer, its pCPU, and interrupts are off inside the hypervisor: recording
 * needs no lock and may be done under any. A trace point costs a load and a branch that is
 * predicted right while tracing is off, and one record's stores and a fence while it is on.
 *
 * trace_start(), trace_stop() and trace_take() are for one caller at a time (the control lock).
 */
#ifndef SCHED_TRACE_H
#define SCHED_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/public/trace.h"

struct vcpu;

extern bool trace_on;

/* ---- recording, on this pCPU; `now` is arch_time_ns() or a little before ---- */

/* `event` has no more than two words of 32 bits and one of 64, of which `words` count. */
void trace_put(uint32_t header, uint64_t now, uint32_t a, uint32_t b, uint64_t c);
uint32_t trace_name(const struct vcpu *v); /* its word in a record */

static inline bool trace_wanted(void)
{
    return __builtin_expect(__atomic_load_n(&trace_on, __ATOMIC_RELAXED), 0);
}

static inline void trace_runstate(const struct vcpu *v, int from, int to, uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_RUNSTATE(from, to), 1), now, trace_name(v), 0, 0);
}

static inline void trace_stop_running(const struct vcpu *v, enum trace_stop why, uint64_t ran,
                                      uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_STOP, 4), now, trace_name(v), why, ran);
}

/* Events of a vCPU without more to say (TRC_SCHED_WAKE, TRC_SCHED_DOM_ADD, TRC_SCHED_DOM_REM), in
 * Xen's form: domain, vCPU. */
static inline void trace_vcpu(uint32_t event, const struct vcpu *v, uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(event, 2), now, trace_name(v) >> 16, trace_name(v) & 0xffff, 0);
}

static inline void trace_kick(const struct vcpu *v, unsigned pcpu, uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_KICK, 2), now, trace_name(v), pcpu, 0);
}

static inline void trace_release(uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_RELEASE, 0), now, 0, 0, 0);
}

static inline void trace_params(unsigned domid, unsigned weight, unsigned cap, uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_PARAMS, 3), now, domid, weight, cap);
}

static inline void trace_state(const struct vcpu *v, int state, unsigned pcpu, uint64_t since,
                               uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(TRACE_STATE, 4), now, trace_name(v), (uint32_t)state << 16 | pcpu,
                  since);
}

static inline void trace_domain(uint32_t event, unsigned domid, uint64_t now)
{
    if (trace_wanted())
        trace_put(TRACE_HEADER(event, 1), now, domid, 0, 0);
}

/* ---- control ---- */

/* Tracing begins, in rings that the caller supplies: `records` (a power of two) each, for pCPUs
 * 0 .. pcpus - 1. Tracing is off, and the rings of the last time were taken back. */
void trace_start(struct trace_record *const *rings, unsigned pcpus, uint32_t records);
/* Off: no pCPU writes a record when this returns. */
void trace_stop(void);
/* Off, and the rings are forgotten: their memory is the caller's again. */
void trace_take(void);

/* Of one ring: records ever written, and the number of the oldest one that can be read. */
uint64_t trace_head(unsigned pcpu);
uint64_t trace_oldest(unsigned pcpu);
uint32_t trace_capacity(void); /* records of a ring; 0: none */
/*
 * Copies up to `max` records, from number *first on or from the oldest one that is left: *first
 * becomes the number of the first that was copied. Returns how many; 0: no more. Tracing may go on
 * meanwhile: what is overwritten while it is copied is left out.
 */
unsigned trace_read(unsigned pcpu, uint64_t *first, struct trace_record *to, unsigned max);

#endif
