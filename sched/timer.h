/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers: a heap per pCPU, programmed into the local APIC's timer by arch_timer_program().
 * Callbacks run on the pCPU that the timer was set on, from the timer interrupt, with interrupts
 * off and no lock held; they may set or stop any timer, themselves included, but not free the
 * memory of their own.
 *
 * Every function may be called on any pCPU, with any lock before LOCK_TIMER held, and by several
 * pCPUs at once for one timer: the timer is then in one heap or in none, with one of the deadlines
 * asked for.
 */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include <stdint.h>
#include <stdbool.h>

struct timer {
    uint64_t deadline; /* ns of arch_time_ns(); valid while set */
    void (*fn)(void *arg);
    void *arg;
    int32_t pcpu; /* whose heap, -1 if not set */
    /* Place in that heap, under its lock: a pairing heap needs no memory but these links, so that
     * setting a timer cannot fail. */
    struct timer *child, *next, *prev;
};

void timer_init(struct timer *t, void (*fn)(void *), void *arg);
/* Fires at or soon after `deadline` (ns); past deadlines fire at the next chance, never inside this
 * call. Replaces an earlier setting. INT64_MAX and above: never. */
void timer_set(struct timer *t, uint64_t deadline);
/* After return the callback neither runs nor will run (but in the callback itself). It waits for a
 * callback that runs on another pCPU: hold no lock that the callback takes. */
void timer_stop(struct timer *t);
bool timer_is_set(const struct timer *t);

void timer_pcpu_init(unsigned pcpu); /* before the first timer is set there */
/* arch: the local timer fired on this pCPU, at `now` of arch_time_ns(). */
void timer_interrupt(uint64_t now);

/* When this pCPU, `me`, shall choose again what it runs: timer_interrupt() has it do so then.
 * UINT64_MAX: never. sched_run() alone calls this, whenever it is called: until then the hardware
 * may be left without a deadline. */
void timer_set_quantum(unsigned me, uint64_t deadline);
/* timer_set() for sched_run(), which holds a lock and calls timer_set_quantum() after it: the
 * hardware is left to that. */
void timer_set_before_quantum(struct timer *t, uint64_t deadline);

#endif
