/* SPDX-License-Identifier: MIT */
/*
 * The entropy coding of zstd: bit streams that are read from their end, and FSE tables (RFC 8878,
 * section 4.1), in which a state tells a symbol and, with some bits, the next state. For zstd's
 * files. Pure; memory is the caller's.
 */
#ifndef DOM0_UNPACK_FSE_H
#define DOM0_UNPACK_FSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes behind a bit stream that must be readable; they are never used. */
#define BITS_SLACK 8

/* A stream read from its end, where the highest set bit of the last byte marks the first bit. */
struct bits {
    const uint8_t *bytes;
    int64_t left; /* bits; below 0 when more were taken than there were, which are zeros */
};

/* False if the last byte is 0, or there is none. */
bool bits_begin(struct bits *b, const uint8_t *bytes, size_t len);

/* The next n bits, at most 56, the first one highest; not taken yet, or taken. */
uint64_t bits_peek(const struct bits *b, unsigned n);

static inline uint64_t bits_get(struct bits *b, unsigned n)
{
    uint64_t value = bits_peek(b, n);

    b->left -= n;
    return value;
}

#define FSE_LOG_MAX    9
#define FSE_SYMBOL_MAX 256

struct fse {
    unsigned log; /* the table has 2^log cells */
    struct {
        uint8_t symbol, bits;
        uint16_t base;
    } cell[1 << FSE_LOG_MAX];
};

/* Make the table for these shares of 2^log cells, -1 meaning less than one. They must add up. */
void fse_make(struct fse *t, const int16_t *shares, unsigned count, unsigned log);

/* The table that always says `symbol`. */
void fse_make_single(struct fse *t, uint8_t symbol);

/*
 * Read a table's description of at most `symbols` symbols and 2^log_max cells from the front of len
 * bytes. Returns the bytes that it took, 0 if it is wrong.
 */
size_t fse_read(struct fse *t, const uint8_t *bytes, size_t len, unsigned symbols,
                unsigned log_max);

static inline unsigned fse_begin(const struct fse *t, struct bits *b)
{
    return (unsigned)bits_get(b, t->log);
}

static inline unsigned fse_next(const struct fse *t, unsigned state, struct bits *b)
{
    return t->cell[state].base + (unsigned)bits_get(b, t->cell[state].bits);
}

#endif
