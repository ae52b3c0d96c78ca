/* SPDX-License-Identifier: MIT */
/*
 * Instructions, register bits and page-table bits of x86-64 (Intel SDM vol. 3, AMD APM vol. 2). For
 * arch/x86 only.
 */
#ifndef ARCH_X86_X86_H
#define ARCH_X86_X86_H

#ifdef __ASSEMBLER__
#define X86_BIT(n) (1 << (n))
#else
#define X86_BIT(n) (1UL << (n))
#endif

#define CR0_PE X86_BIT(0)
#define CR0_MP X86_BIT(1)
#define CR0_EM X86_BIT(2)
#define CR0_TS X86_BIT(3)
#define CR0_ET X86_BIT(4)
#define CR0_NE X86_BIT(5)
#define CR0_WP X86_BIT(16)
#define CR0_AM X86_BIT(18)
#define CR0_PG X86_BIT(31)

#define CR4_TSD        X86_BIT(2)
#define CR4_DE         X86_BIT(3)
#define CR4_PAE        X86_BIT(5)
#define CR4_MCE        X86_BIT(6)
#define CR4_OSFXSR     X86_BIT(9)
#define CR4_OSXMMEXCPT X86_BIT(10)
#define CR4_FSGSBASE   X86_BIT(16)
#define CR4_PCIDE      X86_BIT(17)
#define CR4_OSXSAVE    X86_BIT(18)
#define CR4_SMEP       X86_BIT(20)
#define CR4_SMAP       X86_BIT(21)

#define MSR_TSC            0x10
#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103
#define MSR_SYSENTER_CS    0x174

#define EFER_SCE X86_BIT(0)
#define EFER_LME X86_BIT(8)
#define EFER_LMA X86_BIT(10)
#define EFER_NXE X86_BIT(11)

/* Memory types by index: WB, WT, UC-, UC, WC, WP, UC, UC: the table that the Xen ABI shows to
 * guests. */
#define X86_PAT 0x0000050100070406UL

#define RFLAGS_CF   X86_BIT(0)
#define RFLAGS_TF   X86_BIT(8)
#define RFLAGS_IF   X86_BIT(9)
#define RFLAGS_DF   X86_BIT(10)
#define RFLAGS_IOPL (X86_BIT(12) | X86_BIT(13))
#define RFLAGS_NT   X86_BIT(14)
#define RFLAGS_RF   X86_BIT(16)
#define RFLAGS_VM   X86_BIT(17)
#define RFLAGS_AC   X86_BIT(18)
#define RFLAGS_ID   X86_BIT(21)

/* Exception vectors (Intel SDM vol. 3, table 6-1). */
#define VEC_DB  1
#define VEC_NMI 2
#define VEC_BP  3
#define VEC_OF  4
#define VEC_UD  6
#define VEC_NM  7
#define VEC_DF  8
#define VEC_GP  13
#define VEC_PF  14
#define VEC_MC  18

/* Page-table entries. */
#define PTE_P    X86_BIT(0)
#define PTE_RW   X86_BIT(1)
#define PTE_US   X86_BIT(2)
#define PTE_PWT  X86_BIT(3)
#define PTE_PCD  X86_BIT(4)
#define PTE_A    X86_BIT(5)
#define PTE_D    X86_BIT(6)
#define PTE_PSE  X86_BIT(7)
#define PTE_G    X86_BIT(8)
#define PTE_NX   X86_BIT(63)
#define PTE_ADDR 0x000ffffffffff000UL

#ifndef __ASSEMBLER__

#include <stdint.h>

static inline uint64_t x86_rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void x86_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t x86_rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

/* a * b / c with the product in full; the quotient must fit (the processor faults otherwise). */
static inline uint64_t x86_mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t high;
    __asm__("mulq %2; divq %3" : "+&a"(a), "=&d"(high) : "r"(b), "r"(c) : "cc");
    return a;
}

#define X86_CONTROL_REGISTER(n)                                        \
    static inline uint64_t x86_read_cr##n(void)                        \
    {                                                                  \
        uint64_t v;                                                    \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory"); \
        return v;                                                      \
    }                                                                  \
    static inline void x86_write_cr##n(uint64_t v)                     \
    {                                                                  \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");     \
    }
X86_CONTROL_REGISTER(0)
X86_CONTROL_REGISTER(2)
X86_CONTROL_REGISTER(3)
X86_CONTROL_REGISTER(4)

static inline void x86_invlpg(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

struct x86_cpuid {
    uint32_t a, b, c, d;
};

static inline struct x86_cpuid x86_cpuid(uint32_t leaf, uint32_t sub)
{
    struct x86_cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

static inline void x86_cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void x86_halt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

static inline void x86_xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void x86_swapgs(void)
{
    __asm__ volatile("swapgs" : : : "memory");
}

#define X86_DEBUG_REGISTER(n)                                      \
    static inline uint64_t x86_read_dr##n(void)                    \
    {                                                              \
        uint64_t v;                                                \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v));          \
        return v;                                                  \
    }                                                              \
    static inline void x86_write_dr##n(uint64_t v)                 \
    {                                                              \
        __asm__ volatile("mov %0, %%dr" #n : : "r"(v) : "memory"); \
    }
X86_DEBUG_REGISTER(0)
X86_DEBUG_REGISTER(1)
X86_DEBUG_REGISTER(2)
X86_DEBUG_REGISTER(3)
X86_DEBUG_REGISTER(6)
X86_DEBUG_REGISTER(7)

#define X86_READ_SELECTOR(reg)                            \
    static inline uint16_t x86_read_##reg(void)           \
    {                                                     \
        uint16_t v;                                       \
        __asm__ volatile("mov %%" #reg ", %0" : "=r"(v)); \
        return v;                                         \
    }
X86_READ_SELECTOR(ds)
X86_READ_SELECTOR(es)
X86_READ_SELECTOR(fs)
X86_READ_SELECTOR(gs)

#endif /* __ASSEMBLER__ */
#endif
