/* SPDX-License-Identifier: MIT */
/*
 * The terminal: a thread reads what is typed, echoes and edits it (backspace, Ctrl-U), and keeps
 * finished lines for whoever reads: the prompt, or the program in the foreground. Ctrl-C kills that
 * program, Ctrl-D ends its input.
 */
#ifndef SHELL_TTY_H
#define SHELL_TTY_H

#include <stdbool.h>
#include <stddef.h>

void tty_init(void);

/* The next line, with its newline if it fits size; its length, 0 for Ctrl-D, -XEN_EAGAIN once
 * *give_up (may be NULL) is true. */
long tty_read(char *line, size_t size, const volatile bool *give_up);

/* Makes all readers look at their give_up again. */
void tty_wake(void);

/* The process that Ctrl-C kills; 0: none. */
void tty_set_foreground(int pid);

#endif
