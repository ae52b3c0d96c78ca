/* SPDX-License-Identifier: MIT */
/*
 * The x86 filter of xz: the packer has made the relative targets of CALL and JMP absolute, since
 * calls of one function then look alike. This makes them relative again. For xz.c.
 */
#ifndef DOM0_UNPACK_BCJ_H
#define DOM0_UNPACK_BCJ_H

#include <stdint.h>

struct stream;

/* Undo the filter on the output from byte `from` on, in place. */
void bcj_x86_undo(struct stream *s, uint64_t from);

#endif
