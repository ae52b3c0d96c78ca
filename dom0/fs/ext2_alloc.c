/* SPDX-License-Identifier: MIT */
/*
 * The bitmaps: blocks and inodes taken and given back. Takers write the bitmap at once, because a
 * pointer to a block that the bitmap calls free is the one thing that costs data; givers leave it
 * to ext2_buf_flush(). Counters live in memory until ext2_sync(), or go with the transaction.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdlib.h>
#include <xen/errno.h>

static bool bit_get(const uint8_t *map, uint32_t bit)
{
    return map[bit / 8] >> (bit % 8) & 1;
}

static void bit_set(uint8_t *map, uint32_t bit)
{
    map[bit / 8] |= (uint8_t)(1u << (bit % 8));
}

static void bit_clear(uint8_t *map, uint32_t bit)
{
    map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

static uint32_t group_of(const struct ext2 *fs, uint32_t block)
{
    return (block - fs->sb.first_data_block) / fs->sb.blocks_per_group;
}

uint32_t ext2_group_start(const struct ext2 *fs, uint32_t group)
{
    return fs->sb.first_data_block + group * fs->sb.blocks_per_group;
}

static uint32_t group_blocks(const struct ext2 *fs, uint32_t group)
{
    uint32_t rest = fs->sb.blocks_count - ext2_group_start(fs, group);

    return rest < fs->sb.blocks_per_group ? rest : fs->sb.blocks_per_group;
}

static bool is_power_of(uint32_t n, uint32_t base)
{
    while (n > 1 && n % base == 0)
        n /= base;
    return n == 1;
}

static bool has_super(const struct ext2 *fs, uint32_t group)
{
    if (group == 0)
        return true;
    if (fs->sb.rev_level == 0)
        return true;
    if (fs->sb.feature_compat & EXT2_COMPAT_SPARSE_SUPER2)
        return false; /* one or two groups may have one: their bitmaps protect it */
    if (!(fs->sb.feature_ro_compat & EXT2_RO_COMPAT_SPARSE_SUPER))
        return true;
    return is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7);
}

uint32_t ext2_group_head(const struct ext2 *fs, uint32_t group)
{
    if (!has_super(fs, group))
        return 0;
    return 1 + fs->gdt_blocks + (fs->sb.rev_level ? fs->sb.reserved_gdt_blocks : 0);
}

static bool overlap(uint32_t a, uint32_t a_len, uint32_t b, uint32_t b_len)
{
    return a < (uint64_t)b + b_len && b < (uint64_t)a + a_len;
}

bool ext2_block_ok(const struct ext2 *fs, uint32_t block, uint32_t count)
{
    uint64_t end = (uint64_t)block + count;

    if (block < fs->sb.first_data_block || end > fs->sb.blocks_count)
        return false;
    for (uint32_t g = group_of(fs, block); g <= group_of(fs, (uint32_t)(end - 1)); g++) {
        const struct ext2_group_disk *gd = &fs->groups[g];

        if (overlap(block, count, ext2_group_start(fs, g), ext2_group_head(fs, g)) ||
            overlap(block, count, gd->block_bitmap, 1) ||
            overlap(block, count, gd->inode_bitmap, 1) ||
            overlap(block, count, gd->inode_table, fs->table_blocks))
            return false;
    }
    return true;
}

static void group_changed(struct ext2 *fs, uint32_t group)
{
    fs->gdt_dirty[(group * sizeof(struct ext2_group_disk)) >> fs->block_shift] = true;
}

/* Counters on disk may be wrong, the bitmaps decide; so none of them may run below zero. */
static void count_blocks(struct ext2 *fs, uint32_t group, int32_t change)
{
    struct ext2_group_disk *gd = &fs->groups[group];
    int64_t in_group = gd->free_blocks_count + change;
    int64_t in_all = (int64_t)fs->sb.free_blocks_count + change;

    gd->free_blocks_count = (uint16_t)(in_group < 0 ? 0 : in_group);
    fs->sb.free_blocks_count = (uint32_t)(in_all < 0 ? 0 : in_all);
    group_changed(fs, group);
}

static void count_inodes(struct ext2 *fs, uint32_t group, int change, bool dir)
{
    struct ext2_group_disk *gd = &fs->groups[group];

    if (change > 0 || gd->free_inodes_count > 0)
        gd->free_inodes_count = (uint16_t)(gd->free_inodes_count + change);
    if (change > 0 || fs->sb.free_inodes_count > 0)
        fs->sb.free_inodes_count += (uint32_t)change;
    if (dir && (change < 0 || gd->used_dirs_count > 0))
        gd->used_dirs_count = (uint16_t)(gd->used_dirs_count - change);
    group_changed(fs, group);
}

/* A group's blocks: those that have an owner, and those that have none but cannot be had. */
struct taken {
    const uint8_t *map;
    const uint8_t *held, *reserved; /* or NULL */
    uint32_t limit;
};

static uint8_t taken_byte(const struct taken *t, uint32_t byte)
{
    return t->map[byte] | (t->held ? t->held[byte] : 0) | (t->reserved ? t->reserved[byte] : 0);
}

static bool is_taken(const struct taken *t, uint32_t bit)
{
    return taken_byte(t, bit / 8) >> (bit % 8) & 1;
}

/*
 * A free bit at or after start: start itself, else the begin of eight free ones, so that files grow
 * in one piece, else any. Returns the limit if there is none.
 */
static uint32_t find_free(const struct taken *t, uint32_t start)
{
    if (start < t->limit && !is_taken(t, start))
        return start;
    for (uint32_t byte = (start + 7) / 8; (byte + 1) * 8 <= t->limit; byte++) {
        if (taken_byte(t, byte) == 0)
            return byte * 8;
    }
    for (uint32_t bit = start; bit < t->limit; bit++) {
        if (bit % 8 == 0 && taken_byte(t, bit / 8) == 0xff)
            bit += 7;
        else if (!is_taken(t, bit))
            return bit;
    }
    return t->limit;
}

/* Up to want free blocks in a row; how many, 0: this group has none, whatever its counter says. */
static uint32_t find_run(const struct ext2 *fs, uint32_t group, const uint8_t *map, uint32_t start,
                         uint32_t want, uint32_t *bit)
{
    struct taken taken = {.map = map,
                          .held = ext2_journal_held(fs, group),
                          .reserved = fs->reserved[group].map,
                          .limit = group_blocks(fs, group)};
    uint32_t n = 0;

    *bit = find_free(&taken, start);
    if (*bit == taken.limit && start > 0)
        *bit = find_free(&taken, 0);
    while (n < want && *bit + n < taken.limit && !is_taken(&taken, *bit + n))
        n++;
    return n;
}

/* In the bitmap, to be written. */
static int take_run(struct ext2 *fs, uint32_t group, struct ext2_buf *map, uint32_t bit, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bit_set(map->data, bit + i);
    count_blocks(fs, group, -(int32_t)n);
    return ext2_buf_write(fs, map);
}

static int reserve_run(struct ext2 *fs, uint32_t group, uint32_t bit, uint32_t n)
{
    struct ext2_reserved *r = &fs->reserved[group];

    if (!r->map)
        r->map = calloc(1, fs->block_size);
    if (!r->map)
        return -XEN_ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        bit_set(r->map, bit + i);
    r->count += n;
    return 0;
}

static void unreserve_run(struct ext2 *fs, uint32_t group, uint32_t bit, uint32_t n)
{
    struct ext2_reserved *r = &fs->reserved[group];

    for (uint32_t i = 0; i < n; i++)
        bit_clear(r->map, bit + i);
    r->count -= n;
    if (r->count == 0) {
        free(r->map);
        r->map = NULL;
    }
}

/* What is wanted of the allocator. */
struct wish {
    uint32_t goal;
    uint32_t want;
    bool reserve;
};

static int alloc_in_group(struct ext2 *fs, uint32_t group, const struct wish *wish, uint32_t *first,
                          uint32_t *count)
{
    uint32_t from = ext2_group_start(fs, group), bit;
    bool here = wish->goal >= from && wish->goal - from < fs->sb.blocks_per_group;
    struct ext2_buf *map;
    int rc = ext2_buf_get(fs, fs->groups[group].block_bitmap, &map);

    *count = 0;
    if (rc < 0)
        return rc;
    *count = find_run(fs, group, map->data, here ? wish->goal - from : 0, wish->want, &bit);
    *first = from + bit;
    if (*count > 0 && !ext2_block_ok(fs, *first, *count))
        rc = ext2_corrupt(fs, "the block bitmap of group %u calls its tables free", group);
    else if (*count > 0)
        rc = wish->reserve ? reserve_run(fs, group, bit, *count)
                           : take_run(fs, group, map, bit, *count);
    ext2_buf_put(map);
    return rc;
}

static int alloc_anywhere(struct ext2 *fs, const struct wish *wish, uint32_t *first,
                          uint32_t *count)
{
    uint32_t group = group_of(fs, wish->goal);

    for (uint32_t i = 0; i < fs->group_count; i++) {
        if (fs->groups[group].free_blocks_count) {
            int rc = alloc_in_group(fs, group, wish, first, count);

            if (rc < 0)
                return rc;
            if (*count) {
                ext2_buf_forget(fs, *first, *count);
                return 0;
            }
        }
        group = group + 1 < fs->group_count ? group + 1 : 0;
    }
    return -XEN_ENOSPC;
}

static int alloc(struct ext2 *fs, struct wish *wish, uint32_t *first, uint32_t *count)
{
    int rc = fs->journal.held_vague ? ext2_journal_commit(fs) : 0;

    if (wish->goal < fs->sb.first_data_block || wish->goal >= fs->sb.blocks_count)
        wish->goal = fs->sb.first_data_block;
    if (rc == 0)
        rc = alloc_anywhere(fs, wish, first, count);
    if (rc != -XEN_ENOSPC || !fs->journal.holds)
        return rc;
    rc = ext2_journal_commit(fs); /* what is free only then */
    return rc ? rc : alloc_anywhere(fs, wish, first, count);
}

int ext2_alloc_blocks(struct ext2 *fs, uint32_t goal, uint32_t want, uint32_t *first,
                      uint32_t *count)
{
    struct wish wish = {.goal = goal, .want = want};

    return alloc(fs, &wish, first, count);
}

int ext2_reserve_blocks(struct ext2 *fs, uint32_t goal, uint32_t want, uint32_t *first,
                        uint32_t *count)
{
    struct wish wish = {.goal = goal, .want = want, .reserve = true};

    return alloc(fs, &wish, first, count);
}

void ext2_unreserve_blocks(struct ext2 *fs, uint32_t first, uint32_t count)
{
    uint32_t group = group_of(fs, first); /* a run lies in one */

    unreserve_run(fs, group, first - ext2_group_start(fs, group), count);
}

int ext2_take_reserved(struct ext2 *fs, uint32_t first, uint32_t count)
{
    uint32_t group = group_of(fs, first);
    struct ext2_buf *map;
    int rc = ext2_buf_get(fs, fs->groups[group].block_bitmap, &map);

    if (rc == 0) {
        rc = take_run(fs, group, map, first - ext2_group_start(fs, group), count);
        ext2_buf_put(map);
    }
    ext2_unreserve_blocks(fs, first, count);
    return rc;
}

/* The part of a range that lies in one group. */
static int free_in_group(struct ext2 *fs, uint32_t group, uint32_t bit, uint32_t count)
{
    struct ext2_buf *map;
    uint32_t n = 0;
    int rc = ext2_buf_get(fs, fs->groups[group].block_bitmap, &map);

    if (rc < 0)
        return rc;
    while (n < count && bit_get(map->data, bit + n)) {
        bit_clear(map->data, bit + n);
        n++;
    }
    if (n > 0) {
        map->dirty = true;
        count_blocks(fs, group, (int32_t)n);
        ext2_journal_freed(fs, group, bit, n);
    }
    ext2_buf_put(map);
    if (n < count)
        return ext2_corrupt(fs, "block %u belongs to a file but is marked free",
                            ext2_group_start(fs, group) + bit + n);
    return 0;
}

int ext2_free_blocks(struct ext2 *fs, uint32_t first, uint32_t count)
{
    int rc = 0;

    if (!ext2_block_ok(fs, first, count))
        return ext2_corrupt(fs, "a file owns block %u, which no file can", first);
    ext2_buf_forget(fs, first, count);
    while (count > 0) {
        uint32_t group = group_of(fs, first);
        uint32_t bit = first - ext2_group_start(fs, group);
        uint32_t n = fs->sb.blocks_per_group - bit;

        if (n > count)
            n = count;
        rc = free_in_group(fs, group, bit, n);
        if (rc < 0)
            return rc;
        first += n;
        count -= n;
    }
    return 0;
}

/* Directories spread over the groups, to leave room for the files next to them. */
static uint32_t group_for_dir(const struct ext2 *fs)
{
    uint32_t average = fs->sb.free_inodes_count / fs->group_count;
    uint32_t best = 0;
    bool found = false;

    for (uint32_t g = 0; g < fs->group_count; g++) {
        const struct ext2_group_disk *gd = &fs->groups[g];

        if (gd->free_inodes_count == 0 || gd->free_inodes_count < average)
            continue;
        if (!found || gd->free_blocks_count > fs->groups[best].free_blocks_count)
            best = g;
        found = true;
    }
    return best;
}

static int alloc_inode_in(struct ext2 *fs, uint32_t group, bool dir, uint32_t *ino)
{
    uint32_t before = group * fs->sb.inodes_per_group, limit = fs->sb.inodes_per_group, bit;
    uint32_t start = fs->first_ino - 1 > before ? fs->first_ino - 1 - before : 0;
    struct ext2_buf *map;
    int rc = ext2_buf_get(fs, fs->groups[group].inode_bitmap, &map);

    *ino = 0;
    if (rc < 0)
        return rc;
    for (bit = start; bit < limit && bit_get(map->data, bit); bit++)
        ;
    if (bit < limit) {
        bit_set(map->data, bit);
        count_inodes(fs, group, -1, dir);
        rc = ext2_buf_write(fs, map);
        *ino = group * fs->sb.inodes_per_group + bit + 1;
    }
    ext2_buf_put(map);
    return rc;
}

int ext2_alloc_inode(struct ext2 *fs, uint32_t parent, bool dir, uint32_t *ino)
{
    uint32_t group = dir ? group_for_dir(fs) : (parent - 1) / fs->sb.inodes_per_group;

    for (uint32_t i = 0; i < fs->group_count; i++) {
        if (fs->groups[group].free_inodes_count) {
            int rc = alloc_inode_in(fs, group, dir, ino);

            if (rc < 0 || *ino)
                return rc;
        }
        group = group + 1 < fs->group_count ? group + 1 : 0;
    }
    return -XEN_ENOSPC;
}

int ext2_free_inode(struct ext2 *fs, uint32_t ino, bool dir)
{
    uint32_t group = (ino - 1) / fs->sb.inodes_per_group;
    uint32_t bit = (ino - 1) % fs->sb.inodes_per_group;
    struct ext2_buf *map;
    int rc = ext2_buf_get(fs, fs->groups[group].inode_bitmap, &map);

    if (rc < 0)
        return rc;
    if (bit_get(map->data, bit)) {
        bit_clear(map->data, bit);
        map->dirty = true;
        count_inodes(fs, group, 1, dir);
    } else {
        rc = ext2_corrupt(fs, "inode %u is in use but marked free", ino);
    }
    ext2_buf_put(map);
    return rc;
}

static int count_clear(struct ext2 *fs, uint32_t bitmap, uint32_t limit, uint32_t *clear)
{
    struct ext2_buf *map;
    int rc = ext2_buf_get(fs, bitmap, &map);

    *clear = 0;
    if (rc < 0)
        return rc;
    for (uint32_t bit = 0; bit < limit; bit++)
        *clear += !bit_get(map->data, bit);
    ext2_buf_put(map);
    return 0;
}

int ext2_recount(struct ext2 *fs)
{
    uint32_t blocks = 0, inodes = 0;

    for (uint32_t g = 0; g < fs->group_count; g++) {
        struct ext2_group_disk *gd = &fs->groups[g];
        uint32_t n;
        int rc = count_clear(fs, gd->block_bitmap, group_blocks(fs, g), &n);

        if (rc < 0)
            return rc;
        gd->free_blocks_count = (uint16_t)n;
        blocks += n;
        rc = count_clear(fs, gd->inode_bitmap, fs->sb.inodes_per_group, &n);
        if (rc < 0)
            return rc;
        gd->free_inodes_count = (uint16_t)n;
        inodes += n;
        group_changed(fs, g);
    }
    fs->sb.free_blocks_count = blocks;
    fs->sb.free_inodes_count = inodes;
    return 0;
}
