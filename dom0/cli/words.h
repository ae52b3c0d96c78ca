/* SPDX-License-Identifier: MIT */
/*
 * A command line cut into words. Pure; for the command line's thread.
 */
#ifndef DOM0_CLI_WORDS_H
#define DOM0_CLI_WORDS_H

#include <stddef.h>

#define WORDS_MAX 64

/*
 * Cut `line` in place at blanks outside quotes and brackets; `#` at the start of a word ends the
 * line. A word wholly in quotes loses them; quotes further inside are kept, since in
 * name="web1" and disk=['a,raw,xvda'] they are configuration syntax.
 * Returns the number of words (words[count] is NULL), or -XEN_EINVAL with one line in *why.
 */
int words_split(char *line, char *words[WORDS_MAX + 1], const char **why);

#endif
