/* SPDX-License-Identifier: MIT */
/* Content of files: reading, writing, changing the size. Data goes past the metadata cache. */
#include "dom0/fs/ext2_impl.h"

#include <string.h>
#include <xen/errno.h>

#define MAX_RUN 256u /* blocks looked up at once */

/* The whole blocks in `len` bytes, bounded. */
static uint32_t whole_blocks(const struct ext2 *fs, size_t len)
{
    size_t n = len >> fs->block_shift;

    return n < MAX_RUN ? (uint32_t)n : MAX_RUN;
}

/* Reads up to len bytes in one piece; returns how many. */
static int64_t read_piece(struct ext2_inode *ip, uint8_t *buf, size_t len, uint64_t offset)
{
    struct ext2 *fs = ip->fs;
    uint32_t in = (uint32_t)(offset & (fs->block_size - 1)), block, count;
    bool whole = in == 0 && len >= fs->block_size;
    size_t piece;
    int rc = ext2_bmap(ip, (uint32_t)(offset >> fs->block_shift), whole ? whole_blocks(fs, len) : 1,
                       &block, &count);

    if (rc < 0)
        return rc;
    if (whole) {
        piece = (size_t)count << fs->block_shift;
        if (block)
            rc = ext2_disk_read(fs, block, count, buf);
        else
            memset(buf, 0, piece);
    } else {
        piece = fs->block_size - in < len ? fs->block_size - in : len;
        if (block)
            rc = ext2_disk_read(fs, block, 1, fs->bounce);
        else
            memset(fs->bounce, 0, fs->block_size);
        if (rc == 0)
            memcpy(buf, fs->bounce + in, piece);
    }
    return rc < 0 ? rc : (int64_t)piece;
}

int64_t ext2_read(struct ext2_inode *ip, void *buf, size_t len, uint64_t offset)
{
    uint64_t size = ext2_size(ip);
    size_t done = 0;

    if (offset >= size)
        return 0;
    if (len > size - offset)
        len = size - offset;
    while (done < len) {
        int64_t n = read_piece(ip, (uint8_t *)buf + done, len - done, offset + done);

        if (n < 0)
            return n;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int64_t write_whole(struct ext2_inode *ip, const uint8_t *buf, size_t len, uint32_t fblock)
{
    struct ext2 *fs = ip->fs;
    uint32_t want = whole_blocks(fs, len), block, count;
    int rc = ext2_bmap(ip, fblock, want, &block, &count);

    if (rc < 0)
        return rc;
    if (block)
        rc = ext2_disk_write(fs, block, count, buf);
    else
        rc = ext2_bmap_alloc(ip, fblock, count, buf, &block, &count);
    return rc < 0 ? rc : (int64_t)count << fs->block_shift;
}

static int64_t write_part(struct ext2_inode *ip, const uint8_t *buf, size_t len, uint64_t offset)
{
    struct ext2 *fs = ip->fs;
    uint32_t fblock = (uint32_t)(offset >> fs->block_shift), block, count;
    uint32_t in = (uint32_t)(offset & (fs->block_size - 1));
    size_t piece = fs->block_size - in < len ? fs->block_size - in : len;
    int rc = ext2_bmap(ip, fblock, 1, &block, &count);

    if (rc < 0)
        return rc;
    if (block)
        rc = ext2_disk_read(fs, block, 1, fs->bounce);
    else
        memset(fs->bounce, 0, fs->block_size);
    if (rc < 0)
        return rc;
    memcpy(fs->bounce + in, buf, piece);
    if (block)
        rc = ext2_disk_write(fs, block, 1, fs->bounce);
    else
        rc = ext2_bmap_alloc(ip, fblock, 1, fs->bounce, &block, &count);
    return rc < 0 ? rc : (int64_t)piece;
}

/* Whether a file may have that size; marks the file system where large ones need it. */
static int check_size(struct ext2 *fs, uint64_t size)
{
    if (size > fs->max_size)
        return -XEN_EOVERFLOW;
    return size > 0x7fffffff ? ext2_need_large_file(fs) : 0;
}

int64_t ext2_write(struct ext2_inode *ip, const void *buf, size_t len, uint64_t offset)
{
    struct ext2 *fs = ip->fs;
    const uint8_t *from = buf;
    size_t done = 0;
    int64_t n = 0;
    int rc;

    if (!ext2_is_file(ip))
        return -XEN_EINVAL;
    if (len == 0)
        return 0;
    if (offset > fs->max_size || len > fs->max_size - offset)
        return -XEN_EOVERFLOW;
    rc = ext2_begin(fs);
    if (rc == 0)
        rc = check_size(fs, offset + len);
    if (rc < 0)
        return rc;
    while (done < len) {
        uint64_t at = offset + done;

        if ((at & (fs->block_size - 1)) == 0 && len - done >= fs->block_size)
            n = write_whole(ip, from + done, len - done, (uint32_t)(at >> fs->block_shift));
        else
            n = write_part(ip, from + done, len - done, at);
        if (n < 0)
            break;
        done += (size_t)n;
    }
    if (done == 0)
        return n;
    if (offset + done > ext2_size(ip))
        ext2_set_size(ip, offset + done);
    ip->d.mtime = ip->d.ctime = ext2_now(fs);
    rc = ext2_iwrite(ip);
    return rc < 0 ? rc : (int64_t)done;
}

/* What lies behind the end in the last block must be zero, should the file grow again. */
static int zero_tail(struct ext2_inode *ip, uint64_t size)
{
    struct ext2 *fs = ip->fs;
    uint32_t in = (uint32_t)(size & (fs->block_size - 1)), block, count;
    int rc;

    if (in == 0)
        return 0;
    rc = ext2_bmap(ip, (uint32_t)(size >> fs->block_shift), 1, &block, &count);
    if (rc < 0 || !block)
        return rc;
    rc = ext2_disk_read(fs, block, 1, fs->bounce);
    if (rc < 0)
        return rc;
    memset(fs->bounce + in, 0, fs->block_size - in);
    return ext2_disk_write(fs, block, 1, fs->bounce);
}

int ext2_truncate(struct ext2_inode *ip, uint64_t size)
{
    struct ext2 *fs = ip->fs;
    uint64_t old = ext2_size(ip);
    int rc;

    if (!ext2_is_file(ip))
        return -XEN_EINVAL;
    if (size > fs->max_size)
        return -XEN_EOVERFLOW;
    rc = ext2_begin(fs);
    if (rc == 0)
        rc = check_size(fs, size);
    if (rc < 0)
        return rc;
    ext2_set_size(ip, size);
    ip->d.mtime = ip->d.ctime = ext2_now(fs);
    rc = ext2_iwrite(ip);
    if (rc < 0 || size >= old)
        return rc;
    rc = zero_tail(ip, size);
    if (rc < 0)
        return rc;
    return ext2_free_from(ip, (uint32_t)((size + fs->block_size - 1) >> fs->block_shift));
}
