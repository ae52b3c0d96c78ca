/* SPDX-License-Identifier: MIT */
/*
 * Paths, and the operations on names. The order of writes in each is such that `e2fsck -p` settles
 * what a power cut leaves: an entry that points to a dead inode is cleared, a wrong link count set
 * right; a living inode without a name would need a person. The one exception is a directory moved
 * by rename, which has two names for a moment.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#define MAX_LINK_DEPTH 8
#define MAX_LINK_LEN   255
#define MAX_PATH_LEN   4095
#define MAX_DIR_DEPTH  1000

static bool is_link(const struct ext2_inode *ip)
{
    return (ip->d.mode & EXT2_S_IFMT) == EXT2_S_IFLNK;
}

static int read_link(struct ext2_inode *ip, char *target)
{
    uint32_t len = ip->d.size;

    if (len == 0 || len > MAX_LINK_LEN)
        return -XEN_ENAMETOOLONG;
    if (len < sizeof(ip->d.block)) {
        memcpy(target, ip->d.block, len); /* short ones live in the inode */
        return (int)len;
    }
    return (int)ext2_read(ip, target, len, 0);
}

static int walk(struct ext2 *fs, struct ext2_inode *base, const char *path, size_t len,
                unsigned int flags, struct ext2_inode **out);
#define WALK_FOLLOW 0x100u /* a link at the end too; the low byte counts links on the way here */

/* Replaces *ip, a link that was found in dir, by what it points to. */
static int follow_link(struct ext2 *fs, struct ext2_inode *dir, unsigned int depth,
                       struct ext2_inode **ip)
{
    char target[MAX_LINK_LEN];
    struct ext2_inode *to;
    int rc;

    if (depth >= MAX_LINK_DEPTH)
        return -XEN_EMLINK;
    rc = read_link(*ip, target);
    if (rc >= 0)
        rc = walk(fs, dir, target, (size_t)rc, (depth + 1) | WALK_FOLLOW, &to);
    if (rc < 0)
        return rc;
    ext2_iput(*ip);
    *ip = to;
    return 0;
}

static size_t component_len(const char *path, size_t len)
{
    size_t n = 0;

    while (n < len && path[n] != '/')
        n++;
    return n;
}

/* One step: *ip, a directory, becomes what `name` in it is. */
static int step(struct ext2_inode **ip, const char *name, size_t len, bool follow,
                unsigned int depth)
{
    struct ext2 *fs = (*ip)->fs;
    struct ext2_inode *next;
    uint32_t ino;
    int rc;

    if (!ext2_is_dir(*ip))
        return -XEN_ENOTDIR;
    if (len > EXT2_NAME_LEN)
        return -XEN_ENAMETOOLONG;
    rc = ext2_dir_find(*ip, name, (unsigned int)len, &ino);
    if (rc == 0)
        rc = ext2_iget(fs, ino, &next);
    if (rc < 0)
        return rc;
    if (follow && is_link(next)) {
        rc = follow_link(fs, *ip, depth, &next);
        if (rc < 0) {
            ext2_iput(next);
            return rc;
        }
    }
    ext2_iput(*ip);
    *ip = next;
    return 0;
}

static int walk(struct ext2 *fs, struct ext2_inode *base, const char *path, size_t len,
                unsigned int flags, struct ext2_inode **out)
{
    struct ext2_inode *ip;
    bool absolute = !base || (len && path[0] == '/');
    int rc = ext2_iget(fs, absolute ? EXT2_ROOT_INO : base->ino, &ip);

    if (rc < 0)
        return rc;
    while (len > 0) {
        size_t n = component_len(path, len);
        bool more = n < len; /* a slash behind it asks for a directory */

        if (n > 0) {
            rc = step(&ip, path, n, more || (flags & WALK_FOLLOW), flags & 0xff);
            if (rc == 0 && more && !ext2_is_dir(ip))
                rc = -XEN_ENOTDIR;
            if (rc < 0) {
                ext2_iput(ip);
                return rc;
            }
        }
        path += n + more;
        len -= n + more;
    }
    *out = ip;
    return 0;
}

int ext2_lookup(struct ext2 *fs, const char *path, bool follow, struct ext2_inode **out)
{
    size_t len = strlen(path);

    if (path[0] != '/')
        return -XEN_EINVAL;
    if (len > MAX_PATH_LEN)
        return -XEN_ENAMETOOLONG;
    return walk(fs, NULL, path, len, follow ? WALK_FOLLOW : 0, out);
}

/* The last part of a path, and the directory that it is in. */
struct last {
    struct ext2_inode *dir;
    const char *name;
    unsigned int len;
};

static int find_last(struct ext2 *fs, const char *path, struct last *last)
{
    size_t len = strlen(path), end, start;
    int rc;

    if (path[0] != '/')
        return -XEN_EINVAL;
    if (len > MAX_PATH_LEN)
        return -XEN_ENAMETOOLONG;
    for (end = len; end > 0 && path[end - 1] == '/'; end--)
        ;
    for (start = end; start > 0 && path[start - 1] != '/'; start--)
        ;
    last->name = path + start;
    last->len = (unsigned int)(end - start);
    if (last->len == 0 || (last->len == 1 && last->name[0] == '.') ||
        (last->len == 2 && last->name[0] == '.' && last->name[1] == '.'))
        return -XEN_EINVAL;
    if (last->len > EXT2_NAME_LEN)
        return -XEN_ENAMETOOLONG;
    rc = walk(fs, NULL, path, start, WALK_FOLLOW, &last->dir);
    if (rc < 0)
        return rc;
    if (!ext2_is_dir(last->dir)) {
        ext2_iput(last->dir);
        return -XEN_ENOTDIR;
    }
    return 0;
}

/* The directory of a name to be made, with the disk marked as being changed. */
static int find_last_new(struct ext2 *fs, const char *path, struct last *last)
{
    uint32_t ino;
    int rc = find_last(fs, path, last);

    if (rc < 0)
        return rc;
    rc = ext2_dir_find(last->dir, last->name, last->len, &ino);
    if (rc == 0)
        rc = -XEN_EEXIST;
    else if (rc == -XEN_ENOENT)
        rc = ext2_begin(fs);
    if (rc < 0)
        ext2_iput(last->dir);
    return rc;
}

/* An inode for a new name, still dead on disk. */
static int new_inode(struct ext2 *fs, const struct last *last, uint16_t mode,
                     struct ext2_inode **out)
{
    bool dir = (mode & EXT2_S_IFMT) == EXT2_S_IFDIR;
    uint32_t ino;
    int rc = ext2_alloc_inode(fs, last->dir->ino, dir, &ino);

    if (rc < 0)
        return rc;
    rc = ext2_inew(fs, ino, out);
    if (rc < 0) {
        if (rc != -XEN_EIO)
            ext2_free_inode(fs, ino, dir);
        return rc;
    }
    (*out)->d.mode = mode;
    (*out)->d.ctime = (*out)->d.mtime = (*out)->d.atime = ext2_now(fs);
    return 0;
}

int ext2_create(struct ext2 *fs, const char *path, uint16_t mode, struct ext2_inode **out)
{
    struct ext2_inode *ip;
    struct last last;
    int rc = find_last_new(fs, path, &last);

    if (rc < 0)
        return rc;
    rc = new_inode(fs, &last, EXT2_S_IFREG | mode, &ip);
    if (rc == 0) {
        rc = ext2_dir_add(last.dir, last.name, last.len, ip);
        if (rc == 0) {
            ip->d.links_count = 1;
            rc = ext2_iwrite(ip);
        } else {
            ext2_free_inode(fs, ip->ino, false);
            ext2_buf_flush(fs);
        }
        if (rc == 0)
            *out = ip;
        else
            ext2_iput(ip);
    }
    ext2_iput(last.dir);
    return rc;
}

/* The new directory's own block, then its name, then its birth. */
static int mkdir_steps(struct ext2 *fs, const struct last *last, struct ext2_inode *ip)
{
    uint8_t *data = malloc(fs->block_size);
    uint32_t block, count;
    int rc;

    if (!data)
        return -XEN_ENOMEM;
    ext2_dir_init(fs, data, ip->ino, last->dir->ino);
    ip->d.size = fs->block_size;
    rc = ext2_bmap_alloc(ip, 0, 1, data, &block, &count);
    free(data);
    if (rc == 0)
        rc = ext2_dir_add(last->dir, last->name, last->len, ip);
    if (rc < 0)
        return rc;
    last->dir->d.links_count++;
    ip->d.links_count = 2;
    rc = ext2_iwrite(last->dir);
    return rc ? rc : ext2_iwrite(ip);
}

int ext2_mkdir(struct ext2 *fs, const char *path, uint16_t mode)
{
    struct ext2_inode *ip;
    struct last last;
    int rc = find_last_new(fs, path, &last);

    if (rc < 0)
        return rc;
    if (last.dir->d.links_count >= EXT2_LINK_MAX)
        rc = -XEN_EMLINK;
    if (rc == 0)
        rc = new_inode(fs, &last, EXT2_S_IFDIR | mode, &ip);
    if (rc == 0) {
        rc = mkdir_steps(fs, &last, ip);
        if (rc < 0 && ip->d.links_count == 0) {
            ext2_ikill(ip);
            ext2_ireap(ip);
        }
        ext2_iput(ip);
    }
    ext2_iput(last.dir);
    return rc;
}

/* Nobody but the caller, who holds it once, has the inode. */
static int check_unused(const struct ext2_inode *ip)
{
    return ip->uses || ip->refs > 1 ? -XEN_EBUSY : 0;
}

/* One name less. The name itself is removed, or has been turned elsewhere, by `rename_to` or here.
 */
static int drop_name(struct ext2_inode *ip, const struct last *last,
                     const struct ext2_inode *instead)
{
    bool dies = ip->d.links_count <= 1 || ext2_is_dir(ip);
    int rc = dies ? ext2_ikill(ip) : 0;

    if (rc == 0)
        rc = instead ? ext2_dir_set(last->dir, last->name, last->len, instead)
                     : ext2_dir_remove(last->dir, last->name, last->len);
    if (rc < 0)
        return rc;
    if (dies)
        return ext2_ireap(ip);
    ip->d.links_count--;
    ip->d.ctime = ext2_now(ip->fs);
    return ext2_iwrite(ip);
}

static int find_target(struct ext2 *fs, const struct last *last, struct ext2_inode **ip)
{
    uint32_t ino;
    int rc = ext2_dir_find(last->dir, last->name, last->len, &ino);

    return rc < 0 ? rc : ext2_iget(fs, ino, ip);
}

int ext2_unlink(struct ext2 *fs, const char *path)
{
    struct ext2_inode *ip;
    struct last last;
    int rc = find_last(fs, path, &last);

    if (rc < 0)
        return rc;
    rc = find_target(fs, &last, &ip);
    if (rc == 0) {
        rc = ext2_is_dir(ip) ? -XEN_EISDIR : check_unused(ip);
        if (rc == 0)
            rc = ext2_begin(fs);
        if (rc == 0)
            rc = drop_name(ip, &last, NULL);
        ext2_iput(ip);
    }
    ext2_iput(last.dir);
    return rc;
}

int ext2_rmdir(struct ext2 *fs, const char *path)
{
    struct ext2_inode *ip;
    struct last last;
    int rc = find_last(fs, path, &last);

    if (rc < 0)
        return rc;
    rc = find_target(fs, &last, &ip);
    if (rc == 0) {
        rc = ext2_is_dir(ip) ? ext2_dir_empty(ip) : -XEN_ENOTDIR;
        if (rc == 0)
            rc = check_unused(ip);
        if (rc == 0)
            rc = ext2_begin(fs);
        if (rc == 0)
            rc = drop_name(ip, &last, NULL);
        if (rc == 0 && last.dir->d.links_count > 2) {
            last.dir->d.links_count--;
            rc = ext2_iwrite(last.dir);
        }
        ext2_iput(ip);
    }
    ext2_iput(last.dir);
    return rc;
}

/* -EINVAL if `ip` is dir or one of the directories above it. */
static int check_not_above(struct ext2_inode *ip, struct ext2_inode *dir)
{
    struct ext2 *fs = ip->fs;
    uint32_t ino = dir->ino;

    for (int depth = 0; ino != EXT2_ROOT_INO; depth++) {
        struct ext2_inode *at;
        int rc;

        if (ino == ip->ino)
            return -XEN_EINVAL;
        if (depth == MAX_DIR_DEPTH)
            return ext2_corrupt(fs, "directory %u is inside itself", dir->ino);
        rc = ext2_iget(fs, ino, &at);
        if (rc < 0)
            return rc;
        rc = ext2_is_dir(at) ? ext2_dir_find(at, "..", 2, &ino) : -XEN_ENOTDIR;
        ext2_iput(at);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What may not be replaced by what. */
static int check_replace(const struct ext2_inode *from, struct ext2_inode *to)
{
    if (ext2_is_dir(to))
        return ext2_is_dir(from) ? -XEN_EEXIST : -XEN_EISDIR;
    if (ext2_is_dir(from))
        return -XEN_ENOTDIR;
    return check_unused(to);
}

static int rename_to(struct ext2_inode *ip, const struct last *from, const struct last *to,
                     struct ext2_inode *replaced)
{
    bool moved_dir = ext2_is_dir(ip) && from->dir != to->dir;
    int rc = replaced ? drop_name(replaced, to, ip) : ext2_dir_add(to->dir, to->name, to->len, ip);

    if (rc == 0)
        rc = ext2_dir_remove(from->dir, from->name, from->len);
    if (rc == 0 && moved_dir) {
        rc = ext2_dir_set(ip, "..", 2, to->dir);
        to->dir->d.links_count++;
        if (from->dir->d.links_count > 2)
            from->dir->d.links_count--;
        if (rc == 0)
            rc = ext2_iwrite(to->dir);
        if (rc == 0)
            rc = ext2_iwrite(from->dir);
    }
    ip->d.ctime = ext2_now(ip->fs);
    return rc ? rc : ext2_iwrite(ip);
}

/* With the old name's inode and both directories at hand. */
static int rename_checked(struct ext2 *fs, struct ext2_inode *ip, const struct last *from,
                          const struct last *to)
{
    struct ext2_inode *replaced = NULL;
    int rc = find_target(fs, to, &replaced);

    if (rc == -XEN_ENOENT)
        rc = 0;
    if (rc == 0 && replaced == ip) {
        ext2_iput(replaced);
        return 0;
    }
    if (rc == 0 && replaced)
        rc = check_replace(ip, replaced);
    if (rc == 0 && ext2_is_dir(ip) && from->dir != to->dir) {
        rc = check_not_above(ip, to->dir);
        if (rc == 0 && to->dir->d.links_count >= EXT2_LINK_MAX)
            rc = -XEN_EMLINK;
    }
    if (rc == 0)
        rc = ext2_begin(fs);
    if (rc == 0)
        rc = rename_to(ip, from, to, replaced);
    if (replaced)
        ext2_iput(replaced);
    return rc;
}

int ext2_rename(struct ext2 *fs, const char *from, const char *to)
{
    struct last old, new;
    struct ext2_inode *ip;
    int rc = find_last(fs, from, &old);

    if (rc < 0)
        return rc;
    rc = find_last(fs, to, &new);
    if (rc == 0) {
        rc = find_target(fs, &old, &ip);
        if (rc == 0) {
            rc = rename_checked(fs, ip, &old, &new);
            ext2_iput(ip);
        }
        ext2_iput(new.dir);
    }
    ext2_iput(old.dir);
    return rc;
}
