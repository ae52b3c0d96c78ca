/* SPDX-License-Identifier: MIT */
#include "dom0/fs/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/fs/ext2_disk.h"
#include "dom0/fs/vfs_impl.h"

/* The lock is held for that much at a time, so that a large copy does not keep guests from their
 * disks. */
#define VFS_CHUNK       (128u << 10)
#define VFS_MAX_ENTRIES 65536u
#define VFS_TICKS_MAX   5

struct vfs_mount vfs;

int vfs_enter(void)
{
    if (vfs.env.lock)
        vfs.env.lock();
    if (vfs.fs)
        return 0;
    if (vfs.env.unlock)
        vfs.env.unlock();
    return -XEN_ENODEV;
}

void vfs_leave(void)
{
    if (vfs.env.unlock)
        vfs.env.unlock();
}

int vfs_mount(struct blkdev *dev, const struct vfs_env *env)
{
    struct ext2_env below = {.now = env->now, .report = env->report};
    int rc;

    if (vfs.fs)
        return -XEN_EBUSY;
    vfs.env = *env;
    if (env->lock)
        env->lock();
    rc = ext2_mount(dev, &below, &vfs.fs, vfs.problem);
    vfs.dev = rc == 0 ? dev : NULL;
    vfs_leave();
    return rc;
}

const char *vfs_problem(void)
{
    return vfs.problem;
}

int vfs_sync(void)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_sync(vfs.fs);
    vfs.ticks = 0;
    vfs_leave();
    return rc;
}

int vfs_flush(void)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_flush(vfs.fs);
    vfs_leave();
    return rc;
}

bool vfs_flush_is_plain(void)
{
    bool plain;

    if (vfs_enter() < 0)
        return true;
    plain = ext2_flush_is_plain(vfs.fs);
    vfs_leave();
    return plain;
}

bool vfs_is_journaled(void)
{
    bool journaled;

    if (vfs_enter() < 0)
        return false;
    journaled = ext2_is_journaled(vfs.fs);
    vfs_leave();
    return journaled;
}

void vfs_tick(void)
{
    uint64_t changes;

    if (vfs_enter() < 0)
        return;
    changes = ext2_change_count(vfs.fs);
    if (ext2_is_dirty(vfs.fs) && (changes == vfs.seen_changes || ++vfs.ticks >= VFS_TICKS_MAX)) {
        ext2_sync(vfs.fs); /* what fails has been reported, and is tried again */
        vfs.ticks = 0;
    }
    vfs.seen_changes = changes;
    vfs_leave();
}

int vfs_unmount(void)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_unmount(vfs.fs);
    if (rc != -XEN_EBUSY) {
        vfs.fs = NULL;
        vfs.dev = NULL;
    }
    vfs_leave();
    return rc;
}

struct blkdev *vfs_blkdev(void)
{
    return vfs.dev;
}

static int find_or_create(const char *path, unsigned int flags, struct ext2_inode **ip)
{
    int rc = ext2_lookup(vfs.fs, path, true, ip);

    if (rc == -XEN_ENOENT && (flags & VFS_CREATE))
        return ext2_create(vfs.fs, path, 0644, ip);
    if (rc == 0 && (flags & VFS_CREATE) && (flags & VFS_EXCL))
        rc = -XEN_EEXIST;
    else if (rc == 0 && ext2_is_dir(*ip))
        rc = -XEN_EISDIR;
    else if (rc == 0 && !ext2_is_file(*ip))
        rc = -XEN_EINVAL;
    else
        return rc;
    ext2_iput(*ip);
    return rc;
}

static int open_locked(struct vfs_file *file, const char *path, const char *who)
{
    unsigned int use = (file->flags & VFS_WRITE ? EXT2_USE_WRITE : 0) |
                       (file->flags & VFS_LOCK ? EXT2_USE_LOCK : 0);
    int rc;

    if ((file->flags & VFS_WRITE) && ext2_is_readonly(vfs.fs))
        return -XEN_EROFS;
    rc = find_or_create(path, file->flags, &file->ip);
    if (rc < 0)
        return rc;
    rc = ext2_use(file->ip, &file->use, use, who);
    if (rc == 0 && (file->flags & VFS_TRUNC)) {
        rc = ext2_truncate(file->ip, 0);
        if (rc < 0)
            ext2_unuse(file->ip, &file->use);
    }
    if (rc < 0)
        ext2_iput(file->ip);
    return rc;
}

int vfs_open(const char *path, unsigned int flags, const char *who, struct vfs_file **out)
{
    struct vfs_file *file;
    int rc;

    if (!(flags & (VFS_READ | VFS_WRITE)) ||
        ((flags & (VFS_TRUNC | VFS_CREATE)) && !(flags & VFS_WRITE)))
        return -XEN_EINVAL;
    file = calloc(1, sizeof(*file));
    if (!file)
        return -XEN_ENOMEM;
    file->flags = flags;
    rc = vfs_enter();
    if (rc == 0) {
        rc = open_locked(file, path, who);
        vfs_leave();
    }
    if (rc < 0) {
        free(file);
        return rc;
    }
    *out = file;
    return 0;
}

void vfs_close(struct vfs_file *file)
{
    if (!file || vfs_enter() < 0)
        return;
    ext2_unuse(file->ip, &file->use);
    ext2_iput(file->ip);
    vfs_leave();
    free(file);
}

bool vfs_holder(const char *path, char *buf, size_t size)
{
    struct ext2_inode *ip;
    const char *who = NULL;

    if (size)
        buf[0] = 0;
    if (vfs_enter() < 0)
        return false;
    if (ext2_lookup(vfs.fs, path, true, &ip) == 0) {
        who = ext2_user(ip);
        if (who)
            snprintf(buf, size, "%s", who);
        ext2_iput(ip);
    }
    vfs_leave();
    return who != NULL;
}

int64_t vfs_pread(struct vfs_file *file, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;

    if (!(file->flags & VFS_READ))
        return -XEN_EBADF;
    while (done < len) {
        size_t chunk = len - done < VFS_CHUNK ? len - done : VFS_CHUNK;
        int64_t n = vfs_enter();

        if (n == 0) {
            n = ext2_read(file->ip, (char *)buf + done, chunk, offset + done);
            vfs_leave();
        }
        if (n < 0)
            return n;
        done += (size_t)n;
        if ((size_t)n < chunk)
            break;
    }
    return (int64_t)done;
}

int64_t vfs_pwrite(struct vfs_file *file, const void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;

    if (!(file->flags & VFS_WRITE))
        return -XEN_EBADF;
    while (done < len) {
        size_t chunk = len - done < VFS_CHUNK ? len - done : VFS_CHUNK;
        int64_t n = vfs_enter();

        if (n == 0) {
            n = ext2_write(file->ip, (const char *)buf + done, chunk, offset + done);
            vfs_leave();
        }
        if (n < 0)
            return done ? (int64_t)done : n;
        done += (size_t)n;
        if ((size_t)n < chunk)
            break;
    }
    return (int64_t)done;
}

int64_t vfs_read(struct vfs_file *file, void *buf, size_t len)
{
    int64_t n = vfs_pread(file, buf, len, file->pos);

    if (n > 0)
        file->pos += (uint64_t)n;
    return n;
}

int64_t vfs_write(struct vfs_file *file, const void *buf, size_t len)
{
    int64_t n = vfs_pwrite(file, buf, len, file->pos);

    if (n > 0)
        file->pos += (uint64_t)n;
    return n;
}

uint64_t vfs_size(const struct vfs_file *file)
{
    return ext2_size(file->ip);
}

uint64_t vfs_allocated(const struct vfs_file *file)
{
    struct ext2_stat st;

    ext2_stat(file->ip, &st);
    return st.sectors << BLK_SECTOR_SHIFT;
}

int vfs_enter_to_write(const struct vfs_file *file)
{
    return file->flags & VFS_WRITE ? vfs_enter() : -XEN_EBADF;
}

int vfs_truncate(struct vfs_file *file, uint64_t size)
{
    int rc = vfs_enter_to_write(file);

    if (rc < 0)
        return rc;
    rc = ext2_truncate(file->ip, size);
    vfs_leave();
    return rc;
}

static void stat_of(const struct ext2_inode *ip, struct vfs_stat *st)
{
    struct ext2_stat in;

    ext2_stat(ip, &in);
    st->ino = in.ino;
    st->mode = in.mode & 07777;
    st->links = in.links;
    st->mtime = in.mtime;
    st->size = in.size;
    st->allocated = in.sectors << BLK_SECTOR_SHIFT;
    if (ext2_is_file(ip))
        st->type = VFS_FILE;
    else if (ext2_is_dir(ip))
        st->type = VFS_DIR;
    else
        st->type = (in.mode & EXT2_S_IFMT) == EXT2_S_IFLNK ? VFS_SYMLINK : VFS_OTHER;
}

int vfs_stat(const char *path, struct vfs_stat *st)
{
    struct ext2_inode *ip;
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_lookup(vfs.fs, path, true, &ip);
    if (rc == 0) {
        stat_of(ip, st);
        ext2_iput(ip);
    }
    vfs_leave();
    return rc;
}

struct listing {
    struct vfs_dirent *entries;
    unsigned int count;
    unsigned int room;
};

static int list_one(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    struct listing *list = arg;
    struct vfs_dirent *entry;

    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return 0;
    if (list->count == list->room) {
        unsigned int room = list->room ? list->room * 2 : 16;
        struct vfs_dirent *grown;

        if (room > VFS_MAX_ENTRIES)
            return -XEN_EOVERFLOW;
        grown = realloc(list->entries, room * sizeof(*grown));
        if (!grown)
            return -XEN_ENOMEM;
        list->entries = grown;
        list->room = room;
    }
    entry = &list->entries[list->count++];
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->name, name, len);
    entry->stat.ino = ino;
    entry->stat.type = VFS_OTHER;
    return 0;
}

/* Shell's sort: short, in place, fast enough for any directory that a person lists. */
static void sort_entries(struct vfs_dirent *entries, unsigned int count)
{
    for (unsigned int gap = count / 2; gap > 0; gap /= 2) {
        for (unsigned int i = gap; i < count; i++) {
            struct vfs_dirent moving = entries[i];
            unsigned int at = i;

            while (at >= gap && strcmp(entries[at - gap].name, moving.name) > 0) {
                entries[at] = entries[at - gap];
                at -= gap;
            }
            entries[at] = moving;
        }
    }
}

static int list_locked(const char *path, struct listing *list)
{
    struct ext2_inode *dir, *ip;
    int rc = ext2_lookup(vfs.fs, path, true, &dir);

    if (rc < 0)
        return rc;
    rc = ext2_readdir(dir, list_one, list);
    ext2_iput(dir);
    /* A damaged inode spoils its own line, not the list. */
    for (unsigned int i = 0; rc == 0 && i < list->count; i++) {
        if (ext2_iget(vfs.fs, list->entries[i].stat.ino, &ip) == 0) {
            stat_of(ip, &list->entries[i].stat);
            ext2_iput(ip);
        }
    }
    return rc;
}

int vfs_list(const char *path, struct vfs_dirent **entries, unsigned int *count)
{
    struct listing list = {0};
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = list_locked(path, &list);
    vfs_leave();
    if (rc < 0) {
        free(list.entries);
        return rc;
    }
    sort_entries(list.entries, list.count);
    *entries = list.entries;
    *count = list.count;
    return 0;
}

/* One of the calls that change names, under the lock. */
static int with_path(int (*fn)(struct ext2 *, const char *), const char *path)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = fn(vfs.fs, path);
    vfs_leave();
    return rc;
}

int vfs_unlink(const char *path)
{
    return with_path(ext2_unlink, path);
}

int vfs_rmdir(const char *path)
{
    return with_path(ext2_rmdir, path);
}

int vfs_mkdir(const char *path)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_mkdir(vfs.fs, path, 0755);
    vfs_leave();
    return rc;
}

int vfs_rename(const char *from, const char *to)
{
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_rename(vfs.fs, from, to);
    vfs_leave();
    return rc;
}

int vfs_df(struct vfs_df *df)
{
    struct ext2_statfs st;
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    ext2_statfs(vfs.fs, &st);
    df->block_size = st.block_size;
    df->blocks = st.blocks;
    df->free_blocks = st.free_blocks;
    df->inodes = st.inodes;
    df->free_inodes = st.free_inodes;
    df->readonly = ext2_is_readonly(vfs.fs);
    vfs_leave();
    return 0;
}
