/* SPDX-License-Identifier: MIT */
/*
 * Lines and the token bucket: a byte printed costs a token, tokens come back with time. A line that
 * finds too few is dropped whole and counted; the count is printed with the next line that passes.
 */
#include "hv/console_line.h"

#include <stdio.h>
#include "hv/lib/ctype.h"

#define NS_PER_S   1000000000UL
#define NOTE_BYTES 56

static void refill(struct console_line *c, uint64_t now_ns)
{
    uint64_t passed = now_ns - c->refilled_ns;

    if (!c->refilled_ns || passed >= NS_PER_S * (CONSOLE_LINE_BURST / CONSOLE_LINE_RATE)) {
        c->tokens = CONSOLE_LINE_BURST;
        c->refilled_ns = now_ns ? now_ns : 1;
    } else {
        uint64_t more = passed * CONSOLE_LINE_RATE / NS_PER_S;

        if (!more)
            return; /* keep the fraction: the clock of the bucket stands until a whole token came */
        c->tokens += more;
        if (c->tokens > CONSOLE_LINE_BURST)
            c->tokens = CONSOLE_LINE_BURST;
        c->refilled_ns = now_ns;
    }
}

static void finish(struct console_line *c, uint64_t now_ns, console_line_sink sink, void *context)
{
    /* The note about lost lines is output too. */
    unsigned cost = c->used + 1 + (c->dropped ? NOTE_BYTES : 0);

    c->line[c->used] = 0;
    c->used = 0;
    refill(c, now_ns);
    if (c->tokens < cost) {
        c->dropped++;
        return;
    }
    c->tokens -= cost;
    if (c->dropped) {
        char note[NOTE_BYTES];

        snprintf(note, sizeof note, "<%lu lines lost: too much output>", (unsigned long)c->dropped);
        c->dropped = 0;
        sink(context, note);
    }
    sink(context, c->line);
}

void console_line_put(struct console_line *c, const char *bytes, size_t count, uint64_t now_ns,
                      console_line_sink sink, void *context)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte == '\n') {
            finish(c, now_ns, sink, context);
            continue;
        }
        if (byte == '\r')
            continue;
        /* Room for the longest escape and the NUL. */
        if (c->used > sizeof c->line - 5)
            finish(c, now_ns, sink, context);
        if (byte == '\t')
            byte = ' ';
        if (is_print(byte))
            c->line[c->used++] = (char)byte;
        else
            c->used += (unsigned)snprintf(c->line + c->used, 5, "\\x%02x", byte);
    }
}

void console_line_flush(struct console_line *c, uint64_t now_ns, console_line_sink sink,
                        void *context)
{
    if (c->used)
        finish(c, now_ns, sink, context);
}
