/* SPDX-License-Identifier: MIT */
/* What the files vfs*.c share. Nobody else includes it. */
#ifndef DOM0_FS_VFS_IMPL_H
#define DOM0_FS_VFS_IMPL_H

#include "dom0/fs/ext2.h"
#include "dom0/fs/vfs.h"

struct vfs_file {
    struct ext2_inode *ip;
    struct ext2_use use;
    unsigned int flags;
    uint64_t pos;
};

extern struct vfs_mount {
    struct ext2 *fs; /* NULL: not mounted */
    struct blkdev *dev;
    struct vfs_env env;
    uint64_t seen_changes; /* at the last tick */
    unsigned int ticks;    /* since the last sync */
    char problem[EXT2_PROBLEM_LEN];
} vfs;

/* 0 with the lock held, or -ENODEV without. */
int vfs_enter(void);
void vfs_leave(void);
/* The same; -EBADF for a file that was opened for reading only. */
int vfs_enter_to_write(const struct vfs_file *file);

#endif
