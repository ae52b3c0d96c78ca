/* SPDX-License-Identifier: MIT */
/*
 * What all decoders read from and write to. Input is taken byte by byte from a buffer; output goes
 * to pieces that all stay, so that it is its own dictionary.
 *
 * An error is kept in the stream and nothing needs to look at it at once: input is zeros from then
 * on and output goes nowhere. A decoder's loops ask stream_failed() once a round, so they end. For
 * the decoders of this folder.
 */
#ifndef DOM0_UNPACK_STREAM_H
#define DOM0_UNPACK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/unpack/unpack.h"

#define STREAM_BUFFER 16384 /* bytes read at once: other threads run in between */

struct stream {
    const struct unpack_source *source;
    uint64_t next; /* bytes of the source that are or were in the buffer */
    const uint8_t *in, *in_end;
    uint8_t *buffer;

    struct unpack_data *data;
    uint8_t *out, *out_end; /* the unused part of the last piece */
    uint64_t out_start;     /* where this member began: no reference reaches behind it */

    int error; /* the first one */
    const char *why;
};

/* Keep the first error. Returns it, for `return stream_fail(...)`. */
int stream_fail(struct stream *s, int error, const char *why);

/* -XEN_EINVAL, for what is wrong in the file. `why` ends the phrase "it is damaged: ". */
int stream_damaged(struct stream *s, const char *why);

static inline bool stream_failed(const struct stream *s)
{
    return s->error != 0;
}

/* The slow halves of what follows: more input, another piece. False once there is an error. */
bool stream_fill(struct stream *s);
bool stream_grow(struct stream *s);

static inline uint8_t stream_byte(struct stream *s)
{
    return s->in != s->in_end || stream_fill(s) ? *s->in++ : 0;
}

/* A number of up to 8 bytes, least significant first. */
uint64_t stream_number(struct stream *s, unsigned bytes);

/* Bytes taken so far, and whether there are more. */
uint64_t stream_taken(const struct stream *s);
bool stream_has_more(const struct stream *s);

/* The next bytes without taking them; fewer than len at the end. */
size_t stream_peek(struct stream *s, uint8_t *bytes, size_t len);

static inline void stream_put(struct stream *s, uint8_t byte)
{
    if (s->out != s->out_end || stream_grow(s))
        *s->out++ = byte;
}

/* Bytes put so far in all. */
static inline uint64_t stream_size(const struct stream *s)
{
    return ((uint64_t)s->data->count << UNPACK_PIECE_SHIFT) - (uint64_t)(s->out_end - s->out);
}

/* The byte at a place below stream_size(). */
static inline uint8_t *stream_at(const struct stream *s, uint64_t at)
{
    return &s->data->pieces[at >> UNPACK_PIECE_SHIFT][at & (UNPACK_PIECE - 1)];
}

/* The byte `distance` back, 1 being the last one; 0 before the member's start. */
uint8_t stream_look_back(const struct stream *s, uint64_t distance);

/* Repeat `length` bytes from `distance` back, which may overlap with what they become. */
void stream_repeat(struct stream *s, uint64_t distance, uint64_t length);

/* Put bytes from memory, and from the input. */
void stream_write(struct stream *s, const uint8_t *bytes, size_t len);
void stream_pass(struct stream *s, uint64_t len);

/* Call fn for the output from byte `from` on, part by part. */
void stream_each(const struct stream *s, uint64_t from,
                 void (*fn)(void *ctx, uint8_t *bytes, size_t len), void *ctx);

/* The decoders, one member (frame, stream) each. Their result is s->error. */
int deflate_decode(struct stream *s);
int zlib_decode(struct stream *s);
int gzip_decode(struct stream *s);
int xz_decode(struct stream *s);
int zstd_decode(struct stream *s);

#endif
