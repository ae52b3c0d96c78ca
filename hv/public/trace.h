/* SPDX-License-Identifier: MIT */
/*
 * Records of the scheduler's trace, for the hypervisor, domain 0 and those who read its files.
 *
 * A record is one of Xen's, struct t_rec of <xen/trace.h> with a time stamp, in a slot of fixed
 * size. What Xen has an event for is recorded as Xen's: TRC_SCHED_RUNSTATE_CHANGE, TRC_SCHED_WAKE,
 * TRC_SCHED_DOM_ADD, TRC_SCHED_DOM_REM, TRC_SCHED_YIELD. The rest has a number in the place that
 * <xen/trace.h> sets aside for schedulers (TRC_SCHED_CLASS), under an identity that no scheduler of
 * Xen's has. The time is system time in ns, the one that guests read: to Xen's tools, a processor
 * of 1 GHz.
 */
#ifndef HV_PUBLIC_TRACE_H
#define HV_PUBLIC_TRACE_H

#include <stdint.h>
#include <xen/trace.h>

struct trace_record {
    uint32_t header; /* event, number of words, TRC_HD_CYCLE_FLAG */
    uint32_t time_lo, time_hi;
    uint32_t word[5]; /* as many as the header says count */
};
_Static_assert(sizeof(struct trace_record) == 32, "layout");

#define TRACE_HEADER(event, words) \
    (0x80000000u | (uint32_t)(words) << TRACE_EXTRA_SHIFT | (uint32_t)(event))
#define TRACE_TIME(r) ((uint64_t)(r)->time_hi << 32 | (r)->time_lo)

/* TRC_SCHED_RUNSTATE_CHANGE carries both states in its number; word 0 is the vCPU. */
#define TRACE_RUNSTATE(from, to) \
    (TRC_SCHED_RUNSTATE_CHANGE | (uint32_t)(from) << 8 | (uint32_t)(to) << 4)
#define TRACE_IS_RUNSTATE(event)   (((event) & ~0xff0u) == TRC_SCHED_RUNSTATE_CHANGE)
#define TRACE_RUNSTATE_FROM(event) ((event) >> 8 & 15)
#define TRACE_RUNSTATE_TO(event)   ((event) >> 4 & 15)

/* A vCPU in one word, as Xen puts it. */
#define TRACE_VCPU(domid, vcpu) ((uint32_t)(domid) << 16 | (uint32_t)(vcpu))

/* Events of our own. */
#define TRC_SCHED_PENUMBRA 6
#define TRACE_OWN(n)       (TRC_SCHED_CLASS | TRC_SCHED_PENUMBRA << TRC_SCHED_ID_SHIFT | (n))
/* A vCPU stopped running: vCPU, TRACE_STOP_*, ns it has run (64 bits). */
#define TRACE_STOP TRACE_OWN(1)
/* Another pCPU shall look at the queue for the sake of a vCPU: vCPU, that pCPU. */
#define TRACE_KICK TRACE_OWN(2)
/* Budgets of a new period: who was parked is queued again. No words. */
#define TRACE_RELEASE TRACE_OWN(3)
/* A domain's parameters, from now on: domain, weight, cap. */
#define TRACE_PARAMS TRACE_OWN(4)
/* The state of a vCPU, for a reader who does not know: vCPU, state << 16 | pCPU, since when (64
 * bits). Written when tracing starts and stops. */
#define TRACE_STATE TRACE_OWN(5)
/* A domain comes or goes: domain. */
#define TRACE_DOMAIN_CREATED   TRACE_OWN(6)
#define TRACE_DOMAIN_DESTROYED TRACE_OWN(7)

/* Why a vCPU stopped running. */
enum trace_stop {
    TRACE_STOP_blocked,   /* it waits for an event */
    TRACE_STOP_paused,    /* it was paused, or went down */
    TRACE_STOP_yielded,   /* it let the others go first */
    TRACE_STOP_quantum,   /* its quantum was over, and somebody waits */
    TRACE_STOP_preempted, /* another one is more urgent */
    TRACE_STOP_cap,       /* its domain has used up its budget */
    TRACE_STOP_moved,     /* it may not run on this pCPU any more */
    TRACE_STOPS
};

/*
 * What domain 0 adds at the beginning of a file, in the class that Xen leaves to guests
 * (TRC_GUEST), so that the file explains itself.
 */
#define TRACE_FILE_HEAD    0x08001001u /* version, number of pCPUs, records lost (64 bits) */
#define TRACE_FILE_NAME    0x08001002u /* domain, up to 16 bytes of its name (longer: again) */
#define TRACE_FILE_VERSION 1u

#endif
