/* SPDX-License-Identifier: MIT */
/*
 * The part of the seam that is used only while booting, by hv/main.c, in the order in which it
 * stands here.
 */
#ifndef HV_ARCH_BOOT_H
#define HV_ARCH_BOOT_H

/* Fills boot_info from what the loader left. Panics if that makes no sense. */
void arch_read_boot_info(void);
/* Processor features, final page tables, pCPU 0's area and descriptor tables; then calls next() on
 * pCPU 0's stack. From here on the seam's pCPU functions work. */
void arch_early_init(void (*next)(void)) __attribute__((noreturn));
/* Gives FS a block in which code built with stack protection (libfdt) finds its canary. Boot only:
 * guests own FS. */
void arch_boot_canary(void);
/* Gives all usable RAM to the frame allocator. */
void arch_give_frames(void);
void arch_acpi_init(void);
void arch_interrupts_init(void); /* time source, local APIC, IO-APIC */
void arch_start_pcpus(void);     /* the others; each ends in pcpu_start() */
/* Routes the serial port's interrupt to io/serial.c. */
void arch_serial_irq_init(void);

/* hv/main.c, called on every pCPU before it counts as online: its timers and run queue. */
void main_pcpu_init(void);
/* The life of a pCPU from now on: schedules for ever (written with the entry code). */
void pcpu_start(void) __attribute__((noreturn));

#endif
