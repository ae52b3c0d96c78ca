/* SPDX-License-Identifier: MIT */
/*
 * Start of day and end of it: what the domain builder told the kernel, where the kernel's main()
 * begins, and how a domain stops. Usable by every file of a guest once main() runs.
 */
#ifndef RT_START_H
#define RT_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

/* Supplied by each guest; called on a thread of vCPU 0 with memory, events, time, console and, if
 * there is one, the store ready. Returning powers the domain off. */
int main(void);

/* The builder's page, never NULL in main(). Its command line, module and console fields are read
 * through the functions below. */
extern const struct start_info *start_info;

/* The hypervisor's page shared with this domain. */
extern struct shared_info *shared_info;

/* True if this is the control domain (SIF_INITDOMAIN): console_io console, no store of its own. */
bool start_is_dom0(void);

/* The whole command line, NUL-terminated, "" if none. */
const char *start_cmdline(void);

/* The value of the word NAME=VALUE of the command line, copied into value[size], cut to fit. The
 * last one counts; the bare word NAME has the value "1". Returns false, value untouched, if absent.
 */
bool start_option(const char *name, char *value, size_t size);

/* The same as a number (decimal, or hexadecimal with 0x); `absent` when missing or no number. */
uint64_t start_option_u64(const char *name, uint64_t absent);

/* The boot module (initial RAM disk), or NULL if there is none. */
const void *start_module(size_t *bytes);

/* Called on a thread before the domain obeys control/shutdown ("poweroff", "reboot", "halt"), with
 * SHUTDOWN_poweroff or SHUTDOWN_reboot; may block. One hook; NULL takes it away. */
void start_set_shutdown_hook(void (*hook)(unsigned reason));

/* Ends the domain at once, without the hook: SHUTDOWN_* of <xen/sched.h>. In dom0 this ends or
 * restarts the machine. Legal anywhere, with events masked too. */
void start_shutdown(unsigned reason) __attribute__((noreturn));

/* Prints the message, the registers if known, and a backtrace, then SHUTDOWN_crash. Legal anywhere.
 */
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* The parts of panic(), for the trap handler: begin stops everything else, then lines can be
 * printed. */
void panic_begin(void);
void panic_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
