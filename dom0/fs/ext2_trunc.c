/* SPDX-License-Identifier: MIT */
/*
 * Cutting a file short. First every pointer to what goes is cleared on disk, from the inode
 * downwards, then the blocks are given back; so a power cut in between leaves blocks that nobody
 * owns, never blocks with two owners.
 *
 * A damaged tree may point to itself, or to one block many times. A block is therefore given back
 * before its pointers are followed, and giving back twice is an error that ends the walk: it ends
 * in any case.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

/* Blocks are given back in runs as long as they follow each other. */
struct cutter {
    struct ext2_inode *ip;
    uint32_t first;
    uint32_t count;
};

static int cutter_flush(struct cutter *cut)
{
    struct ext2 *fs = cut->ip->fs;
    uint32_t sectors = cut->count << (fs->block_shift - BLK_SECTOR_SHIFT);
    int rc = 0;

    if (cut->count) {
        rc = ext2_free_blocks(fs, cut->first, cut->count);
        cut->ip->d.blocks -= sectors < cut->ip->d.blocks ? sectors : cut->ip->d.blocks;
    }
    cut->count = 0;
    return rc;
}

static int cutter_add(struct cutter *cut, uint32_t block)
{
    int rc = 0;

    if (cut->count && block != cut->first + cut->count)
        rc = cutter_flush(cut);
    if (cut->count == 0)
        cut->first = block;
    cut->count++;
    return rc;
}

/* Gives back a block and, level blocks of pointers deep, all below it. */
static int free_tree(struct cutter *cut, uint32_t block, int level)
{
    struct ext2 *fs = cut->ip->fs;
    struct ext2_buf *buf;
    const uint32_t *slots;
    int rc;

    if (block == 0)
        return 0;
    if (level == 0)
        return cutter_add(cut, block);
    if (!ext2_block_ok(fs, block, 1))
        return ext2_corrupt(fs, "inode %u: block of pointers %u", cut->ip->ino, block);
    rc = ext2_buf_get(fs, block, &buf);
    if (rc < 0)
        return rc;
    /* The buffer is pinned, so its content stays although the block is free from here on. */
    rc = cutter_add(cut, block);
    if (rc == 0)
        rc = cutter_flush(cut);
    slots = (const uint32_t *)buf->data;
    for (uint32_t i = 0; rc == 0 && i < 1u << fs->ptr_shift; i++)
        rc = free_tree(cut, slots[i], level - 1);
    ext2_buf_put(buf);
    return rc;
}

/* With the pointers that go in old[]: they are cleared on disk, nothing is given back yet. */
static int cut_slots(struct cutter *cut, uint32_t block, uint32_t from, uint32_t *old,
                     uint32_t *border)
{
    struct ext2 *fs = cut->ip->fs;
    uint32_t n = (1u << fs->ptr_shift) - from;
    struct ext2_buf *buf;
    uint32_t *slots;
    int rc;

    if (!ext2_block_ok(fs, block, 1))
        return ext2_corrupt(fs, "inode %u: block of pointers %u", cut->ip->ino, block);
    rc = ext2_buf_get(fs, block, &buf);
    if (rc < 0)
        return rc;
    slots = (uint32_t *)buf->data;
    *border = from > 0 ? slots[from - 1] : 0;
    memcpy(old, slots + from, n * sizeof(*slots));
    memset(slots + from, 0, n * sizeof(*slots));
    rc = ext2_buf_write(fs, buf);
    ext2_buf_put(buf);
    return rc;
}

/* Keeps the first `keep` > 0 file blocks below a block of pointers, cuts the rest. */
static int cut_branch(struct cutter *cut, uint32_t block, int level, uint64_t keep)
{
    struct ext2 *fs = cut->ip->fs;
    uint32_t slots = 1u << fs->ptr_shift, border = 0;
    unsigned int shift = fs->ptr_shift * (uint32_t)(level - 1);
    uint64_t part = keep & ((1ull << shift) - 1);
    uint32_t from = (uint32_t)((keep + (1ull << shift) - 1) >> shift);
    uint32_t *old;
    int rc;

    if (block == 0)
        return 0;
    old = malloc(slots * sizeof(*old));
    if (!old)
        return -XEN_ENOMEM;
    rc = cut_slots(cut, block, from, old, &border);
    if (rc == 0 && part && border)
        rc = cut_branch(cut, border, level - 1, part);
    for (uint32_t i = 0; rc == 0 && i < slots - from; i++)
        rc = free_tree(cut, old[i], level - 1);
    free(old);
    return rc;
}

int ext2_free_from(struct ext2_inode *ip, uint32_t keep)
{
    struct ext2 *fs = ip->fs;
    struct cutter cut = {.ip = ip};
    uint32_t old[EXT2_N_BLOCKS] = {0};
    uint64_t part[EXT2_IND_LEVEL] = {0}, start = EXT2_DIRECT, span = 1;
    int rc, err;

    for (uint32_t i = keep; i < EXT2_DIRECT; i++) {
        old[i] = ip->d.block[i];
        ip->d.block[i] = 0;
    }
    for (int level = 1; level <= EXT2_IND_LEVEL; level++) {
        uint32_t *slot = &ip->d.block[EXT2_DIRECT + level - 1];

        span <<= fs->ptr_shift;
        if (keep <= start) {
            old[EXT2_DIRECT + level - 1] = *slot;
            *slot = 0;
        } else if (keep < start + span) {
            part[level - 1] = keep - start;
        }
        start += span;
    }
    rc = ext2_iwrite(ip);
    for (int level = 1; rc == 0 && level <= EXT2_IND_LEVEL; level++) {
        if (part[level - 1])
            rc = cut_branch(&cut, ip->d.block[EXT2_DIRECT + level - 1], level, part[level - 1]);
    }
    for (int i = 0; rc == 0 && i < EXT2_N_BLOCKS; i++)
        rc = free_tree(&cut, old[i], i < EXT2_DIRECT ? 0 : i - EXT2_DIRECT + 1);
    if (rc == 0)
        rc = cutter_flush(&cut);
    err = ext2_buf_flush(fs);
    if (rc == 0)
        rc = err;
    err = ext2_iwrite(ip);
    return rc ? rc : err;
}
