/* SPDX-License-Identifier: MIT */
/*
 * The serial terminal as the command line uses it: what was typed ahead is kept while a command
 * looks for Ctrl-C. For the command line's thread.
 */
#ifndef DOM0_CLI_TERM_H
#define DOM0_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next byte, -1 if there is none now. */
int term_poll(void);

/* The next byte, waiting for it at most ns nanoseconds; -1 if none came. */
int term_wait(uint64_t ns);

/* Waits ns nanoseconds; true, at once, if Ctrl-C is typed. Other bytes are kept as below. */
bool term_sleep(uint64_t ns);

/*
 * Has Ctrl-C been typed since the last call? For commands that take long; other bytes are kept for
 * later, some hundred of them.
 */
bool term_interrupted(void);

/* Text of unknown origin: what is no printable character, blank or line end becomes '?'. */
void term_write_safe(const char *text, size_t len);

#endif
