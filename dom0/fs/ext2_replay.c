/* SPDX-License-Identifier: MIT */
/*
 * The journal at mount: found, checked, and what a power cut left in it copied to its places. Two
 * passes: how far transactions are complete, and then all their blocks in order. Doing it again
 * after another power cut on the way leads to the same.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#define E2FSCK "run e2fsck -p on the disk"

static int refuse(char *problem, int err, const char *why)
{
    snprintf(problem, EXT2_PROBLEM_LEN, "%s", why);
    return err;
}

static uint32_t be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

void ext2_journal_free(struct ext2 *fs)
{
    free(fs->journal.held);
    free(fs->journal.held_maps);
    free(fs->journal.blocks);
    free(fs->journal.logged);
    free(fs->journal.block);
    memset(&fs->journal, 0, sizeof(fs->journal));
}

/* Where the journal's blocks are, by its inode. */
static int find_blocks(struct ext2 *fs, uint32_t **blocks, uint32_t *length)
{
    struct ext2_inode *ip;
    uint64_t size;
    uint32_t n = 0;
    int rc;

    *blocks = NULL;
    if (fs->sb.journal_inum > fs->sb.inodes_count)
        return -XEN_EINVAL;
    rc = ext2_iget_any(fs, fs->sb.journal_inum, &ip);
    if (rc)
        return rc;
    size = ext2_size(ip) >> fs->block_shift;
    if (!ext2_is_file(ip) || size >= fs->sb.blocks_count)
        rc = ext2_corrupt(fs, "inode %u is no journal", ip->ino);
    *length = (uint32_t)size;
    if (rc == 0)
        *blocks = malloc((size + 1) * sizeof(**blocks));
    if (rc == 0 && !*blocks)
        rc = -XEN_ENOMEM;
    while (rc == 0 && n < *length) {
        uint32_t block, count;

        rc = ext2_bmap(ip, n, *length - n, &block, &count);
        if (rc == 0 && !block)
            rc = ext2_corrupt(fs, "the journal has a hole");
        for (uint32_t i = 0; rc == 0 && i < count; i++)
            (*blocks)[n++] = block + i;
    }
    ext2_iput(ip);
    if (rc)
        free(*blocks);
    return rc;
}

static bool super_ok(const struct ext2 *fs, uint32_t blocks)
{
    const struct ext2_journal_super *js = &fs->journal.super;
    uint32_t first = be32(js->first), length = be32(js->length), start = be32(js->start);

    return be32(js->head.magic) == EXT2_JOURNAL_MAGIC && be32(js->block_size) == fs->block_size &&
           first > 0 && length <= blocks && first < length && start < length &&
           (start == 0 || start >= first);
}

/* Version 1 has no features, and zeros there. */
static bool features_known(const struct ext2_journal_super *js)
{
    return !(be32(js->feature_incompat) & ~EXT2_JOURNAL_INCOMPAT_REVOKE) &&
           js->feature_ro_compat == 0;
}

static int load(struct ext2 *fs, char *problem)
{
    struct ext2_journal *j = &fs->journal;
    uint32_t blocks;
    int rc = find_blocks(fs, &j->blocks, &blocks);

    if (rc) {
        j->blocks = NULL;
        return refuse(problem, rc, "the journal cannot be read: " E2FSCK);
    }
    j->block = malloc(fs->block_size);
    j->logged = malloc((blocks + 1) * sizeof(*j->logged));
    j->held = calloc(fs->group_count, sizeof(*j->held));
    j->held_maps = malloc((size_t)EXT2_HELD_MAPS * fs->block_size);
    if (!j->block || !j->logged || !j->held || !j->held_maps)
        return refuse(problem, -XEN_ENOMEM, "not enough memory to mount the file system");
    rc = blocks ? ext2_disk_read(fs, j->blocks[0], 1, j->block) : -XEN_EINVAL;
    if (rc == 0)
        memcpy(&j->super, j->block, sizeof(j->super));
    if (rc < 0 || !super_ok(fs, blocks))
        return refuse(problem, -XEN_EINVAL, "the journal is damaged: " E2FSCK);
    j->first = be32(j->super.first);
    j->length = be32(j->super.length);
    j->head = j->first;
    j->sequence = be32(j->super.sequence);
    return 0;
}

/* --- replay --- */

struct replay {
    struct ext2 *fs;
    uint32_t place;
    uint32_t sequence;
    uint32_t end;  /* in the second pass: the first transaction that is not complete */
    uint32_t left; /* blocks that may still be read: a log does not go round twice */
    bool write;
    uint8_t *block;
};

static int next_block(struct replay *r, uint8_t *data)
{
    const struct ext2_journal *j = &r->fs->journal;
    uint32_t place = r->place;

    if (r->left == 0)
        return -XEN_EINVAL;
    r->left--;
    r->place = place + 1 < j->length ? place + 1 : j->first;
    return ext2_disk_read(r->fs, j->blocks[place], 1, data);
}

/* One block of a transaction to its place. */
static int copy_home(struct replay *r, const struct ext2_journal_tag *tag)
{
    uint32_t block = be32(tag->block), magic = be32(EXT2_JOURNAL_MAGIC);
    int rc = next_block(r, r->fs->bounce);

    if (rc < 0 || !r->write)
        return rc;
    if (block == 0 && r->fs->sb.first_data_block > 0)
        return -XEN_EINVAL;
    if (block >= r->fs->sb.blocks_count)
        return -XEN_EINVAL;
    if (be32(tag->flags) & EXT2_TAG_ESCAPE)
        memcpy(r->fs->bounce, &magic, sizeof(magic));
    return ext2_disk_write(r->fs, block, 1, r->fs->bounce);
}

/* The blocks that a descriptor, in r->block, names. */
static int descriptor(struct replay *r)
{
    uint32_t at = sizeof(struct ext2_journal_head);
    struct ext2_journal_tag tag;

    do {
        int rc;

        if (at + sizeof(tag) > r->fs->block_size)
            return 0; /* full to the end, without a last one */
        memcpy(&tag, r->block + at, sizeof(tag));
        at += sizeof(tag) + (be32(tag.flags) & EXT2_TAG_SAME_UUID ? 0 : EXT2_TAG_UUID);
        rc = copy_home(r, &tag);
        if (rc < 0)
            return rc;
    } while (!(be32(tag.flags) & EXT2_TAG_LAST));
    return 0;
}

/*
 * From the start of the log: 0 at its end, where r->sequence is the first transaction that is not
 * complete. -EOPNOTSUPP: revoke records, which Linux writes.
 */
static int pass(struct replay *r)
{
    const struct ext2_journal *j = &r->fs->journal;

    r->place = be32(j->super.start);
    r->sequence = be32(j->super.sequence);
    r->left = j->length - j->first;
    while (!r->write || r->sequence != r->end) {
        struct ext2_journal_head head;
        int rc = next_block(r, r->block);

        if (rc < 0)
            return rc == -XEN_EINVAL && !r->write ? 0 : rc;
        memcpy(&head, r->block, sizeof(head));
        if (be32(head.magic) != EXT2_JOURNAL_MAGIC || be32(head.sequence) != r->sequence)
            return 0;
        if (be32(head.type) == EXT2_JOURNAL_REVOKE)
            return -XEN_EOPNOTSUPP;
        if (be32(head.type) == EXT2_JOURNAL_COMMIT)
            r->sequence++;
        else if (be32(head.type) == EXT2_JOURNAL_DESC)
            rc = descriptor(r);
        else
            return 0;
        if (rc < 0)
            return rc == -XEN_EINVAL && !r->write ? 0 : rc;
    }
    return 0;
}

/* All complete transactions to their places, and the log is empty. */
static int replay(struct ext2 *fs)
{
    struct replay r = {.fs = fs, .block = malloc(fs->block_size)};
    int rc;

    if (!r.block)
        return -XEN_ENOMEM;
    rc = pass(&r);
    r.end = r.sequence;
    r.write = true;
    if (rc == 0)
        rc = pass(&r);
    free(r.block);
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    fs->journal.sequence = r.end + 1;
    if (rc == 0)
        rc = ext2_journal_mark(fs, 0);
    return rc ? rc : blkdev_flush(fs->dev);
}

/* The superblock may have been in the journal too: it is taken from the disk again. */
static int clear_recover(struct ext2 *fs)
{
    uint64_t sector = EXT2_SUPER_OFFSET >> BLK_SECTOR_SHIFT;
    int rc = blkdev_read(fs->dev, sector, &fs->sb, sizeof(fs->sb) >> BLK_SECTOR_SHIFT);

    if (rc < 0)
        return rc;
    fs->sb.feature_incompat &= ~EXT2_INCOMPAT_RECOVER;
    rc = ext2_write_super(fs);
    return rc ? rc : blkdev_flush(fs->dev);
}

static int recover(struct ext2 *fs, char *problem)
{
    const struct ext2_journal *j = &fs->journal;
    int rc = 0;

    if (!ext2_has_journal(fs) || !features_known(&j->super) || fs->readonly)
        return refuse(problem, -XEN_EOPNOTSUPP, "the journal needs recovery: " E2FSCK);
    if (j->super.start)
        rc = replay(fs);
    if (rc == -XEN_EOPNOTSUPP)
        return refuse(problem, rc, "the journal needs a recovery that is not known here: " E2FSCK);
    if (rc == 0)
        rc = clear_recover(fs);
    if (rc < 0)
        return refuse(problem, rc, "the journal's recovery failed: " E2FSCK);
    return 1;
}

int ext2_journal_open(struct ext2 *fs, char *problem)
{
    struct ext2_journal *j = &fs->journal;
    bool needed = fs->sb.rev_level && (fs->sb.feature_incompat & EXT2_INCOMPAT_RECOVER);
    int rc = 0;

    if (fs->sb.rev_level && (fs->sb.feature_compat & EXT2_COMPAT_HAS_JOURNAL) &&
        fs->sb.journal_inum)
        rc = load(fs, problem);
    if (rc < 0)
        return rc;
    if (needed)
        return recover(fs, problem);
    /* A journal of an unknown kind, or too small, that is empty, can be left alone. */
    if (j->blocks && (fs->readonly || j->super.start || !features_known(&j->super) ||
                      j->length - j->first < 2 * (EXT2_BUFS + fs->gdt_blocks) + 8))
        ext2_journal_free(fs);
    return 0;
}
