/* SPDX-License-Identifier: MIT */
/*
 * The domain's console: the ring that the builder made for a domU, console_io for the control
 * domain. printf, puts, putchar, vprintf of <stdio.h> go there; "\n" is sent as "\r\n" on a ring,
 * as a terminal wants it.
 *
 * Output is legal anywhere, on any vCPU, events masked or not; when the ring is full a thread waits
 * (others run on), other callers spin until the other end takes some. Input is for threads.
 */
#ifndef RT_CONSOLE_H
#define RT_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

void console_write(const char *text, size_t count);

/* The next byte typed (0 to 255), waiting for it; and -1 at once if there is none. */
int console_getc(void);
int console_poll(void);

/* Waits until a byte can be had, at most ns nanoseconds. */
bool console_wait(unsigned long ns);

/* A line typed, echoed, with backspace and Ctrl-U, without its line end; returns its length (cut to
 * size - 1). */
size_t console_readline(char *line, size_t size);

/* "console ring" or "console_io". */
const char *console_kind(void);

/* Waits until the other end has taken all output, a second at most. */
void console_flush(void);

/* For panic(): to the hypervisor's log and, as far as it takes them at once, to the ring; no locks,
 * no waiting. */
void console_write_raw(const char *text, size_t count);

/* Set-up in two steps, called by the runtime: output as soon as memory is readable, input when
 * events and threads work. */
void console_init_output(void);
void console_init_input(void);

#endif
