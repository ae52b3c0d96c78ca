/* SPDX-License-Identifier: MIT */
#include "dom0/cli/term.h"

#include <rt/clock.h>
#include <rt/console.h>

#include "hv/lib/ctype.h"

#define CTRL_C 3

/* Typed ahead: a ring of the bytes that term_interrupted() passed by. */
static unsigned char ahead[512];
static unsigned ahead_first, ahead_count;

int term_poll(void)
{
    int byte;

    if (!ahead_count)
        return console_poll();
    byte = ahead[ahead_first];
    ahead_first = (ahead_first + 1) % sizeof ahead;
    ahead_count--;
    return byte;
}

int term_wait(uint64_t ns)
{
    if (!ahead_count && !console_wait(ns))
        return -1;
    return term_poll();
}

bool term_interrupted(void)
{
    int byte;

    while ((byte = console_poll()) >= 0) {
        if (byte == CTRL_C) {
            ahead_count = 0;
            return true;
        }
        if (ahead_count < sizeof ahead)
            ahead[(ahead_first + ahead_count++) % sizeof ahead] = (unsigned char)byte;
    }
    return false;
}

bool term_sleep(uint64_t ns)
{
    uint64_t now = clock_ns(), until = now + ns;

    for (; now < until; now = clock_ns()) {
        if (term_interrupted())
            return true;
        console_wait(until - now);
    }
    return false;
}

void term_write_safe(const char *text, size_t len)
{
    char out[256];
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        out[used++] = is_print(c) || c == '\n' || c == '\t' ? c : '?';
        if (used == sizeof out) {
            console_write(out, used);
            used = 0;
        }
    }
    console_write(out, used);
}
