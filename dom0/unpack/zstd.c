/* SPDX-License-Identifier: MIT */
/* zstd: frames and blocks (RFC 8878, 3.1.1). */
#include "dom0/unpack/zstd.h"

#include <stdlib.h>
#include <xen/errno.h>

#include "dom0/unpack/checksum.h"

#define MAGIC 0xfd2fb528u

enum block_type { BLOCK_RAW, BLOCK_REPEAT, BLOCK_PACKED, BLOCK_RESERVED };

struct frame {
    bool has_checksum, has_size;
    uint64_t size;
};

/* 3.1.1.1. The window's size is not needed: all of the output stays. */
static void frame_header(struct stream *s, struct frame *f)
{
    static const uint8_t id_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    uint32_t magic = (uint32_t)stream_number(s, 4);
    uint8_t flags = stream_byte(s);
    bool one_segment = flags & 0x20;
    unsigned bytes = size_bytes[flags >> 6];

    if (magic != MAGIC || flags & 8)
        stream_damaged(s, "it has no zstd header");
    if (!one_segment)
        stream_byte(s);
    if (stream_number(s, id_bytes[flags & 3]))
        stream_fail(s, -XEN_EOPNOTSUPP, "it needs a dictionary: pack it without");
    if (one_segment && !bytes)
        bytes = 1;
    f->has_checksum = flags & 4;
    f->has_size = bytes != 0;
    f->size = stream_number(s, bytes) + (bytes == 2 ? 256 : 0);
}

static void packed_block(struct zstd *z, size_t size)
{
    struct zstd_input in = {z->block, size};
    struct stream *s = z->s;

    for (size_t i = 0; i < size; i++)
        z->block[i] = stream_byte(s);
    if (!stream_failed(s) && !zstd_literals(z, &in))
        zstd_sequences(z, &in);
}

/* 3.1.1.2. True if it was the last. */
static bool block(struct zstd *z)
{
    struct stream *s = z->s;
    uint32_t header = (uint32_t)stream_number(s, 3), size = header >> 3;

    if (size > ZSTD_BLOCK_MAX) {
        stream_damaged(s, "a block is too large");
        return true;
    }
    switch ((enum block_type)(header >> 1 & 3)) {
    case BLOCK_RAW:
        stream_pass(s, size);
        break;
    case BLOCK_REPEAT:
        for (uint8_t byte = stream_byte(s); size; size--)
            stream_put(s, byte);
        break;
    case BLOCK_PACKED:
        packed_block(z, size);
        break;
    case BLOCK_RESERVED:
        stream_damaged(s, "a block is of no kind");
        break;
    }
    return header & 1;
}

static void add_xxh64(void *ctx, uint8_t *bytes, size_t len)
{
    checksum_xxh64_feed(ctx, bytes, len);
}

static void frame_end(struct stream *s, const struct frame *f)
{
    struct checksum_xxh64 x;

    if (f->has_size && f->size != stream_size(s) - s->out_start)
        stream_damaged(s, "its size is wrong");
    if (!f->has_checksum || stream_failed(s))
        return;
    checksum_xxh64_init(&x);
    stream_each(s, s->out_start, add_xxh64, &x);
    if (stream_number(s, 4) != (uint32_t)checksum_xxh64_value(&x))
        stream_damaged(s, "its checksum is wrong");
}

int zstd_decode(struct stream *s)
{
    struct zstd *z = calloc(1, sizeof *z);
    struct frame f;

    if (!z)
        return stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
    z->s = s;
    z->repeat[0] = 1; /* 3.1.1.5 */
    z->repeat[1] = 4;
    z->repeat[2] = 8;
    frame_header(s, &f);
    while (!stream_failed(s) && !block(z))
        ;
    if (!stream_failed(s))
        frame_end(s, &f);
    free(z);
    return s->error;
}
