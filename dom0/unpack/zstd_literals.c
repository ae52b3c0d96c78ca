/* SPDX-License-Identifier: MIT */
/* zstd: literals and their Huffman code (RFC 8878, 3.1.1.3.1 and 4.2). */
#include <string.h>

#include "dom0/unpack/zstd.h"

#define SYMBOLS    256
#define WEIGHT_LOG 6 /* of the table that the weights are packed with */

enum literals_type { LITERALS_RAW, LITERALS_REPEAT, LITERALS_PACKED, LITERALS_TREELESS };

static const uint8_t *take(struct zstd *z, struct zstd_input *in, size_t len)
{
    const uint8_t *bytes = in->at;

    if (len > in->left) {
        stream_damaged(z->s, "a block is shorter than its parts");
        return NULL;
    }
    in->at += len;
    in->left -= len;
    return bytes;
}

/* The weights, packed: two states take turns until the bits run out (4.2.1.2). Returns how many. */
static unsigned packed_weights(struct zstd *z, const uint8_t *bytes, size_t len, uint8_t *weights)
{
    size_t table = fse_read(&z->weights, bytes, len, ZSTD_CODE_BITS + 1, WEIGHT_LOG);
    unsigned state[2], count = 0, turn = 0;
    struct bits b;

    if (!table || !bits_begin(&b, bytes + table, len - table))
        return 0;
    state[0] = fse_begin(&z->weights, &b);
    state[1] = fse_begin(&z->weights, &b);
    for (; b.left >= 0 && count < SYMBOLS - 2; turn ^= 1) {
        weights[count++] = z->weights.cell[state[turn]].symbol;
        state[turn] = fse_next(&z->weights, state[turn], &b);
    }
    if (b.left >= 0)
        return 0;
    weights[count++] = z->weights.cell[state[turn]].symbol;
    return count;
}

/* Four bits each (4.2.1.1). */
static void plain_weights(const uint8_t *bytes, unsigned count, uint8_t *weights)
{
    for (unsigned i = 0; i < count; i++)
        weights[i] = i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4;
}

/*
 * The table from the weights of all symbols but the last, whose weight makes the sum a power of
 * two. A symbol of weight w has 2^(w-1) cells; those of one weight lie together, small weights
 * first. False if there is no such code.
 */
static bool make_table(struct zstd_huffman *h, uint8_t *weights, unsigned count)
{
    unsigned sum = 0, rest, at = 0;

    for (unsigned i = 0; i < count; i++) {
        if (weights[i] > ZSTD_CODE_BITS)
            return false;
        sum += 1u << weights[i] >> 1;
    }
    h->bits = 0;
    if (!sum || sum >= 1u << ZSTD_CODE_BITS)
        return false;
    while (1u << h->bits <= sum)
        h->bits++;
    rest = (1u << h->bits) - sum;
    if (rest & (rest - 1))
        return false;
    weights[count++] = (uint8_t)(__builtin_ctz(rest) + 1);
    for (unsigned w = 1; w <= h->bits; w++)
        for (unsigned i = 0; i < count; i++)
            for (unsigned n = weights[i] == w ? 1u << (w - 1) : 0; n; n--) {
                h->cell[at].symbol = (uint8_t)i;
                h->cell[at++].bits = (uint8_t)(h->bits + 1 - w);
            }
    return true;
}

static void read_table(struct zstd *z, struct zstd_input *in)
{
    uint8_t weights[SYMBOLS] = {0};
    const uint8_t *head = take(z, in, 1), *bytes;
    unsigned count;

    if (!head)
        return;
    count = *head < 128 ? 0 : *head - 127u;
    bytes = take(z, in, count ? (count + 1) / 2 : *head);
    if (!bytes)
        return;
    if (count)
        plain_weights(bytes, count, weights);
    else
        count = packed_weights(z, bytes, *head, weights);
    if (!count || !make_table(&z->huffman, weights, count)) {
        z->huffman.bits = 0;
        stream_damaged(z->s, "a code is wrong");
    }
}

static void decode_stream(struct zstd *z, const uint8_t *bytes, size_t len, uint8_t *to,
                          size_t count)
{
    const struct zstd_huffman *h = &z->huffman;
    struct bits b;

    if (!bytes || !bits_begin(&b, bytes, len)) {
        stream_damaged(z->s, "a bit stream has no end");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned cell = (unsigned)bits_peek(&b, h->bits);

        to[i] = h->cell[cell].symbol;
        b.left -= h->cell[cell].bits;
    }
    if (b.left)
        stream_damaged(z->s, "a bit stream has another length than it says");
}

/* Four streams of a quarter each; where they begin is said first (3.1.1.3.1.6). */
static void decode_four(struct zstd *z, struct zstd_input *in)
{
    const uint8_t *jump = take(z, in, 6);
    size_t quarter = (z->literal_count + 3) / 4, at = 0;

    if (!jump)
        return;
    if (3 * quarter > z->literal_count) {
        stream_damaged(z->s, "it has too few literals for four streams");
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        size_t len = i < 3 ? jump[2 * i] | (size_t)jump[2 * i + 1] << 8 : in->left;
        size_t count = i < 3 ? quarter : z->literal_count - at;
        const uint8_t *bytes = take(z, in, len);

        decode_stream(z, bytes, len, z->literals + at, count);
        at += count;
    }
}

static void packed_literals(struct zstd *z, struct zstd_input *in, size_t packed, bool four)
{
    struct zstd_input part = {take(z, in, packed), packed};

    if (!part.at)
        return;
    if (!z->huffman.bits) {
        stream_damaged(z->s, "it refers to a code that was not there");
        return;
    }
    if (four)
        decode_four(z, &part);
    else
        decode_stream(z, part.at, part.left, z->literals, z->literal_count);
}

static void unpacked_literals(struct zstd *z, struct zstd_input *in, bool repeat)
{
    const uint8_t *bytes = take(z, in, repeat ? 1 : z->literal_count);

    if (bytes && repeat)
        memset(z->literals, *bytes, z->literal_count);
    else if (bytes)
        memcpy(z->literals, bytes, z->literal_count);
}

/* The header's number of up to five bytes, and how many bits of it a size has. */
static uint64_t get_header(struct zstd *z, struct zstd_input *in, unsigned bytes)
{
    const uint8_t *at = take(z, in, bytes);
    uint64_t n = 0;

    for (unsigned i = 0; at && i < bytes; i++)
        n |= (uint64_t)at[i] << 8 * i;
    return n;
}

int zstd_literals(struct zstd *z, struct zstd_input *in)
{
    static const uint8_t plain_bytes[4] = {1, 2, 1, 3}, packed_bytes[4] = {3, 3, 4, 5};
    static const uint8_t plain_shift[4] = {3, 4, 3, 4}, size_bits[4] = {10, 10, 14, 18};
    unsigned head = in->left ? in->at[0] : 0, format = head >> 2 & 3;
    enum literals_type type = head & 3;
    bool packed = type >= LITERALS_PACKED;
    uint64_t header = get_header(z, in, packed ? packed_bytes[format] : plain_bytes[format]);
    uint64_t mask = (1u << size_bits[format]) - 1;
    size_t begin = in->left;

    z->literal_count = (size_t)(packed ? header >> 4 & mask : header >> plain_shift[format]);
    if (z->literal_count > ZSTD_BLOCK_MAX)
        return stream_damaged(z->s, "a block is too large");
    if (!packed) {
        unpacked_literals(z, in, type == LITERALS_REPEAT);
        return z->s->error;
    }
    if (type == LITERALS_PACKED)
        read_table(z, in);
    header = header >> (4 + size_bits[format]) & mask;
    if (header < begin - in->left)
        return stream_damaged(z->s, "a block is shorter than its parts");
    if (!stream_failed(z->s))
        packed_literals(z, in, (size_t)header - (begin - in->left), format != 0);
    return z->s->error;
}
