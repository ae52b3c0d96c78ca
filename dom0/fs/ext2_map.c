/* SPDX-License-Identifier: MIT */
/*
 * From a block of a file to a block of the device: twelve pointers in the inode, then three trees
 * of blocks full of pointers, one, two and three levels deep. A zero anywhere on the way is a hole.
 *
 *     inode.block[0..11]  -> data
 *     inode.block[12]     -> pointers -> data
 *     inode.block[13]     -> pointers -> pointers -> data
 *     inode.block[14]     -> pointers -> pointers -> pointers -> data
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

/* How far the way to a file block exists on disk. */
struct way {
    int levels;                         /* blocks of pointers that the full way has */
    int depth;                          /* of these, present */
    uint32_t index[EXT2_IND_LEVEL + 1]; /* [0] in the inode, [n] in the n-th block of pointers */
    uint32_t block;                     /* the deepest one present; 0: only the inode */
};

int ext2_path(const struct ext2 *fs, uint32_t fblock, uint32_t index[EXT2_IND_LEVEL + 1])
{
    uint64_t rest = fblock, span = 1;

    if (rest < EXT2_DIRECT) {
        index[0] = fblock;
        return 0;
    }
    rest -= EXT2_DIRECT;
    for (int level = 1; level <= EXT2_IND_LEVEL; level++) {
        span <<= fs->ptr_shift;
        if (rest < span) {
            index[0] = EXT2_DIRECT + (uint32_t)level - 1;
            for (int i = level; i >= 1; i--) {
                index[i] = (uint32_t)(rest & ((1u << fs->ptr_shift) - 1));
                rest >>= fs->ptr_shift;
            }
            return level;
        }
        rest -= span;
    }
    return -1;
}

/*
 * Follows the way as far as it goes. On return *slots are the pointers that the last one reached
 * lies in, to be found at way->index[way->depth]; *buf holds them and is to be put, or is NULL for
 * the inode.
 */
static int walk(struct ext2_inode *ip, uint32_t fblock, struct way *way, uint32_t **slots,
                struct ext2_buf **buf)
{
    struct ext2 *fs = ip->fs;

    *buf = NULL;
    *slots = ip->d.block;
    way->block = 0;
    way->levels = ext2_path(fs, fblock, way->index);
    if (way->levels < 0)
        return -XEN_EOVERFLOW;
    for (way->depth = 0; way->depth < way->levels; way->depth++) {
        uint32_t next = (*slots)[way->index[way->depth]];
        int rc;

        if (next == 0)
            return 0;
        if (*buf)
            ext2_buf_put(*buf);
        *buf = NULL;
        if (!ext2_block_ok(fs, next, 1))
            return ext2_corrupt(fs, "inode %u: block of pointers %u", ip->ino, next);
        rc = ext2_buf_get(fs, next, buf);
        if (rc < 0)
            return rc;
        *slots = (uint32_t *)(*buf)->data;
        way->block = next;
    }
    return 0;
}

/* File blocks from there on that share a missing way: those below its first missing pointer. */
static uint32_t hole_left(const struct ext2 *fs, const struct way *way)
{
    uint32_t all = 1, before = 0; /* 2^30 at most */

    for (int level = way->depth + 1; level <= way->levels; level++) {
        all <<= fs->ptr_shift;
        before = before << fs->ptr_shift | way->index[level];
    }
    return all - before;
}

static uint32_t slot_limit(const struct ext2 *fs, const struct way *way)
{
    return way->levels == 0 ? EXT2_DIRECT : 1u << fs->ptr_shift;
}

int ext2_bmap(struct ext2_inode *ip, uint32_t fblock, uint32_t want, uint32_t *block,
              uint32_t *count)
{
    struct ext2_buf *buf;
    uint32_t *slots, from, limit, n = 1;
    struct way way;
    int rc = walk(ip, fblock, &way, &slots, &buf);

    *block = 0;
    *count = 0;
    if (rc < 0)
        return rc;
    from = way.index[way.levels];
    limit = slot_limit(ip->fs, &way);
    if (limit - from > want)
        limit = from + want;
    if (way.depth < way.levels) {
        n = hole_left(ip->fs, &way);
        if (n > want)
            n = want;
    } else {
        *block = slots[from];
        while (from + n < limit && slots[from + n] == (*block ? *block + n : 0))
            n++;
    }
    if (buf)
        ext2_buf_put(buf);
    if (*block && !ext2_block_ok(ip->fs, *block, n)) {
        uint32_t bad = *block;

        *block = 0;
        return ext2_corrupt(ip->fs, "inode %u: data block %u (%u of them)", ip->ino, bad, n);
    }
    *count = n;
    return 0;
}

/* Behind the block before it in the file, else near the inode. */
static uint32_t alloc_goal(struct ext2_inode *ip, uint32_t fblock)
{
    uint32_t before, n;

    if (fblock > 0 && ext2_bmap(ip, fblock - 1, 1, &before, &n) == 0 && before)
        return before + 1;
    if (ip->goal)
        return ip->goal;
    return ext2_group_start(ip->fs, (ip->ino - 1) / ip->fs->sb.inodes_per_group);
}

static int write_zeros(struct ext2 *fs, uint32_t first, uint32_t count)
{
    while (count > 0) {
        uint32_t n = count < EXT2_ZERO_BLOCKS ? count : EXT2_ZERO_BLOCKS;
        int rc = ext2_disk_write(fs, first, n, fs->zeros);

        if (rc < 0)
            return rc;
        first += n;
        count -= n;
    }
    return 0;
}

/* Blocks taken for one extension of a file: those of pointers that are missing, and a run of data.
 */
struct extension {
    int pointer_count;
    uint32_t pointers[EXT2_IND_LEVEL];
    uint32_t first;
    uint32_t count;
};

static void give_back(struct ext2 *fs, const struct extension *ext)
{
    for (int i = 0; i < ext->pointer_count; i++)
        ext2_free_blocks(fs, ext->pointers[i], 1);
    if (ext->count)
        ext2_free_blocks(fs, ext->first, ext->count);
    ext2_buf_flush(fs);
}

static int take_pointers(struct ext2 *fs, uint32_t goal, int missing, struct extension *ext)
{
    int rc = 0;

    while (rc == 0 && ext->pointer_count < missing) {
        uint32_t *block = &ext->pointers[ext->pointer_count], n;

        rc = ext2_alloc_blocks(fs, goal, 1, block, &n);
        if (rc == 0) {
            goal = *block + 1;
            ext->pointer_count++;
        }
    }
    return rc;
}

static int take(struct ext2 *fs, uint32_t goal, int missing, uint32_t want, struct extension *ext)
{
    int rc;

    memset(ext, 0, sizeof(*ext));
    rc = take_pointers(fs, goal, missing, ext);
    if (rc == 0 && missing > 0)
        goal = ext->pointers[missing - 1] + 1;
    if (rc == 0)
        rc = ext2_alloc_blocks(fs, goal, want, &ext->first, &ext->count);
    if (rc < 0)
        give_back(fs, ext);
    return rc;
}

/* The new blocks of pointers, from the data upwards: each is complete before anything refers to it.
 */
static int write_pointers(struct ext2 *fs, const struct way *way, const struct extension *ext)
{
    for (int i = ext->pointer_count - 1; i >= 0; i--) {
        uint32_t at = way->index[way->depth + 1 + i], *slots;
        bool leaf = i == ext->pointer_count - 1;
        struct ext2_buf *buf;
        int rc = ext2_buf_new(fs, ext->pointers[i], &buf);

        if (rc < 0)
            return rc;
        slots = (uint32_t *)buf->data;
        for (uint32_t n = 0; leaf && n < ext->count; n++)
            slots[at + n] = ext->first + n;
        if (!leaf)
            slots[at] = ext->pointers[i + 1];
        rc = ext2_buf_write(fs, buf);
        ext2_buf_put(buf);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The step that makes the file longer: the one pointer (or run of them) in what was there before.
 */
static int link_extension(struct ext2_inode *ip, const struct way *way, uint32_t *slots,
                          struct ext2_buf *buf, const struct extension *ext)
{
    struct ext2 *fs = ip->fs;
    uint32_t at = way->index[way->depth];
    int rc = 0;

    if (ext->pointer_count > 0) {
        slots[at] = ext->pointers[0];
    } else {
        for (uint32_t n = 0; n < ext->count; n++)
            slots[at + n] = ext->first + n;
    }
    ip->d.blocks += ((uint32_t)ext->pointer_count + ext->count)
                    << (fs->block_shift - BLK_SECTOR_SHIFT);
    if (buf)
        rc = ext2_buf_write(fs, buf);
    return rc ? rc : ext2_iwrite(ip);
}

/* The blocks of pointers that lead to fblock, as far as they are missing; they are empty. */
static int make_way(struct ext2_inode *ip, uint32_t fblock)
{
    struct ext2 *fs = ip->fs;
    struct extension ext = {0};
    struct ext2_buf *buf;
    struct way way;
    uint32_t *slots;
    int rc = walk(ip, fblock, &way, &slots, &buf);

    if (rc < 0)
        return rc;
    if (way.depth < way.levels) {
        rc = take_pointers(fs, alloc_goal(ip, fblock), way.levels - way.depth, &ext);
        if (rc == 0)
            rc = write_pointers(fs, &way, &ext);
        if (rc < 0)
            give_back(fs, &ext);
        else
            rc = link_extension(ip, &way, slots, buf, &ext);
    }
    if (buf)
        ext2_buf_put(buf);
    return rc;
}

int ext2_reserve(struct ext2_inode *ip, uint32_t fblock, uint32_t want, uint32_t *block,
                 uint32_t *count, bool *fresh)
{
    struct ext2 *fs = ip->fs;
    int rc = ext2_bmap(ip, fblock, want, block, count);

    *fresh = false;
    if (rc < 0 || *block)
        return rc;
    rc = ext2_begin(fs);
    if (rc == 0)
        rc = make_way(ip, fblock);
    if (rc == 0)
        rc = ext2_bmap(ip, fblock, want, block, count); /* up to the end of its block of pointers */
    if (rc < 0)
        return rc;
    rc = ext2_reserve_blocks(fs, alloc_goal(ip, fblock), *count, block, count);
    if (rc < 0)
        return rc;
    ip->goal = *block + *count;
    *fresh = true;
    return 0;
}

void ext2_unreserve(struct ext2_inode *ip, uint32_t block, uint32_t count)
{
    ext2_unreserve_blocks(ip->fs, block, count);
}

int ext2_link(struct ext2_inode *ip, uint32_t fblock, uint32_t block, uint32_t count)
{
    struct extension ext = {.first = block, .count = count};
    struct ext2_buf *buf = NULL;
    uint32_t *slots, at;
    struct way way;
    int rc = ext2_begin(ip->fs);

    if (rc == 0)
        rc = walk(ip, fblock, &way, &slots, &buf);
    if (rc == 0 && way.depth < way.levels)
        rc = -XEN_EIO;
    at = rc == 0 ? way.index[way.levels] : 0;
    for (uint32_t n = 0; rc == 0 && n < count; n++) {
        if (at + n >= slot_limit(ip->fs, &way) || slots[at + n])
            rc = -XEN_EIO;
    }
    if (rc == 0) {
        rc = ext2_take_reserved(ip->fs, block, count);
        if (rc == 0)
            rc = link_extension(ip, &way, slots, buf, &ext);
    } else {
        ext2_unreserve(ip, block, count);
    }
    if (buf)
        ext2_buf_put(buf);
    return rc;
}

int ext2_bmap_alloc(struct ext2_inode *ip, uint32_t fblock, uint32_t want, const void *data,
                    uint32_t *block, uint32_t *count)
{
    struct ext2 *fs = ip->fs;
    struct ext2_buf *buf = NULL;
    struct extension ext;
    struct way way;
    uint32_t *slots, goal;
    int rc = ext2_bmap(ip, fblock, want, block, count);

    if (rc < 0 || *block)
        return rc;
    rc = ext2_begin(fs);
    if (rc < 0)
        return rc;
    want = *count;
    goal = alloc_goal(ip, fblock);
    rc = walk(ip, fblock, &way, &slots, &buf);
    if (rc < 0)
        return rc;
    if (want > slot_limit(fs, &way) - way.index[way.levels])
        want = slot_limit(fs, &way) - way.index[way.levels];
    rc = take(fs, goal, way.levels - way.depth, want, &ext);
    if (rc == 0) {
        rc = data ? ext2_disk_write(fs, ext.first, ext.count, data)
                  : write_zeros(fs, ext.first, ext.count);
        if (rc == 0)
            rc = write_pointers(fs, &way, &ext);
        if (rc < 0)
            give_back(fs, &ext);
        else
            rc = link_extension(ip, &way, slots, buf, &ext);
    }
    if (buf)
        ext2_buf_put(buf);
    if (rc < 0)
        return rc;
    ip->goal = ext.first + ext.count;
    *block = ext.first;
    *count = ext.count;
    return 0;
}

/* --- holes --- */

/* Gives back blocks that nothing refers to any more, in runs. */
static int free_all(struct ext2_inode *ip, const uint32_t *blocks, uint32_t n)
{
    struct ext2 *fs = ip->fs;
    uint32_t sectors, run;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i += run) {
        run = 1;
        if (!blocks[i])
            continue;
        while (i + run < n && blocks[i + run] == blocks[i] + run)
            run++;
        rc = ext2_free_blocks(fs, blocks[i], run);
        sectors = run << (fs->block_shift - BLK_SECTOR_SHIFT);
        ip->d.blocks -= sectors < ip->d.blocks ? sectors : ip->d.blocks;
    }
    return rc;
}

/* Takes n pointers out. They are gone from stable storage before their blocks may be used anew, by
 * the journal or by a flush: a power cut leaves blocks that nobody owns, never blocks with two
 * owners. */
static int punch_slots(struct ext2_inode *ip, uint32_t *slots, struct ext2_buf *buf, uint32_t n)
{
    uint32_t *old = malloc(n * sizeof *old), any = 0;
    int rc;

    if (!old)
        return -XEN_ENOMEM;
    memcpy(old, slots, n * sizeof *old);
    for (uint32_t i = 0; i < n; i++)
        any |= old[i];
    if (!any) {
        free(old);
        return 0;
    }
    memset(slots, 0, n * sizeof *slots);
    rc = buf ? ext2_buf_write(ip->fs, buf) : ext2_iwrite(ip);
    if (rc == 0 && !ext2_has_journal(ip->fs))
        rc = blkdev_flush(ip->fs->dev);
    if (rc == 0)
        rc = free_all(ip, old, n);
    free(old);
    return rc;
}

int ext2_punch(struct ext2_inode *ip, uint32_t fblock, uint32_t count)
{
    struct ext2 *fs = ip->fs;
    int rc = 0, err;

    while (rc == 0 && count > 0) {
        struct ext2_buf *buf;
        struct way way;
        uint32_t *slots, n;

        rc = ext2_begin(fs);
        if (rc == 0)
            rc = walk(ip, fblock, &way, &slots, &buf);
        if (rc < 0)
            break;
        n = way.depth == way.levels ? slot_limit(fs, &way) - way.index[way.levels]
                                    : hole_left(fs, &way);
        if (n > count)
            n = count;
        if (way.depth == way.levels)
            rc = punch_slots(ip, slots + way.index[way.levels], buf, n);
        if (buf)
            ext2_buf_put(buf);
        fblock += n;
        count -= n;
    }
    err = ext2_buf_flush(fs);
    rc = rc ? rc : err;
    err = ext2_iwrite(ip);
    return rc ? rc : err;
}
