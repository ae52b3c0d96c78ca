/* SPDX-License-Identifier: MIT */
/*
 * Directories: blocks of entries, each saying how far it is to the next. An index (htree) is laid
 * out so that it reads as a plain directory; one that we change loses its index flag first.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

static uint32_t dir_blocks(const struct ext2_inode *dir)
{
    return dir->d.size >> dir->fs->block_shift;
}

static int dir_buf(struct ext2_inode *dir, uint32_t fblock, struct ext2_buf **buf)
{
    uint32_t block, count;
    int rc = ext2_bmap(dir, fblock, 1, &block, &count);

    if (rc < 0)
        return rc;
    if (!block)
        return ext2_corrupt(dir->fs, "directory %u: block %u is missing", dir->ino, fblock);
    return ext2_buf_get(dir->fs, block, buf);
}

/* The entry at an offset of a block, checked, or NULL. */
static struct ext2_dirent_disk *entry_at(struct ext2_inode *dir, struct ext2_buf *buf,
                                         uint32_t offset)
{
    struct ext2 *fs = dir->fs;
    struct ext2_dirent_disk *de = (struct ext2_dirent_disk *)(buf->data + offset);
    uint32_t room = fs->block_size - offset;

    if (room < EXT2_DIRENT_LEN(1) || de->rec_len < EXT2_DIRENT_LEN(1) || de->rec_len % 4 ||
        de->rec_len > room || EXT2_DIRENT_LEN(de->name_len) > de->rec_len ||
        de->inode > fs->sb.inodes_count || (de->inode && de->name_len == 0)) {
        ext2_corrupt(fs, "directory %u: bad entry at offset %u of block %u", dir->ino, offset,
                     buf->block);
        return NULL;
    }
    return de;
}

/* Where an entry was found. The buffer is pinned. */
struct place {
    struct ext2_buf *buf;
    struct ext2_dirent_disk *de;
    struct ext2_dirent_disk *before; /* in the same block, or NULL */
};

static bool name_is(const struct ext2_dirent_disk *de, const char *name, unsigned int len)
{
    return de->inode && de->name_len == len && memcmp(de->name, name, len) == 0;
}

/* Looks for a name in one block: 1 found, 0 not. */
static int find_in_block(struct ext2_inode *dir, const char *name, unsigned int len,
                         struct place *at)
{
    uint32_t offset = 0;

    at->before = NULL;
    while (offset < dir->fs->block_size) {
        at->de = entry_at(dir, at->buf, offset);
        if (!at->de)
            return -XEN_EIO;
        if (name_is(at->de, name, len))
            return 1;
        at->before = at->de;
        offset += at->de->rec_len;
    }
    return 0;
}

static int find_place(struct ext2_inode *dir, const char *name, unsigned int len, struct place *at)
{
    if (len == 0 || len > EXT2_NAME_LEN)
        return -XEN_ENAMETOOLONG;
    for (uint32_t fblock = 0; fblock < dir_blocks(dir); fblock++) {
        int rc = dir_buf(dir, fblock, &at->buf);

        if (rc < 0)
            return rc;
        rc = find_in_block(dir, name, len, at);
        if (rc > 0)
            return 0;
        ext2_buf_put(at->buf);
        if (rc < 0)
            return rc;
    }
    return -XEN_ENOENT;
}

int ext2_dir_find(struct ext2_inode *dir, const char *name, unsigned int len, uint32_t *ino)
{
    struct place at;
    int rc = find_place(dir, name, len, &at);

    if (rc < 0)
        return rc;
    *ino = at.de->inode;
    ext2_buf_put(at.buf);
    return 0;
}

/* Before a change: times, and the index goes, on disk, before it is wrong. */
static int dir_touch(struct ext2_inode *dir)
{
    dir->d.mtime = dir->d.ctime = ext2_now(dir->fs);
    dir->d.flags &= ~EXT2_FL_INDEX;
    return ext2_iwrite(dir);
}

static void entry_point(struct ext2 *fs, struct ext2_dirent_disk *de,
                        const struct ext2_inode *target)
{
    uint16_t type = target->d.mode & EXT2_S_IFMT;

    de->inode = target->ino;
    de->file_type = EXT2_FT_UNKNOWN;
    if (fs->sb.rev_level && (fs->sb.feature_incompat & EXT2_INCOMPAT_FILETYPE)) {
        if (type == EXT2_S_IFREG)
            de->file_type = EXT2_FT_REG;
        else if (type == EXT2_S_IFDIR)
            de->file_type = EXT2_FT_DIR;
        else if (type == EXT2_S_IFLNK)
            de->file_type = EXT2_FT_SYMLINK;
    }
}

static void entry_fill(struct ext2 *fs, struct ext2_dirent_disk *de, const char *name,
                       unsigned int len, const struct ext2_inode *target)
{
    de->name_len = (uint8_t)len;
    memcpy(de->name, name, len);
    entry_point(fs, de, target);
}

/* Room for a name behind the end of an entry, or in an unused one. 1: it is in. */
static int add_in_block(struct ext2_inode *dir, struct ext2_buf *buf, const char *name,
                        unsigned int len, const struct ext2_inode *target)
{
    uint32_t need = EXT2_DIRENT_LEN(len), offset = 0;

    while (offset < dir->fs->block_size) {
        struct ext2_dirent_disk *de = entry_at(dir, buf, offset);
        uint32_t used;
        int rc;

        if (!de)
            return -XEN_EIO;
        used = de->inode ? EXT2_DIRENT_LEN(de->name_len) : 0;
        offset += de->rec_len;
        if (de->rec_len - used < need)
            continue;
        if (used) {
            struct ext2_dirent_disk *next = (struct ext2_dirent_disk *)((uint8_t *)de + used);

            next->rec_len = (uint16_t)(de->rec_len - used);
            de->rec_len = (uint16_t)used;
            de = next;
        }
        entry_fill(dir->fs, de, name, len, target);
        rc = ext2_buf_write(dir->fs, buf);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* A new block for the directory, with that one entry. */
static int add_block(struct ext2_inode *dir, const char *name, unsigned int len,
                     const struct ext2_inode *target)
{
    struct ext2 *fs = dir->fs;
    struct ext2_dirent_disk *de;
    uint32_t fblock = dir_blocks(dir), block, count;
    int rc;

    de = calloc(1, fs->block_size);
    if (!de)
        return -XEN_ENOMEM;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): no file system of block size 0 is mounted */
    de->rec_len = (uint16_t)fs->block_size;
    entry_fill(fs, de, name, len, target);
    dir->d.size += fs->block_size; /* written together with the pointer */
    rc = ext2_bmap_alloc(dir, fblock, 1, de, &block, &count);
    if (rc < 0)
        dir->d.size -= fs->block_size;
    free(de);
    return rc;
}

int ext2_dir_add(struct ext2_inode *dir, const char *name, unsigned int len,
                 const struct ext2_inode *target)
{
    int rc = dir_touch(dir);

    for (uint32_t fblock = 0; rc == 0 && fblock < dir_blocks(dir); fblock++) {
        struct ext2_buf *buf;

        rc = dir_buf(dir, fblock, &buf);
        if (rc < 0)
            return rc;
        rc = add_in_block(dir, buf, name, len, target);
        ext2_buf_put(buf);
    }
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return add_block(dir, name, len, target);
}

int ext2_dir_remove(struct ext2_inode *dir, const char *name, unsigned int len)
{
    struct place at;
    int rc = find_place(dir, name, len, &at);

    if (rc < 0)
        return rc;
    rc = dir_touch(dir);
    if (rc == 0) {
        if (at.before)
            at.before->rec_len = (uint16_t)(at.before->rec_len + at.de->rec_len);
        else
            at.de->inode = 0;
        rc = ext2_buf_write(dir->fs, at.buf);
    }
    ext2_buf_put(at.buf);
    return rc;
}

int ext2_dir_set(struct ext2_inode *dir, const char *name, unsigned int len,
                 const struct ext2_inode *target)
{
    struct place at;
    int rc = find_place(dir, name, len, &at);

    if (rc < 0)
        return rc;
    rc = dir_touch(dir);
    if (rc == 0) {
        entry_point(dir->fs, at.de, target);
        rc = ext2_buf_write(dir->fs, at.buf);
    }
    ext2_buf_put(at.buf);
    return rc;
}

void ext2_dir_init(struct ext2 *fs, uint8_t *data, uint32_t self, uint32_t parent)
{
    struct ext2_dirent_disk *dot = (struct ext2_dirent_disk *)data;
    struct ext2_dirent_disk *dotdot = (struct ext2_dirent_disk *)(data + EXT2_DIRENT_LEN(1));
    bool typed = fs->sb.rev_level && (fs->sb.feature_incompat & EXT2_INCOMPAT_FILETYPE);

    memset(data, 0, fs->block_size);
    dot->inode = self;
    dot->rec_len = EXT2_DIRENT_LEN(1);
    dot->name_len = 1;
    dot->file_type = typed ? EXT2_FT_DIR : EXT2_FT_UNKNOWN;
    dot->name[0] = '.';
    dotdot->inode = parent;
    dotdot->rec_len = (uint16_t)(fs->block_size - EXT2_DIRENT_LEN(1));
    dotdot->name_len = 2;
    dotdot->file_type = dot->file_type;
    memcpy(dotdot->name, "..", 2);
}

int ext2_readdir(struct ext2_inode *dir, ext2_dir_fn fn, void *arg)
{
    if (!ext2_is_dir(dir))
        return -XEN_ENOTDIR;
    for (uint32_t fblock = 0; fblock < dir_blocks(dir); fblock++) {
        uint32_t offset = 0;
        struct ext2_buf *buf;
        int rc = dir_buf(dir, fblock, &buf);

        while (rc == 0 && offset < dir->fs->block_size) {
            struct ext2_dirent_disk *de = entry_at(dir, buf, offset);

            if (!de)
                rc = -XEN_EIO;
            else if (de->inode)
                rc = fn(arg, de->name, de->name_len, de->inode);
            if (de)
                offset += de->rec_len;
            if (rc)
                ext2_buf_put(buf);
        }
        if (rc)
            return rc;
        ext2_buf_put(buf);
    }
    return 0;
}

static int other_than_dots(void *arg, const char *name, unsigned int len, uint32_t ino)
{
    (void)arg;
    (void)ino;
    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return 0;
    return -XEN_ENOTEMPTY;
}

int ext2_dir_empty(struct ext2_inode *dir)
{
    return ext2_readdir(dir, other_than_dots, NULL);
}
