/* SPDX-License-Identifier: MIT */
#include "cpu.h"

#include <stddef.h>
#include <stdint.h>

#include <rt/smp.h>
#include <rt/trap.h>

#define CR4_OSXSAVE (1UL << 18)

static volatile unsigned faults;

/* Goes on behind the instruction, whose address is in rbx. */
static bool skip(struct trap_regs *regs)
{
    faults++;
    regs->rip = regs->rbx;
    return true;
}

static bool has_xsave(void)
{
    uint32_t a = 1, b, c = 0, d;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 27 & 1; /* OSXSAVE: XGETBV works (Intel SDM vol. 1, 13.2) */
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;

    asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void xsetbv(uint64_t value)
{
    asm volatile("lea 1f(%%rip), %%rbx\n\txsetbv\n1:"
                 :
                 : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                 : "rbx", "memory");
}

/* XSETBV is undefined until the kernel says so in its own CR4; the processor's, which CPUID shows,
 * is the hypervisor's matter. */
static void enable_xsave(void)
{
    uint64_t cr4;

    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
}

bool check_xcr0(void)
{
    uint64_t all;
    bool ok;

    if (!has_xsave()) {
        return true;
    }
    enable_xsave();
    all = xgetbv();
    faults = 0;
    trap_set_handler(13, skip);
    xsetbv(all & 3);
    ok = faults == 0 && xgetbv() == (all & 3);
    xsetbv(0); /* x87 cannot be off */
    xsetbv(5); /* AVX needs SSE */
    xsetbv(all | 1UL << 62);
    ok = ok && faults == 3 && xgetbv() == (all & 3);
    xsetbv(all);
    ok = ok && faults == 3 && xgetbv() == all;
    trap_set_handler(13, NULL);
    return ok;
}

static volatile bool done;

/* The keyboard controller's status: all ones for who may not have it, but no fault. */
static void read_port(void *arg)
{
    uint8_t value;

    (void)arg;
    asm volatile("lea 1f(%%rip), %%rbx\n\tin $0x64, %0\n1:" : "=a"(value) : : "rbx", "memory");
    done = true;
}

bool check_vcpu_ports(void)
{
    bool ok;

    if (smp_vcpus() < 2) {
        return true;
    }
    faults = 0;
    trap_set_handler(13, skip);
    ok = smp_boot_vcpu(1, read_port, NULL) == 0;
    while (ok && !done) {
        asm volatile("pause" : : : "memory");
    }
    trap_set_handler(13, NULL);
    return ok && faults == 0;
}
