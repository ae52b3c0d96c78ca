/* SPDX-License-Identifier: MIT */
#include "dom0/unpack/checksum.h"

#include <stdbool.h>
#include <string.h>

/*
 * A CRC by four bytes at once: table[k][b] is what byte b contributes when k more bytes follow it.
 * Polynomials are reflected, lowest bit first.
 */
#define CRC32_POLYNOMIAL 0xedb88320u
#define CRC64_POLYNOMIAL 0xc96c5795d7870f42ull

static uint32_t table32[4][256];
static uint64_t table64[256];
static bool tables_made;

static void make_tables(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint32_t c32 = b;
        uint64_t c64 = b;

        for (unsigned bit = 0; bit < 8; bit++) {
            c32 = c32 >> 1 ^ (c32 & 1 ? CRC32_POLYNOMIAL : 0);
            c64 = c64 >> 1 ^ (c64 & 1 ? CRC64_POLYNOMIAL : 0);
        }
        table32[0][b] = c32;
        table64[b] = c64;
    }
    for (unsigned k = 1; k < 4; k++)
        for (unsigned b = 0; b < 256; b++) {
            uint32_t before = table32[k - 1][b];

            table32[k][b] = before >> 8 ^ table32[0][before & 255];
        }
    tables_made = true;
}

uint32_t checksum_crc32(uint32_t crc, const uint8_t *bytes, size_t len)
{
    if (!tables_made)
        make_tables();
    crc = ~crc;
    for (; len >= 4; len -= 4, bytes += 4) {
        uint32_t word;

        memcpy(&word, bytes, 4);
        word ^= crc;
        crc = table32[3][word & 255] ^ table32[2][word >> 8 & 255] ^ table32[1][word >> 16 & 255] ^
              table32[0][word >> 24];
    }
    for (; len; len--)
        crc = crc >> 8 ^ table32[0][(crc ^ *bytes++) & 255];
    return ~crc;
}

uint64_t checksum_crc64(uint64_t crc, const uint8_t *bytes, size_t len)
{
    if (!tables_made)
        make_tables();
    crc = ~crc;
    for (; len; len--)
        crc = crc >> 8 ^ table64[(crc ^ *bytes++) & 255];
    return ~crc;
}

/* --- XXH64, by its specification (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) --- */

#define P1 0x9e3779b185ebca87ull
#define P2 0xc2b2ae3d27d4eb4full
#define P3 0x165667b19e3779f9ull
#define P4 0x85ebca77c2b2ae63ull
#define P5 0x27d4eb2f165667c5ull

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, 8);
    return word;
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
    return rotate(lane + word * P2, 31) * P1;
}

void checksum_xxh64_init(struct checksum_xxh64 *x)
{
    *x = (struct checksum_xxh64){.lane = {P1 + P2, P2, 0, 0 - P1}};
}

static void feed_block(struct checksum_xxh64 *x, const uint8_t *block)
{
    for (unsigned i = 0; i < 4; i++)
        x->lane[i] = mix(x->lane[i], word_at(block + 8 * i));
}

void checksum_xxh64_feed(struct checksum_xxh64 *x, const uint8_t *bytes, size_t len)
{
    while (len) {
        size_t have = x->total % 32, n = 32 - have < len ? 32 - have : len;

        if (n == 32) {
            feed_block(x, bytes);
        } else {
            memcpy(x->rest + have, bytes, n);
            if (have + n == 32)
                feed_block(x, x->rest);
        }
        x->total += n;
        bytes += n;
        len -= n;
    }
}

uint64_t checksum_xxh64_value(const struct checksum_xxh64 *x)
{
    const uint8_t *at = x->rest;
    size_t left = x->total % 32;
    uint64_t h = P5;

    if (x->total >= 32) {
        h = rotate(x->lane[0], 1) + rotate(x->lane[1], 7) + rotate(x->lane[2], 12) +
            rotate(x->lane[3], 18);
        for (unsigned i = 0; i < 4; i++)
            h = (h ^ mix(0, x->lane[i])) * P1 + P4;
    }
    h += x->total;
    for (; left >= 8; left -= 8, at += 8)
        h = rotate(h ^ mix(0, word_at(at)), 27) * P1 + P4;
    if (left >= 4) {
        uint32_t word;

        memcpy(&word, at, 4);
        h = rotate(h ^ word * P1, 23) * P2 + P3;
        at += 4;
        left -= 4;
    }
    for (; left; left--)
        h = rotate(h ^ *at++ * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

uint32_t checksum_adler32(uint32_t adler, const uint8_t *bytes, size_t len)
{
    uint32_t low = adler & 0xffff, high = adler >> 16;

    while (len > 0) {
        size_t n = len < 5552 ? len : 5552; /* as many as cannot overflow */

        len -= n;
        for (; n > 0; n--) {
            low += *bytes++;
            high += low;
        }
        low %= 65521;
        high %= 65521;
    }
    return high << 16 | low;
}
