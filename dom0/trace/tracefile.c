/* SPDX-License-Identifier: MIT */
#include "dom0/trace/tracefile.h"

#include <string.h>

#define NAME_PART 16u
#define NAME_MAX  63u

size_t tracefile_record(uint8_t *to, const struct trace_record *r)
{
    size_t words = TRC_HD_EXTRA(r->header);
    size_t bytes = 3 * sizeof(uint32_t) + (words < 5 ? words : 5) * sizeof(uint32_t);

    memcpy(to, r, bytes);
    return bytes;
}

/* A record without a time. */
static size_t put(uint8_t *to, uint32_t event, unsigned words, const uint32_t *word)
{
    uint32_t header = event | words << TRACE_EXTRA_SHIFT;

    memcpy(to, &header, sizeof header);
    memcpy(to + sizeof header, word, words * sizeof *word);
    return (1 + words) * sizeof(uint32_t);
}

size_t tracefile_piece(uint8_t *to, unsigned pcpu, uint32_t bytes)
{
    uint32_t word[2] = {pcpu, bytes};

    return put(to, TRC_TRACE_CPU_CHANGE, 2, word);
}

size_t tracefile_head(uint8_t *to, unsigned pcpus, uint64_t lost)
{
    uint32_t word[4] = {TRACE_FILE_VERSION, pcpus, (uint32_t)lost, (uint32_t)(lost >> 32)};

    return put(to, TRACE_FILE_HEAD, 4, word);
}

size_t tracefile_name(uint8_t *to, uint32_t domid, const char *name)
{
    size_t length = strnlen(name, NAME_MAX), done = 0, bytes = 0;

    do {
        uint32_t word[1 + NAME_PART / sizeof(uint32_t)] = {domid};
        size_t part = length - done < NAME_PART ? length - done : NAME_PART;

        memcpy(&word[1], name + done, part);
        bytes += put(to + bytes, TRACE_FILE_NAME, sizeof word / sizeof word[0], word);
        done += part;
    } while (done < length);
    return bytes;
}
