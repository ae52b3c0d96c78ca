/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers: a binary heap per pCPU, programmed into the local APIC's timer by arch_timer_program().
 * Callbacks run on the pCPU that the timer was set on, from the timer interrupt, with interrupts off and no
 * lock held; they may set or stop any timer, themselves included.
 */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include <stdint.h>
#include <stdbool.h>

struct timer {
    uint64_t deadline; /* ns of arch_time_ns(); valid while set */
    void (*fn)(void *arg);
    void *arg;
    int32_t pcpu;  /* whose heap, -1 if not set */
    uint32_t slot; /* in that heap */
};

void timer_init(struct timer *t, void (*fn)(void *), void *arg);
/* Fires at or soon after `deadline` (ns); past deadlines fire at the next chance, never inside this call. Replaces an
 * earlier setting. INT64_MAX and above: never. */
void timer_set(struct timer *t, uint64_t deadline);
void timer_stop(struct timer *t);  /* after return the callback neither runs nor will run */
bool timer_is_set(const struct timer *t);

void timer_pcpu_init(unsigned pcpu);
void timer_interrupt(void); /* arch: the local timer fired on this pCPU */

#endif
