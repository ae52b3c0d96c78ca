/* SPDX-License-Identifier: MIT */
/*
 * The .xz container: a header, blocks of filtered LZMA2 data, an index of the blocks, a footer. By
 * its specification, xz-file-format.txt in Debian's package xz-utils, whose section numbers stand
 * below.
 */
#include <string.h>
#include <xen/errno.h>

#include "dom0/unpack/bcj.h"
#include "dom0/unpack/checksum.h"
#include "dom0/unpack/lzma.h"
#include "dom0/unpack/stream.h"

#define CHECK_NONE   0
#define CHECK_CRC32  1
#define CHECK_CRC64  4
#define FILTER_X86   0x04
#define FILTER_LZMA2 0x21
#define HEADER_MAX   1024 /* of a block */

/* What the blocks were and the index has to agree with. */
struct sizes {
    uint64_t blocks, packed, unpacked;
};

struct xz {
    struct stream *s;
    uint16_t flags; /* 2.1.1.2 */
    struct sizes seen;
    /* The block's header, being read. */
    uint8_t header[HEADER_MAX];
    size_t at, len;
    uint64_t packed, unpacked; /* as it says, or UINT64_MAX */
    bool x86;
};

/* 2.1.1 */
static void stream_header(struct xz *x)
{
    uint8_t head[6];
    unsigned check;

    for (unsigned i = 0; i < sizeof head; i++)
        head[i] = stream_byte(x->s);
    x->flags = (uint16_t)stream_number(x->s, 2);
    check = x->flags >> 8;
    if (unpack_recognise(head, sizeof head) != UNPACK_XZ || x->flags & 0xf0ff)
        stream_damaged(x->s, "it has no xz header");
    if (stream_number(x->s, 4) != checksum_crc32(0, (uint8_t *)&x->flags, 2))
        stream_damaged(x->s, "the checksum of its header is wrong");
    if (check != CHECK_NONE && check != CHECK_CRC32 && check != CHECK_CRC64)
        stream_fail(x->s, -XEN_EOPNOTSUPP,
                    "it has a checksum other than CRC32 and CRC64: pack it with xz --check=crc32");
}

static uint8_t header_byte(struct xz *x)
{
    if (x->at < x->len)
        return x->header[x->at++];
    stream_damaged(x->s, "a block's header is too short");
    return 0;
}

/* 1.2: seven bits a byte, the lowest first; bit 7 says that more follow. */
static uint64_t get_varint(struct xz *x, uint8_t (*next)(struct xz *x))
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t byte = next(x);

        n |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) {
            if (!byte && shift)
                stream_damaged(x->s, "it has a number with superfluous zeros");
            return n;
        }
    }
    stream_damaged(x->s, "it has a number that is too large");
    return 0;
}

/* 3.1.5: known is LZMA2, with the x86 filter before it or not. */
static void get_filters(struct xz *x, unsigned count)
{
    x->x86 = false;
    for (unsigned i = 1; i <= count && !stream_failed(x->s); i++) {
        uint64_t id = get_varint(x, header_byte), size = get_varint(x, header_byte);
        bool start_offset = false;

        for (; size && !stream_failed(x->s); size--)
            start_offset |= header_byte(x) != 0;
        if (id == FILTER_X86 && i < count && !x->x86 && !start_offset)
            x->x86 = true;
        else if (id != FILTER_LZMA2 || i != count)
            stream_fail(x->s, -XEN_EOPNOTSUPP,
                        "it has a filter that is not known here: pack it with xz --x86 --lzma2");
    }
}

/* 3.1; size is its first byte. */
static void block_header(struct xz *x, uint8_t size)
{
    unsigned flags;

    x->len = ((size_t)size + 1) * 4 - 4;
    x->header[0] = size;
    for (x->at = 1; x->at < x->len; x->at++)
        x->header[x->at] = stream_byte(x->s);
    if (stream_number(x->s, 4) != checksum_crc32(0, x->header, x->len)) {
        stream_damaged(x->s, "the checksum of a block's header is wrong");
        return;
    }
    x->at = 1;
    flags = header_byte(x);
    if (flags & 0x3c)
        stream_damaged(x->s, "a block's header has unknown flags");
    x->packed = flags & 0x40 ? get_varint(x, header_byte) : UINT64_MAX;
    x->unpacked = flags & 0x80 ? get_varint(x, header_byte) : UINT64_MAX;
    get_filters(x, (flags & 3) + 1);
    while (x->at < x->len)
        if (header_byte(x))
            stream_damaged(x->s, "a block's header is too long");
}

static void add_crc32(void *ctx, uint8_t *bytes, size_t len)
{
    uint64_t *crc = ctx;

    *crc = checksum_crc32((uint32_t)*crc, bytes, len);
}

static void add_crc64(void *ctx, uint8_t *bytes, size_t len)
{
    uint64_t *crc = ctx;

    *crc = checksum_crc64(*crc, bytes, len);
}

/* 3.4; returns how many bytes it has. */
static unsigned block_check(struct xz *x, uint64_t begin)
{
    unsigned check = x->flags >> 8, size = check == CHECK_CRC64 ? 8 : check == CHECK_CRC32 ? 4 : 0;
    uint64_t crc = 0;

    if (size)
        stream_each(x->s, begin, size == 8 ? add_crc64 : add_crc32, &crc);
    if (stream_number(x->s, size) != crc)
        stream_damaged(x->s, "its checksum is wrong");
    return size;
}

static void skip_padding(struct xz *x, uint64_t begin)
{
    while ((stream_taken(x->s) - begin) % 4 && !stream_failed(x->s))
        if (stream_byte(x->s))
            stream_damaged(x->s, "its padding is not zero");
}

static void block(struct xz *x, uint8_t header_size)
{
    struct stream *s = x->s;
    uint64_t begin = stream_taken(s) - 1, out_begin = stream_size(s), in_begin, packed;

    block_header(x, header_size);
    in_begin = stream_taken(s);
    if (stream_failed(s) || lzma2_decode(s))
        return;
    if (x->x86)
        bcj_x86_undo(s, out_begin);
    if ((x->packed != UINT64_MAX && x->packed != stream_taken(s) - in_begin) ||
        (x->unpacked != UINT64_MAX && x->unpacked != stream_size(s) - out_begin))
        stream_damaged(s, "a block has another size than it says");
    packed = stream_taken(s) - begin;
    skip_padding(x, begin);
    x->seen.blocks++;
    x->seen.packed += packed + block_check(x, out_begin);
    x->seen.unpacked += stream_size(s) - out_begin;
}

/* Bytes of the index, kept for its checksum. */
static uint8_t index_byte(struct xz *x)
{
    uint8_t byte = stream_byte(x->s);

    x->header[x->at++ % HEADER_MAX] = byte;
    return byte;
}

/* The bytes of the index since the last call, of which there are few. */
static uint32_t index_checksum(struct xz *x, uint32_t crc)
{
    crc = checksum_crc32(crc, x->header, x->at);
    x->at = 0;
    return crc;
}

/* 4; its first byte, 0, is taken. Returns its size. */
static uint64_t stream_index(struct xz *x)
{
    struct sizes said = {0};
    uint64_t begin = stream_taken(x->s) - 1;
    uint32_t crc;

    x->header[0] = 0;
    x->at = 1;
    said.blocks = get_varint(x, index_byte);
    crc = index_checksum(x, 0);
    for (uint64_t i = 0; i < said.blocks && !stream_failed(x->s); i++) {
        said.packed += get_varint(x, index_byte);
        said.unpacked += get_varint(x, index_byte);
        crc = index_checksum(x, crc);
    }
    while ((stream_taken(x->s) - begin) % 4 && !stream_failed(x->s))
        if (index_byte(x))
            stream_damaged(x->s, "its padding is not zero");
    crc = index_checksum(x, crc);
    if (stream_number(x->s, 4) != crc)
        stream_damaged(x->s, "the checksum of its index is wrong");
    if (memcmp(&said, &x->seen, sizeof said))
        stream_damaged(x->s, "its index does not fit its blocks");
    return stream_taken(x->s) - begin;
}

/* 2.1.2 */
static void stream_footer(struct xz *x, uint64_t index_size)
{
    uint32_t crc = (uint32_t)stream_number(x->s, 4);
    uint8_t body[6];

    for (unsigned i = 0; i < sizeof body; i++)
        body[i] = stream_byte(x->s);
    if (crc != checksum_crc32(0, body, sizeof body))
        stream_damaged(x->s, "the checksum of its footer is wrong");
    crc = (uint32_t)body[0] | (uint32_t)body[1] << 8 | (uint32_t)body[2] << 16 |
          (uint32_t)body[3] << 24;
    if (((uint64_t)crc + 1) * 4 != index_size || memcmp(body + 4, &x->flags, 2) ||
        stream_number(x->s, 2) != ('Y' | 'Z' << 8))
        stream_damaged(x->s, "its footer is wrong");
}

int xz_decode(struct stream *s)
{
    struct xz x = {.s = s};
    uint8_t first;

    stream_header(&x);
    while ((first = stream_byte(s)) != 0 && !stream_failed(s))
        block(&x, first);
    if (!stream_failed(s))
        stream_footer(&x, stream_index(&x));
    return s->error;
}
