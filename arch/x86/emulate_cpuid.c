/* SPDX-License-Identifier: MIT */
/*
 * CPUID as a guest shall see it, through the forced-emulation prefix: the processor's answer
 * without what a paravirtual guest cannot use, and the hypervisor's own leaves (public header
 * arch-x86/cpuid.h).
 */
#include "arch/x86/guest.h"

#include <xen/arch-x86/cpuid.h>
#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"

#define BIT(n) (1u << (n))

/* Leaf 1: no VME, PSE, MCE, MTRR, PGE, MCA, PSE36, DS, ACPI, HT.. (edx); no DTES64, MONITOR, VMX,
 * SMX, EIST, TM2, PCID, x2APIC, TSC-deadline (ecx). */
#define LEAF1_EDX_HIDDEN                                                                    \
    (BIT(1) | BIT(3) | BIT(7) | BIT(12) | BIT(13) | BIT(14) | BIT(17) | BIT(21) | BIT(22) | \
     BIT(28) | BIT(29) | BIT(31))
#define LEAF1_ECX_HIDDEN                                                                          \
    (BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(14) | BIT(15) | BIT(17) | \
     BIT(21) | BIT(24))
#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF1_ECX_XSAVE   BIT(26)
#define LEAF1_ECX_HYPER   BIT(31)

/* Leaf 7: of ebx only what needs no system state: FSGSBASE, BMI1, AVX2, BMI2, ERMS, RDSEED, ADX,
 * CLFLUSHOPT, CLWB, SHA. */
#define LEAF7_EBX_SHOWN \
    (BIT(0) | BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29))

/* Leaf 80000001: no SVM, extended APIC.. in ecx but LAHF, ABM, SSE4A, misalign, prefetch, XOP..
 * kept; edx: SYSCALL, NX, LM, 3DNow kept; no 1G pages, RDTSCP stays. */
#define LEAFX1_ECX_HIDDEN \
    (BIT(1) | BIT(2) | BIT(3) | BIT(10) | BIT(12) | BIT(13) | BIT(19) | BIT(23) | BIT(24) | BIT(28))
#define LEAFX1_EDX_HIDDEN \
    (BIT(1) | BIT(3) | BIT(7) | BIT(12) | BIT(13) | BIT(14) | BIT(17) | BIT(26))

static void hypervisor_leaf(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    out[0] = out[1] = out[2] = out[3] = 0;
    switch (leaf - XEN_CPUID_FIRST_LEAF) {
    case 0:
        out[0] = XEN_CPUID_FIRST_LEAF + 3;
        out[1] = XEN_CPUID_SIGNATURE_EBX;
        out[2] = XEN_CPUID_SIGNATURE_ECX;
        out[3] = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        out[0] = 4 << 16 | 17; /* the interface that we speak */
        break;
    case 2: /* hypercall pages: filled by the builder only; MSR base for the record */
        out[1] = 0x40000000;
        out[2] = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 3: /* time (XEN_CPUID_LEAF(3)): TSC never emulated */
        if (sub == 0) {
            out[1] = 2;
            out[2] = (uint32_t)tsc_scale.khz;
        } else if (sub == 1) {
            out[2] = tsc_scale.mul;
            out[3] = (uint8_t)tsc_scale.shift;
        } else if (sub == 2) {
            out[0] = (uint32_t)tsc_scale.khz;
        }
        break;
    default:
        break;
    }
    (void)v;
}

static void filter(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    switch (leaf) {
    case 1:
        out[1] &= 0x0000ffff; /* no APIC id, no count of logical processors */
        out[2] &= ~LEAF1_ECX_HIDDEN;
        out[2] |= LEAF1_ECX_HYPER;
        if (!cpu.xcr0)
            out[2] &= ~(LEAF1_ECX_XSAVE | LEAF1_ECX_OSXSAVE);
        else
            out[2] |= LEAF1_ECX_OSXSAVE;
        out[3] &= ~LEAF1_EDX_HIDDEN;
        break;
    case 7:
        out[0] = 0;
        out[1] = sub == 0 ? out[1] & LEAF7_EBX_SHOWN : 0;
        out[2] = out[3] = 0;
        if (!cpu.fsgsbase)
            out[1] &= ~BIT(0);
        break;
    case 0xd:
        if (!cpu.xcr0)
            out[0] = out[1] = out[2] = out[3] = 0;
        else if (sub == 1)
            out[0] &= BIT(0) | BIT(1) | BIT(2), out[1] = out[2] = out[3] = 0; /* no XSAVES */
        break;
    case 0x80000001:
        out[2] &= ~LEAFX1_ECX_HIDDEN;
        out[3] &= ~LEAFX1_EDX_HIDDEN;
        break;
    case 5:
    case 6:
    case 0xa:
    case 0xb:
    case 0xf:
    case 0x10:
    case 0x14:
    case 0x8000000a:
        out[0] = out[1] = out[2] = out[3] = 0;
        break;
    default:
        break;
    }
}

void x86_guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    struct x86_cpuid r;
    uint32_t max;

    if (leaf >= XEN_CPUID_FIRST_LEAF && leaf < XEN_CPUID_FIRST_LEAF + 0x100) {
        hypervisor_leaf(v, leaf, sub, out);
        return;
    }
    max = leaf & 0x80000000u ? cpu.max_ext_leaf : cpu.max_leaf;
    if (leaf > max) {
        out[0] = out[1] = out[2] = out[3] = 0;
        return;
    }
    r = x86_cpuid(leaf, sub);
    out[0] = r.a;
    out[1] = r.b;
    out[2] = r.c;
    out[3] = r.d;
    filter(leaf, sub, out);
    if (leaf == 0 && out[0] > 0xd)
        out[0] = 0xd;
}
