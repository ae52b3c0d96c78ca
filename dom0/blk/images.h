/* SPDX-License-Identifier: MIT */
/*
 * Images on dom0's disk: the files below them, and who may write to what. For threads.
 */
#ifndef DOM0_BLK_IMAGES_H
#define DOM0_BLK_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/image/image.h"

#define IMAGES_HOME "/disks" /* where children of an image are looked for */

/*
 * What images need, in the name of `who` ("domain web1"), which must stay valid, as env. Files that
 * are written are opened for that user alone, those that are read are shared with other readers;
 * for nobody (NULL) they are read whatever others do. `stopped` may be NULL.
 */
void images_env(struct image_env *env, const char *who, bool (*stopped)(void));

/*
 * As image_open(); for writing only if no other image stands on it, else -XEN_EBUSY: what is a base
 * must not change. Children are the files in IMAGES_HOME that say so and are named .qcow2 or .vmdk:
 * what a guest writes into a raw disk of its own counts for nothing. With `child` (a path, or
 * NULL), that one is allowed.
 */
int images_open(const struct image_env *env, const char *path, enum image_format format,
                unsigned flags, const char *child, struct image **out, char *why);

/* The path of an image that has this one as its base, other than `but` (or NULL). */
bool images_child(const char *path, const char *but, char child[IMAGE_PATH_MAX]);

/* Where a part of an image's file lies on the device, as vfs_map(), or for writing vfs_map_new().
 */
struct vfs_extent;
int images_map(const struct image_extent *e, bool write, struct vfs_extent *extent);
/* Ends what vfs_map_new() began at `offset` of the file: `sector` and `len` were written, or not.
 */
int images_keep(struct image_file *f, uint64_t offset, uint64_t sector, uint64_t len);
void images_drop(struct image_file *f, uint64_t sector, uint64_t len);

/* Bytes that an image's files, without its bases', take on the disk. */
uint64_t images_allocated(const struct image *im);

#endif
