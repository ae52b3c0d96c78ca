/* SPDX-License-Identifier: MIT */
/*
 * The files below images: what they are made of on dom0 and on the host, and the accesses that stay
 * inside of them.
 */
#ifndef DOM0_IMAGE_IMGFILE_H
#define DOM0_IMAGE_IMGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_PATH_MAX 512
#define IMAGE_WHY_MAX  (IMAGE_PATH_MAX + 200)

struct image_file;

struct image_file_ops {
    /* All of it, which lies inside the file; 0 or a negative errno. */
    int (*read)(struct image_file *f, uint64_t offset, void *buf, size_t len);
    int (*write)(struct image_file *f, uint64_t offset, const void *buf, size_t len);
    /* What is new reads as zeros and takes no space. */
    int (*resize)(struct image_file *f, uint64_t size);
    /* All that was written is on stable storage afterwards. */
    int (*flush)(struct image_file *f);
    void (*close)(struct image_file *f);
    /* May be NULL. Bytes from there on, at most len, that were never written, as far as that is
     * known: a file's hole. */
    uint64_t (*hole)(struct image_file *f, uint64_t offset, uint64_t len);
    /* May be NULL. Gives back the space of what lies in whole blocks there, inside the file: that
     * reads as zeros afterwards, the rest as before. */
    int (*punch)(struct image_file *f, uint64_t offset, uint64_t len);
};

struct image_file {
    const struct image_file_ops *ops;
    uint64_t size; /* bytes; kept here by imgfile_resize() */
    bool writable;
    void *priv;
};

enum image_file_flags {
    IMAGE_FILE_WRITE = 1,
    IMAGE_FILE_CREATE = 2, /* it must not be there yet */
};

/* What images need of their surroundings. */
struct image_env {
    const char *who; /* for whom, in messages of others: "domain web1" */
    /* On error `why` (IMAGE_WHY_MAX bytes) may get a phrase about it, like "in use by domain a". */
    int (*open)(const struct image_env *env, const char *path, unsigned flags,
                struct image_file **out, char *why);
    int (*remove)(const char *path);
    uint32_t (*random)(void);
    void (*yield)(void);   /* called in between long work: others may run */
    bool (*stopped)(void); /* true: somebody does not want to wait for that work; may be NULL */
    /* Pieces of UNPACK_PIECE bytes for decompression (dom0/unpack/unpack.h). */
    void *(*piece_alloc)(void);
    void (*piece_free)(void *piece);
};

/* -XEN_EIO outside the file. */
int imgfile_read(struct image_file *f, uint64_t offset, void *buf, size_t len);
/* The same, but behind the end of the file are zeros. */
int imgfile_read_zero(struct image_file *f, uint64_t offset, void *buf, size_t len);
/* Grows the file when it has to. */
int imgfile_write(struct image_file *f, uint64_t offset, const void *buf, size_t len);
int imgfile_resize(struct image_file *f, uint64_t size);
/* Zeros over a part of the file. */
int imgfile_zero(struct image_file *f, uint64_t offset, uint64_t len);
int imgfile_flush(struct image_file *f);
uint64_t imgfile_hole(struct image_file *f, uint64_t offset, uint64_t len);
/* Where a file cannot have holes, all stays as it is. */
int imgfile_punch(struct image_file *f, uint64_t offset, uint64_t len);
void imgfile_close(struct image_file *f); /* NULL is allowed */

/* True if [offset, offset + len) lies inside [0, size). */
static inline bool imgfile_inside(uint64_t size, uint64_t offset, uint64_t len)
{
    return offset <= size && len <= size - offset;
}

/* Numbers as they lie in files. */
static inline uint64_t get_be(const uint8_t *at, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | at[i];
    return n;
}

static inline void put_be(uint8_t *at, unsigned bytes, uint64_t n)
{
    for (unsigned i = bytes; i > 0; i--, n >>= 8)
        at[i - 1] = (uint8_t)n;
}

static inline uint64_t get_le(const uint8_t *at, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = bytes; i > 0; i--)
        n = n << 8 | at[i - 1];
    return n;
}

static inline void put_le(uint8_t *at, unsigned bytes, uint64_t n)
{
    for (unsigned i = 0; i < bytes; i++, n >>= 8)
        at[i] = (uint8_t)n;
}

#endif
