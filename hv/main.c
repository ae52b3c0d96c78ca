/* SPDX-License-Identifier: MIT */
/*
 * The boot order. boot.S calls hv_main() in 64-bit mode on early page tables; everything up to the
 * first guest is here, one step a line.
 */
#include <stddef.h>

#include "hv/arch.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/console.h"
#include "hv/dom0.h"
#include "hv/log.h"
#include "io/serial.h"
#include "mm/frame.h"
#include "sched/sched.h"
#include "sched/timer.h"

void hv_main(void); /* for boot.S */

/* Memory of the hypervisor itself and of the smallest domain 0 that is of use. */
#define LEAST_FRAMES ((16UL << 20) >> PAGE_SHIFT)

void main_pcpu_init(void)
{
    timer_pcpu_init(arch_pcpu_id());
    sched_pcpu_init();
}

static void check_boot(void)
{
    if (boot_info.module_count < 2)
        panic("%u boot module%s: the boot loader must pass the device tree, then domain 0's kernel",
              boot_info.module_count, boot_info.module_count == 1 ? "" : "s");
    if (frame_free_count() < LEAST_FRAMES)
        panic("%lu KiB of memory free: at least %lu KiB are needed (a QEMU without enough memory?)",
              frame_free_count() << (PAGE_SHIFT - 10), LEAST_FRAMES << (PAGE_SHIFT - 10));
}

/* On pCPU 0's own stack. */
static void main_on_pcpu(void)
{
    arch_give_frames(); /* frame allocator and heap work */
    log_info("%lu MiB of memory, %lu MiB free\n", frame_total_count() >> (20 - PAGE_SHIFT),
             frame_free_count() >> (20 - PAGE_SHIFT));
    check_boot();
    arch_acpi_init();       /* processors, interrupt controllers, power */
    arch_interrupts_init(); /* clock, local APIC, IO-APIC */
    sched_init();
    main_pcpu_init();
    arch_start_pcpus(); /* the others wait for work from here on */
    log_info("%u processor%s, %lu us since the start\n", arch_pcpu_count(),
             arch_pcpu_count() == 1 ? "" : "s", arch_time_ns() / 1000);
    arch_serial_irq_init(); /* before domain 0 may ask for input */
    dom0_create();          /* reads the device tree */
    boot_modules_free();
    console_init();
    pcpu_start();
}

void hv_main(void)
{
    serial_init(); /* from here on something can be said */
    log_info("Penumbra%s\n", CONFIG_DEBUG ? ", debug build" : "");
    arch_read_boot_info();
    arch_early_init(main_on_pcpu); /* page tables, descriptor tables, per-pCPU area */
}
