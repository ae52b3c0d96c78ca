/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the zstd decoder share: a block's literals and sequences. By RFC 8878, whose
 * section numbers stand in the code. For this folder.
 */
#ifndef DOM0_UNPACK_ZSTD_H
#define DOM0_UNPACK_ZSTD_H

#include "dom0/unpack/fse.h"
#include "dom0/unpack/stream.h"

#define ZSTD_BLOCK_MAX (128u << 10) /* bytes of a block, packed or not */
#define ZSTD_CODE_BITS 11           /* the longest Huffman code */

/* A Huffman code as a table by the next `bits` bits. */
struct zstd_huffman {
    unsigned bits; /* 0: there is none yet */
    struct {
        uint8_t symbol, bits;
    } cell[1 << ZSTD_CODE_BITS];
};

/* A part of the block that was not looked at yet. */
struct zstd_input {
    const uint8_t *at;
    size_t left;
};

struct zstd {
    struct stream *s;
    struct zstd_huffman huffman;
    struct fse weights;                   /* of the Huffman code's description */
    struct fse lengths, offsets, matches; /* literal lengths, offsets, match lengths */
    bool has_tables;                      /* of a block before, for its "repeat" */
    uint64_t repeat[3];                   /* the last offsets */
    size_t literal_count;
    uint8_t literals[ZSTD_BLOCK_MAX];
    uint8_t block[ZSTD_BLOCK_MAX + BITS_SLACK];
};

/* Decode the literals of a block (3.1.1.3.1) into z->literals. Returns the stream's error. */
int zstd_literals(struct zstd *z, struct zstd_input *in);

/* Decode and carry out its sequences (3.1.1.3.2), up to the last literal. The same. */
int zstd_sequences(struct zstd *z, struct zstd_input *in);

#endif
