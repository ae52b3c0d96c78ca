/* SPDX-License-Identifier: MIT */
/*
 * x87, SSE and AVX state. The hypervisor uses none of it, so a guest's registers stay live while we
 * run for it; they are saved when its vCPU leaves the pCPU and loaded when it comes back. CR0.TS is
 * set only while a vCPU runs that has set it.
 */
#include "arch/x86/guest.h"

#include <string.h>
#include "arch/x86/cpu.h"
#include "hv/log.h"
#include "mm/heap.h"

/* Initial values: x87 control word and MXCSR after FNINIT and reset (Intel SDM vol. 1, 8.1.5
 * and 10.2.3). */
#define FCW_INIT   0x037f
#define MXCSR_INIT 0x1f80

/* The area is 64-aligned inside a larger block of the heap. */
static void *fpu_area(const struct vcpu *v)
{
    return (void *)(((uint64_t)v->arch.fpu + 63) & ~63UL);
}

long x86_fpu_alloc(struct vcpu *v)
{
    uint8_t *area;

    v->arch.fpu = heap_alloc(cpu.fpu_bytes + 64);
    if (!v->arch.fpu)
        return -XEN_ENOMEM;
    area = fpu_area(v);
    *(uint16_t *)area = FCW_INIT;
    *(uint32_t *)(area + 24) = MXCSR_INIT;
    /* XSTATE_BV: x87 and SSE are in the legacy part, so that both values count (SDM vol.
     * 1, 13.4.2). */
    if (cpu.xcr0)
        *(uint64_t *)(area + 512) = 3;
    v->arch.xcr0 = cpu.xcr0;
    return 0;
}

/* All components are saved and loaded, whatever the guest has enabled now: its XCR0 is in force
 * only while it runs. */
static void set_xcr0(const struct vcpu *v, uint64_t value)
{
    if (v->arch.xcr0 != cpu.xcr0)
        x86_xsetbv(0, value);
}

void x86_fpu_save(struct vcpu *v)
{
    if (v->arch.cr0_ts)
        x86_fpu_set_ts(false);
    set_xcr0(v, cpu.xcr0);
    if (cpu.xcr0)
        asm volatile("xsave64 (%0)" : : "r"(fpu_area(v)), "a"(~0u), "d"(~0u) : "memory");
    else
        asm volatile("fxsave64 (%0)" : : "r"(fpu_area(v)) : "memory");
}

void x86_fpu_load(struct vcpu *v)
{
    if (cpu.xcr0)
        asm volatile("xrstor64 (%0)" : : "r"(fpu_area(v)), "a"(~0u), "d"(~0u) : "memory");
    else
        asm volatile("fxrstor64 (%0)" : : "r"(fpu_area(v)) : "memory");
    set_xcr0(v, v->arch.xcr0);
    if (v->arch.cr0_ts)
        x86_fpu_set_ts(true);
}

void x86_fpu_set_ts(bool ts)
{
    uint64_t cr0 = x86_read_cr0();

    if (!!(cr0 & CR0_TS) != ts)
        x86_write_cr0(cr0 ^ CR0_TS);
}
