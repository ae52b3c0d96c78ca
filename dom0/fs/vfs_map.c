/* SPDX-License-Identifier: MIT */
/* Parts of files as sectors of the device, for who reads and writes these by itself; holes. */
#include "dom0/fs/vfs_impl.h"

#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"

#define VFS_MAP_BLOCKS 256u

/* A part of a file in blocks of the file system, and its begin in the first one. */
struct part {
    uint32_t fblock, blocks, in;
};

static int part_of(const struct vfs_file *file, uint64_t offset, uint64_t len, struct part *part)
{
    uint32_t size = ext2_block_size(vfs.fs);
    uint64_t file_size = ext2_size(file->ip), blocks;

    if (len == 0 || (offset | len) & (BLK_SECTOR_SIZE - 1) || offset > file_size ||
        len > file_size - offset)
        return -XEN_EINVAL;
    part->in = (uint32_t)(offset & (size - 1));
    part->fblock = (uint32_t)(offset / size);
    blocks = (part->in + len + size - 1) / size;
    part->blocks = blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
    return 0;
}

/* What is allocated in one go: the lock is held so long. */
static uint32_t some_of(uint32_t blocks)
{
    return blocks < VFS_MAP_BLOCKS ? blocks : VFS_MAP_BLOCKS;
}

/* `count` blocks from part's first on are at `block`, or a hole. */
static void set_extent(struct vfs_extent *extent, const struct part *part, uint64_t len,
                       uint32_t block, uint32_t count)
{
    uint64_t size = ext2_block_size(vfs.fs);

    extent->sector = block ? (block * size + part->in) >> BLK_SECTOR_SHIFT : VFS_HOLE;
    extent->len = count * size - part->in;
    if (extent->len > len)
        extent->len = len;
    extent->fresh = false;
}

int vfs_map(struct vfs_file *file, uint64_t offset, uint64_t len, struct vfs_extent *extent)
{
    uint32_t block, count;
    struct part part;
    int rc = part_of(file, offset, len, &part);

    if (rc == 0)
        rc = vfs_enter();
    if (rc < 0)
        return rc;
    rc = ext2_bmap(file->ip, part.fblock, part.blocks, &block, &count);
    vfs_leave();
    if (rc == 0)
        set_extent(extent, &part, len, block, count);
    return rc;
}

/* Whole blocks are reserved; one that is written in part gets zeros, as nobody writes the rest. */
static int map_new_locked(struct vfs_file *file, const struct part *part, uint64_t len,
                          struct vfs_extent *extent)
{
    uint32_t whole = part->in ? 0 : (uint32_t)(len / ext2_block_size(vfs.fs)), block, count;
    bool fresh = false;
    int rc = ext2_bmap(file->ip, part->fblock, part->blocks, &block, &count);

    if (rc == 0 && !block && whole)
        rc = ext2_reserve(file->ip, part->fblock, some_of(whole), &block, &count, &fresh);
    if (rc == -XEN_ENOMEM || (rc == 0 && !block))
        rc = ext2_bmap_alloc(file->ip, part->fblock, 1, NULL, &block, &count);
    if (rc < 0)
        return rc;
    set_extent(extent, part, len, block, count);
    extent->fresh = fresh;
    return 0;
}

int vfs_map_new(struct vfs_file *file, uint64_t offset, uint64_t len, struct vfs_extent *extent)
{
    struct part part;
    int rc = part_of(file, offset, len, &part);

    if (rc == 0)
        rc = vfs_enter_to_write(file);
    if (rc < 0)
        return rc;
    rc = map_new_locked(file, &part, len, extent);
    vfs_leave();
    return rc;
}

int vfs_keep(struct vfs_file *file, uint64_t offset, uint64_t sector, uint64_t len)
{
    uint64_t size = ext2_block_size(vfs.fs);
    int rc = vfs_enter();

    if (rc < 0)
        return rc;
    rc = ext2_link(file->ip, (uint32_t)(offset / size),
                   (uint32_t)((sector << BLK_SECTOR_SHIFT) / size), (uint32_t)(len / size));
    vfs_leave();
    return rc;
}

void vfs_drop(struct vfs_file *file, uint64_t sector, uint64_t len)
{
    uint64_t size = ext2_block_size(vfs.fs);

    if (vfs_enter() < 0)
        return;
    ext2_unreserve(file->ip, (uint32_t)((sector << BLK_SECTOR_SHIFT) / size),
                   (uint32_t)(len / size));
    vfs_leave();
}

int vfs_punch(struct vfs_file *file, uint64_t offset, uint64_t len)
{
    uint64_t size = ext2_block_size(vfs.fs), first = (offset + size - 1) / size;
    uint64_t end = (offset + len) / size;
    int rc = offset + len <= ext2_size(file->ip) ? vfs_enter_to_write(file) : -XEN_EINVAL;

    if (rc < 0)
        return rc;
    rc = ext2_punch(file->ip, (uint32_t)first, first < end ? (uint32_t)(end - first) : 0);
    vfs_leave();
    return rc;
}
