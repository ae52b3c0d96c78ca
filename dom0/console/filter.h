/* SPDX-License-Identifier: MIT */
/*
 * Makes a guest's output safe to show. Text passes (printable ASCII, valid UTF-8 without control
 * characters, newline, tab), a complete control sequence (ESC [ ...) is left out, and everything
 * else becomes \xNN, so that no guest can drive dom0's terminal, have it send replies, or hide what
 * it prints. Two modes:
 *
 * FILTER_TERMINAL, for a person who is talking to the guest: carriage return, backspace, bell, and
 * the cursor, erase and colour sequences that line editors use pass, too. FILTER_LOG, for reading
 * afterwards: whole lines only; "\r\n" is a newline, and each line begins with a prefix, so that no
 * line can pass for dom0's prompt.
 *
 * Pure; bytes may come in any pieces.
 */
#ifndef DOM0_CONSOLE_FILTER_H
#define DOM0_CONSOLE_FILTER_H

#include <stdbool.h>
#include <stddef.h>

enum filter_mode {
    FILTER_TERMINAL,
    FILTER_LOG,
};

typedef void (*filter_emit_fn)(void *arg, const char *text, size_t n);

struct filter {
    enum filter_mode mode;
    const char *prefix; /* FILTER_LOG; NULL: none */
    filter_emit_fn emit;
    void *arg;
    enum { FILTER_PLAIN, FILTER_CR, FILTER_ESC, FILTER_CSI, FILTER_UTF8 } state;
    bool in_line; /* FILTER_LOG: the prefix has been written */
    unsigned char held[24];
    unsigned nheld, want; /* want: length of the UTF-8 sequence */
    char out[128];
    unsigned nout;
};

/* prefix must outlive the filter. */
void filter_init(struct filter *f, enum filter_mode mode, const char *prefix, filter_emit_fn emit,
                 void *arg);
/* Emits what is complete. */
void filter_feed(struct filter *f, const char *text, size_t n);
/* The end: what was held back comes out escaped, and in FILTER_LOG an open line is ended. */
void filter_end(struct filter *f);

#endif
