/* SPDX-License-Identifier: MIT */
/*
 * What looks like an opcode, E8 or E9, may be the middle of another instruction. The filter takes
 * it for one if the highest byte of its operand is 00 or FF, as of a near target, and if no more
 * than one of the three bytes before was such a doubtful opcode too. It has to decide just as the
 * packer did, so the rules below are the format's, not ours to improve.
 */
#include "dom0/unpack/bcj.h"

#include <stdbool.h>

#include "dom0/unpack/stream.h"

#define INSTRUCTION 5 /* bytes: opcode and operand */

static bool is_sign(uint32_t byte)
{
    return byte == 0 || byte == 0xff;
}

/* The next place in [at, end) of what may be an opcode, or end. */
static uint64_t find_opcode(const struct stream *s, uint64_t at, uint64_t end)
{
    while (at < end) {
        uint64_t n = UNPACK_PIECE - (at & (UNPACK_PIECE - 1));
        const uint8_t *bytes = stream_at(s, at);

        if (n > end - at)
            n = end - at;
        for (uint64_t i = 0; i < n; i++)
            if ((bytes[i] & 0xfe) == 0xe8)
                return at + i;
        at += n;
        s->data->host->pause();
    }
    return end;
}

static uint32_t get_operand(const struct stream *s, uint64_t at)
{
    uint32_t operand = 0;

    for (unsigned i = 4; i; i--)
        operand = operand << 8 | *stream_at(s, at + i);
    return operand;
}

/*
 * The relative target for an absolute one. `doubtful` is 0, or how far back a doubtful opcode is:
 * then a byte of this operand is also the sign byte of the other's, and may not look like one.
 */
static uint32_t relative(uint32_t target, uint32_t next, unsigned doubtful)
{
    uint32_t result = target - next;

    while (doubtful && is_sign(result >> (24 - 8 * doubtful) & 0xff))
        result = (result ^ ((1u << (32 - 8 * doubtful)) - 1)) - next;
    result &= 0x01ffffff;
    return result & 0x01000000 ? result | 0xff000000 : result;
}

static void put_operand(struct stream *s, uint64_t at, uint32_t operand)
{
    for (unsigned i = 1; i <= 4; i++, operand >>= 8)
        *stream_at(s, at + i) = (uint8_t)operand;
}

void bcj_x86_undo(struct stream *s, uint64_t from)
{
    /* Bit n of `before`: the byte n + 1 before `last` was a doubtful opcode, and bit 0 `last`. */
    uint64_t size = stream_size(s), end = size - from < INSTRUCTION ? from : size - 4, at = from;
    uint64_t last = from;
    unsigned before = 0;

    while ((at = find_opcode(s, at, end)) < end) {
        static const uint8_t distance[5] = {0, 1, 2, 0, 3}; /* of the only bit */
        uint32_t operand = get_operand(s, at);

        before = at - last > 3 || at == last ? 0 : before << (at - last - 1) & 7;
        last = at;
        if ((before & (before - 1)) ||
            (before && is_sign(operand >> (24 - 8 * distance[before]) & 0xff)) ||
            !is_sign(operand >> 24)) {
            before = before << 1 | 1;
            at++;
        } else {
            put_operand(s, at,
                        relative(operand, (uint32_t)(at - from) + INSTRUCTION, distance[before]));
            at += INSTRUCTION;
        }
    }
}
