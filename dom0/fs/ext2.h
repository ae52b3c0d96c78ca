/* SPDX-License-Identifier: MIT */
/*
 * The second extended file system over a block device: a pure library without locks, threads or
 * globals, which runs on dom0 and on the host alike. Only vfs.c (which locks) and tests call it.
 *
 * Rules on disk. Metadata is changed in an order of which each beginning is a state that `e2fsck
 * -p` repairs: bitmaps before the pointers to what they cover, data before pointers, an inode's
 * death before its name goes, a name before a new inode's birth. With a journal these changes reach
 * the disk in transactions, all or nothing, after the data that was written before
 * (ext2_journal.c); without one they are written through, and a device with a cache may still bring
 * them to its medium in another order. Counters go to disk with a transaction, or at ext2_sync().
 * The superblock says "needs recovery", or without a journal "not clean", from a change to the next
 * sync.
 *
 * Nothing that is read from disk is trusted: what is out of range, or loops, gives -EIO, a line by
 * the report hook, and the mark "has errors" in the superblock, which makes e2fsck look at it.
 */
#ifndef DOM0_FS_EXT2_H
#define DOM0_FS_EXT2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkdev;
struct ext2;
struct ext2_inode;

#define EXT2_PROBLEM_LEN 240

struct ext2_env {
    uint32_t (*now)(void);            /* seconds since 1970; NULL: 0 */
    void (*report)(const char *text); /* NULL: silent */
};

/*
 * Mounts; problem (EXT2_PROBLEM_LEN bytes) gets the reason of a failure, or after success a warning
 * or "". -EINVAL no ext2 or damaged, -EOPNOTSUPP unknown incompatible features, -EIO, -ENOMEM.
 */
int ext2_mount(struct blkdev *dev, const struct ext2_env *env, struct ext2 **out, char *problem);
/* Syncs and frees. -EBUSY while inodes are held; after another error the memory is gone all the
 * same. */
int ext2_unmount(struct ext2 *fs);
/* Everything on stable storage, counters right, superblock clean (unless it was found unclean). */
int ext2_sync(struct ext2 *fs);
/*
 * What was written before is on stable storage, and all that leads to it: the journal's commit, or
 * without one the device's flush. Cheaper than ext2_sync(), which also leaves the disk clean.
 */
int ext2_flush(struct ext2 *fs);
/* The device's own flush would do as well. */
bool ext2_flush_is_plain(const struct ext2 *fs);
bool ext2_is_journaled(const struct ext2 *fs);
bool ext2_is_dirty(const struct ext2 *fs);
bool ext2_is_readonly(const struct ext2 *fs);
/* Counts changes; unequal to an earlier value: something was written since. */
uint64_t ext2_change_count(const struct ext2 *fs);
uint32_t ext2_block_size(const struct ext2 *fs);

struct ext2_statfs {
    uint32_t block_size;
    uint64_t blocks; /* without the file system's own tables */
    uint64_t free_blocks;
    uint64_t inodes;
    uint64_t free_inodes;
};
void ext2_statfs(const struct ext2 *fs, struct ext2_statfs *st);

/* --- inodes: one object per inode in use, counted; every get needs a put --- */
int ext2_iget(struct ext2 *fs, uint32_t ino, struct ext2_inode **out);
void ext2_iput(struct ext2_inode *ip);

struct ext2_stat {
    uint32_t ino;
    uint16_t mode; /* type and permissions */
    uint16_t links;
    uint32_t mtime;
    uint64_t size;
    uint64_t sectors; /* allocated, of 512 bytes */
};
void ext2_stat(const struct ext2_inode *ip, struct ext2_stat *st);
bool ext2_is_dir(const struct ext2_inode *ip);
bool ext2_is_file(const struct ext2_inode *ip);
uint64_t ext2_size(const struct ext2_inode *ip);

/*
 * Uses of an inode by open files: EXT2_USE_WRITE and EXT2_USE_LOCK exclude each other between two
 * uses (-EBUSY). An inode in use is neither removed nor replaced. who is copied.
 */
#define EXT2_USE_WRITE 1u
#define EXT2_USE_LOCK  2u
#define EXT2_WHO_LEN   48
struct ext2_use {
    struct ext2_use *next;
    unsigned int flags;
    char who[EXT2_WHO_LEN];
};
int ext2_use(struct ext2_inode *ip, struct ext2_use *use, unsigned int flags, const char *who);
void ext2_unuse(struct ext2_inode *ip, struct ext2_use *use);
/* The user that matters most (a lock, a writer, anybody), or NULL. */
const char *ext2_user(const struct ext2_inode *ip);

/* --- content --- */

/* Bytes read (short at the end), holes as zeros. */
int64_t ext2_read(struct ext2_inode *ip, void *buf, size_t len, uint64_t offset);
/* Bytes written, less than len only when space ran out or the device failed on the way. */
int64_t ext2_write(struct ext2_inode *ip, const void *buf, size_t len, uint64_t offset);
/* Grows (without blocks) or shrinks a regular file. -EOVERFLOW: larger than ext2 can. */
int ext2_truncate(struct ext2_inode *ip, uint64_t size);

/*
 * Device block of file block `fblock` into *block, 0 for a hole, and into *count how many blocks
 * from there on are the same: consecutive, or holes; at most want.
 */
int ext2_bmap(struct ext2_inode *ip, uint32_t fblock, uint32_t want, uint32_t *block,
              uint32_t *count);
/*
 * The same, but a hole gets blocks. Their content is on disk before the file refers to them: zeros,
 * or `data` (want whole blocks; only what *count covers is used). Does not change the size.
 */
int ext2_bmap_alloc(struct ext2_inode *ip, uint32_t fblock, uint32_t want, const void *data,
                    uint32_t *block, uint32_t *count);

/*
 * For who writes whole blocks to the device by itself, and does not want zeros written there first:
 * blocks for a hole, which the file refers to only after ext2_link(), called when their content is
 * on the device. Until then they are reserved in memory alone, so that neither a reader nor a power
 * cut finds in the file what others had there. *fresh false: there were blocks already, as
 * ext2_bmap() has them. All that is reserved has to be linked or given back, before the file is
 * put.
 */
int ext2_reserve(struct ext2_inode *ip, uint32_t fblock, uint32_t want, uint32_t *block,
                 uint32_t *count, bool *fresh);
/* -EIO: the hole is gone; then, and after other errors, the blocks are given back. */
int ext2_link(struct ext2_inode *ip, uint32_t fblock, uint32_t block, uint32_t count);
void ext2_unreserve(struct ext2_inode *ip, uint32_t block, uint32_t count);

/*
 * Makes holes of file blocks and gives them back. Blocks of pointers stay. Whoever works on the
 * blocks by ext2_bmap() must have ended that.
 */
int ext2_punch(struct ext2_inode *ip, uint32_t fblock, uint32_t count);

/* --- names: absolute paths, symbolic links followed except a last one where said --- */

int ext2_lookup(struct ext2 *fs, const char *path, bool follow, struct ext2_inode **out);
/* -EEXIST leaves *out unset. mode: permission bits. */
int ext2_create(struct ext2 *fs, const char *path, uint16_t mode, struct ext2_inode **out);
int ext2_mkdir(struct ext2 *fs, const char *path, uint16_t mode);
int ext2_unlink(struct ext2 *fs, const char *path);
int ext2_rmdir(struct ext2 *fs, const char *path);
int ext2_rename(struct ext2 *fs, const char *from, const char *to);

/* Calls fn for each entry, "." and ".." too, until it returns nonzero, which is passed on. */
typedef int (*ext2_dir_fn)(void *arg, const char *name, unsigned int name_len, uint32_t ino);
int ext2_readdir(struct ext2_inode *dir, ext2_dir_fn fn, void *arg);

#endif
