/* SPDX-License-Identifier: MIT */
/*
 * A command's options, as getopt_long() takes them: -d WORD, -dWORD, --domain WORD, --domain=WORD;
 * anywhere among the other words, up to a `--`. Pure.
 */
#ifndef DOM0_CLI_OPTIONS_H
#define DOM0_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One option: a flag, or one with a value. */
struct option {
    char letter;
    const char *word;   /* its long form without the dashes; NULL: none */
    bool *flag;         /* set to true if it is given */
    const char **value; /* gets the value; NULL: a flag */
};

/*
 * Takes the options out of argv: the other words move up behind argv[0]. Returns how many words are
 * left, argv[0] included, or -XEN_EINVAL with one line in why: an option that is not there, or one
 * without its value. The last of several counts. A lone "-" is a word.
 */
int options_take(int argc, char **argv, const struct option *options, char *why, size_t size);

/* Closes the list. */
#define OPTIONS_END \
    {               \
        0           \
    }

/* A decimal number from 0 to max, and nothing behind it. */
bool options_number(const char *text, uint64_t max, uint64_t *number);

#endif
