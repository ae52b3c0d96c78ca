/* SPDX-License-Identifier: MIT */
/*
 * The journal of ext3, written: metadata that belongs together reaches the disk together, whatever
 * order the device's cache brings it there in.
 *
 *     journal:  super | descriptor, blocks, commit | descriptor, blocks, commit | free ...
 *                     `start, of transaction `sequence`                         `head
 *
 * Changed blocks of metadata stay in the cache, marked dirty: the running transaction. A commit
 * writes them to the journal, flushes, writes the commit block, flushes; then they go to their
 * places, without a flush. After a power cut all transactions with a commit block are copied to
 * their places again (ext2_replay.c, e2fsck, Linux), which does no harm where they are there
 * already. The first flush also brings data to the medium that was written before the commit, so
 * nothing refers to data that is not there.
 *
 * The log begins at the first place again after a checkpoint: a flush, so that all is in its place
 * for good, and the mark that the log is empty. Two rules for blocks that are given back:
 *
 * - Nobody gets one before the transaction that gave it back is durable: until then the disk's
 *   metadata may say that it is its old owner's, and data is not journaled. Who finds no other
 *   block commits first.
 * - A block that stands in the log would be overwritten by a replay, so when one is given back the
 *   next commit ends with a checkpoint. The format has revoke records for this; none are written.
 */
#include "dom0/fs/ext2_impl.h"

#include <string.h>
#include <xen/errno.h>

/* One walk over all blocks of the running transaction: bufs, then group descriptors. */
struct item {
    uint32_t index;
    uint32_t block;
    uint8_t *data;
};

static bool next_item(struct ext2 *fs, struct item *item)
{
    for (; item->index < EXT2_BUFS; item->index++) {
        struct ext2_buf *buf = &fs->bufs[item->index];

        if (buf->block && buf->dirty) {
            item->index++;
            item->block = buf->block;
            item->data = buf->data;
            return true;
        }
    }
    for (; item->index < EXT2_BUFS + fs->gdt_blocks; item->index++) {
        uint32_t i = item->index - EXT2_BUFS;

        if (fs->gdt_dirty[i]) {
            item->index++;
            item->block = fs->sb.first_data_block + 1 + i;
            item->data = (uint8_t *)fs->groups + ((size_t)i << fs->block_shift);
            return true;
        }
    }
    return false;
}

static uint32_t item_count(struct ext2 *fs)
{
    struct item item = {0};
    uint32_t n = 0;

    while (next_item(fs, &item))
        n++;
    return n;
}

/* Of blocks that one descriptor can name. */
static uint32_t tags_max(const struct ext2 *fs)
{
    return (fs->block_size - (uint32_t)sizeof(struct ext2_journal_head) - EXT2_TAG_UUID) /
           (uint32_t)sizeof(struct ext2_journal_tag);
}

static int place_write(struct ext2 *fs, uint32_t place, const void *data)
{
    return ext2_disk_write(fs, fs->journal.blocks[place], 1, data);
}

/* An empty block of the log, in journal.block. */
static uint8_t *block_begin(struct ext2 *fs, uint32_t type)
{
    struct ext2_journal_head head = {.magic = __builtin_bswap32(EXT2_JOURNAL_MAGIC),
                                     .type = __builtin_bswap32(type),
                                     .sequence = __builtin_bswap32(fs->journal.sequence)};

    memset(fs->journal.block, 0, fs->block_size);
    memcpy(fs->journal.block, &head, sizeof(head));
    return fs->journal.block + sizeof(head);
}

static bool needs_escape(const uint8_t *data)
{
    uint32_t magic = __builtin_bswap32(EXT2_JOURNAL_MAGIC);

    return memcmp(data, &magic, sizeof(magic)) == 0;
}

/* A descriptor for the next `count` blocks. */
static int write_descriptor(struct ext2 *fs, struct item item, uint32_t count, uint32_t place)
{
    uint8_t *at = block_begin(fs, EXT2_JOURNAL_DESC);

    for (uint32_t i = 0; i < count && next_item(fs, &item); i++) {
        uint32_t flags = (i > 0 ? EXT2_TAG_SAME_UUID : 0) | (i + 1 == count ? EXT2_TAG_LAST : 0) |
                         (needs_escape(item.data) ? EXT2_TAG_ESCAPE : 0);
        struct ext2_journal_tag tag = {.block = __builtin_bswap32(item.block),
                                       .flags = __builtin_bswap32(flags)};

        memcpy(at, &tag, sizeof(tag));
        at += sizeof(tag) + (i == 0 ? EXT2_TAG_UUID : 0); /* zeros, as nobody looks */
    }
    return place_write(fs, place, fs->journal.block);
}

static int write_copy(struct ext2 *fs, const struct item *item, uint32_t place)
{
    if (!needs_escape(item->data))
        return place_write(fs, place, item->data);
    memcpy(fs->journal.block, item->data, fs->block_size);
    memset(fs->journal.block, 0, sizeof(uint32_t));
    return place_write(fs, place, fs->journal.block);
}

/* Descriptors and blocks, from `place` on; returns the place behind them. */
static int write_blocks(struct ext2 *fs, uint32_t count, uint32_t *place)
{
    struct item item = {0};
    int rc = 0;

    while (rc == 0 && count > 0) {
        uint32_t n = count < tags_max(fs) ? count : tags_max(fs);

        rc = write_descriptor(fs, item, n, (*place)++);
        for (uint32_t i = 0; rc == 0 && i < n && next_item(fs, &item); i++)
            rc = write_copy(fs, &item, (*place)++);
        count -= n;
    }
    return rc;
}

int ext2_journal_mark(struct ext2 *fs, uint32_t start)
{
    struct ext2_journal *j = &fs->journal;

    j->super.start = __builtin_bswap32(start);
    j->super.sequence = __builtin_bswap32(j->sequence);
    memset(j->block, 0, fs->block_size);
    memcpy(j->block, &j->super, sizeof(j->super));
    return place_write(fs, 0, j->block);
}

/* Before the first transaction of an empty log: whoever mounts is told to look at it. */
static int begin_log(struct ext2 *fs)
{
    struct ext2_journal *j = &fs->journal;
    int rc = 0;

    if (!(fs->sb.feature_incompat & EXT2_INCOMPAT_RECOVER)) {
        fs->sb.feature_incompat |= EXT2_INCOMPAT_RECOVER;
        rc = ext2_write_super(fs);
        if (rc == 0)
            rc = blkdev_flush(fs->dev);
        if (rc < 0)
            fs->sb.feature_incompat &= ~EXT2_INCOMPAT_RECOVER;
    }
    if (rc == 0)
        rc = ext2_journal_mark(fs, j->head);
    if (rc == 0)
        j->live = true;
    return rc;
}

int ext2_journal_checkpoint(struct ext2 *fs)
{
    struct ext2_journal *j = &fs->journal;
    int rc;

    if (!j->live)
        return 0;
    rc = blkdev_flush(fs->dev);
    if (rc == 0)
        rc = ext2_journal_mark(fs, 0);
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    if (rc < 0)
        return rc;
    j->live = false;
    j->stale = false;
    j->head = j->first;
    j->logged_count = 0;
    return 0;
}

/* The transaction is durable: its blocks to their places. What fails stays for the next one. */
static int write_home(struct ext2 *fs)
{
    struct ext2_journal *j = &fs->journal;
    struct item item = {0};
    int rc = 0;

    while (next_item(fs, &item)) {
        int err = ext2_disk_write(fs, item.block, 1, item.data);

        j->logged[j->logged_count++] = item.block;
        if (err == 0 && item.index <= EXT2_BUFS)
            fs->bufs[item.index - 1].dirty = false;
        else if (err == 0)
            fs->gdt_dirty[item.index - 1 - EXT2_BUFS] = false;
        else
            rc = err;
    }
    return rc;
}

/* What the running transaction has given back is free from now on. */
static void release_held(struct ext2 *fs)
{
    struct ext2_journal *j = &fs->journal;

    if (j->holds)
        memset(j->held, 0, fs->group_count * sizeof(*j->held));
    j->held_count = 0;
    j->holds = j->held_vague = false;
}

int ext2_journal_commit(struct ext2 *fs)
{
    struct ext2_journal *j = &fs->journal;
    uint32_t count = item_count(fs), place;
    uint32_t need = count + (count + tags_max(fs) - 1) / tags_max(fs) + 1;
    int rc = 0;

    if (count == 0)
        return blkdev_flush(fs->dev);
    if (need > j->length - j->head)
        rc = ext2_journal_checkpoint(fs);
    if (rc == 0 && !j->live)
        rc = begin_log(fs);
    place = j->head;
    if (rc == 0)
        rc = write_blocks(fs, count, &place);
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    if (rc == 0) {
        block_begin(fs, EXT2_JOURNAL_COMMIT);
        rc = place_write(fs, place, j->block);
    }
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    if (rc < 0)
        return rc;
    j->head = place + 1;
    j->sequence++;
    rc = write_home(fs);
    if (rc == 0 && j->stale)
        rc = ext2_journal_checkpoint(fs);
    if (!j->stale)
        release_held(fs);
    return rc;
}

/* A copy of one of these blocks stands in the log. */
static bool is_logged(const struct ext2_journal *j, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < j->logged_count; i++) {
        if (j->logged[i] - first < count)
            return true;
    }
    return false;
}

void ext2_journal_freed(struct ext2 *fs, uint32_t group, uint32_t bit, uint32_t count)
{
    struct ext2_journal *j = &fs->journal;

    if (!ext2_has_journal(fs))
        return;
    j->holds = true;
    j->stale = j->stale || is_logged(j, ext2_group_start(fs, group) + bit, count);
    if (!j->held[group] && j->held_count < EXT2_HELD_MAPS) {
        j->held[group] = j->held_maps + (size_t)j->held_count++ * fs->block_size;
        memset(j->held[group], 0, fs->block_size);
    }
    if (!j->held[group]) {
        j->held_vague = true;
        return;
    }
    for (; count > 0; bit++, count--)
        j->held[group][bit / 8] |= (uint8_t)(1u << (bit % 8));
}
