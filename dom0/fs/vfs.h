/* SPDX-License-Identifier: MIT */
/*
 * Files, as the rest of dom0 sees them: one ext2 file system on dom0's disk, mounted at "/".
 *
 * Every call may sleep and is for threads only, never for event handlers. One lock, given at mount,
 * serialises the file system; it is not held between calls nor while a guest's own I/O is in
 * flight. Errors are negative Xen errno values; vfs_strerror() puts them into words.
 *
 * Paths are absolute, '/'-separated; "." and ".." work, symbolic links are followed.
 */
#ifndef DOM0_FS_VFS_H
#define DOM0_FS_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkdev;
struct vfs_file;

#define VFS_NAME_MAX 255
#define VFS_WHO_MAX  48

/* What the file system needs of its surroundings; any member may be NULL. */
struct vfs_env {
    void (*lock)(void);
    void (*unlock)(void);
    uint32_t (*now)(void);            /* seconds since 1970 */
    void (*report)(const char *text); /* one line without newline: corruption found, I/O errors */
};

/* The environment on dom0: a runtime mutex, wall clock, console (vfs_env.c; not for the host). */
extern const struct vfs_env vfs_env_dom0;
/* Thread body: calls vfs_tick() once a second. arg is unused. (vfs_env.c) */
void vfs_sync_thread(void *arg);

/*
 * Mounts dev. -EINVAL: no ext2, or a damaged one; -EOPNOTSUPP: a feature that we lack; -EIO,
 * -ENOMEM. vfs_problem() then says what is wrong in one line. After success it is the warning to
 * show, or
 * "" (mounted read-only and why; not cleanly unmounted; has errors). dev must outlive the mount.
 */
int vfs_mount(struct blkdev *dev, const struct vfs_env *env);
const char *vfs_problem(void);
/* Everything is on disk and marked clean afterwards; unmount: -EBUSY while files are open. */
int vfs_sync(void);
int vfs_unmount(void);
/*
 * All that was written so far is on stable storage, with the metadata that leads to it; waits. The
 * disk is not marked clean: that is for vfs_sync(). Where vfs_flush_is_plain() the flush of
 * vfs_blkdev() does the same, without waiting.
 */
int vfs_flush(void);
bool vfs_flush_is_plain(void);
/* Metadata is journaled: what was flushed survives a power cut on a device with a cache. */
bool vfs_is_journaled(void);
/*
 * To be called once a second: syncs when nothing has changed since the last call, or five calls
 * have passed, so that the disk is marked clean most of the time and losing power is mostly
 * harmless.
 */
void vfs_tick(void);
/* The device below, for requests that vfs_map() has translated; NULL when nothing is mounted. */
struct blkdev *vfs_blkdev(void);

enum vfs_open_flags {
    VFS_READ = 1,
    VFS_WRITE = 2,
    VFS_CREATE = 4, /* make the file if there is none */
    VFS_TRUNC = 8,  /* empty it first; needs VFS_WRITE */
    VFS_EXCL = 16,  /* with VFS_CREATE: -EEXIST if it is there */
    /*
     * A domain's disk: refuses writers, and is refused while there is one. So VFS_READ|VFS_LOCK is
     * shared by any number of read-only disks, VFS_WRITE|VFS_LOCK by nobody. Plain readers pass.
     */
    VFS_LOCK = 32,
};

/*
 * Opens a regular file. who: for the message of others' -EBUSY ("domain web1"), copied.
 * -ENOENT, -EISDIR, -EINVAL (not a regular file), -EBUSY (see vfs_holder()), -EROFS, -ENOSPC.
 * As long as it is open, a file can be neither removed, nor replaced by rename, nor (by others)
 * truncated when locked.
 */
int vfs_open(const char *path, unsigned int flags, const char *who, struct vfs_file **file);
void vfs_close(struct vfs_file *file);
/* Who keeps path busy, into buf; false and "" when nobody does. */
bool vfs_holder(const char *path, char *buf, size_t size);

/* Bytes moved (short only at the end of file or of space), or an error. read/write keep a position.
 */
int64_t vfs_pread(struct vfs_file *file, void *buf, size_t len, uint64_t offset);
int64_t vfs_pwrite(struct vfs_file *file, const void *buf, size_t len, uint64_t offset);
int64_t vfs_read(struct vfs_file *file, void *buf, size_t len);
int64_t vfs_write(struct vfs_file *file, const void *buf, size_t len);
uint64_t vfs_size(const struct vfs_file *file);
uint64_t vfs_allocated(const struct vfs_file *file); /* bytes on disk, less in a sparse file */
int vfs_truncate(struct vfs_file *file, uint64_t size);

/*
 * Makes a hole of the whole blocks in a part of a file inside its size: they read as zeros, and
 * their space is given back. What vfs_map() has told of them holds no longer: nothing of it may be
 * in flight.
 */
int vfs_punch(struct vfs_file *file, uint64_t offset, uint64_t len);

/*
 * Where a part of a file lies on the device, for I/O past the file system (a guest's own pages).
 * offset and len are whole sectors within the size of the file. On return *extent covers at least
 * one sector of it and at most len. Valid until the file is truncated, punched or closed: hold the
 * file with VFS_LOCK.
 */
#define VFS_HOLE UINT64_MAX
struct vfs_extent {
    uint64_t sector; /* on vfs_blkdev(), or VFS_HOLE: reads as zeros */
    uint64_t len;    /* bytes */
    bool fresh;      /* by vfs_map_new() */
};
int vfs_map(struct vfs_file *file, uint64_t offset, uint64_t len, struct vfs_extent *extent);

/*
 * The same for a caller who writes all of the extent: holes get blocks. Neither a racing read, a
 * failed write nor a power cut may show what others had there. So a block that is written in part
 * is zeroed on disk before the file refers to it; and where extent->fresh, for whole blocks, the
 * file refers to it only after vfs_keep(), to be called when it has been written, with the extent's
 * own offset, sector and len; or vfs_drop(), if it was not. Until then the file has a hole there,
 * for all others and for this call, too: who maps it again gets other blocks.
 */
int vfs_map_new(struct vfs_file *file, uint64_t offset, uint64_t len, struct vfs_extent *extent);
int vfs_keep(struct vfs_file *file, uint64_t offset, uint64_t sector, uint64_t len);
void vfs_drop(struct vfs_file *file, uint64_t sector, uint64_t len);

enum vfs_type {
    VFS_FILE,
    VFS_DIR,
    VFS_SYMLINK,
    VFS_OTHER,
};

struct vfs_stat {
    uint32_t ino;
    enum vfs_type type;
    uint16_t mode; /* permission bits */
    uint32_t links;
    uint32_t mtime;
    uint64_t size;
    uint64_t allocated; /* bytes on disk, less than size in a sparse file */
};

struct vfs_dirent {
    char name[VFS_NAME_MAX + 1];
    struct vfs_stat stat; /* of the entry itself, links not followed */
};

int vfs_stat(const char *path, struct vfs_stat *st);
/* The entries of a directory without . and .., sorted by name, in one array to free() by the
 * caller. */
int vfs_list(const char *path, struct vfs_dirent **entries, unsigned int *count);
/* A whole file into memory that the caller frees; one zero byte follows the data. -EOVERFLOW above
 * max. */
int vfs_read_all(const char *path, size_t max, void **data, size_t *len);
/* A new file of that size without blocks; -EEXIST, -EOVERFLOW when ext2 cannot hold it. */
int vfs_create_sparse(const char *path, uint64_t size);
int vfs_unlink(const char *path); /* -EISDIR, -EBUSY */
int vfs_mkdir(const char *path);
int vfs_rmdir(const char *path);                  /* -ENOTEMPTY */
int vfs_rename(const char *from, const char *to); /* replaces an existing file */

struct vfs_df {
    uint32_t block_size;
    uint64_t blocks; /* usable for files, i.e. without the file system's own tables */
    uint64_t free_blocks;
    uint64_t inodes;
    uint64_t free_inodes;
    bool readonly;
};
int vfs_df(struct vfs_df *df);

/* A short phrase, lower case, no full stop: "no such file or directory". Never NULL. */
const char *vfs_strerror(int err);

#endif
