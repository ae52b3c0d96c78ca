/* SPDX-License-Identifier: MIT */
/* Words of the command line, NAME=VALUE. See start.h. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/lib/ctype.h"
#include "start.h"

bool start_option(const char *name, char *value, size_t size)
{
    const char *at = start_cmdline();
    size_t name_length = strlen(name);
    bool found = false;

    for (;;) {
        at += strspn(at, " \t\r\n");
        size_t length = strcspn(at, " \t\r\n");
        const char *word = at;

        if (!length) {
            return found;
        }
        at += length;
        if (length < name_length || memcmp(word, name, name_length) != 0) {
            continue;
        }
        if (length == name_length) {
            snprintf(value, size, "1");
            found = true;
        } else if (word[name_length] == '=') {
            snprintf(value, size, "%.*s", (int)(length - name_length - 1), word + name_length + 1);
            found = true;
        }
    }
}

uint64_t start_option_u64(const char *name, uint64_t absent)
{
    char text[32];
    char *end;
    uint64_t value;

    if (!start_option(name, text, sizeof(text)) || !is_digit(text[0])) {
        return absent;
    }
    value = strtoull(text, &end, text[1] == 'x' ? 16 : 10);
    return *end ? absent : value;
}
