/* SPDX-License-Identifier: MIT */
/*
 * One byte at a time. What may be the start of something allowed is held back, and comes out as it
 * is once complete, or escaped when it turns out to be something else.
 */

#include "dom0/console/filter.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * Cursor moves, positions, erasing, colours. Of the other control sequences none reaches the
 * terminal: a report would type its answer into dom0, a mode would outlive the guest.
 */
static const char csi_finals[] = "ABCDEFGHJKXPdfm@";

void filter_init(struct filter *f, enum filter_mode mode, const char *prefix, filter_emit_fn emit,
                 void *arg)
{
    memset(f, 0, sizeof(*f));
    f->mode = mode;
    f->prefix = prefix;
    f->emit = emit;
    f->arg = arg;
}

static void flush(struct filter *f)
{
    if (f->nout > 0) {
        f->emit(f->arg, f->out, f->nout);
        f->nout = 0;
    }
}

static void put_raw(struct filter *f, char c)
{
    if (f->nout == sizeof(f->out)) {
        flush(f);
    }
    f->out[f->nout++] = c;
}

static void put(struct filter *f, char c)
{
    if (f->mode == FILTER_LOG) {
        if (!f->in_line && f->prefix) {
            for (const char *p = f->prefix; *p; p++) {
                put_raw(f, *p);
            }
        }
        f->in_line = c != '\n';
    }
    put_raw(f, c);
}

static void put_escaped(struct filter *f, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    put(f, '\\');
    put(f, 'x');
    put(f, hex[c >> 4]);
    put(f, hex[c & 15]);
}

static void drop_held(struct filter *f)
{
    f->state = FILTER_PLAIN;
    f->nheld = 0;
}

static void pass_held(struct filter *f)
{
    for (unsigned i = 0; i < f->nheld; i++) {
        put(f, (char)f->held[i]);
    }
    drop_held(f);
}

/* What was held is nothing allowed: its printable part as text, the rest escaped. */
static void escape_held(struct filter *f)
{
    for (unsigned i = 0; i < f->nheld; i++) {
        if (f->held[i] >= ' ' && f->held[i] <= '~') {
            put(f, (char)f->held[i]);
        } else {
            put_escaped(f, f->held[i]);
        }
    }
    drop_held(f);
}

static void hold(struct filter *f, unsigned char c, int state)
{
    f->state = state;
    f->held[f->nheld++] = c;
}

/* Length of the UTF-8 sequence that the byte starts, 0 if it starts none. */
static unsigned utf8_length(unsigned char c)
{
    if (c >= 0xc2 && c <= 0xdf) {
        return 2;
    }
    if (c >= 0xe0 && c <= 0xef) {
        return 3;
    }
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* A complete sequence: shortest form, no surrogate, no control, and no mark that reorders text. */
static bool utf8_harmless(const unsigned char *s, unsigned n)
{
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
    uint32_t c = n == 2 ? s[0] & 0x1fu : n == 3 ? s[0] & 0xfu : s[0] & 7u;

    for (unsigned i = 1; i < n; i++) {
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return false;
    }
    return !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

static void plain(struct filter *f, unsigned char c)
{
    bool terminal = f->mode == FILTER_TERMINAL;

    if ((c >= ' ' && c <= '~') || c == '\n' || c == '\t') {
        put(f, (char)c);
    } else if (c == '\r' && !terminal) {
        hold(f, c, FILTER_CR);
    } else if ((c == '\r' || c == '\b' || c == '\a') && terminal) {
        put(f, (char)c);
    } else if (c == 0x1b) {
        hold(f, c, FILTER_ESC);
    } else if (utf8_length(c) > 0) {
        f->want = utf8_length(c);
        hold(f, c, FILTER_UTF8);
    } else {
        put_escaped(f, c);
    }
}

/* Of a complete control sequence: does it only draw? */
static bool csi_draws(const struct filter *f, unsigned char final)
{
    for (unsigned i = 2; i < f->nheld; i++) {
        if (f->held[i] != ';' && (f->held[i] < '0' || f->held[i] > '9')) {
            return false;
        }
    }
    return strchr(csi_finals, final) != NULL;
}

/*
 * A byte of a control sequence (ECMA-48, section 5.4): parameters, then one final byte. False if it
 * does not belong there. What is complete and not for the terminal is left out, as its absence
 * hides nothing: line editors ask for the cursor's place before each prompt.
 */
static bool csi(struct filter *f, unsigned char c)
{
    if (c >= 0x30 && c <= 0x3f && f->nheld < sizeof(f->held) - 1) {
        hold(f, c, FILTER_CSI);
        return true;
    }
    if (c < 0x40 || c > 0x7e) {
        return false;
    }
    if (f->mode == FILTER_TERMINAL && csi_draws(f, c)) {
        hold(f, c, FILTER_CSI);
        pass_held(f);
    } else {
        drop_held(f);
    }
    return true;
}

/* What follows ESC: a control sequence, or one line up, which systemd writes to stay on its line.
 */
static bool esc(struct filter *f, unsigned char c)
{
    if (c == '[') {
        hold(f, c, FILTER_CSI);
    } else if (c == 'M' && f->mode == FILTER_TERMINAL) {
        hold(f, c, FILTER_ESC);
        pass_held(f);
    } else if (c == 'M') {
        drop_held(f);
    } else {
        return false;
    }
    return true;
}

static bool utf8(struct filter *f, unsigned char c)
{
    if ((c & 0xc0) != 0x80) {
        return false;
    }
    hold(f, c, FILTER_UTF8);
    if (f->nheld == f->want) {
        if (utf8_harmless(f->held, f->nheld)) {
            pass_held(f);
        } else {
            escape_held(f);
        }
    }
    return true;
}

/* Does the byte go on with what is held? */
static bool goes_on(struct filter *f, unsigned char c)
{
    switch (f->state) {
    case FILTER_CR:
        if (c == '\r') {
            return true; /* "\r\r\n" is what two layers of line discipline make */
        }
        if (c == '\n') {
            drop_held(f);
            put(f, '\n');
            return true;
        }
        return false;
    case FILTER_ESC:
        return esc(f, c);
    case FILTER_CSI:
        return csi(f, c);
    case FILTER_UTF8:
        return utf8(f, c);
    default:
        return false;
    }
}

void filter_feed(struct filter *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if (f->state != FILTER_PLAIN) {
            if (goes_on(f, c)) {
                continue;
            }
            escape_held(f);
        }
        plain(f, c);
    }
    flush(f);
}

void filter_end(struct filter *f)
{
    escape_held(f);
    if (f->mode == FILTER_LOG && f->in_line) {
        put(f, '\n');
    }
    flush(f);
}
