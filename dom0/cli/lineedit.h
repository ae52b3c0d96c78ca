/* SPDX-License-Identifier: MIT */
/*
 * The line editor of the serial terminal: bytes in, lines out. Pure: it draws through a callback
 * and never reads, so escape sequences may come in any pieces. For the command line's thread.
 *
 * Only what every terminal knows is drawn: carriage return, erase to the end of the line, cursor
 * left and right. What is typed at the end is simply echoed, so that a script's log reads plainly,
 * and the prompt is printed once a line, so that a script may wait for it. When a line wider than
 * the screen is edited, it moves to a row of its own and scrolls sideways, since nothing can be
 * undone across the edge.
 */
#ifndef DOM0_CLI_LINEEDIT_H
#define DOM0_CLI_LINEEDIT_H

#include <stdbool.h>
#include <stddef.h>

#define LINEEDIT_MAX     2048 /* bytes of a line, with its NUL */
#define LINEEDIT_HISTORY 8192 /* bytes of the lines remembered, each with its NUL */
#define LINEEDIT_COLUMNS 80   /* width assumed of the terminal */
#define LINEEDIT_POOL    4096 /* bytes of all proposals, with their NULs */
#define LINEEDIT_MATCHES 128

/* What may stand in place of line[start..cursor]; filled in by the completion callback. */
struct lineedit_matches {
    size_t start;
    unsigned count;
    bool more; /* there was no room for some */
    size_t used;
    const char *text[LINEEDIT_MATCHES];
    char pool[LINEEDIT_POOL];
};

/* Add a proposal. One that ends in '/' gets no blank behind it. */
void lineedit_match(struct lineedit_matches *matches, const char *text);

struct lineedit_ops {
    void (*write)(void *ctx, const char *text, size_t len);
    /* Propose words for line[..cursor]; may be NULL. `line` ends in NUL behind its last byte. */
    void (*complete)(void *ctx, const char *line, size_t cursor, struct lineedit_matches *matches);
};

enum lineedit_result {
    LINEEDIT_MORE,      /* the line is not finished */
    LINEEDIT_DONE,      /* it is: see `line` */
    LINEEDIT_CANCELLED, /* Ctrl-C: forget it */
    LINEEDIT_TOO_LONG,  /* it was finished, but bytes of it were lost: do not use it */
};

struct lineedit {
    const struct lineedit_ops *ops;
    void *ctx;
    const char *prompt;
    char line[LINEEDIT_MAX];
    size_t len, cursor;
    bool too_long;
    bool dirty;      /* the screen is behind */
    bool fresh;      /* the cursor is on a row without the prompt */
    bool wrapped;    /* what was echoed went over the edge of the screen */
    bool scrolled;   /* only a part of the line is shown */
    bool after_cr;   /* a line feed right now belongs to the carriage return before it */
    bool after_tab;  /* a second Tab shows the list */
    unsigned escape; /* how far into an escape sequence; see lineedit.c */
    unsigned escape_number;
    char history[LINEEDIT_HISTORY]; /* oldest first; no heap, so that leaks elsewhere show */
    size_t history_used;
    size_t history_at;        /* offset of the line shown; == history_used: the line being typed */
    char typed[LINEEDIT_MAX]; /* that line, while an older one is shown */
    struct lineedit_matches matches;
};

/* Set up; the prompt is kept by reference. */
void lineedit_init(struct lineedit *le, const struct lineedit_ops *ops, void *ctx,
                   const char *prompt);

/* Begin a new, empty line: prints the prompt. Call again after each result but LINEEDIT_MORE. */
void lineedit_start(struct lineedit *le);

/*
 * Take one byte of input. On LINEEDIT_DONE le->line is the line, without its end; it stays valid
 * until lineedit_start.
 */
enum lineedit_result lineedit_feed(struct lineedit *le, unsigned char byte);

/* Bring the screen up to date. Call it when there is no more input for now, before waiting. */
void lineedit_flush(struct lineedit *le);

#endif
