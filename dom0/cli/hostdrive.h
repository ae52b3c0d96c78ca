/* SPDX-License-Identifier: MIT */
/*
 * The host's drive: a second disk, by which files come from outside and go there. It is the first
 * NVMe disk, where domain 0's own is a virtio one; it holds an ext2 file system, or is one file.
 * For the command line's thread.
 */
#ifndef DOM0_CLI_HOSTDRIVE_H
#define DOM0_CLI_HOSTDRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTDRIVE_WHY_MAX 320

/* One file of it, or all of it. */
struct hostfile {
    struct ext2 *fs; /* NULL: the drive as it is */
    struct ext2_inode *ip;
    uint64_t size;
    char temporary[520], path[512]; /* while it is written */
};

/*
 * Opens an existing file for reading; path NULL: the drive. On a negative errno `why` is one line
 * on it.
 */
int hostfile_open(struct hostfile *f, const char *path, char why[HOSTDRIVE_WHY_MAX]);
/* A file to be written, of that size; path NULL: the drive, from its start. */
int hostfile_create(struct hostfile *f, const char *path, uint64_t size,
                    char why[HOSTDRIVE_WHY_MAX]);

int hostfile_read(struct hostfile *f, void *buf, size_t len, uint64_t offset);
/* Parts that are not written are zeros; of a drive, what was there. */
int hostfile_write(struct hostfile *f, const void *buf, size_t len, uint64_t offset);

/*
 * Ends it. A file that was written gets its name if `keep`, over one that has it already, and is on
 * the drive for good when this returns 0; otherwise nothing is left of it.
 */
int hostfile_close(struct hostfile *f, bool keep);

#endif
