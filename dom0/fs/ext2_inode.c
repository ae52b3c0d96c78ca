/* SPDX-License-Identifier: MIT */
/* Inodes: from and to the inode table, the objects that stand for those in use, birth and death. */
#include "dom0/fs/ext2_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

/* Real directories are far smaller; a damaged size must not keep us reading for minutes. */
#define MAX_DIR_SIZE (32u << 20)

static uint16_t type_of(const struct ext2_inode *ip)
{
    return ip->d.mode & EXT2_S_IFMT;
}

bool ext2_is_dir(const struct ext2_inode *ip)
{
    return type_of(ip) == EXT2_S_IFDIR;
}

bool ext2_is_file(const struct ext2_inode *ip)
{
    return type_of(ip) == EXT2_S_IFREG;
}

uint64_t ext2_size(const struct ext2_inode *ip)
{
    uint64_t high = ext2_is_file(ip) && ip->fs->sb.rev_level ? ip->d.size_high : 0;

    return high << 32 | ip->d.size;
}

void ext2_set_size(struct ext2_inode *ip, uint64_t size)
{
    ip->d.size = (uint32_t)size;
    if (ext2_is_file(ip) && ip->fs->sb.rev_level)
        ip->d.size_high = (uint32_t)(size >> 32);
}

void ext2_stat(const struct ext2_inode *ip, struct ext2_stat *st)
{
    st->ino = ip->ino;
    st->mode = ip->d.mode;
    st->links = ip->d.links_count;
    st->mtime = ip->d.mtime;
    st->size = ext2_size(ip);
    st->sectors = ip->d.blocks;
}

/* The block of the inode table with that inode, and the offset in it. */
static int inode_buf(struct ext2 *fs, uint32_t ino, struct ext2_buf **buf, uint32_t *offset)
{
    uint32_t group = (ino - 1) / fs->sb.inodes_per_group;
    uint64_t byte = (uint64_t)((ino - 1) % fs->sb.inodes_per_group) * fs->inode_size;

    *offset = (uint32_t)(byte & (fs->block_size - 1));
    return ext2_buf_get(fs, fs->groups[group].inode_table + (uint32_t)(byte >> fs->block_shift),
                        buf);
}

static int check_inode(const struct ext2_inode *ip)
{
    struct ext2 *fs = ip->fs;
    uint64_t size = ext2_size(ip);

    if (ip->d.links_count == 0 || ip->d.mode == 0)
        return ext2_corrupt(fs, "inode %u has a name but is deleted", ip->ino);
    if (ip->d.flags & EXT2_FL_UNSUPPORTED) {
        ext2_report(fs, "inode %u has flags 0x%x that are not supported", ip->ino, ip->d.flags);
        return -XEN_EOPNOTSUPP;
    }
    if (size > fs->max_size)
        return ext2_corrupt(fs, "inode %u: size %llu", ip->ino, (unsigned long long)size);
    if (ext2_is_dir(ip) &&
        (size == 0 || (size & (fs->block_size - 1)) || ip->d.size > MAX_DIR_SIZE))
        return ext2_corrupt(fs, "directory %u: size %u", ip->ino, ip->d.size);
    return 0;
}

static struct ext2_inode *inode_object(struct ext2 *fs, uint32_t ino)
{
    struct ext2_inode *ip = calloc(1, sizeof(*ip));

    if (!ip)
        return NULL;
    ip->fs = fs;
    ip->ino = ino;
    ip->refs = 1;
    ip->next = fs->inodes;
    fs->inodes = ip;
    return ip;
}

int ext2_iget_any(struct ext2 *fs, uint32_t ino, struct ext2_inode **out)
{
    struct ext2_inode *ip;
    struct ext2_buf *buf;
    uint32_t offset;
    int rc;

    for (ip = fs->inodes; ip; ip = ip->next) {
        if (ip->ino == ino) {
            ip->refs++;
            *out = ip;
            return 0;
        }
    }
    rc = inode_buf(fs, ino, &buf, &offset);
    if (rc < 0)
        return rc;
    ip = inode_object(fs, ino);
    if (ip)
        memcpy(&ip->d, buf->data + offset, sizeof(ip->d));
    ext2_buf_put(buf);
    if (!ip)
        return -XEN_ENOMEM;
    rc = check_inode(ip);
    if (rc < 0) {
        ext2_iput(ip);
        return rc;
    }
    *out = ip;
    return 0;
}

int ext2_iget(struct ext2 *fs, uint32_t ino, struct ext2_inode **out)
{
    if (ino != EXT2_ROOT_INO && (ino < fs->first_ino || ino > fs->sb.inodes_count))
        return ext2_corrupt(fs, "a name for inode %u, which cannot have one", ino);
    return ext2_iget_any(fs, ino, out);
}

int ext2_inew(struct ext2 *fs, uint32_t ino, struct ext2_inode **out)
{
    struct ext2_inode *ip;

    /* A free bit for an inode that is open here: the bitmap lies. */
    for (ip = fs->inodes; ip; ip = ip->next) {
        if (ip->ino == ino)
            return ext2_corrupt(fs, "inode %u is in use but marked free", ino);
    }
    ip = inode_object(fs, ino);
    if (!ip)
        return -XEN_ENOMEM;
    ip->fresh = true;
    *out = ip;
    return 0;
}

void ext2_iput(struct ext2_inode *ip)
{
    struct ext2_inode **link = &ip->fs->inodes;

    if (--ip->refs > 0)
        return;
    while (*link != ip)
        link = &(*link)->next;
    *link = ip->next;
    free(ip);
}

int ext2_iwrite(struct ext2_inode *ip)
{
    struct ext2 *fs = ip->fs;
    struct ext2_buf *buf;
    uint32_t offset;
    int rc = inode_buf(fs, ip->ino, &buf, &offset);

    if (rc < 0)
        return rc;
    if (ip->fresh)
        memset(buf->data + offset, 0, fs->inode_size);
    memcpy(buf->data + offset, &ip->d, sizeof(ip->d));
    rc = ext2_buf_write(fs, buf);
    ext2_buf_put(buf);
    if (rc == 0)
        ip->fresh = false;
    return rc;
}

/* Block numbers are in i_block, and not a device's number or a short link's text. */
static bool has_blocks(const struct ext2_inode *ip)
{
    uint32_t xattr = ip->d.file_acl ? ip->fs->block_size >> BLK_SECTOR_SHIFT : 0;

    return ext2_is_file(ip) || ext2_is_dir(ip) ||
           (type_of(ip) == EXT2_S_IFLNK && ip->d.blocks > xattr);
}

/* One inode less uses the block with extended attributes. */
static int drop_xattr(struct ext2_inode *ip)
{
    struct ext2 *fs = ip->fs;
    uint32_t block = ip->d.file_acl;
    struct ext2_xattr_disk *head;
    struct ext2_buf *buf;
    bool last = false;
    int rc;

    if (!block)
        return 0;
    if (!ext2_block_ok(fs, block, 1))
        return ext2_corrupt(fs, "inode %u: attribute block %u", ip->ino, block);
    rc = ext2_buf_get(fs, block, &buf);
    if (rc < 0)
        return rc;
    head = (struct ext2_xattr_disk *)buf->data;
    if (head->magic != EXT2_XATTR_MAGIC || head->refcount == 0) {
        rc = ext2_corrupt(fs, "inode %u: block %u has no attributes", ip->ino, block);
    } else if (head->refcount > 1) {
        head->refcount--;
        rc = ext2_buf_write(fs, buf);
    } else {
        last = true;
    }
    ext2_buf_put(buf);
    if (last)
        rc = ext2_free_blocks(fs, block, 1);
    return rc;
}

int ext2_ikill(struct ext2_inode *ip)
{
    ip->d.links_count = 0;
    ip->d.dtime = ext2_now(ip->fs);
    return ext2_iwrite(ip);
}

int ext2_ireap(struct ext2_inode *ip)
{
    int rc = drop_xattr(ip);
    int err = has_blocks(ip) ? ext2_free_from(ip, 0) : 0;

    if (rc == 0)
        rc = err;
    err = ext2_free_inode(ip->fs, ip->ino, ext2_is_dir(ip));
    if (rc == 0)
        rc = err;
    err = ext2_buf_flush(ip->fs);
    return rc ? rc : err;
}

int ext2_use(struct ext2_inode *ip, struct ext2_use *use, unsigned int flags, const char *who)
{
    for (const struct ext2_use *other = ip->uses; other; other = other->next) {
        if (((flags & EXT2_USE_LOCK) && (other->flags & EXT2_USE_WRITE)) ||
            ((flags & EXT2_USE_WRITE) && (other->flags & EXT2_USE_LOCK)))
            return -XEN_EBUSY;
    }
    use->flags = flags;
    snprintf(use->who, sizeof(use->who), "%s", who ? who : "dom0");
    use->next = ip->uses;
    ip->uses = use;
    return 0;
}

void ext2_unuse(struct ext2_inode *ip, struct ext2_use *use)
{
    struct ext2_use **link = &ip->uses;

    while (*link != use)
        link = &(*link)->next;
    *link = use->next;
}

const char *ext2_user(const struct ext2_inode *ip)
{
    const struct ext2_use *best = ip->uses;

    for (const struct ext2_use *use = ip->uses; use; use = use->next) {
        if (use->flags > best->flags)
            best = use;
    }
    return best ? best->who : NULL;
}
