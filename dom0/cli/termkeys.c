/* SPDX-License-Identifier: MIT */
#include "dom0/cli/termkeys.h"

#include "hv/lib/ctype.h"

/* Sequences as of ECMA-48: ESC [ numbers final; and DEC's ESC O final. */
enum { PLAIN, ESCAPE, CSI, SS3 };

#define ESC        0x1b
#define NUMBER_MAX 10000

static int vt220_key(unsigned number)
{
    switch (number) {
    case 1:
    case 7:
        return TERMKEYS_HOME;
    case 4:
    case 8:
        return TERMKEYS_END;
    case 5:
        return TERMKEYS_PAGE_UP;
    case 6:
        return TERMKEYS_PAGE_DOWN;
    default:
        return TERMKEYS_NONE;
    }
}

static int final(struct termkeys *k, unsigned char byte)
{
    k->state = PLAIN;
    switch (byte) {
    case 'A':
        return TERMKEYS_UP;
    case 'B':
        return TERMKEYS_DOWN;
    case 'H':
        return TERMKEYS_HOME;
    case 'F':
        return TERMKEYS_END;
    case '~':
        return vt220_key(k->number[0]);
    case 'R':
        if (!k->number[0] || !k->number[1])
            return TERMKEYS_NONE;
        k->rows = k->number[0];
        k->columns = k->number[1];
        return TERMKEYS_REPORT;
    default:
        return TERMKEYS_NONE;
    }
}

static int feed_csi(struct termkeys *k, unsigned char byte)
{
    if (is_digit(byte)) {
        unsigned *n = &k->number[k->numbers < 2 ? k->numbers : 1];

        if (k->numbers < 2 && *n < NUMBER_MAX)
            *n = *n * 10 + (byte - '0');
    } else if (byte == ';') {
        k->numbers++;
    } else if (byte >= 0x40 && byte <= 0x7e) {
        return final(k, byte);
    }
    return TERMKEYS_NONE;
}

int termkeys_feed(struct termkeys *k, unsigned char byte)
{
    if (byte == ESC) {
        k->state = ESCAPE;
        return TERMKEYS_NONE;
    }
    /* A control byte ends what is broken and is taken for itself. */
    if (k->state == PLAIN || byte < ' ') {
        k->state = PLAIN;
        return byte;
    }
    switch (k->state) {
    case CSI:
        return feed_csi(k, byte);
    case SS3:
        return final(k, byte);
    default:
        k->state = byte == '[' ? CSI : byte == 'O' ? SS3 : PLAIN;
        k->number[0] = k->number[1] = k->numbers = 0;
        return TERMKEYS_NONE;
    }
}
