/* SPDX-License-Identifier: MIT */
#include "dom0/unpack/fse.h"

#include <string.h>

/* The number of the highest set bit; n is not 0. */
static unsigned highest_bit(uint32_t n)
{
    return 31 - (unsigned)__builtin_clz(n);
}

bool bits_begin(struct bits *b, const uint8_t *bytes, size_t len)
{
    b->bytes = bytes;
    b->left = 0;
    if (!len || !bytes[len - 1])
        return false;
    b->left = (int64_t)(len - 1) * 8 + highest_bit(bytes[len - 1]);
    return true;
}

uint64_t bits_peek(const struct bits *b, unsigned n)
{
    int64_t at = b->left - (int64_t)n;
    uint64_t word;

    if (at < 0) { /* zeros follow the last bit */
        if (b->left <= 0)
            return 0;
        memcpy(&word, b->bytes, 8);
        return (word & ((1ull << b->left) - 1)) << -at;
    }
    memcpy(&word, b->bytes + at / 8, 8);
    return word >> at % 8 & ((1ull << n) - 1);
}

/* Which symbol each cell has (4.1.1): rare ones at the end, the others strewn over the rest. */
static void place_symbols(struct fse *t, const int16_t *shares, unsigned count)
{
    unsigned size = 1u << t->log, step = (size >> 1) + (size >> 3) + 3, end = size, at = 0;

    for (unsigned i = 0; i < count; i++)
        if (shares[i] < 0)
            t->cell[--end].symbol = (uint8_t)i;
    for (unsigned i = 0; i < count; i++)
        for (int n = 0; n < shares[i]; n++) {
            t->cell[at].symbol = (uint8_t)i;
            do
                at = (at + step) & (size - 1);
            while (at >= end);
        }
}

void fse_make(struct fse *t, const int16_t *shares, unsigned count, unsigned log)
{
    uint16_t next[FSE_SYMBOL_MAX];

    t->log = log;
    place_symbols(t, shares, count);
    for (unsigned i = 0; i < count; i++)
        next[i] = shares[i] < 0 ? 1 : (uint16_t)shares[i];
    for (unsigned i = 0; i < 1u << log; i++) {
        uint16_t n = next[t->cell[i].symbol]++;
        unsigned bits = log - highest_bit(n);

        t->cell[i].bits = (uint8_t)bits;
        t->cell[i].base = (uint16_t)((n << bits) - (1 << log));
    }
}

void fse_make_single(struct fse *t, uint8_t symbol)
{
    t->log = 0;
    t->cell[0].symbol = symbol;
    t->cell[0].bits = 0;
    t->cell[0].base = 0;
}

/* Bits from the front, lowest first; zeros behind the end. */
struct front {
    const uint8_t *bytes;
    size_t len, at; /* bytes; bits */
};

static unsigned front_peek(const struct front *f, unsigned n)
{
    unsigned value = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t at = f->at + i;

        if (at / 8 < f->len)
            value |= (f->bytes[at / 8] >> at % 8 & 1u) << i;
    }
    return value;
}

static unsigned front_get(struct front *f, unsigned n)
{
    unsigned value = front_peek(f, n);

    f->at += n;
    return value;
}

/* A share is a number from 0 to left + 1, less one. The small ones take one bit less, as far as
 * there are codes to spare. */
static int get_share(struct front *f, unsigned left)
{
    unsigned bits = highest_bit(left + 1) + 1, half = 1u << (bits - 1);
    unsigned value = front_peek(f, bits), spare = 2 * half - 1 - (left + 1);

    if ((value & (half - 1)) < spare) {
        f->at += bits - 1;
        return (int)(value & (half - 1)) - 1;
    }
    f->at += bits;
    return (int)(value < half ? value : value - spare) - 1;
}

size_t fse_read(struct fse *t, const uint8_t *bytes, size_t len, unsigned symbols, unsigned log_max)
{
    struct front f = {bytes, len, 0};
    int16_t shares[FSE_SYMBOL_MAX];
    unsigned log = front_get(&f, 4) + 5, left, count = 0;

    if (log > log_max)
        return 0;
    left = 1u << log;
    while (left && count < symbols) {
        int share = get_share(&f, left);

        left -= share < 0 ? 1 : (unsigned)share;
        shares[count++] = (int16_t)share;
        /* How many more have none, two bits at a time. */
        for (unsigned more = share ? 0 : 3; more == 3;) {
            more = front_get(&f, 2);
            if (more > symbols - count)
                return 0;
            for (unsigned i = 0; i < more; i++)
                shares[count++] = 0;
        }
    }
    if (left || (f.at + 7) / 8 > len)
        return 0;
    fse_make(t, shares, count, log);
    return (f.at + 7) / 8;
}
