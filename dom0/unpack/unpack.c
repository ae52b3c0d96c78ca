/* SPDX-License-Identifier: MIT */
#include "dom0/unpack/unpack.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/unpack/stream.h"

static const struct {
    const char *name;
    const char *magic;
    unsigned len;
    int (*decode)(struct stream *s);
} formats[] = {
    [UNPACK_NONE] = {"none", "", 0, NULL},
    [UNPACK_DEFLATE] = {"deflate", "", 0, deflate_decode},
    [UNPACK_ZLIB] = {"zlib", "", 0, zlib_decode},
    [UNPACK_GZIP] = {"gzip", "\x1f\x8b\x08", 3, gzip_decode},
    [UNPACK_XZ] = {"xz", "\xfd\x37\x7a\x58\x5a\0", 6, xz_decode},
    [UNPACK_ZSTD] = {"zstd", "\x28\xb5\x2f\xfd", 4, zstd_decode},
    [UNPACK_BZIP2] = {"bzip2", "BZh", 3, NULL},
    [UNPACK_LZMA] = {"lzma", "\x5d\0\0", 3, NULL},
    [UNPACK_LZO] = {"lzo", "\x89LZO", 4, NULL},
    [UNPACK_LZ4] = {"lz4", "\x02\x21\x4c\x18", 4, NULL},
};

#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

enum unpack_format unpack_recognise(const uint8_t *head, size_t len)
{
    for (unsigned i = UNPACK_GZIP; i < FORMAT_COUNT; i++)
        if (len >= formats[i].len && !memcmp(head, formats[i].magic, formats[i].len))
            return (enum unpack_format)i;
    return UNPACK_NONE;
}

const char *unpack_name(enum unpack_format format)
{
    return formats[format].name;
}

/* A file may be several packed ones, one behind the other. */
static void decode_members(struct stream *s, enum unpack_format format)
{
    uint8_t head[UNPACK_MAGIC_MAX];

    do {
        s->out_start = stream_size(s);
        formats[format].decode(s);
    } while (!s->source->single && stream_has_more(s) &&
             unpack_recognise(head, stream_peek(s, head, sizeof head)) == format);
}

int unpack(const struct unpack_source *source, enum unpack_format format, struct unpack_data *data,
           const char **why)
{
    struct stream s = {.source = source, .data = data};

    data->pieces = NULL;
    data->count = data->room = 0;
    data->size = 0;
    *why = "it is compressed in a way that is not known here";
    if (!formats[format].decode)
        return -XEN_EOPNOTSUPP;
    s.buffer = malloc(STREAM_BUFFER);
    if (!s.buffer) {
        *why = "there is not enough memory to unpack it";
        return -XEN_ENOMEM;
    }
    s.in = s.in_end = s.buffer;
    decode_members(&s, format);
    free(s.buffer);
    data->size = s.error ? 0 : stream_size(&s);
    *why = s.why;
    if (s.error)
        unpack_free(data);
    return s.error;
}

void unpack_copy(const struct unpack_data *data, uint64_t offset, void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len) {
        size_t in_piece = UNPACK_PIECE - (offset & (UNPACK_PIECE - 1));
        size_t n = len < in_piece ? len : in_piece;

        memcpy(to, data->pieces[offset >> UNPACK_PIECE_SHIFT] + (offset & (UNPACK_PIECE - 1)), n);
        to += n;
        offset += n;
        len -= n;
    }
}

void unpack_free(struct unpack_data *data)
{
    for (size_t i = 0; i < data->count; i++)
        data->host->free(data->pieces[i]);
    free(data->pieces);
    data->pieces = NULL;
    data->count = data->room = 0;
    data->size = 0;
}
