/* SPDX-License-Identifier: MIT */
/*
 * Three ways, in the order of politeness. The hypervisor knows the ACPI tables and needs from us
 * only what to write to the PM1 control registers; the sleep type of S5 is 0 in QEMU's tables
 * (elsewhere it is in the DSDT, and our hypervisor looks there). Then QEMU's register itself, the
 * same on both its machines. A shutdown by sched_op, the last, only halts the machine under Xen.
 */
#include "dom0/drivers/acpi_poweroff.h"

#include <stdint.h>
#include <stdio.h>
#include <xen/platform.h>
#include <xen/sched.h>

#include <rt/hypercall.h>
#include <rt/start.h>

#define PM1_SCI_EN     0x0001
#define PM1_SLP_EN     0x2000
#define QEMU_PM1A_CNT  0x604
#define SLEEP_SOFT_OFF 5

void acpi_poweroff(void)
{
    struct xen_platform_op op = {
        .cmd = XENPF_enter_acpi_sleep,
        .interface_version = XENPF_INTERFACE_VERSION,
        .u.enter_acpi_sleep =
            {
                .val_a = PM1_SLP_EN | PM1_SCI_EN,
                .val_b = PM1_SLP_EN | PM1_SCI_EN,
                .sleep_state = SLEEP_SOFT_OFF,
            },
    };
    long rc = hypercall_platform_op(&op);

    printf("poweroff: the hypervisor's ACPI sleep failed (%ld), trying the port\n", rc);
    asm volatile("outw %0, %1" ::"a"((uint16_t)PM1_SLP_EN), "Nd"((uint16_t)QEMU_PM1A_CNT));
    start_shutdown(SHUTDOWN_poweroff);
}
