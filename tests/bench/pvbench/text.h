/* SPDX-License-Identifier: MIT */
/*
 * What the guest prints, one line at a time: CONSOLEIO for domain 0, the console ring for others.
 * For every file of the benchmark guest; vCPU 0 only. A line goes out when it is complete.
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

/* Must come first. The ring of a domain that is not domain 0 is mapped here. */
void text_init(const start_info_t *info);

void text_char(char c);
void text_string(const char *string);
void text_decimal(long value);
void text_hex(uint64_t value); /* 16 digits */

/* One line `INFO key value`. */
void text_info(const char *key, long value);

/* One line `BENCH panic why value`; then the guest asks for a restart of the machine. */
__attribute__((noreturn)) void text_panic(const char *why, long value);

/* The end: shutdown with reason reboot, which ends a QEMU that runs with -no-reboot. */
__attribute__((noreturn)) void text_end(void);

#endif
