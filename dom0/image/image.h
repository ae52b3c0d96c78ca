/* SPDX-License-Identifier: MIT */
/*
 * Images of virtual disks: raw, qcow2 and VMDK files behind one interface, and chains of them, in
 * which a child holds what differs from its base. Pure: files come by callbacks, so the same code
 * serves guests on dom0 and is judged by qemu-img on the host.
 *
 * An image tells where a part of the disk lies, so that the back end can send guests' own pages
 * there without a copy. Where a guest writes for the first time, space is allocated in memory
 * first; image_flush() brings that to the file in an order that a power cut cannot break: what is
 * referred to is on stable storage before what refers to it, data before both.
 *
 * Nothing in a file is believed. What is damaged, or asks for what is not known here, is refused or
 * can be read only, with a reason in words; no access leaves the file, nothing loops, memory is
 * bounded.
 *
 * One image belongs to one thread. All calls may wait. Errors are negative Xen errno values.
 */
#ifndef DOM0_IMAGE_IMAGE_H
#define DOM0_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/image/format.h"
#include "dom0/image/imgfile.h"

#define IMAGE_SECTOR    512u
#define IMAGE_DEPTH_MAX 16 /* images in a chain */
#define IMAGE_SIZE_MAX  (1ull << 50)

struct image;

enum image_flags {
    IMAGE_WRITE = 1,  /* refused with -XEN_EROFS if it can only be read */
    IMAGE_ALONE = 2,  /* do not open its base: what lies there reads as zeros */
    IMAGE_SAME = 8,   /* with IMAGE_WRITE: what is written is what its only child shows already */
    IMAGE_REPAIR = 4, /* with IMAGE_WRITE: for image_check() with repair, damaged or not */
};

/*
 * Opens an image and its chain of bases. On error nothing is open, and `why` (IMAGE_WHY_MAX bytes)
 * says which file and what is wrong: -XEN_EINVAL damaged or no such format, -XEN_EOPNOTSUPP a
 * variant that is not known here, -XEN_EROFS (above), -XEN_ENOMEM, what the file's open returned.
 */
int image_open(const struct image_env *env, const char *path, enum image_format format,
               unsigned flags, struct image **out, char *why);
/* Brings all to the file, marks it as whole, and frees. The error is of the former: the image is
 * gone in any case. NULL is allowed. */
int image_close(struct image *im);

/* Facts, constant while it is open. */
struct image_info {
    const char *path;
    enum image_format format;
    const char *variant; /* "v3", "streamOptimized", or "" */
    uint64_t size;       /* of the disk, bytes, whole sectors */
    uint64_t file_size;  /* of its file or files */
    uint32_t unit;       /* bytes that are allocated at a time */
    const char *base;    /* path of its base as it was found, or "" */
    enum image_format base_format;
    const char *note; /* why it cannot be written, or "" */
};
void image_info(const struct image *im, struct image_info *info);
/* Its files, without its bases': number i, from 0 on; NULL behind the last one. */
struct image_file *image_file_at(const struct image *im, unsigned i);
uint64_t image_size(const struct image *im);
/* The image below, or NULL. */
struct image *image_base(const struct image *im);

/*
 * Where a part of the disk lies. IMAGE_DATA: at `offset` of `file`, whole sectors inside of it.
 * IMAGE_PACKED (compressed, or a file's last half sector) can only be had by image_read().
 */
enum image_kind { IMAGE_DATA, IMAGE_ZERO, IMAGE_PACKED };
struct image_extent {
    enum image_kind kind;
    struct image_file *file;
    uint64_t offset;
    uint64_t len;
};

/*
 * Map a part of the disk, whole sectors inside of it; the extent covers at least one sector of it
 * and at most len bytes. image_map() allocates nothing. image_map_write() gives IMAGE_DATA in the
 * image's own file: the caller is to write all of the extent. What it allocates is referred to on
 * disk only after image_flush(), which waits for these writes by `settle`.
 */
int image_map(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
int image_map_write(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);

/*
 * To be called before the maps of one request of up to IMAGE_REQUEST_MAX bytes, with no part of
 * another one mapped and not yet written but those that `settle` waits for: makes room for what it
 * may allocate.
 */
#define IMAGE_REQUEST_MAX (1u << 20)
int image_prepare(struct image *im);

/* Waits until everything that was mapped for writing has been written; set by a back end that
 * writes by itself. */
void image_set_settle(struct image *im, void (*settle)(void *arg), void *arg);

/*
 * The content of a part of the disk (whole sectors) is of no use any more: its space is given back
 * where that can be done. It reads as before or as zeros, sector by sector. Nothing that was mapped
 * may be in flight.
 */
int image_discard(struct image *im, uint64_t offset, uint64_t len);

/* True if image_flush() has more to do than to flush the file. */
bool image_is_dirty(const struct image *im);
/* Everything written so far is on stable storage and can be found there. */
int image_flush(struct image *im);

/*
 * Makes the disk larger, to `size` bytes in whole sectors, on stable storage; what is new reads as
 * zeros. On error nothing has changed, and `why` (IMAGE_WHY_MAX bytes) says what is wrong:
 * -XEN_EINVAL smaller than it is, or no size; -XEN_EOPNOTSUPP the format cannot; -XEN_EROFS;
 * -XEN_ENOSPC.
 */
int image_resize(struct image *im, uint64_t size, char *why);

/* Content through dom0's memory; any alignment. Behind the end of the disk are zeros. */
int image_read(struct image *im, uint64_t offset, void *buf, size_t len);
int image_write(struct image *im, uint64_t offset, const void *buf, size_t len);

/* --- new images --- */

struct image_params {
    enum image_format format;
    const char *variant; /* NULL: the usual one; qcow2 "v2", "v3"; vmdk "monolithicSparse",
                            "monolithicFlat" */
    uint64_t size;       /* bytes, whole sectors; 0: that of the base */
    uint32_t unit;       /* qcow2's cluster, 0: 64 KiB */
    const char *base;    /* path as it is to be found from the new file's folder, or NULL */
    enum image_format base_format;
    const char *base_at; /* where the base is now, if not there yet; NULL: there */
};
/* Makes it; on error no file is left, and `why` says what is wrong. -XEN_EEXIST: path is there. */
int image_create(const struct image_env *env, const char *path, const struct image_params *params,
                 char *why);

/* --- work on whole images --- */

/* What image_check() found. `report` gets one line for each of the first findings. */
struct image_check {
    uint64_t errors; /* the disk's content is in danger */
    uint64_t leaks;  /* space that is taken and not used: harmless */
    uint64_t repaired;
    uint64_t data; /* bytes of the disk that the image itself holds */
};
/*
 * Checks what an image says of itself, not its bases. `repair` needs IMAGE_WRITE | IMAGE_REPAIR:
 * frees leaks, makes counts and copies of tables right. 0 if the check could be made.
 */
int image_check(struct image *im, bool repair, void (*report)(const char *line),
                struct image_check *result);

/*
 * Copies what `from` shows into `to`, which shows zeros so far and is at least as large: zeros are
 * not written. `own`: only what lies in the image itself, not in its bases, zeros as well.
 * -XEN_EAGAIN when `stopped` says so.
 */
int image_copy(struct image *from, struct image *to, bool own);

#endif
