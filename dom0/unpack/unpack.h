/* SPDX-License-Identifier: MIT */
/*
 * Compressed files, unpacked into memory: gzip, xz and zstd, as kernels are packed with them. Pure:
 * the file comes by a callback, the memory from another, so that the host tests it with damaged
 * files. Nothing in a file is believed: whatever it holds, unpack() ends, stays inside its memory
 * and has checked each checksum that the format carries. For the builder and the command line.
 */
#ifndef DOM0_UNPACK_UNPACK_H
#define DOM0_UNPACK_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a file's first bytes say of it. Those from UNPACK_BZIP2 on are known by name only; a zlib
 * stream (RFC 1950) and bare deflate data (RFC 1951), as disk images have them, are not recognised.
 */
enum unpack_format {
    UNPACK_NONE,
    UNPACK_DEFLATE,
    UNPACK_ZLIB,
    UNPACK_GZIP,
    UNPACK_XZ,
    UNPACK_ZSTD,
    UNPACK_BZIP2,
    UNPACK_LZMA,
    UNPACK_LZO,
    UNPACK_LZ4,
};

#define UNPACK_MAGIC_MAX 6 /* bytes that unpack_recognise wants to see */

enum unpack_format unpack_recognise(const uint8_t *head, size_t len);

/* "gzip", "xz", ...; never NULL. */
const char *unpack_name(enum unpack_format format);

/* Where the packed bytes come from. `read` gets exactly len bytes at an offset inside the source;
 * it may wait. 0 or a negative errno. */
struct unpack_source {
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
    void *ctx;
    uint64_t offset, size; /* the part of the source that is packed, in bytes */
    uint64_t limit;        /* it is damaged if it becomes more than so many bytes; 0: any */
    bool single;           /* one member (frame), whatever lies behind it */
};

/* The unpacked bytes, in pieces of one size, since dom0 has no large blocks of memory. */
#define UNPACK_PIECE_SHIFT 16
#define UNPACK_PIECE       (1u << UNPACK_PIECE_SHIFT)

/* What unpacking needs of its surroundings. */
struct unpack_host {
    void *(*alloc)(void); /* a piece, or NULL when there is no more to spare */
    void (*free)(void *piece);
    void (*pause)(void); /* called after each piece or so: others may run */
};

struct unpack_data {
    const struct unpack_host *host;
    uint8_t **pieces;
    size_t count, room; /* pieces in use, and pointers that there is room for */
    uint64_t size;      /* bytes */
};

/*
 * Unpack the source into data, of which only `host` is set. Bytes behind the packed part are left
 * alone: Linux puts the size there. Returns 0; or, with nothing left in data and *why the reason as
 * a phrase ("it is damaged: ..."): -XEN_EOPNOTSUPP a format, or a variant, that is not known here;
 * -XEN_EINVAL damaged; -XEN_ENOMEM; what `read` returned.
 */
int unpack(const struct unpack_source *source, enum unpack_format format, struct unpack_data *data,
           const char **why);

/* Copy len bytes at an offset, all inside data->size. */
void unpack_copy(const struct unpack_data *data, uint64_t offset, void *buf, size_t len);

/* Give the pieces back. */
void unpack_free(struct unpack_data *data);

#endif
