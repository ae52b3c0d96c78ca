/* SPDX-License-Identifier: MIT */
#include "dom0/cli/options.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

static const struct option *by_letter(const struct option *o, char letter)
{
    while (o->letter && o->letter != letter)
        o++;
    return o->letter ? o : NULL;
}

static const struct option *by_word(const struct option *o, const char *word, size_t len)
{
    while (o->letter && (!o->word || strlen(o->word) != len || strncmp(o->word, word, len)))
        o++;
    return o->letter ? o : NULL;
}

/* An option with its value, or a flag; `inner` is what stands in the same word, NULL: nothing.
 * Returns the words used, 0 for an error. */
static int take(const struct option *o, const char *shown, const char *inner, const char *next,
                char *why, size_t size)
{
    if (o->flag)
        *o->flag = true;
    if (!o->value) {
        if (!inner)
            return 1;
        snprintf(why, size, "option %.32s takes no value", shown);
        return 0;
    }
    *o->value = inner ? inner : next;
    if (*o->value)
        return inner ? 1 : 2;
    snprintf(why, size, "option %.32s needs a value behind it", shown);
    return 0;
}

static int take_long(char **words, const struct option *options, char *why, size_t size)
{
    const char *word = words[0] + 2, *equals = strchr(word, '=');
    const struct option *o =
        by_word(options, word, equals ? (size_t)(equals - word) : strlen(word));

    if (!o) {
        snprintf(why, size, "there is no option '%.40s'", words[0]);
        return 0;
    }
    return take(o, words[0], equals ? equals + 1 : NULL, words[1], why, size);
}

/* Flags may share a word: -bv. */
static int take_short(char **words, const struct option *options, char *why, size_t size)
{
    for (const char *s = words[0] + 1; *s; s++) {
        const struct option *o = by_letter(options, *s);
        char shown[3] = {'-', *s, 0};

        if (!o) {
            snprintf(why, size, "there is no option '-%c'", *s);
            return 0;
        }
        if (o->value)
            return take(o, shown, s[1] ? s + 1 : NULL, words[1], why, size);
        take(o, shown, NULL, NULL, why, size);
    }
    return 1;
}

int options_take(int argc, char **argv, const struct option *options, char *why, size_t size)
{
    int kept = 1;

    for (int i = 1; i < argc;) {
        int used;

        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[kept++] = argv[i++];
            continue;
        }
        if (!strcmp(argv[i], "--")) {
            for (i++; i < argc; i++)
                argv[kept++] = argv[i];
            break;
        }
        used = argv[i][1] == '-' ? take_long(argv + i, options, why, size)
                                 : take_short(argv + i, options, why, size);
        if (!used)
            return -XEN_EINVAL;
        i += used;
    }
    argv[kept] = NULL;
    return kept;
}

bool options_number(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t n = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = (unsigned)(*text - '0');

        if (*text < '0' || *text > '9' || digit > max || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *number = n;
    return true;
}
