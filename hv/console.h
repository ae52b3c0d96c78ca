/* SPDX-License-Identifier: MIT */
/*
 * The console hypercall's other side: what guests print, and the terminal's input for domain 0.
 * (The hypercall itself is declared in hv/hypercall.h, log_guest_write() in hv/log.h.)
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

struct domain;

/* Starts the serial port's input and its VIRQ_CONSOLE to domain 0. At boot, after interrupts are
 * routed and `dom0` is set. */
void console_init(void);

/* Puts an unfinished line of the domain's output on the log, so that a dead guest's last words are
 * not lost. Takes its domain lock. */
void console_flush(struct domain *d);

#endif
