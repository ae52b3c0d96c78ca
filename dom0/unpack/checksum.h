/* SPDX-License-Identifier: MIT */
/*
 * The checksums of packed files. Each is fed part by part; the state between parts is the value
 * itself (CRC) or a struct. For the decoders of this folder. Pure.
 */
#ifndef DOM0_UNPACK_CHECKSUM_H
#define DOM0_UNPACK_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in gzip and xz, and CRC-64 as in xz (ECMA-182, reflected). Begin with 0. */
uint32_t checksum_crc32(uint32_t crc, const uint8_t *bytes, size_t len);
uint64_t checksum_crc64(uint64_t crc, const uint8_t *bytes, size_t len);

/* Adler-32 as in zlib. Begin with 1. */
uint32_t checksum_adler32(uint32_t adler, const uint8_t *bytes, size_t len);

/* XXH64 with seed 0, as in zstd.. */
struct checksum_xxh64 {
    uint64_t lane[4];
    uint64_t total;
    uint8_t rest[32]; /* total % 32 bytes that wait for their block */
};

void checksum_xxh64_init(struct checksum_xxh64 *x);
void checksum_xxh64_feed(struct checksum_xxh64 *x, const uint8_t *bytes, size_t len);
uint64_t checksum_xxh64_value(const struct checksum_xxh64 *x);

#endif
