/* SPDX-License-Identifier: MIT */
/*
 * An address's way through a domain's page tables, in words: what `pt` shows. Pure; the facts come
 * from the hypervisor (struct penumbra_walk).
 */
#ifndef DOM0_CLI_PTWALK_H
#define DOM0_CLI_PTWALK_H

#include <stddef.h>
#include <stdint.h>

#include "hv/public/penumbra.h"

#define PTWALK_TEXT 120 /* room for any text made here */

/* Reads an address in hexadecimal, with or without 0x. NULL, or what is wrong with the word: it
 * follows "WORD: ". */
const char *ptwalk_address(const char *word, uint64_t *va);

/* An entry as frame number and flags, "1f3b P RW US A"; "-" for one that is all 0. Returns buf. */
char *ptwalk_entry(uint64_t entry, char buf[PTWALK_TEXT]);

/* Why step i ends the walk, or why the shadow has not what the guest's entry allows; empty if it
 * has. Returns buf. */
char *ptwalk_note(const struct penumbra_walk *w, unsigned i, char buf[PTWALK_TEXT]);

/* What a frame is: "memory, page table of level 4, pinned". Returns buf. */
char *ptwalk_frame(const struct penumbra_frame *f, char buf[PTWALK_TEXT]);

#endif
