/* SPDX-License-Identifier: MIT */
/*
 * emul.*: privileged instructions that the hypervisor carries out for the guest kernel. One that
 * ends in a #GP instead is not supported.
 */
#include "bench.h"

#include "figure.h"
#include "trap.h"

/* Tries the instructions once, goes on behind them if they fault, measures them otherwise. */
#define MEASURE_EMULATED(name, instructions, ...)                                                \
    do {                                                                                         \
        uint64_t faults_ = trap_gp_count;                                                        \
        asm volatile(TRAP_GO_ON_AT(trap_gp_fixup) instructions "; 1:" ::: "rax", ##__VA_ARGS__); \
        if (trap_gp_count != faults_)                                                            \
            figure_refused(name, -1);                                                            \
        else                                                                                     \
            MEASURE(name, 500, 1, asm volatile(instructions ::: "rax", ##__VA_ARGS__));          \
    } while (0)

void bench_emul(void)
{
    MEASURE_EMULATED("emul.read_cr0", "mov %%cr0, %%rax", "memory");
    MEASURE_EMULATED("emul.rdmsr_efer", "mov $0xc0000080, %%ecx; rdmsr", "rcx", "rdx", "memory");
    MEASURE_EMULATED("emul.wrmsr_fsbase",
                     "xor %%eax, %%eax; xor %%edx, %%edx; mov $0xc0000100, %%ecx; wrmsr", "rcx",
                     "rdx", "memory");
    trap_gp_fixup = 0;
    /* The forced emulation of <xen/arch-x86/xen.h>: ud2, "xen", cpuid. */
    trap_set(TRAP_UD, TRAP_DPL0, trap_vector_6);
    MEASURE("emul.cpuid_forced", 500, 1,
            asm volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid" ::"a"(1), "c"(0)
                         : "rbx", "rdx", "memory"));
    trap_set(TRAP_UD, TRAP_DPL0, trap_skip_ud2);
}
