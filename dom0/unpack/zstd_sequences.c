/* SPDX-License-Identifier: MIT */
/*
 * zstd: sequences (RFC 8878, 3.1.1.3.2): each takes some literals, then repeats a match from
 * before.
 */
#include "dom0/unpack/zstd.h"

/* Codes of lengths: the bits that follow; each code begins where the one before ends. */
#define LENGTH_CODES 36
#define MATCH_CODES  53
#define OFFSET_CODES 32
#define MATCH_MIN    3

static const uint8_t length_bits[LENGTH_CODES] = {0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0,
                                                  0, 0, 0, 0, 1, 1,  1,  1,  2,  2,  3,  3,
                                                  4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t match_bits[MATCH_CODES] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0, 0,
    0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* The tables of a block that says so (3.1.1.3.2.2). */
static const int16_t length_shares[LENGTH_CODES] = {4, 3, 2, 2, 2, 2, 2, 2, 2,  2,  2,  2,
                                                    2, 1, 1, 1, 2, 2, 2, 2, 2,  2,  2,  2,
                                                    2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
static const int16_t match_shares[MATCH_CODES] = {
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};
static const int16_t offset_shares[29] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 1,  1,  1,  1,  1, 1,
                                          1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};

enum table_mode { TABLE_DEFAULT, TABLE_SINGLE, TABLE_READ, TABLE_REPEAT };

/* One of the three kinds of table. */
struct kind {
    const int16_t *shares;
    uint8_t share_count, share_log, codes, log_max;
};

static const struct kind length_kind = {length_shares, LENGTH_CODES, 6, LENGTH_CODES, 9};
static const struct kind offset_kind = {offset_shares, 29, 5, OFFSET_CODES, 8};
static const struct kind match_kind = {match_shares, MATCH_CODES, 6, MATCH_CODES, 9};

static void get_table(struct zstd *z, struct zstd_input *in, struct fse *t, const struct kind *k,
                      enum table_mode mode)
{
    size_t taken = 0;

    switch (mode) {
    case TABLE_DEFAULT:
        fse_make(t, k->shares, k->share_count, k->share_log);
        return;
    case TABLE_REPEAT:
        if (!z->has_tables)
            stream_damaged(z->s, "it refers to a code that was not there");
        return;
    case TABLE_SINGLE:
        if (in->left && in->at[0] < k->codes) {
            fse_make_single(t, in->at[0]);
            taken = 1;
        }
        break;
    case TABLE_READ:
        taken = fse_read(t, in->at, in->left, k->codes, k->log_max);
        break;
    }
    if (!taken)
        stream_damaged(z->s, "a code is wrong");
    in->at += taken;
    in->left -= taken;
}

/* Values 1 to 3 are one of the last offsets, and mean the next one if there are no literals
 * (3.1.1.5). */
static uint64_t resolve_offset(struct zstd *z, uint64_t value, bool no_literals)
{
    uint64_t offset, index;

    if (value > 3) {
        offset = value - 3;
        index = 2;
    } else {
        index = value - 1 + no_literals;
        offset = index < 3 ? z->repeat[index] : z->repeat[0] - 1;
        if (index == 3)
            index = 2;
    }
    for (; index; index--)
        z->repeat[index] = z->repeat[index - 1];
    z->repeat[0] = offset;
    return offset;
}

/* A block's sequences, in progress. */
struct sequencer {
    struct bits b;
    unsigned length, offset, match;                                /* states */
    size_t literal;                                                /* the next one */
    uint32_t length_least[LENGTH_CODES], match_least[MATCH_CODES]; /* the first value of a code */
};

static void make_least(uint32_t *least, const uint8_t *bits, unsigned count, uint32_t first)
{
    for (unsigned i = 0; i < count; i++) {
        least[i] = first;
        first += 1u << bits[i];
    }
}

static void sequence(struct zstd *z, struct sequencer *q)
{
    unsigned length_code = z->lengths.cell[q->length].symbol;
    unsigned match_code = z->matches.cell[q->match].symbol;
    unsigned offset_code = z->offsets.cell[q->offset].symbol;
    uint64_t offset = (1ull << offset_code) + bits_get(&q->b, offset_code);
    uint64_t match = q->match_least[match_code] + bits_get(&q->b, match_bits[match_code]);
    uint64_t length = q->length_least[length_code] + bits_get(&q->b, length_bits[length_code]);

    offset = resolve_offset(z, offset, length == 0);
    if (length > z->literal_count - q->literal) {
        stream_damaged(z->s, "a sequence wants more literals than there are");
        return;
    }
    stream_write(z->s, z->literals + q->literal, (size_t)length);
    q->literal += (size_t)length;
    stream_repeat(z->s, offset, match);
}

static void run(struct zstd *z, struct sequencer *q, unsigned count)
{
    uint64_t begin = stream_size(z->s);

    make_least(q->length_least, length_bits, LENGTH_CODES, 0);
    make_least(q->match_least, match_bits, MATCH_CODES, MATCH_MIN);
    q->length = fse_begin(&z->lengths, &q->b);
    q->offset = fse_begin(&z->offsets, &q->b);
    q->match = fse_begin(&z->matches, &q->b);
    while (count-- && !stream_failed(z->s)) {
        sequence(z, q);
        if (stream_size(z->s) - begin > ZSTD_BLOCK_MAX)
            stream_damaged(z->s, "a block is too large");
        if (!count)
            break;
        q->length = fse_next(&z->lengths, q->length, &q->b);
        q->match = fse_next(&z->matches, q->match, &q->b);
        q->offset = fse_next(&z->offsets, q->offset, &q->b);
    }
    if (q->b.left)
        stream_damaged(z->s, "a bit stream has another length than it says");
}

/* Their number takes one to three bytes. */
static unsigned get_count(struct zstd *z, struct zstd_input *in)
{
    unsigned first = in->left ? in->at[0] : 0;
    size_t bytes = first < 128 ? 1 : first < 255 ? 2 : 3;
    const uint8_t *at = in->at;

    if (in->left < bytes) {
        stream_damaged(z->s, "a block is shorter than its parts");
        return 0;
    }
    in->at += bytes;
    in->left -= bytes;
    if (first < 128)
        return first;
    return first < 255 ? (first - 128) << 8 | at[1] : (at[1] | (unsigned)at[2] << 8) + 0x7f00;
}

static void get_tables(struct zstd *z, struct zstd_input *in)
{
    uint8_t modes = in->left ? *in->at : 0;

    if (!in->left || modes & 3) {
        stream_damaged(z->s, "a block is shorter than its parts");
        return;
    }
    in->at++;
    in->left--;
    get_table(z, in, &z->lengths, &length_kind, modes >> 6);
    get_table(z, in, &z->offsets, &offset_kind, modes >> 4 & 3);
    get_table(z, in, &z->matches, &match_kind, modes >> 2 & 3);
    z->has_tables = true;
}

int zstd_sequences(struct zstd *z, struct zstd_input *in)
{
    unsigned count = get_count(z, in);
    struct sequencer q = {.literal = 0};

    if (count)
        get_tables(z, in);
    if (count && !stream_failed(z->s)) {
        if (bits_begin(&q.b, in->at, in->left))
            run(z, &q, count);
        else
            stream_damaged(z->s, "a bit stream has no end");
    }
    stream_write(z->s, z->literals + q.literal, z->literal_count - q.literal);
    return z->s->error;
}
