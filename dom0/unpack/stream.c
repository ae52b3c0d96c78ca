/* SPDX-License-Identifier: MIT */
#include "dom0/unpack/stream.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

int stream_fail(struct stream *s, int error, const char *why)
{
    if (!s->error) {
        s->error = error;
        s->why = why;
    }
    s->in_end = s->in;
    s->out_end = s->out;
    return s->error;
}

int stream_damaged(struct stream *s, const char *why)
{
    return stream_fail(s, -XEN_EINVAL, why);
}

bool stream_fill(struct stream *s)
{
    uint64_t left = s->source->size - s->next;
    size_t len = left < STREAM_BUFFER ? (size_t)left : STREAM_BUFFER;
    int rc;

    if (s->error)
        return false;
    if (!len) {
        stream_damaged(s, "it is cut off");
        return false;
    }
    rc = s->source->read(s->source->ctx, s->source->offset + s->next, s->buffer, len);
    if (rc < 0) {
        stream_fail(s, rc, "it cannot be read");
        return false;
    }
    s->next += len;
    s->in = s->buffer;
    s->in_end = s->buffer + len;
    return true;
}

uint64_t stream_number(struct stream *s, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < bytes; i++)
        n |= (uint64_t)stream_byte(s) << 8 * i;
    return n;
}

uint64_t stream_taken(const struct stream *s)
{
    return s->next - (uint64_t)(s->in_end - s->in);
}

bool stream_has_more(const struct stream *s)
{
    return !s->error && stream_taken(s) < s->source->size;
}

size_t stream_peek(struct stream *s, uint8_t *bytes, size_t len)
{
    size_t have = (size_t)(s->in_end - s->in);
    uint64_t left = s->source->size - s->next;

    /* Begin the buffer with what is left of it, so that both lie together. */
    if (have < len && left && !s->error) {
        size_t more = left < STREAM_BUFFER - have ? (size_t)left : STREAM_BUFFER - have;
        int rc;

        memmove(s->buffer, s->in, have);
        rc = s->source->read(s->source->ctx, s->source->offset + s->next, s->buffer + have, more);
        if (rc < 0) {
            stream_fail(s, rc, "it cannot be read");
            return 0;
        }
        s->next += more;
        s->in = s->buffer;
        s->in_end = s->buffer + have + more;
        have += more;
    }
    if (len > have)
        len = have;
    memcpy(bytes, s->in, len);
    return len;
}

/* Room for the pointer to one more piece. */
static bool grow_table(struct unpack_data *d)
{
    size_t room = d->room ? d->room * 2 : 64;
    uint8_t **pieces;

    if (d->count < d->room)
        return true;
    pieces = realloc(d->pieces, room * sizeof *pieces);
    if (!pieces)
        return false;
    d->pieces = pieces;
    d->room = room;
    return true;
}

bool stream_grow(struct stream *s)
{
    struct unpack_data *d = s->data;
    uint8_t *piece;

    if (s->error)
        return false;
    if (s->source->limit && (uint64_t)d->count << UNPACK_PIECE_SHIFT >= s->source->limit) {
        stream_damaged(s, "it becomes more than it may");
        return false;
    }
    piece = grow_table(d) ? d->host->alloc() : NULL;
    if (!piece) {
        stream_fail(s, -XEN_ENOMEM, "there is not enough memory to unpack it");
        return false;
    }
    d->pieces[d->count++] = piece;
    s->out = piece;
    s->out_end = piece + UNPACK_PIECE;
    d->host->pause();
    return true;
}

uint8_t stream_look_back(const struct stream *s, uint64_t distance)
{
    uint64_t size = stream_size(s);

    return distance && distance <= size - s->out_start ? *stream_at(s, size - distance) : 0;
}

/* As many bytes as lie in one piece, at both ends. */
static size_t repeat_part(struct stream *s, uint64_t distance, uint64_t length)
{
    uint64_t from = stream_size(s) - distance;
    uint64_t in_piece = UNPACK_PIECE - (from & (UNPACK_PIECE - 1));
    uint64_t room = (uint64_t)(s->out_end - s->out);
    const uint8_t *source = stream_at(s, from);
    uint8_t *out = s->out;
    size_t n = (size_t)length;

    if (n > in_piece)
        n = (size_t)in_piece;
    if (n > room)
        n = (size_t)room;
    if (distance >= n)
        memcpy(out, source, n);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = source[i];
    s->out += n;
    return n;
}

void stream_repeat(struct stream *s, uint64_t distance, uint64_t length)
{
    if (s->error)
        return;
    if (!distance || distance > stream_size(s) - s->out_start) {
        stream_damaged(s, "it refers to what was before its start");
        return;
    }
    while (length && (s->out != s->out_end || stream_grow(s)))
        length -= repeat_part(s, distance, length);
}

void stream_write(struct stream *s, const uint8_t *bytes, size_t len)
{
    while (len && (s->out != s->out_end || stream_grow(s))) {
        size_t n = (size_t)(s->out_end - s->out);

        if (n > len)
            n = len;
        memcpy(s->out, bytes, n);
        s->out += n;
        bytes += n;
        len -= n;
    }
}

void stream_pass(struct stream *s, uint64_t len)
{
    while (len && (s->in != s->in_end || stream_fill(s))) {
        uint64_t have = (uint64_t)(s->in_end - s->in), n = have < len ? have : len;
        const uint8_t *in = s->in;

        s->in += n;
        stream_write(s, in, (size_t)n);
        len -= n;
    }
}

void stream_each(const struct stream *s, uint64_t from,
                 void (*fn)(void *ctx, uint8_t *bytes, size_t len), void *ctx)
{
    uint64_t size = stream_size(s);

    while (from < size) {
        uint64_t n = UNPACK_PIECE - (from & (UNPACK_PIECE - 1));

        if (n > size - from)
            n = size - from;
        fn(ctx, stream_at(s, from), (size_t)n);
        s->data->host->pause();
        from += n;
    }
}
