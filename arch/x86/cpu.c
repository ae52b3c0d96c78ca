/* SPDX-License-Identifier: MIT */
#include "arch/x86/cpu.h"

#include <string.h>

#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/boot_info.h"
#include "hv/log.h"

/* Bits of CPUID leaves (Intel SDM vol. 2, CPUID). */
#define L1C_PCID       (1u << 17)
#define L1C_X2APIC     (1u << 21)
#define L1C_DEADLINE   (1u << 24)
#define L1C_XSAVE      (1u << 26)
#define L1C_HYPERVISOR (1u << 31)
#define L1D_NEEDED \
    (1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 24 | 1u << 25 | 1u << 26)
#define L7B_FSGSBASE  (1u << 0)
#define L7B_SMEP      (1u << 7)
#define L7B_SMAP      (1u << 20)
#define E1D_SYSCALL   (1u << 11)
#define E1D_1GB       (1u << 26)
#define E1D_RDTSCP    (1u << 27)
#define E7D_INVARIANT (1u << 8)
#define L6A_ARAT      (1u << 2)

/* x87, SSE, AVX, and the three components of AVX-512. */
#define XCR0_WANTED 0xe7UL

struct cpu_features cpu;
bool arch_keeps_translations;

static void detect_extended(void)
{
    struct x86_cpuid r = x86_cpuid(0x80000000, 0);

    cpu.max_ext_leaf = r.a;
    cpu.phys_bits = 36;
    if (cpu.max_ext_leaf >= 0x80000001) {
        r = x86_cpuid(0x80000001, 0);
        if (!(r.d & E1D_SYSCALL))
            panic("this processor has no SYSCALL instruction");
        cpu.pdpe1gb = r.d & E1D_1GB;
        cpu.rdtscp = r.d & E1D_RDTSCP;
    }
    if (cpu.max_ext_leaf >= 0x80000007)
        cpu.invariant_tsc = x86_cpuid(0x80000007, 0).d & E7D_INVARIANT;
    if (cpu.max_ext_leaf >= 0x80000008)
        cpu.phys_bits = x86_cpuid(0x80000008, 0).a & 0xff;
}

static void detect_fpu(void)
{
    cpu.fpu_bytes = 512; /* FXSAVE */
    if (!cpu.xsave)
        return;
    cpu.xcr0 = x86_cpuid(0xd, 0).a & XCR0_WANTED;
    if ((cpu.xcr0 & 0xe0) != 0xe0)
        cpu.xcr0 &= ~0xe0UL; /* AVX-512 is all three or nothing */
    x86_write_cr4(x86_read_cr4() | CR4_OSXSAVE);
    x86_xsetbv(0, cpu.xcr0);
    cpu.fpu_bytes = x86_cpuid(0xd, 0).b; /* for the components that are on */
}

/* Off unless asked for: no machine of ours has them. */
static void detect_pcid(void)
{
    char on[8];

    if (!boot_option("pcid", on, sizeof on) || strcmp(on, "on") != 0)
        return;
    cpu.pcid = x86_cpuid(1, 0).c & L1C_PCID;
    if (!cpu.pcid)
        log_printf(LOG_WARN, "pcid=on: this processor has no PCIDs\n");
}

/*
 * Makes the NOPs around accesses to the guest what they stand for: NOP [rax] CLAC, NOP [rcx] STAC.
 * The image is still mapped writable; CPUID serializes, as SDM vol. 3, 8.1.3 asks for.
 */
static void patch_smap_sites(void)
{
    extern uint8_t *const smap_start[], *const smap_end[];

    for (uint8_t *const *site = smap_start; site < smap_end; site++) {
        (*site)[2] = (*site)[2] ? 0xcb : 0xca;
        (*site)[1] = 0x01;
    }
    x86_cpuid(0, 0);
}

void cpu_detect(void)
{
    struct x86_cpuid r = x86_cpuid(0, 0);

    cpu.max_leaf = r.a;
    memcpy(cpu.vendor, &r.b, 4);
    memcpy(cpu.vendor + 4, &r.d, 4);
    memcpy(cpu.vendor + 8, &r.c, 4);
    r = x86_cpuid(1, 0);
    if ((r.d & L1D_NEEDED) != L1D_NEEDED)
        panic("this processor lacks one of TSC, MSR, PAE, CMPXCHG8B, APIC, FXSR, SSE, SSE2");
    cpu.x2apic = r.c & L1C_X2APIC;
    cpu.tsc_deadline = r.c & L1C_DEADLINE;
    cpu.xsave = (r.c & L1C_XSAVE) && cpu.max_leaf >= 0xd;
    cpu.hypervisor = r.c & L1C_HYPERVISOR;
    if (cpu.max_leaf >= 6)
        cpu.apic_always_on = x86_cpuid(6, 0).a & L6A_ARAT;
    if (cpu.max_leaf >= 7) {
        r = x86_cpuid(7, 0);
        cpu.fsgsbase = r.b & L7B_FSGSBASE;
        cpu.smep = r.b & L7B_SMEP;
        cpu.smap = r.b & L7B_SMAP;
        if (cpu.smap)
            patch_smap_sites();
    }
    detect_pcid();
    arch_keeps_translations = cpu.pcid;
    detect_extended();
    detect_fpu();
}

void cpu_setup(void)
{
    uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    x86_write_cr0(CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    cr4 |= cpu.fsgsbase ? CR4_FSGSBASE : 0;
    cr4 |= cpu.xsave ? CR4_OSXSAVE : 0;
    cr4 |= cpu.smep ? CR4_SMEP : 0;
    cr4 |= cpu.smap ? CR4_SMAP : 0;
    cr4 |= cpu.pcid ? CR4_PCIDE : 0; /* CR3 holds number 0 now, as it must (SDM vol. 3, 4.10.1) */
    x86_write_cr4(cr4);
    if (cpu.xsave)
        x86_xsetbv(0, cpu.xcr0);
    x86_wrmsr(MSR_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    x86_wrmsr(MSR_PAT, X86_PAT);
}

uint8_t arch_in8(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

uint16_t arch_in16(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

uint32_t arch_in32(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

void arch_out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

void arch_out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

void arch_out32(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
