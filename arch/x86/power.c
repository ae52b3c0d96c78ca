/* SPDX-License-Identifier: MIT */
/*
 * The ways to end or restart the machine.
 */
#include "arch/x86/acpi.h"
#include "arch/x86/paging.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/log.h"

#define SLP_EN        0x2000
#define SLP_TYP_SHIFT 10
#define SPACE_MEMORY  0
#define SPACE_PORT    1

static void wait_ns(uint64_t ns)
{
    uint64_t until = arch_time_ns() + ns;

    while (arch_time_ns() < until)
        __asm__ volatile("pause");
}

void arch_power_off(void)
{
    x86_cli();
    if (acpi.s5 && acpi.pm1a) {
        arch_out16(acpi.pm1a, (uint16_t)(acpi.s5_a << SLP_TYP_SHIFT | SLP_EN));
        if (acpi.pm1b)
            arch_out16(acpi.pm1b, (uint16_t)(acpi.s5_b << SLP_TYP_SHIFT | SLP_EN));
        wait_ns(1000000000);
    }
    log_error("this machine does not power off; it may be switched off now\n");
    arch_halt_forever();
}

/* In the order of politeness: ACPI's reset register, the chipset's, the keyboard controller, a
 * triple fault. */
void arch_reboot(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};

    x86_cli();
    if (acpi.reset_space == SPACE_PORT)
        arch_out8((uint16_t)acpi.reset_address, acpi.reset_value);
    if (acpi.reset_space == SPACE_MEMORY) {
        volatile uint8_t *reg = arch_map_mmio(acpi.reset_address, 1);
        if (reg)
            *reg = acpi.reset_value;
    }
    wait_ns(10000000);
    arch_out8(0xcf9, 0x06);
    wait_ns(10000000);
    arch_out8(0x64, 0xfe);
    wait_ns(10000000);
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
    arch_halt_forever();
}
