/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers as a guest sees them. Few are real: the segment bases, which are its
 * own. Others read as a plain processor's and take no effect; unknown ones are a #GP, as on
 * hardware, once the guest can handle one.
 */
#include "arch/x86/guest.h"

#include "arch/x86/cpu.h"
#include "hv/log.h"

#define MSR_IA32_PLATFORM_ID  0x17
#define MSR_FEATURE_CONTROL   0x3a
#define MSR_UCODE_REV         0x8b
#define MSR_PLATFORM_INFO     0xce
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_MISC_FEATURES     0x140
#define MSR_MCG_CAP           0x179
#define MSR_MCG_STATUS        0x17a
#define MSR_MISC_ENABLE       0x1a0
#define MSR_MC0_CTL           0x400
#define MSR_MC0_LAST          0x47f

/* What Xen's guests see as PAT: WB WT UC- UC WC WP, fixed by the ABI. */
#define PAT_OF_ABI 0x0000050100070406UL

bool x86_guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE: /* in kernel mode: GS is the kernel's, the other the user's */
        *value = x86_rdmsr(msr);
        return true;
    case MSR_EFER:
        *value = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
        return true;
    case MSR_PAT:
        *value = PAT_OF_ABI;
        return true;
    case MSR_APIC_BASE: /* enabled, at the usual place, boot processor; dom0 and guests use no APIC
                         */
        *value = 0xfee00800UL | (v->id == 0 ? 0x100 : 0);
        return true;
    case MSR_TSC:
        *value = x86_rdtsc();
        return true;
    case MSR_MISC_ENABLE: /* fast strings */
        *value = 1;
        return true;
    case MSR_IA32_PLATFORM_ID:
    case MSR_FEATURE_CONTROL:
    case MSR_UCODE_REV:
    case MSR_PLATFORM_INFO:
    case MSR_ARCH_CAPABILITIES:
    case MSR_MISC_FEATURES:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_MC0_CTL ... MSR_MC0_LAST:
    case MSR_TSC_AUX:
        *value = 0;
        return true;
    default:
        /* Until a handler is registered nobody could take the #GP. */
        *value = 0;
        return !v->arch.traps[VEC_GP].address;
    }
}

bool x86_guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        if (!x86_canonical(value))
            return false;
        x86_wrmsr(msr, value);
        return true;
    case MSR_UCODE_REV:
    case MSR_MISC_FEATURES:
    case MSR_MISC_ENABLE:
    case MSR_TSC_AUX:
    case MSR_MC0_CTL ... MSR_MC0_LAST:
        return true;
    case MSR_PAT:
        return value == PAT_OF_ABI;
    case MSR_EFER: /* what it reads is what it has */
        return value == (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    default:
        return !v->arch.traps[VEC_GP].address;
    }
}
