/* SPDX-License-Identifier: MIT */
#include "dom0/cli/words.h"

#include <stdbool.h>
#include <string.h>
#include <xen/errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The end of the word at s; NULL if a quote in it does not end. */
static char *word_end(char *s)
{
    unsigned depth = 0;
    char quote = 0;

    for (; *s; s++) {
        if (quote) {
            if (*s == '\\' && s[1])
                s++;
            else if (*s == quote)
                quote = 0;
        } else if (*s == '"' || *s == '\'') {
            quote = *s;
        } else if (*s == '[') {
            depth++;
        } else if (*s == ']' && depth) {
            depth--;
        } else if (is_blank(*s) && !depth) {
            break;
        }
    }
    return quote ? NULL : s;
}

static char *strip_quotes(char *word, char *end)
{
    if (end - word >= 2 && (*word == '"' || *word == '\'') && end[-1] == *word &&
        !memchr(word + 1, *word, (size_t)(end - word - 2))) {
        end[-1] = 0;
        return word + 1;
    }
    return word;
}

int words_split(char *line, char *words[WORDS_MAX + 1], const char **why)
{
    int count = 0;

    for (char *s = line;;) {
        char *end;
        bool last;

        while (is_blank(*s))
            s++;
        if (!*s || *s == '#')
            break;
        if (count == WORDS_MAX) {
            *why = "too many words on one line: 64 at most";
            return -XEN_EINVAL;
        }
        end = word_end(s);
        if (!end) {
            *why = "a quote does not end: add the closing one";
            return -XEN_EINVAL;
        }
        last = !*end;
        *end = 0;
        words[count++] = strip_quotes(s, end);
        if (last)
            break;
        s = end + 1;
    }
    words[count] = NULL;
    return count;
}
