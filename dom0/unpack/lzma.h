/* SPDX-License-Identifier: MIT */
/*
 * LZMA2, the data of an xz file: chunks that are stored or packed with LZMA, of up to 2 MiB each.
 * For xz.c.
 */
#ifndef DOM0_UNPACK_LZMA_H
#define DOM0_UNPACK_LZMA_H

struct stream;

/* Decode chunks up to the one that says it is the last. Returns the stream's error. */
int lzma2_decode(struct stream *s);

#endif
