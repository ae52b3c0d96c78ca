/* SPDX-License-Identifier: MIT */
/*
 * What a terminal sends, byte by byte, as keys: for commands that draw a whole screen. Pure.
 */
#ifndef DOM0_CLI_TERMKEYS_H
#define DOM0_CLI_TERMKEYS_H

/* Other keys are their byte, 0 to 255. */
enum {
    TERMKEYS_NONE = -1, /* in the middle of a sequence, or an unknown one */
    TERMKEYS_UP = 256,
    TERMKEYS_DOWN,
    TERMKEYS_PAGE_UP,
    TERMKEYS_PAGE_DOWN,
    TERMKEYS_HOME,
    TERMKEYS_END,
    TERMKEYS_REPORT, /* of the cursor's place, which was asked for: see rows, columns */
};

/* All zero to begin with. */
struct termkeys {
    unsigned state;
    unsigned number[2], numbers; /* of the sequence so far; more than two are not looked at */
    unsigned rows, columns;      /* of the last report */
};

/* Asks the terminal where its cursor is: the lower right corner, so how large it is. */
#define TERMKEYS_ASK_SIZE "\x1b[999;999H\x1b[6n"

/* A byte has come: a key, or TERMKEYS_*. ESC alone is not seen before another byte comes. */
int termkeys_feed(struct termkeys *k, unsigned char byte);

#endif
