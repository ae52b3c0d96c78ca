/* SPDX-License-Identifier: MIT */
/*
 * Data selectors and segment bases of vCPUs, which stay in the processor while one runs.
 *
 * GS has two bases, changed over by SWAPGS: the one in force and the other mode's, which is in
 * MSR_KERNEL_GS_BASE meanwhile. The FSGSBASE instructions reach both without an MSR, which takes
 * a processor several times as long.
 */
#include "arch/x86/guest.h"

#include "arch/x86/cpu.h"
#include "arch/x86/uaccess.h"

/* False: refused by the processor; the register is null then. */
#define LOAD_SELECTOR(reg)                                               \
    static inline bool load_##reg(uint16_t sel)                          \
    {                                                                    \
        __asm__ goto("1: mov %k0, %%" #reg "\n" X86_EXTABLE("1b", "%l1") \
                     :                                                   \
                     : "r"((uint32_t)sel)                                \
                     : "memory"                                          \
                     : refused);                                         \
        return true;                                                     \
    refused:                                                             \
        __asm__ volatile("mov %k0, %%" #reg : : "r"(0) : "memory");      \
        return false;                                                    \
    }
LOAD_SELECTOR(ds)
LOAD_SELECTOR(es)
LOAD_SELECTOR(fs)
LOAD_SELECTOR(gs)

/* With FSGSBASE. */
#define BASE(reg)                                                        \
    static inline uint64_t read_##reg##_base(void)                       \
    {                                                                    \
        uint64_t base;                                                   \
        __asm__ volatile("rd" #reg "base %0" : "=r"(base) : : "memory"); \
        return base;                                                     \
    }                                                                    \
    static inline void write_##reg##_base(uint64_t base)                 \
    {                                                                    \
        __asm__ goto("1: wr" #reg "base %0\n" X86_EXTABLE("1b", "%l1")   \
                     :                                                   \
                     : "r"(base)                                         \
                     : "memory"                                          \
                     : refused);                                         \
    refused:;                                                            \
    }
BASE(fs)
BASE(gs)

static inline void set_gs_bases(struct arch_vcpu *a, uint64_t active, uint64_t inactive)
{
    a->gs_base_kernel = a->kernel_mode ? active : inactive;
    a->gs_base_user = a->kernel_mode ? inactive : active;
}

static __attribute__((noinline)) void save_bases_by_msr(struct arch_vcpu *a)
{
    a->fs_base = x86_rdmsr(MSR_FS_BASE);
    set_gs_bases(a, x86_rdmsr(MSR_GS_BASE), x86_rdmsr(MSR_KERNEL_GS_BASE));
}

void x86_segments_save(struct arch_vcpu *a)
{
    uint64_t active;

    a->ds = x86_read_ds();
    a->es = x86_read_es();
    a->fs = x86_read_fs();
    a->gs = x86_read_gs();
    if (!cpu.fsgsbase) {
        save_bases_by_msr(a);
        return;
    }
    a->fs_base = read_fs_base();
    active = read_gs_base();
    x86_swapgs();
    set_gs_bases(a, active, read_gs_base());
}

static __attribute__((noinline)) void load_bases_by_msr(uint64_t fs, uint64_t active,
                                                        uint64_t inactive)
{
    x86_wrmsr_safe(MSR_FS_BASE, fs);
    x86_wrmsr_safe(MSR_GS_BASE, active);
    x86_wrmsr_safe(MSR_KERNEL_GS_BASE, inactive);
}

/* Selectors first: loading one sets the base from its descriptor. Bases were checked when they were
 * set, or read back from the processor; should one be refused all the same, the old one stays. */
bool x86_segments_load(const struct arch_vcpu *a)
{
    bool good = load_ds(a->ds) & load_es(a->es) & load_fs(a->fs) & load_gs(a->gs);
    uint64_t active = a->kernel_mode ? a->gs_base_kernel : a->gs_base_user;
    uint64_t inactive = a->kernel_mode ? a->gs_base_user : a->gs_base_kernel;

    if (!cpu.fsgsbase) {
        load_bases_by_msr(a->fs_base, active, inactive);
        return good;
    }
    write_fs_base(a->fs_base);
    write_gs_base(inactive);
    x86_swapgs();
    write_gs_base(active);
    return good;
}

void x86_segments_load_user_gs(uint16_t sel)
{
    x86_swapgs();
    load_gs(sel);
    x86_swapgs();
}
