/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls by number, through the hypercall page as most kernels do it. For every file of the
 * benchmark guest; the measured call is this one `call` and what the hypervisor put there.
 *
 * The convention is that of Xen's 64-bit PV guests (<xen/arch-x86/xen-x86_64.h>): arguments in rdi,
 * rsi, rdx, r10, result in rax, a negative Xen errno value on failure; rcx and r11 are destroyed.
 * Argument registers count as destroyed too: debug builds of Xen overwrite them.
 */
#ifndef BENCH_HYPER_H
#define BENCH_HYPER_H

#include <stdint.h>
#include <xen/xen.h>

extern char hypercall_page[]; /* 32 bytes for each call */

#define HYPER_ARG(x) ((uint64_t)(x))

static inline void *hyper_entry(unsigned nr)
{
    return hypercall_page + nr * 32;
}

static inline long hyper1(unsigned nr, uint64_t a)
{
    long rc;

    asm volatile("call *%[entry]"
                 : "=a"(rc), "+D"(a)
                 : [entry] "r"(hyper_entry(nr))
                 : "memory", "rcx", "r11");
    return rc;
}

static inline long hyper2(unsigned nr, uint64_t a, uint64_t b)
{
    long rc;

    asm volatile("call *%[entry]"
                 : "=a"(rc), "+D"(a), "+S"(b)
                 : [entry] "r"(hyper_entry(nr))
                 : "memory", "rcx", "r11");
    return rc;
}

static inline long hyper3(unsigned nr, uint64_t a, uint64_t b, uint64_t c)
{
    long rc;

    asm volatile("call *%[entry]"
                 : "=a"(rc), "+D"(a), "+S"(b), "+d"(c)
                 : [entry] "r"(hyper_entry(nr))
                 : "memory", "rcx", "r11");
    return rc;
}

static inline long hyper4(unsigned nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t r10 asm("r10") = d;
    long rc;

    asm volatile("call *%[entry]"
                 : "=a"(rc), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
                 : [entry] "r"(hyper_entry(nr))
                 : "memory", "rcx", "r11");
    return rc;
}

#endif
