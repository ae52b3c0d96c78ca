/* SPDX-License-Identifier: MIT */
/*
 * A guest's output becomes lines for the log: control bytes escaped, so that no guest can forge
 * another's line or a prompt, and so many bytes a second, so that no guest fills the log. Pure; for
 * hv/console.c.
 */
#ifndef HV_CONSOLE_LINE_H
#define HV_CONSOLE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_BURST 16384 /* bytes that a guest may print at once */
#define CONSOLE_LINE_RATE  8192  /* bytes a second after that */

struct console_line {
    char line[160];
    unsigned used;
    uint64_t tokens, refilled_ns,
        dropped; /* bytes left to print; when counted; lines not printed since */
};

/* Takes one finished line, NUL-terminated, without line feed. */
typedef void (*console_line_sink)(void *context, const char *line);

/* Feeds `count` bytes at time now_ns (monotonic); finished lines go to the sink. */
void console_line_put(struct console_line *c, const char *bytes, size_t count, uint64_t now_ns,
                      console_line_sink sink, void *context);
/* Ends the line that is unfinished, if any. */
void console_line_flush(struct console_line *c, uint64_t now_ns, console_line_sink sink,
                        void *context);

#endif
