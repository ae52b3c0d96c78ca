/* SPDX-License-Identifier: MIT */
/*
 * Files for the images' tests on the host: below "/mem/" in memory, with a log of all writes for
 * tests that let the power go; all others are files of the host.
 */
#ifndef TESTS_UNIT_IMAGE_HOST_H
#define TESTS_UNIT_IMAGE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/image/image.h"

#define HOST_MEM     "/mem/"
#define HOST_MEM_MAX (256u << 20) /* bytes of a file in memory: beyond, there is no space */

extern const struct image_env host_env;

/* A file in memory: its bytes, or NULL. host_put() makes or replaces one. */
struct host_mem {
    char path[64];
    uint8_t *data;
    uint64_t size, room;
    unsigned users;
    bool logged;
};
struct host_mem *host_find(const char *path);
struct host_mem *host_put(const char *path, const void *data, uint64_t size);
void host_forget_all(void);
/* A file of the host into memory, and back. */
void host_load(const char *path, const char *from);
void host_save(const char *path, const char *to);

/* What happened to the files that are `logged`, in order. */
enum host_op { HOST_WRITE, HOST_RESIZE, HOST_FLUSH };
struct host_log {
    enum host_op op;
    struct host_mem *file;
    uint64_t offset, len;
    uint8_t *data;
};
extern struct host_log *host_log;
extern unsigned host_log_count;
void host_log_clear(void);

/* Pieces for decompression that are out; accesses of files that still may be (0: any). */
extern unsigned host_pieces;
extern uint64_t host_accesses_left;
/* From the n-th access of a file on, each fails; 0: none. */
extern uint64_t host_fail_at, host_accesses;

uint64_t host_random(void);
extern uint64_t host_seed;

#endif
