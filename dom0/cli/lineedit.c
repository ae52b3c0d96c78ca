/* SPDX-License-Identifier: MIT */
#include "dom0/cli/lineedit.h"

#include <stdio.h>
#include <string.h>

#define CTRL(letter) ((letter)&0x1f)

/* How far into an escape sequence. ECMA-48: ESC [ parameters final, and DEC's ESC O final. */
enum { ESCAPE_NONE, ESCAPE_ESC, ESCAPE_CSI, ESCAPE_SS3 };

static void put(struct lineedit *le, const char *text)
{
    le->ops->write(le->ctx, text, strlen(text));
}

/* UTF-8: bytes that continue a character take no column and are never stopped at. */
static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t columns(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += !continues(text[i]);
    return n;
}

static size_t step_left(const struct lineedit *le, size_t at)
{
    while (at > 0 && continues(le->line[--at]))
        ;
    return at;
}

static size_t step_right(const struct lineedit *le, size_t at)
{
    if (at < le->len)
        at++;
    while (at < le->len && continues(le->line[at]))
        at++;
    return at;
}

void lineedit_match(struct lineedit_matches *m, const char *text)
{
    size_t size = strlen(text) + 1;

    if (m->count == LINEEDIT_MATCHES || size > sizeof m->pool - m->used) {
        m->more = true;
        return;
    }
    memcpy(m->pool + m->used, text, size);
    m->text[m->count++] = m->pool + m->used;
    m->used += size;
}

static void move(struct lineedit *le, size_t distance, char direction)
{
    char sequence[24];

    if (!distance)
        return;
    snprintf(sequence, sizeof sequence, "\033[%zu%c", distance, direction);
    put(le, sequence);
}

/* To the first column behind the prompt, which is printed only where it is not yet. */
static void draw_prompt(struct lineedit *le)
{
    if (le->wrapped)
        put(le, "\n");
    put(le, "\r");
    if (le->wrapped || le->fresh)
        put(le, le->prompt);
    else
        move(le, strlen(le->prompt), 'C');
    le->wrapped = le->fresh = false;
}

/* Draw as much of the line around the cursor as one row holds. */
static void draw(struct lineedit *le)
{
    size_t room = LINEEDIT_COLUMNS - 1 - strlen(le->prompt);
    size_t first = 0, last = le->len;

    while (columns(le->line + first, le->cursor - first) > room)
        first = step_right(le, first);
    while (columns(le->line + first, last - first) > room)
        last = step_left(le, last);
    draw_prompt(le);
    le->ops->write(le->ctx, le->line + first, last - first);
    put(le, "\033[K");
    move(le, columns(le->line + le->cursor, last - le->cursor), 'D');
    le->scrolled = last - first < le->len;
    le->dirty = false;
}

void lineedit_flush(struct lineedit *le)
{
    if (le->dirty)
        draw(le);
}

static void bell(struct lineedit *le)
{
    put(le, "\a");
}

void lineedit_init(struct lineedit *le, const struct lineedit_ops *ops, void *ctx,
                   const char *prompt)
{
    memset(le, 0, sizeof *le);
    le->ops = ops;
    le->ctx = ctx;
    le->prompt = prompt;
}

void lineedit_start(struct lineedit *le)
{
    le->len = le->cursor = 0;
    le->line[0] = 0;
    le->too_long = le->dirty = le->after_tab = false;
    le->fresh = le->wrapped = le->scrolled = false;
    le->escape = ESCAPE_NONE;
    le->history_at = le->history_used;
    put(le, le->prompt);
}

static void insert(struct lineedit *le, const char *text, size_t len)
{
    bool plain = !le->dirty && !le->scrolled && le->cursor == le->len;

    if (le->len + len >= sizeof le->line) {
        if (!le->too_long)
            bell(le);
        le->too_long = true;
        return;
    }
    memmove(le->line + le->cursor + len, le->line + le->cursor, le->len - le->cursor + 1);
    memcpy(le->line + le->cursor, text, len);
    le->len += len;
    le->cursor += len;
    if (!plain) {
        le->dirty = true;
        return;
    }
    le->ops->write(le->ctx, text, len);
    le->wrapped = strlen(le->prompt) + columns(le->line, le->len) >= LINEEDIT_COLUMNS;
}

/* Take out line[from..to]; the cursor goes to `from`. */
static void erase(struct lineedit *le, size_t from, size_t to)
{
    if (from == to)
        return;
    memmove(le->line + from, le->line + to, le->len - to + 1);
    le->len -= to - from;
    le->cursor = from;
    le->dirty = true;
}

static void move_to(struct lineedit *le, size_t at)
{
    if (at != le->cursor)
        le->dirty = true;
    le->cursor = at;
}

static size_t word_left(const struct lineedit *le)
{
    size_t at = le->cursor;

    while (at > 0 && le->line[at - 1] == ' ')
        at--;
    while (at > 0 && le->line[at - 1] != ' ')
        at--;
    return at;
}

static size_t word_right(const struct lineedit *le)
{
    size_t at = le->cursor;

    while (at < le->len && le->line[at] == ' ')
        at++;
    while (at < le->len && le->line[at] != ' ')
        at++;
    return at;
}

/* The offset of the line before the one at `at`, which is not the first. */
static size_t history_before(const struct lineedit *le, size_t at)
{
    at--;
    while (at > 0 && le->history[at - 1])
        at--;
    return at;
}

static void history_add(struct lineedit *le)
{
    size_t size = le->len + 1;

    if (strspn(le->line, " \t") == le->len)
        return;
    if (le->history_used && !strcmp(le->history + history_before(le, le->history_used), le->line))
        return;
    while (sizeof le->history - le->history_used < size) {
        size_t oldest = strlen(le->history) + 1;

        le->history_used -= oldest;
        memmove(le->history, le->history + oldest, le->history_used);
    }
    memcpy(le->history + le->history_used, le->line, size);
    le->history_used += size;
}

static void history_show(struct lineedit *le, size_t at)
{
    const char *line;

    if (le->history_at == le->history_used)
        memcpy(le->typed, le->line, le->len + 1);
    le->history_at = at;
    line = at == le->history_used ? le->typed : le->history + at;
    le->len = le->cursor = strlen(line);
    memcpy(le->line, line, le->len + 1);
    le->dirty = true;
}

static void history_older(struct lineedit *le)
{
    if (le->history_at)
        history_show(le, history_before(le, le->history_at));
    else
        bell(le);
}

static void history_newer(struct lineedit *le)
{
    if (le->history_at < le->history_used)
        history_show(le, le->history_at + strlen(le->history + le->history_at) + 1);
    else
        bell(le);
}

/* Bytes that all proposals begin with. */
static size_t common_prefix(const struct lineedit_matches *m)
{
    size_t len = strlen(m->text[0]);

    for (unsigned i = 1; i < m->count; i++) {
        size_t same = 0;

        while (same < len && m->text[i][same] == m->text[0][same])
            same++;
        len = same;
    }
    return len;
}

static void list_matches(struct lineedit *le)
{
    const struct lineedit_matches *m = &le->matches;
    size_t width = 0, column = 0;

    for (unsigned i = 0; i < m->count; i++) {
        size_t len = columns(m->text[i], strlen(m->text[i]));

        width = len + 2 > width ? len + 2 : width;
    }
    put(le, "\n");
    for (unsigned i = 0; i < m->count; i++) {
        if (column && column + width >= LINEEDIT_COLUMNS) {
            put(le, "\n");
            column = 0;
        }
        put(le, m->text[i]);
        for (size_t n = columns(m->text[i], strlen(m->text[i])); n < width; n++)
            put(le, " ");
        column += width;
    }
    put(le, m->more ? "...\n" : "\n");
    le->fresh = true;
    le->wrapped = false;
    draw(le);
}

static void complete(struct lineedit *le)
{
    struct lineedit_matches *m = &le->matches;
    bool again = le->after_tab;
    size_t have, len;

    if (!le->ops->complete)
        return;
    m->count = 0;
    m->used = 0;
    m->more = false;
    m->start = le->cursor;
    le->ops->complete(le->ctx, le->line, le->cursor, m);
    if (!m->count) {
        bell(le);
        return;
    }
    have = le->cursor - m->start;
    len = m->more ? have : common_prefix(m);
    if (len > have)
        insert(le, m->text[0] + have, len - have);
    if (m->count == 1 && !m->more) {
        if (!len || m->text[0][len - 1] != '/')
            insert(le, " ", 1);
    } else if (len <= have) {
        if (again)
            list_matches(le);
        else
            bell(le);
        le->after_tab = true;
    }
}

/* ESC [ number ~ : the keys of the VT220's editing block. */
static void numbered_key(struct lineedit *le)
{
    switch (le->escape_number) {
    case 1:
    case 7:
        move_to(le, 0);
        break;
    case 4:
    case 8:
        move_to(le, le->len);
        break;
    case 3:
        erase(le, le->cursor, step_right(le, le->cursor));
        break;
    }
}

/* The last byte of an escape sequence. Unknown ones do nothing. */
static void escape_key(struct lineedit *le, unsigned char byte)
{
    switch (byte) {
    case 'A':
        history_older(le);
        break;
    case 'B':
        history_newer(le);
        break;
    case 'C':
        move_to(le, le->escape_number > 1 ? word_right(le) : step_right(le, le->cursor));
        break;
    case 'D':
        move_to(le, le->escape_number > 1 ? word_left(le) : step_left(le, le->cursor));
        break;
    case 'H':
        move_to(le, 0);
        break;
    case 'F':
        move_to(le, le->len);
        break;
    case '~':
        numbered_key(le);
        break;
    }
}

/* ESC and a letter: what Alt and the letter send. */
static void alt_key(struct lineedit *le, unsigned char byte)
{
    size_t to;

    switch (byte) {
    case 'b':
        move_to(le, word_left(le));
        break;
    case 'f':
        move_to(le, word_right(le));
        break;
    case 'd':
        to = word_right(le);
        erase(le, le->cursor, to);
        break;
    }
}

/* A byte inside an escape sequence. Control bytes end a broken one and are taken for themselves. */
static bool feed_escape(struct lineedit *le, unsigned char byte)
{
    if (byte < ' ') {
        le->escape = ESCAPE_NONE;
        return false;
    }
    switch (le->escape) {
    case ESCAPE_ESC:
        le->escape_number = 0;
        if (byte == '[' || byte == 'O') {
            le->escape = byte == '[' ? ESCAPE_CSI : ESCAPE_SS3;
            return true;
        }
        le->escape = ESCAPE_NONE;
        alt_key(le, byte);
        return true;
    case ESCAPE_SS3:
        le->escape = ESCAPE_NONE;
        escape_key(le, byte);
        return true;
    default:
        if (byte >= '0' && byte <= '9') {
            if (le->escape_number < 10000)
                le->escape_number = le->escape_number * 10 + (unsigned)(byte - '0');
        } else if (byte == ';') {
            le->escape_number = 0; /* the last number counts: 1;5C is Ctrl-Right */
        } else if (byte >= 0x40) {
            le->escape = ESCAPE_NONE;
            escape_key(le, byte);
        }
        return true;
    }
}

static enum lineedit_result finish(struct lineedit *le)
{
    /* The whole line ends on the screen, wherever the cursor was. */
    move_to(le, le->len);
    lineedit_flush(le);
    put(le, "\n");
    if (le->too_long)
        return LINEEDIT_TOO_LONG;
    history_add(le);
    return LINEEDIT_DONE;
}

static enum lineedit_result control_key(struct lineedit *le, unsigned char byte)
{
    switch (byte) {
    case '\r':
    case '\n':
        return finish(le);
    case CTRL('C'):
        lineedit_flush(le);
        put(le, "^C\n");
        return LINEEDIT_CANCELLED;
    case CTRL('A'):
        move_to(le, 0);
        break;
    case CTRL('B'):
        move_to(le, step_left(le, le->cursor));
        break;
    case CTRL('D'):
        erase(le, le->cursor, step_right(le, le->cursor));
        break;
    case CTRL('E'):
        move_to(le, le->len);
        break;
    case CTRL('F'):
        move_to(le, step_right(le, le->cursor));
        break;
    case CTRL('K'):
        erase(le, le->cursor, le->len);
        break;
    case CTRL('L'):
        put(le, "\033[H\033[2J");
        le->fresh = le->dirty = true;
        le->wrapped = false;
        break;
    case CTRL('N'):
        history_newer(le);
        break;
    case CTRL('P'):
        history_older(le);
        break;
    case CTRL('U'):
        erase(le, 0, le->cursor);
        break;
    case CTRL('W'):
        erase(le, word_left(le), le->cursor);
        break;
    case '\b':
    case 0x7f:
        erase(le, step_left(le, le->cursor), le->cursor);
        break;
    case '\t':
        complete(le);
        break;
    case 0x1b:
        le->escape = ESCAPE_ESC;
        break;
    }
    return LINEEDIT_MORE;
}

enum lineedit_result lineedit_feed(struct lineedit *le, unsigned char byte)
{
    bool after_cr = le->after_cr;

    le->after_cr = byte == '\r';
    if (byte == '\n' && after_cr)
        return LINEEDIT_MORE;
    if (byte != '\t')
        le->after_tab = false;
    if (le->escape != ESCAPE_NONE && feed_escape(le, byte))
        return LINEEDIT_MORE;
    if (byte < ' ' || byte == 0x7f)
        return control_key(le, byte);
    insert(le, (const char *)&byte, 1);
    return LINEEDIT_MORE;
}
