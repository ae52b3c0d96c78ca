/* SPDX-License-Identifier: MIT */
/*
 * The 16550 serial port COM1, 115200 8n1: polled output without a lock (panic), buffered
 * interrupt-driven input that dom0 reads by console_io and learns of by VIRQ_CONSOLE.
 */
#ifndef IO_SERIAL_H
#define IO_SERIAL_H

#include <stddef.h>
#include <stdbool.h>

void serial_init(void); /* before anything is logged */
void serial_write(const char *s,
                  size_t n); /* LF becomes CR LF; waits for room in the transmitter */
void serial_enable_input(
    void (*notify)(void)); /* after interrupts are routed: notify() after each batch stored */
void serial_interrupt(void *unused); /* the port's interrupt handler */

/* Never waits. Gives fewer bytes than asked for when there are no more, neither here nor in the
 * port. */
size_t serial_read(char *buf, size_t size);

#endif
