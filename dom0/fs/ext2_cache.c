/* SPDX-License-Identifier: MIT */
/*
 * Blocks from and to the device, and the cache of metadata blocks. With a journal a block that is
 * written becomes part of the running transaction, and stays in memory until its commit. Without
 * one the cache is write-through but for bitmaps in which an operation has cleared bits, because
 * those may reach the disk any time after the pointers to the blocks are gone, and a large file
 * would otherwise write a bitmap per block that it frees.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

static uint32_t sectors_per_block(const struct ext2 *fs)
{
    return fs->block_size >> BLK_SECTOR_SHIFT;
}

int ext2_disk_read(struct ext2 *fs, uint32_t block, uint32_t count, void *data)
{
    uint64_t sector = (uint64_t)block * sectors_per_block(fs);
    int rc = blkdev_read(fs->dev, sector, data, count * sectors_per_block(fs));

    if (rc < 0)
        ext2_report(fs, "%s: reading block %u failed (error %d)", fs->dev->name, block, -rc);
    return rc;
}

int ext2_disk_write(struct ext2 *fs, uint32_t block, uint32_t count, const void *data)
{
    uint64_t sector = (uint64_t)block * sectors_per_block(fs);
    int rc = blkdev_write(fs->dev, sector, data, count * sectors_per_block(fs));

    if (rc < 0)
        ext2_report(fs, "%s: writing block %u failed (error %d)", fs->dev->name, block, -rc);
    return rc;
}

int ext2_cache_init(struct ext2 *fs)
{
    for (unsigned int i = 0; i < EXT2_BUFS; i++) {
        fs->bufs[i].data = malloc(fs->block_size);
        if (!fs->bufs[i].data)
            return -XEN_ENOMEM;
    }
    return 0;
}

void ext2_cache_free(struct ext2 *fs)
{
    for (unsigned int i = 0; i < EXT2_BUFS; i++) {
        free(fs->bufs[i].data);
        fs->bufs[i].data = NULL;
    }
}

/* The buffer of that block, else the one that was unused for longest, else NULL. */
static struct ext2_buf *buf_find(struct ext2 *fs, uint32_t block)
{
    struct ext2_buf *victim = NULL;
    bool journal = ext2_has_journal(fs);

    for (struct ext2_buf *buf = fs->bufs; buf < fs->bufs + EXT2_BUFS; buf++) {
        if (buf->block == block)
            return buf;
        if (!buf->pins && !(journal && buf->dirty) && (!victim || buf->used < victim->used))
            victim = buf;
    }
    return victim;
}

/* The buffer of that block, or a free one to fill (block 0). Pinned. */
static int buf_claim(struct ext2 *fs, uint32_t block, struct ext2_buf **out)
{
    struct ext2_buf *victim = buf_find(fs, block);
    int rc = 0;

    if (!victim && ext2_has_journal(fs)) {
        rc = ext2_journal_commit(fs);
        victim = rc < 0 ? NULL : buf_find(fs, block);
    }
    if (!victim)
        return rc ? rc : -XEN_ENOMEM;
    if (victim->block != block) {
        if (victim->dirty)
            rc = ext2_buf_write(fs, victim);
        if (rc < 0)
            return rc;
        victim->block = 0;
    }
    victim->pins++;
    victim->used = ++fs->use_clock;
    *out = victim;
    return 0;
}

int ext2_buf_get(struct ext2 *fs, uint32_t block, struct ext2_buf **out)
{
    struct ext2_buf *buf;
    int rc;

    if (block == 0 || block >= fs->sb.blocks_count)
        return ext2_corrupt(fs, "block number %u out of range", block);
    rc = buf_claim(fs, block, &buf);
    if (rc)
        return rc;
    if (buf->block != block) {
        rc = ext2_disk_read(fs, block, 1, buf->data);
        if (rc < 0) {
            buf->pins--;
            return rc;
        }
        buf->block = block;
    }
    *out = buf;
    return 0;
}

int ext2_buf_new(struct ext2 *fs, uint32_t block, struct ext2_buf **out)
{
    int rc = buf_claim(fs, block, out);

    if (rc)
        return rc;
    (*out)->block = block;
    (*out)->dirty = false;
    memset((*out)->data, 0, fs->block_size);
    return 0;
}

void ext2_buf_put(struct ext2_buf *buf)
{
    buf->pins--;
}

int ext2_buf_write(struct ext2 *fs, struct ext2_buf *buf)
{
    int rc;

    if (ext2_has_journal(fs)) {
        buf->dirty = true;
        return 0;
    }
    rc = ext2_disk_write(fs, buf->block, 1, buf->data);
    /* What could not be written is tried again: the cache must not differ from the disk for ever.
     */
    buf->dirty = rc < 0;
    return rc;
}

int ext2_buf_flush(struct ext2 *fs)
{
    int rc = 0;

    if (ext2_has_journal(fs))
        return 0;
    for (struct ext2_buf *buf = fs->bufs; buf < fs->bufs + EXT2_BUFS; buf++) {
        if (buf->block && buf->dirty) {
            int err = ext2_buf_write(fs, buf);

            if (rc == 0)
                rc = err;
        }
    }
    return rc;
}

void ext2_buf_forget(struct ext2 *fs, uint32_t block, uint32_t count)
{
    for (struct ext2_buf *buf = fs->bufs; buf < fs->bufs + EXT2_BUFS; buf++) {
        if (buf->block && buf->block >= block && buf->block - block < count) {
            buf->block = 0;
            buf->dirty = false;
        }
    }
}
