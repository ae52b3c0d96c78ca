/* SPDX-License-Identifier: MIT */
/*
 * The time stamp counter: its frequency, and the scale with which it becomes nanoseconds. For
 * arch/x86 only.
 */
#ifndef ARCH_X86_TSC_H
#define ARCH_X86_TSC_H

#include <stdint.h>

/* As vcpu_time_info has it: ns = ((ticks << shift) * mul) >> 32 (shift < 0: to the right). */
struct tsc_scale {
    uint32_t mul;
    int8_t shift;
    uint64_t khz;
};
extern struct tsc_scale tsc_scale;

void tsc_init(void);              /* once: finds the frequency; time 0 is about now */
uint64_t tsc_to_ns(uint64_t tsc); /* arch_time_ns() at the moment when the counter was `tsc` */
uint64_t tsc_of_ns(uint64_t ns);  /* the counter's value at a time; saturates */

#endif
