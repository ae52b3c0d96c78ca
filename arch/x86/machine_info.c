/* SPDX-License-Identifier: MIT */
/*
 * Facts about the processors for the control interface.
 */
#include "arch/x86/tsc.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"

uint32_t arch_cpu_khz(void)
{
    return (uint32_t)tsc_scale.khz;
}

/* The feature words of Xen's public cpufeatureset.h, in its order. */
void arch_cpu_capabilities(uint32_t words[8])
{
    uint32_t basic = x86_cpuid(0, 0).a, extended = x86_cpuid(0x80000000, 0).a;
    struct x86_cpuid one = x86_cpuid(1, 0), ext1 = {0}, xstate = {0}, seven = {0}, power = {0};

    if (extended >= 0x80000001)
        ext1 = x86_cpuid(0x80000001, 0);
    if (basic >= 0xd)
        xstate = x86_cpuid(0xd, 1);
    if (basic >= 7)
        seven = x86_cpuid(7, 0);
    if (extended >= 0x80000007)
        power = x86_cpuid(0x80000007, 0);
    words[0] = one.d;
    words[1] = one.c;
    words[2] = ext1.d;
    words[3] = ext1.c;
    words[4] = xstate.a;
    words[5] = seven.b;
    words[6] = seven.c;
    words[7] = power.d;
}
