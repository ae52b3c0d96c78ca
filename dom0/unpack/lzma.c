/* SPDX-License-Identifier: MIT */
/*
 * LZMA: a range decoder, whose every bit has a probability of its own that learns, and on top of it
 * literals and repetitions of what came before. There is no standard; names are those of the
 * specification in Debian's package of the LZMA SDK (lzma-specification.txt), the chunks those of
 * the xz format's documentation.
 */
#include "dom0/unpack/lzma.h"

#include <stdlib.h>
#include <xen/errno.h>

#include "dom0/unpack/stream.h"

#define STATES        12
#define LIT_STATES    7 /* states below come after a literal */
#define POS_STATES    16
#define LEN_STATES    4 /* classes of short lengths for the slot of a distance */
#define LITERAL_BITS  4 /* lc + lp, at most, in LZMA2 */
#define PROB_INIT     1024
#define PROB_BITS     11
#define PROB_SHIFT    5
#define TOP           (1u << 24)
#define MATCH_LEN_MIN 2

typedef uint16_t prob_t;

struct length_coder {
    prob_t choice, choice2;
    prob_t low[POS_STATES][8], mid[POS_STATES][8], high[256];
};

/* Everything in it is a probability. */
struct model {
    prob_t is_match[STATES][POS_STATES];
    prob_t is_rep[STATES], is_rep_g0[STATES], is_rep_g1[STATES], is_rep_g2[STATES];
    prob_t is_rep0_long[STATES][POS_STATES];
    prob_t slot[LEN_STATES][64];
    prob_t special[128]; /* low bits of distances of slots 4 to 13 */
    prob_t align[16];    /* the lowest four of greater ones */
    struct length_coder match_len, rep_len;
    prob_t literal[1 << LITERAL_BITS][0x300];
};

struct lzma {
    struct stream *s;
    uint32_t range, code;
    unsigned lc, lp_mask, pb_mask;
    bool need_dictionary, need_properties;
    unsigned state;
    uint32_t rep[4]; /* the last distances, less one */
    struct model model;
};

static void normalize(struct lzma *z)
{
    if (z->range < TOP) {
        z->range <<= 8;
        z->code = z->code << 8 | stream_byte(z->s);
    }
}

static inline unsigned get_bit(struct lzma *z, prob_t *prob)
{
    uint32_t bound;

    normalize(z);
    bound = (z->range >> PROB_BITS) * *prob;
    if (z->code < bound) {
        z->range = bound;
        *prob += ((1 << PROB_BITS) - *prob) >> PROB_SHIFT;
        return 0;
    }
    z->range -= bound;
    z->code -= bound;
    *prob -= *prob >> PROB_SHIFT;
    return 1;
}

/* Bits that are as often 0 as 1. */
static uint32_t get_direct(struct lzma *z, unsigned bits)
{
    uint32_t value = 0;

    while (bits--) {
        normalize(z);
        z->range >>= 1;
        value <<= 1;
        if (z->code >= z->range) {
            z->code -= z->range;
            value |= 1;
        }
    }
    return value;
}

/* A number of `bits` bits, highest first; each bit's probability depends on those before. */
static unsigned get_tree(struct lzma *z, prob_t *probs, unsigned bits)
{
    unsigned node = 1;

    for (unsigned i = 0; i < bits; i++)
        node = node << 1 | get_bit(z, &probs[node]);
    return node - (1u << bits);
}

/* The same, lowest bit first. */
static unsigned get_tree_reversed(struct lzma *z, prob_t *probs, unsigned bits)
{
    unsigned node = 1, value = 0;

    for (unsigned i = 0; i < bits; i++) {
        unsigned bit = get_bit(z, &probs[node]);

        node = node << 1 | bit;
        value |= bit << i;
    }
    return value;
}

static unsigned get_length(struct lzma *z, struct length_coder *l, unsigned pos_state)
{
    if (!get_bit(z, &l->choice))
        return MATCH_LEN_MIN + get_tree(z, l->low[pos_state], 3);
    if (!get_bit(z, &l->choice2))
        return MATCH_LEN_MIN + 8 + get_tree(z, l->mid[pos_state], 3);
    return MATCH_LEN_MIN + 16 + get_tree(z, l->high, 8);
}

/* A distance less one, given the length of the match. */
static uint32_t get_distance(struct lzma *z, unsigned length)
{
    unsigned class = length - MATCH_LEN_MIN, slot, bits;
    uint32_t distance;

    if (class >= LEN_STATES)
        class = LEN_STATES - 1;
    slot = get_tree(z, z->model.slot[class], 6);
    if (slot < 4)
        return slot;
    bits = (slot >> 1) - 1;
    distance = (2 | (slot & 1)) << bits;
    /* The trees of all slots lie in one array, where slot's begins at its distance less its number.
     */
    if (slot < 14)
        return distance + get_tree_reversed(z, z->model.special + distance - slot, bits);
    distance += get_direct(z, bits - 4) << 4;
    return distance + get_tree_reversed(z, z->model.align, 4);
}

/* After a match, the byte that would have continued it is a hint of what comes: surely not it. */
static void get_literal(struct lzma *z)
{
    uint8_t before = stream_look_back(z->s, 1);
    unsigned low = (unsigned)(stream_size(z->s) - z->s->out_start) & z->lp_mask;
    prob_t *probs = z->model.literal[low << z->lc | before >> (8 - z->lc)];
    unsigned symbol = 1;

    if (z->state >= LIT_STATES) {
        unsigned hint = stream_look_back(z->s, (uint64_t)z->rep[0] + 1), offset = 0x100;

        while (symbol < 0x100) {
            unsigned bit, hint_bit;

            hint <<= 1;
            hint_bit = hint & offset;
            bit = get_bit(z, &probs[offset + hint_bit + symbol]);
            symbol = symbol << 1 | bit;
            offset &= bit ? hint_bit : ~hint_bit;
        }
    }
    while (symbol < 0x100)
        symbol = symbol << 1 | get_bit(z, &probs[symbol]);
    stream_put(z->s, (uint8_t)symbol);
    z->state = z->state < 4 ? 0 : z->state < 10 ? z->state - 3 : z->state - 6;
}

static unsigned get_match(struct lzma *z, unsigned pos_state)
{
    unsigned length = get_length(z, &z->model.match_len, pos_state);

    z->rep[3] = z->rep[2];
    z->rep[2] = z->rep[1];
    z->rep[1] = z->rep[0];
    z->rep[0] = get_distance(z, length);
    z->state = z->state < LIT_STATES ? 7 : 10;
    return length;
}

/* Which of the last four distances; it moves to the front. */
static void get_rep_index(struct lzma *z)
{
    unsigned state = z->state, index = 1;
    uint32_t distance;

    if (get_bit(z, &z->model.is_rep_g1[state]))
        index = get_bit(z, &z->model.is_rep_g2[state]) ? 3 : 2;
    distance = z->rep[index];
    for (; index; index--)
        z->rep[index] = z->rep[index - 1];
    z->rep[0] = distance;
}

static unsigned get_rep(struct lzma *z, unsigned pos_state)
{
    unsigned state = z->state;

    if (get_bit(z, &z->model.is_rep_g0[state])) {
        get_rep_index(z);
    } else if (!get_bit(z, &z->model.is_rep0_long[state][pos_state])) {
        z->state = state < LIT_STATES ? 9 : 11;
        return 1;
    }
    z->state = state < LIT_STATES ? 8 : 11;
    return get_length(z, &z->model.rep_len, pos_state);
}

/* Decode until `end` bytes were put; a match never crosses a chunk's end. */
static void lzma_decode(struct lzma *z, uint64_t end)
{
    struct stream *s = z->s;

    while (stream_size(s) < end && !stream_failed(s)) {
        unsigned pos_state = (unsigned)(stream_size(s) - s->out_start) & z->pb_mask, length;

        if (!get_bit(z, &z->model.is_match[z->state][pos_state])) {
            get_literal(z);
            continue;
        }
        if (get_bit(z, &z->model.is_rep[z->state]))
            length = get_rep(z, pos_state);
        else
            length = get_match(z, pos_state);
        if (length > end - stream_size(s))
            stream_damaged(s, "a chunk is longer than it says");
        else
            stream_repeat(s, (uint64_t)z->rep[0] + 1, length);
    }
    normalize(z);
}

static void reset_state(struct lzma *z)
{
    prob_t *probs = (prob_t *)&z->model;

    for (size_t i = 0; i < sizeof z->model / sizeof *probs; i++)
        probs[i] = PROB_INIT;
    z->state = 0;
    z->rep[0] = z->rep[1] = z->rep[2] = z->rep[3] = 0;
}

/* lc, lp and pb in one byte: (pb * 5 + lp) * 9 + lc. */
static void set_properties(struct lzma *z, unsigned byte)
{
    unsigned lc = byte % 9, lp = byte / 9 % 5, pb = byte / 45;

    if (pb > 4 || lc + lp > LITERAL_BITS) {
        stream_damaged(z->s, "it has wrong LZMA properties");
        return;
    }
    z->lc = lc;
    z->lp_mask = (1u << lp) - 1;
    z->pb_mask = (1u << pb) - 1;
}

static uint64_t get_big_endian16(struct stream *s)
{
    uint64_t high = stream_byte(s);

    return high << 8 | stream_byte(s);
}

static void lzma_chunk(struct lzma *z, unsigned control)
{
    struct stream *s = z->s;
    uint64_t unpacked = ((control & 31) << 16) + get_big_endian16(s) + 1;
    uint64_t packed = get_big_endian16(s) + 1, begin;

    if (control >= 0xc0)
        set_properties(z, stream_byte(s));
    if (control >= 0xa0)
        reset_state(z);
    begin = stream_taken(s);
    z->range = UINT32_MAX;
    z->code = 0;
    if (stream_byte(s))
        stream_damaged(s, "a chunk begins wrong");
    for (unsigned i = 0; i < 4; i++)
        z->code = z->code << 8 | stream_byte(s);
    lzma_decode(z, stream_size(s) + unpacked);
    if (!stream_failed(s) && (stream_taken(s) - begin != packed || z->code))
        stream_damaged(s, "a chunk has another size than it says");
}

/* The first chunk must reset the dictionary, and the first packed one after that the properties. */
static void chunk(struct lzma *z, unsigned control)
{
    struct stream *s = z->s;

    if (control == 1 || control >= 0xe0) {
        s->out_start = stream_size(s);
        z->need_dictionary = false;
        z->need_properties = true;
    }
    if (z->need_dictionary || (control > 2 && control < 0x80) ||
        (z->need_properties && control >= 0x80 && control < 0xc0)) {
        stream_damaged(s, "a chunk does not fit those before");
        return;
    }
    if (control < 0x80) {
        stream_pass(s, get_big_endian16(s) + 1);
        return;
    }
    z->need_properties = false;
    lzma_chunk(z, control);
}

int lzma2_decode(struct stream *s)
{
    struct lzma *z = malloc(sizeof *z);
    unsigned control;

    if (!z)
        return stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
    z->s = s;
    z->need_dictionary = z->need_properties = true;
    while ((control = stream_byte(s)) != 0 && !stream_failed(s))
        chunk(z, control);
    free(z);
    return s->error;
}
