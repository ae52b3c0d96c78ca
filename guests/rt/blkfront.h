/* SPDX-License-Identifier: MIT */
/*
 * Virtual disks: the front end of Xen's block protocol (<xen/io/blkif.h>), one ring page, up to 64
 * pages a request where the back end takes indirect ones, else 11, no persistent grants. For
 * threads; several may use one disk at a time, and one large transfer is several requests in
 * flight.
 */
#ifndef RT_BLKFRONT_H
#define RT_BLKFRONT_H

#include <stdbool.h>
#include <stdint.h>

#define BLKFRONT_SECTOR 512

struct blkfront;

/*
 * Connects a disk of this domain: by name ("xvda"), by number ("51712"), by place ("0" is the first
 * that the store lists), or NULL for the first. Waits for the back end, 30 s at most. On failure
 * NULL, and *rc (may be NULL) says: -XEN_ENODEV no such disk, -XEN_ETIMEDOUT the back end does not
 * answer, -XEN_EIO it closed or makes no sense, -XEN_EBUSY opened already, -XEN_ENOMEM, or an error
 * of the store.
 */
struct blkfront *blkfront_open(const char *which, int *rc);

/* Says goodbye to the back end and frees everything; no transfer may be under way. */
void blkfront_close(struct blkfront *disk);

/* May change while it is open, when the back end says so. */
uint64_t blkfront_sectors(const struct blkfront *disk);
/* True once the back end wants the disk back, or has taken it: close it. */
bool blkfront_leaving(const struct blkfront *disk);
bool blkfront_readonly(const struct blkfront *disk);
/* Brings both up to date. Whether a transfer failed because of a change is to be told after this
 * only: the answer comes over the ring, the news of the change over the store, and maybe later. */
void blkfront_ask(struct blkfront *disk);

/*
 * Transfers `count` sectors; returns when all of it is done. `buf` lies in the direct map (malloc,
 * page_alloc, statics) and is aligned to a sector. 0, or: -XEN_EINVAL bad alignment or beyond the
 * end, -XEN_EROFS writing a read-only disk, -XEN_EIO the back end failed the request or is gone,
 * -XEN_ENOSPC no grant references.
 */
int blkfront_read(struct blkfront *disk, uint64_t sector, void *buf, uint32_t count);
int blkfront_write(struct blkfront *disk, uint64_t sector, const void *buf, uint32_t count);

/* Writes, and all writes before it and its own are on stable storage when it returns 0.
 * -XEN_EOPNOTSUPP if the back end has no barriers. */
int blkfront_write_barrier(struct blkfront *disk, uint64_t sector, const void *buf, uint32_t count);

/* What these sectors hold is of no use any more: they read as before or as zeros. -XEN_EOPNOTSUPP
 * if the back end has no use for that. */
int blkfront_discard(struct blkfront *disk, uint64_t sector, uint64_t count);

/* All writes that returned before it are on stable storage when it returns 0. Back ends without a
 * cache need none. */
int blkfront_flush(struct blkfront *disk);

#endif
