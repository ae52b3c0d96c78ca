/* SPDX-License-Identifier: MIT */
/*
 * What this kind of processor can do; the same on all pCPUs. For arch/x86 only.
 */
#ifndef ARCH_X86_CPU_H
#define ARCH_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_features {
    char vendor[13];
    uint32_t max_leaf, max_ext_leaf;
    unsigned phys_bits;
    bool smep, smap, fsgsbase, xsave, rdtscp, pdpe1gb, tsc_deadline, x2apic, apic_always_on,
        invariant_tsc;
    bool pcid;          /* it has them, and pcid=on asks for them */
    bool hypervisor;    /* we run on one */
    uint64_t xcr0;      /* state components enabled for guests; 0 without XSAVE */
    unsigned fpu_bytes; /* of the XSAVE (or FXSAVE) area for xcr0 */
};
extern struct cpu_features cpu;

/* Once, first thing: fills `cpu`. Panics if something essential is missing. */
void cpu_detect(void);
/* On each pCPU: CR0, CR4, EFER, PAT, XCR0 as the hypervisor wants them. */
void cpu_setup(void);

/*
 * SMAP: around accesses to guest memory. A NOP of three bytes, whose address is in a table; where
 * there is SMAP it becomes STAC or CLAC before it is first executed (cpu.c).
 */
#define X86_SMAP_SITE(nop) \
    "1: .byte 0x0f, 0x1f, " nop "\n.pushsection .smap, \"a\"\n.quad 1b\n.popsection\n"
static inline void x86_user_access_begin(void)
{
    __asm__ volatile(X86_SMAP_SITE("1") : : : "memory", "cc");
}
static inline void x86_user_access_end(void)
{
    __asm__ volatile(X86_SMAP_SITE("0") : : : "memory", "cc");
}

#endif
