/* SPDX-License-Identifier: MIT */
/* What the files ext2_*.c share. Nobody else includes it. */
#ifndef DOM0_FS_EXT2_IMPL_H
#define DOM0_FS_EXT2_IMPL_H

#include "dom0/fs/ext2.h"
#include "dom0/fs/ext2_disk.h"
#include "dom0/drivers/blkdev.h"

/*
 * Enough for the deepest use at once (two directories, three indirections, two bitmaps, an inode
 * table block) many times over; the rest is cache, and the running transaction: 512 KiB at most.
 */
#define EXT2_BUFS 128

/* A block of metadata in memory. File data never gets in here. */
struct ext2_buf {
    uint32_t block; /* 0: free */
    uint32_t pins;
    /* To be written later. With a journal: in the running transaction. Without one: only bitmaps
     * in which bits were cleared. */
    bool dirty;
    uint64_t used;
    uint8_t *data;
};

struct ext2_inode {
    struct ext2 *fs;
    struct ext2_inode *next;
    uint32_t ino;
    uint32_t refs;
    uint32_t goal; /* where the next block of it had best lie */
    bool fresh;    /* not on disk yet: the slot's old content, all of it, is to be wiped */
    struct ext2_use *uses;
    struct ext2_inode_disk d;
};

#define EXT2_HELD_MAPS 32u

/* See ext2_journal.c. A place is a block's number within the journal. */
struct ext2_journal {
    uint32_t *blocks; /* of the disk, by place; NULL: there is no journal */
    uint32_t first;   /* places of the log: from this one */
    uint32_t length;  /* to this one, excluded */
    uint32_t head;    /* where the next transaction goes */
    uint32_t sequence;
    bool live;             /* the log is not empty on disk */
    bool stale;            /* a block in it was given back: it must not be replayed any more */
    uint32_t *logged;      /* the blocks in it */
    uint32_t logged_count; /* at most length */
    uint8_t *block;        /* to make one in */
    /* By group: a bitmap of the blocks that the running transaction has given back, or NULL. */
    uint8_t **held;
    uint8_t *held_maps;  /* EXT2_HELD_MAPS of them: the memory is the same whatever happens */
    uint32_t held_count; /* in use */
    bool holds;          /* there is such a block */
    bool held_vague;     /* and not all are noted: there were no maps left */
    struct ext2_journal_super super;
};

/* The blocks of a group that are free on disk, and promised to a file that does not refer to them
 * yet. */
struct ext2_reserved {
    uint8_t *map; /* NULL while there are none */
    uint32_t count;
};

struct ext2 {
    struct blkdev *dev;
    struct ext2_env env;
    bool readonly;
    unsigned int reports;
    bool dirty;       /* the superblock on disk says "not clean" */
    bool was_unclean; /* and did so at mount: leave it to e2fsck */
    uint64_t changes;

    uint32_t block_size;
    uint32_t block_shift;
    uint32_t ptr_shift; /* log2 of pointers in a block */
    uint32_t inode_size;
    uint32_t first_ino;
    uint32_t group_count;
    uint32_t gdt_blocks;
    uint32_t table_blocks; /* of inodes, per group */
    uint32_t overhead;     /* blocks that hold the file system itself */
    uint64_t max_size;     /* of a file */

    struct ext2_super_disk sb;
    struct ext2_group_disk *groups; /* gdt_blocks blocks, as on disk */
    bool *gdt_dirty;                /* per block of it */
    struct ext2_reserved *reserved; /* per group */
    struct ext2_buf bufs[EXT2_BUFS];
    uint64_t use_clock;
    uint8_t *bounce; /* one block, for partial ones */
    uint8_t *zeros;  /* EXT2_ZERO_BLOCKS blocks */
    struct ext2_inode *inodes;
    struct ext2_journal journal;
};
#define EXT2_ZERO_BLOCKS 16u

/* ext2_super.c */
void ext2_report(struct ext2 *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Corruption: reported, remembered in the superblock; returns -EIO. */
int ext2_corrupt(struct ext2 *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * To be called before the first change of each operation: -EROFS, or marks the disk not clean, or
 * makes room in the running transaction for an operation on a few blocks.
 */
int ext2_begin(struct ext2 *fs);
int ext2_write_super(struct ext2 *fs);
int ext2_write_groups(struct ext2 *fs);
uint32_t ext2_now(struct ext2 *fs);
/* RO_COMPAT_LARGE_FILE, which a first file of 2 GiB needs, goes to disk at once. */
int ext2_need_large_file(struct ext2 *fs);

/* ext2_cache.c: raw blocks, and the buffers */
int ext2_disk_read(struct ext2 *fs, uint32_t block, uint32_t count, void *data);
int ext2_disk_write(struct ext2 *fs, uint32_t block, uint32_t count, const void *data);
int ext2_cache_init(struct ext2 *fs);
void ext2_cache_free(struct ext2 *fs);
int ext2_buf_get(struct ext2 *fs, uint32_t block, struct ext2_buf **out);
/* The same without reading: all zeros, for a block that was just allocated. */
int ext2_buf_new(struct ext2 *fs, uint32_t block, struct ext2_buf **out);
void ext2_buf_put(struct ext2_buf *buf);
/* To the disk at once, or into the running transaction. */
int ext2_buf_write(struct ext2 *fs, struct ext2_buf *buf);
/* Writes what is dirty; with a journal, nothing. */
int ext2_buf_flush(struct ext2 *fs);
/* Blocks that stop being metadata, or begin a new life: what is cached of them is void. */
void ext2_buf_forget(struct ext2 *fs, uint32_t block, uint32_t count);

/* ext2_alloc.c */
/* First block of a group. */
uint32_t ext2_group_start(const struct ext2 *fs, uint32_t group);
/* Blocks at the start of a group that hold a copy of superblock and descriptors; 0 in most groups.
 */
uint32_t ext2_group_head(const struct ext2 *fs, uint32_t group);
/* True if a file may own all of these blocks: within the disk, and none of the file system's own.
 */
bool ext2_block_ok(const struct ext2 *fs, uint32_t block, uint32_t count);
/* 1 to want consecutive blocks at or near goal; the bitmap is on disk. -ENOSPC. */
int ext2_alloc_blocks(struct ext2 *fs, uint32_t goal, uint32_t want, uint32_t *first,
                      uint32_t *count);
/* The same in memory only, for ext2_unreserve_blocks(), or ext2_take_reserved(). */
int ext2_reserve_blocks(struct ext2 *fs, uint32_t goal, uint32_t want, uint32_t *first,
                        uint32_t *count);
void ext2_unreserve_blocks(struct ext2 *fs, uint32_t first, uint32_t count);
/* They are in the bitmap, if that can be had, and not reserved any more. */
int ext2_take_reserved(struct ext2 *fs, uint32_t first, uint32_t count);
/* Clears bits; the bitmap goes to disk at ext2_buf_flush(). -EIO if one was clear or is not a
 * file's. */
int ext2_free_blocks(struct ext2 *fs, uint32_t first, uint32_t count);
int ext2_alloc_inode(struct ext2 *fs, uint32_t parent, bool dir, uint32_t *ino);
int ext2_free_inode(struct ext2 *fs, uint32_t ino, bool dir);
/* Counters from the bitmaps, for a file system that was not unmounted. */
int ext2_recount(struct ext2 *fs);

/* ext2_journal.c */
static inline bool ext2_has_journal(const struct ext2 *fs)
{
    return fs->journal.blocks != NULL;
}
/* Writes the journal's superblock: the log begins there, or is empty (start 0). */
int ext2_journal_mark(struct ext2 *fs, uint32_t start);
/*
 * The running transaction to the journal, and then to its places: durable when it returns 0, with
 * all that was written before. Whatever fails is tried again by the next one.
 */
int ext2_journal_commit(struct ext2 *fs);
/* Empties the log on disk, once all of it is in its places for good. */
int ext2_journal_checkpoint(struct ext2 *fs);
/* Blocks of a group are given back: nobody gets them before the transaction that did it is durable.
 */
void ext2_journal_freed(struct ext2 *fs, uint32_t group, uint32_t bit, uint32_t count);
/* The blocks of a group that nobody gets yet, as a bitmap; NULL: none. */
static inline const uint8_t *ext2_journal_held(const struct ext2 *fs, uint32_t group)
{
    return fs->journal.held ? fs->journal.held[group] : NULL;
}

/* ext2_replay.c */
/*
 * Finds the journal, if there is one that can be used. 1: it held something, which is in its places
 * now, so that all that was read of the disk is void; 0; or an error, with the reason in problem.
 */
int ext2_journal_open(struct ext2 *fs, char *problem);
void ext2_journal_free(struct ext2 *fs);

/* ext2_inode.c */
/* As ext2_iget(), for those numbers too that have no name. */
int ext2_iget_any(struct ext2 *fs, uint32_t ino, struct ext2_inode **out);
int ext2_iwrite(struct ext2_inode *ip);
/* An inode object for a number that is not on disk yet; the caller fills in d. */
int ext2_inew(struct ext2 *fs, uint32_t ino, struct ext2_inode **out);
void ext2_set_size(struct ext2_inode *ip, uint64_t size);
/* Marks an inode without names as dead on disk; to be called before the name goes. */
int ext2_ikill(struct ext2_inode *ip);
/* And frees what it had; to be called after. */
int ext2_ireap(struct ext2_inode *ip);

/* ext2_trunc.c: frees all blocks from file block `keep` on. */
int ext2_free_from(struct ext2_inode *ip, uint32_t keep);

/* ext2_map.c */
/* Way to a file block: returns the levels of indirection, -1 if beyond what ext2 can address. */
int ext2_path(const struct ext2 *fs, uint32_t fblock, uint32_t index[EXT2_IND_LEVEL + 1]);

/* ext2_dir.c */
int ext2_dir_find(struct ext2_inode *dir, const char *name, unsigned int len, uint32_t *ino);
int ext2_dir_add(struct ext2_inode *dir, const char *name, unsigned int len,
                 const struct ext2_inode *target);
int ext2_dir_remove(struct ext2_inode *dir, const char *name, unsigned int len);
/* Makes an existing name point to target. */
int ext2_dir_set(struct ext2_inode *dir, const char *name, unsigned int len,
                 const struct ext2_inode *target);
/* A block with . and .. for a new directory, into data. */
void ext2_dir_init(struct ext2 *fs, uint8_t *data, uint32_t self, uint32_t parent);
/* 0, -ENOTEMPTY or -EIO. */
int ext2_dir_empty(struct ext2_inode *dir);

#endif
