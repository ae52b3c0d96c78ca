/* SPDX-License-Identifier: MIT */
/*
 * Single instructions that C has no word for. For every file of the benchmark guest.
 */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>

/* The time stamp counter; neither memory accesses nor other assembly move across it. */
static inline uint64_t cpu_tsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

/* For the compiler alone: memory is read and written anew behind it. x86 keeps stores in order. */
static inline void cpu_barrier(void)
{
    asm volatile("" ::: "memory");
}

static inline void cpu_pause(void)
{
    asm volatile("pause");
}

static inline uint64_t cpu_exchange(volatile uint64_t *place, uint64_t value)
{
    asm volatile("xchg %0, %1" : "+r"(value), "+m"(*place)::"memory");
    return value;
}

/* Atomic: the hypervisor changes the same words. `bit` is below 64. */
static inline void cpu_set_bit(volatile uint64_t *word, uint64_t bit)
{
    asm volatile("lock bts %1, %0" : "+m"(*word) : "r"(bit) : "memory");
}

static inline void cpu_clear_bit(volatile uint64_t *word, uint64_t bit)
{
    asm volatile("lock btr %1, %0" : "+m"(*word) : "r"(bit) : "memory");
}

#endif
