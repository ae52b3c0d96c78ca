/* SPDX-License-Identifier: MIT */
/*
 * The further vCPUs: bringing them up, and what they do. For the bench_*.c, on vCPU 0.
 */
#ifndef BENCH_VCPU_H
#define BENCH_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#define VCPU_MAX 4

extern unsigned vcpu_count; /* up: 1, until more are brought up, in order */

/* Changes of these are seen when the vCPU is woken by vcpu_wake(); with neither it blocks. */
extern void (*volatile vcpu_work)(unsigned id); /* run again and again by all but vCPU 0 */
extern volatile bool vcpu_1_spins;              /* with upcalls on */

/* Brings up vCPU `id`; 0 or an error. With `figures`, reports how long that took. */
long vcpu_bring_up(unsigned id, bool figures);

/* An event to the vCPU, which has port vcpu_port(id). */
void vcpu_wake(unsigned id);
unsigned vcpu_port(unsigned id);

#endif
