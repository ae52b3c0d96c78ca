/* SPDX-License-Identifier: MIT */
/*
 * Which known word did the user mean? Used wherever an unknown word is refused, so that the
 * message can name the nearest known one. Pure; may be called by anybody in dom0.
 */
#ifndef DOM0_CONFIG_NEAREST_H
#define DOM0_CONFIG_NEAREST_H

#include <stddef.h>

/* Longest word compared; the rest of a longer one is ignored. */
#define NEAREST_MAX 40

/*
 * Edit distance of two words: insertions, deletions, substitutions and swaps of neighbours count
 * one each. Letter case is ignored.
 */
unsigned nearest_distance(const char *a, const char *b);

/*
 * The word of `words` (`count` pointers, `stride` bytes from one to the next, so that a table of
 * structs whose member is the name can be searched) that is nearest to `word`. Earlier entries win
 * ties. NULL only if count is 0.
 */
const char *nearest_word(const char *word, const char *const *words, size_t count, size_t stride);

#endif
