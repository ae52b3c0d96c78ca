/* SPDX-License-Identifier: MIT */
/* gzip (RFC 1952), zlib (RFC 1950), and the deflate data in both (RFC 1951). */
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/unpack/checksum.h"
#include "dom0/unpack/stream.h"

#define CODE_BITS 15 /* the longest code */
#define FAST_BITS 10 /* codes up to here are found by one look */
#define LITERALS  288
#define DISTANCES 30

/* A canonical Huffman code. Of each length the codes are consecutive numbers. */
struct huffman {
    uint16_t fast[1 << FAST_BITS]; /* by the next bits: symbol << 4 | length, or 0 */
    uint16_t count[CODE_BITS + 1]; /* symbols by length of their code */
    uint16_t symbol[LITERALS];     /* in the order of their codes */
};

struct inflate {
    struct stream *s;
    uint64_t bits; /* taken from the input and not used, the next one lowest */
    unsigned bit_count;
    struct huffman literal, distance;
    uint8_t lengths[LITERALS + 32];
};

/*
 * The next n bits, at most 32. What lies behind deflate data in a gzip member, eight bytes, is more
 * than is ever looked at ahead: so the input ends early in a damaged file only.
 */
static uint32_t peek_bits(struct inflate *z, unsigned n)
{
    while (z->bit_count < n) {
        z->bits |= (uint64_t)stream_byte(z->s) << z->bit_count;
        z->bit_count += 8;
    }
    return (uint32_t)(z->bits & ((1ull << n) - 1));
}

static void drop_bits(struct inflate *z, unsigned n)
{
    z->bits >>= n;
    z->bit_count -= n;
}

static uint32_t get_bits(struct inflate *z, unsigned n)
{
    uint32_t value = peek_bits(z, n);

    drop_bits(z, n);
    return value;
}

/* The fast table: all values of FAST_BITS bits that begin with the code, its first bit lowest. */
static void huffman_fast(struct huffman *h, unsigned code, unsigned length, unsigned symbol)
{
    unsigned reversed = 0;

    for (unsigned i = 0; i < length; i++)
        reversed |= (code >> i & 1) << (length - 1 - i);
    for (; reversed < 1 << FAST_BITS; reversed += 1u << length)
        h->fast[reversed] = (uint16_t)(symbol << 4 | length);
}

/* From the lengths of the codes of n symbols. False if there are more codes than their bits allow;
 * fewer are no harm until one that is missing is met. */
static bool huffman_make(struct huffman *h, const uint8_t *lengths, unsigned n)
{
    unsigned next[CODE_BITS + 2] = {0}, place[CODE_BITS + 2] = {0}, left = 1;

    memset(h, 0, sizeof *h);
    for (unsigned i = 0; i < n; i++)
        h->count[lengths[i]]++;
    h->count[0] = 0;
    for (unsigned length = 1; length <= CODE_BITS; length++) {
        left <<= 1;
        if (h->count[length] > left)
            return false;
        left -= h->count[length];
        next[length + 1] = (next[length] + h->count[length]) << 1;
        place[length + 1] = place[length] + h->count[length];
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned length = lengths[i];

        if (!length)
            continue;
        h->symbol[place[length]++] = (uint16_t)i;
        if (length <= FAST_BITS)
            huffman_fast(h, next[length], length, i);
        next[length]++;
    }
    return true;
}

/* A code longer than FAST_BITS: compare with the last code of each length. */
static unsigned huffman_slow(struct inflate *z, const struct huffman *h)
{
    uint32_t bits = peek_bits(z, CODE_BITS);
    unsigned code = 0, first = 0, place = 0;

    for (unsigned length = 1; length <= CODE_BITS; length++) {
        code = code << 1 | (bits & 1);
        bits >>= 1;
        first <<= 1;
        if (code - first < h->count[length]) {
            drop_bits(z, length);
            return h->symbol[place + code - first];
        }
        first += h->count[length];
        place += h->count[length];
    }
    stream_damaged(z->s, "it has a code without meaning");
    return 0;
}

static unsigned get_symbol(struct inflate *z, const struct huffman *h)
{
    unsigned entry = h->fast[peek_bits(z, FAST_BITS)];

    if (!entry)
        return huffman_slow(z, h);
    drop_bits(z, entry & 15);
    return entry >> 4;
}

/* A length or distance: a base and some bits on top of it, by symbol (RFC 1951, 3.2.5). */
static void get_match(struct inflate *z, unsigned symbol)
{
    static const uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                             15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                            2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    unsigned length, distance, n = symbol - 257;

    if (n >= 29) {
        stream_damaged(z->s, "it has a length without meaning");
        return;
    }
    length = length_base[n] + get_bits(z, length_bits[n]);
    n = get_symbol(z, &z->distance);
    if (n >= DISTANCES) {
        stream_damaged(z->s, "it has a distance without meaning");
        return;
    }
    /* Bases are 1, 2, 3, 4, then two for each number of bits. */
    if (n < 4)
        distance = n + 1;
    else
        distance = ((2 + (n & 1)) << (n / 2 - 1)) + 1 + get_bits(z, n / 2 - 1);
    stream_repeat(z->s, distance, length);
}

static void inflate_codes(struct inflate *z)
{
    while (!stream_failed(z->s)) {
        unsigned symbol = get_symbol(z, &z->literal);

        if (symbol < 256)
            stream_put(z->s, (uint8_t)symbol);
        else if (symbol == 256)
            return;
        else
            get_match(z, symbol);
    }
}

static void inflate_stored(struct inflate *z)
{
    uint32_t len;

    drop_bits(z, z->bit_count & 7);
    len = get_bits(z, 16);
    if (get_bits(z, 16) != (len ^ 0xffff))
        stream_damaged(z->s, "a stored block has two lengths");
    for (; len && z->bit_count; len--)
        stream_put(z->s, (uint8_t)get_bits(z, 8));
    stream_pass(z->s, len);
}

static void inflate_fixed(struct inflate *z)
{
    memset(z->lengths, 8, 144);
    memset(z->lengths + 144, 9, 112);
    memset(z->lengths + 256, 7, 24);
    memset(z->lengths + 280, 8, 8);
    huffman_make(&z->literal, z->lengths, LITERALS);
    memset(z->lengths, 5, DISTANCES);
    huffman_make(&z->distance, z->lengths, DISTANCES);
    inflate_codes(z);
}

/* The lengths of both codes, packed with a third one (RFC 1951, 3.2.7). */
static void get_lengths(struct inflate *z, unsigned count)
{
    for (unsigned i = 0; i < count && !stream_failed(z->s);) {
        unsigned symbol = get_symbol(z, &z->literal), repeat = 1;
        uint8_t value = (uint8_t)symbol;

        if (symbol == 16) {
            repeat = 3 + get_bits(z, 2);
            value = i ? z->lengths[i - 1] : 0;
        } else if (symbol > 16) {
            repeat = symbol == 17 ? 3 + get_bits(z, 3) : 11 + get_bits(z, 7);
            value = 0;
        }
        if (repeat > count - i || (symbol == 16 && !i)) {
            stream_damaged(z->s, "a code's lengths are wrong");
            return;
        }
        memset(z->lengths + i, value, repeat);
        i += repeat;
    }
}

static void inflate_dynamic(struct inflate *z)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
    unsigned literals = 257 + get_bits(z, 5), distances = 1 + get_bits(z, 5);
    unsigned count = 4 + get_bits(z, 4);

    memset(z->lengths, 0, sizeof z->lengths);
    for (unsigned i = 0; i < count; i++)
        z->lengths[order[i]] = (uint8_t)get_bits(z, 3);
    if (literals > 286 || !huffman_make(&z->literal, z->lengths, 19)) {
        stream_damaged(z->s, "a code is wrong");
        return;
    }
    get_lengths(z, literals + distances);
    if (!huffman_make(&z->literal, z->lengths, literals) ||
        !huffman_make(&z->distance, z->lengths + literals, distances))
        stream_damaged(z->s, "a code is wrong");
    inflate_codes(z);
}

static void inflate(struct inflate *z)
{
    static void (*const kinds[])(struct inflate * z) = {inflate_stored, inflate_fixed,
                                                        inflate_dynamic};
    bool last = false;

    while (!last && !stream_failed(z->s)) {
        unsigned kind;

        last = get_bits(z, 1);
        kind = get_bits(z, 2);
        if (kind == 3)
            stream_damaged(z->s, "a block is of no kind");
        else
            kinds[kind](z);
    }
}

int deflate_decode(struct stream *s)
{
    struct inflate *z = calloc(1, sizeof *z);

    if (!z)
        return stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
    z->s = s;
    inflate(z);
    free(z);
    return s->error;
}

/* --- zlib --- */

static void add_adler32(void *ctx, uint8_t *bytes, size_t len)
{
    *(uint32_t *)ctx = checksum_adler32(*(uint32_t *)ctx, bytes, len);
}

int zlib_decode(struct stream *s)
{
    struct inflate *z = calloc(1, sizeof *z);
    uint32_t head, adler = 1, said = 0;

    if (!z)
        return stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
    z->s = s;
    head = (uint32_t)stream_byte(s) << 8;
    head |= stream_byte(s);
    /* Method 8, a window of 32 KiB at most, no preset dictionary, a multiple of 31. */
    if ((head & 0x8f00) != 0x0800 || head & 0x20 || head % 31)
        stream_damaged(s, "it has no zlib header");
    inflate(z);
    drop_bits(z, z->bit_count & 7);
    for (int i = 0; i < 4; i++)
        said = said << 8 | get_bits(z, 8);
    if (!stream_failed(s)) {
        stream_each(s, s->out_start, add_adler32, &adler);
        if (said != adler)
            stream_damaged(s, "its checksum is wrong");
    }
    free(z);
    return s->error;
}

/* --- gzip --- */

#define GZIP_HEADER_CRC 0x02
#define GZIP_EXTRA      0x04
#define GZIP_NAME       0x08
#define GZIP_COMMENT    0x10

static void skip_text(struct stream *s)
{
    while (stream_byte(s) && !stream_failed(s))
        ;
}

static void gzip_header(struct stream *s)
{
    uint32_t magic = (uint32_t)stream_number(s, 3);
    uint8_t flags = stream_byte(s);

    if (magic != 0x088b1f || flags >> 5)
        stream_damaged(s, "it has no gzip header");
    stream_number(s, 6); /* time, flags, system */
    if (flags & GZIP_EXTRA)
        for (uint64_t n = stream_number(s, 2); n; n--)
            stream_byte(s);
    if (flags & GZIP_NAME)
        skip_text(s);
    if (flags & GZIP_COMMENT)
        skip_text(s);
    if (flags & GZIP_HEADER_CRC)
        stream_number(s, 2);
}

static void add_crc32(void *ctx, uint8_t *bytes, size_t len)
{
    uint32_t *crc = ctx;

    *crc = checksum_crc32(*crc, bytes, len);
}

static void gzip_trailer(struct inflate *z)
{
    uint32_t crc = 0;

    drop_bits(z, z->bit_count & 7);
    stream_each(z->s, z->s->out_start, add_crc32, &crc);
    if (get_bits(z, 32) != crc)
        stream_damaged(z->s, "its checksum is wrong");
    if (get_bits(z, 32) != (uint32_t)(stream_size(z->s) - z->s->out_start))
        stream_damaged(z->s, "its size is wrong");
}

int gzip_decode(struct stream *s)
{
    struct inflate *z = calloc(1, sizeof *z);

    if (!z)
        return stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
    z->s = s;
    gzip_header(s);
    inflate(z);
    if (!stream_failed(s))
        gzip_trailer(z);
    free(z);
    return s->error;
}
