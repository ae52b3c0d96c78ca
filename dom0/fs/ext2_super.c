/* SPDX-License-Identifier: MIT */
/*
 * The superblock and the group descriptors: mounting with all checks, the clean mark, syncing, and
 * reports of corruption.
 */
#include "dom0/fs/ext2_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#define SUPER_SECTOR  (EXT2_SUPER_OFFSET >> BLK_SECTOR_SHIFT)
#define SUPER_SECTORS (sizeof(struct ext2_super_disk) >> BLK_SECTOR_SHIFT)
#define MAX_REPORTS   50 /* per mount: a guest's retries must not flood the console */
/* i_blocks counts 2 TiB; this leaves room for the indirect blocks in it. */
#define MAX_FILE_SIZE ((1ull << 41) - (1ull << 32))
#define MAX_FILE_REV0 0x7fffffffull

static const struct feature {
    uint32_t bit;
    const char *name;
} incompat_names[] =
    {
        {0x1, "compression"}, {0x4, "needs_recovery"}, {0x8, "journal_dev"},  {0x10, "meta_bg"},
        {0x40, "extents"},    {0x80, "64bit"},         {0x100, "mmp"},        {0x200, "flex_bg"},
        {0x400, "ea_inode"},  {0x1000, "dirdata"},     {0x2000, "csum_seed"}, {0x4000, "large_dir"},
        {0x8000, "inline"},   {0x10000, "encrypt"},    {0x20000, "casefold"}, {0, NULL},
},
  ro_compat_names[] = {
      {0x4, "btree_dir"},  {0x8, "huge_file"},       {0x10, "uninit_bg"},
      {0x20, "dir_nlink"}, {0x40, "extra_isize"},    {0x100, "quota"},
      {0x200, "bigalloc"}, {0x400, "metadata_csum"}, {0x1000, "read-only"},
      {0x2000, "project"}, {0x8000, "verity"},       {0x10000, "orphan_present"},
      {0, NULL},
};

void ext2_report(struct ext2 *fs, const char *fmt, ...)
{
    char text[EXT2_PROBLEM_LEN];
    va_list ap;

    if (!fs->env.report || fs->reports > MAX_REPORTS)
        return;
    if (fs->reports++ == MAX_REPORTS) {
        fs->env.report("ext2: more errors are not shown");
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fs->env.report(text);
}

int ext2_write_super(struct ext2 *fs)
{
    int rc = blkdev_write(fs->dev, SUPER_SECTOR, &fs->sb, SUPER_SECTORS);

    if (rc < 0)
        ext2_report(fs, "%s: writing the superblock failed (error %d)", fs->dev->name, -rc);
    return rc;
}

int ext2_corrupt(struct ext2 *fs, const char *fmt, ...)
{
    char text[EXT2_PROBLEM_LEN];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ext2_report(fs, "ext2 on %s is damaged (run e2fsck): %s", fs->dev->name, text);
    if (!(fs->sb.state & EXT2_STATE_ERROR)) {
        fs->sb.state |= EXT2_STATE_ERROR;
        fs->was_unclean = true;
        if (!fs->readonly)
            ext2_write_super(fs); /* the report is what counts, should this fail too */
    }
    return -XEN_EIO;
}

static int refuse(char *problem, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(char *problem, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(problem, EXT2_PROBLEM_LEN, fmt, ap);
    va_end(ap);
    return err;
}

/* "extents 64bit 0x80000", into buf. */
static void feature_list(const struct feature *names, uint32_t bits, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = 0;
    for (uint32_t i = 0; i < 32 && used < size; i++) {
        const struct feature *f = names;
        uint32_t bit = bits & (1u << i);

        if (!bit)
            continue;
        while (f->name && f->bit != bit)
            f++;
        if (f->name)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "", f->name);
        else
            used += (size_t)snprintf(buf + used, size - used, "%s0x%x", used ? " " : "", bit);
    }
}

static int check_features(struct ext2 *fs, char *problem)
{
    uint32_t incompat = fs->sb.feature_incompat & ~EXT2_INCOMPAT_SUPPORTED;
    uint32_t ro_compat = fs->sb.feature_ro_compat & ~EXT2_RO_COMPAT_SUPPORTED;
    char list[128];

    if (fs->sb.rev_level == 0)
        return 0;
    if (incompat == EXT2_INCOMPAT_RECOVER)
        incompat = 0; /* ext2_journal_open() does it */
    if (incompat) {
        feature_list(incompat_names, incompat, list, sizeof(list));
        return refuse(problem, -XEN_EOPNOTSUPP,
                      "the file system needs features that are not supported: %s; make it with "
                      "mke2fs -t ext2",
                      list);
    }
    if (ro_compat) {
        feature_list(ro_compat_names, ro_compat, list, sizeof(list));
        fs->readonly = true;
        refuse(problem, 0,
               "mounted read-only: changing it needs features that are not supported: %s", list);
    }
    return 0;
}

/* Sizes and counts of the superblock, each against the others and against the device. */
static int check_geometry(struct ext2 *fs, char *problem)
{
    const struct ext2_super_disk *sb = &fs->sb;
    uint64_t device_blocks, groups;

    if (sb->rev_level > 1)
        return refuse(problem, -XEN_EOPNOTSUPP, "ext2 revision %u is not known", sb->rev_level);
    if (sb->log_block_size > 2)
        return refuse(problem, -XEN_EOPNOTSUPP,
                      "block size of 2^%u bytes: only 1, 2 and 4 KiB are supported",
                      sb->log_block_size < 64 ? sb->log_block_size + 10 : 64);
    fs->block_shift = sb->log_block_size + 10;
    fs->block_size = 1u << fs->block_shift;
    fs->ptr_shift = fs->block_shift - 2;
    fs->inode_size = sb->rev_level ? sb->inode_size : EXT2_OLD_INODE;
    fs->first_ino = sb->rev_level ? sb->first_ino : EXT2_OLD_FIRST_INO;
    device_blocks = fs->dev->sectors >> (fs->block_shift - BLK_SECTOR_SHIFT);

    if (fs->inode_size < EXT2_OLD_INODE || fs->inode_size > fs->block_size ||
        (fs->inode_size & (fs->inode_size - 1)))
        return refuse(problem, -XEN_EINVAL, "damaged superblock: inode size %u", fs->inode_size);
    if (sb->first_data_block != (fs->block_size == 1024 ? 1u : 0u))
        return refuse(problem, -XEN_EINVAL, "damaged superblock: first data block %u",
                      sb->first_data_block);
    if (sb->blocks_per_group < 8 || sb->blocks_per_group > fs->block_size * 8 ||
        sb->inodes_per_group == 0 || sb->inodes_per_group > fs->block_size * 8)
        return refuse(problem, -XEN_EINVAL, "damaged superblock: %u blocks, %u inodes per group",
                      sb->blocks_per_group, sb->inodes_per_group);
    if (sb->blocks_count <= sb->first_data_block + 1)
        return refuse(problem, -XEN_EINVAL, "damaged superblock: %u blocks", sb->blocks_count);
    if (sb->blocks_count > device_blocks)
        return refuse(problem, -XEN_EINVAL,
                      "the file system has %u blocks, the disk only %llu: truncated image?",
                      sb->blocks_count, (unsigned long long)device_blocks);

    groups = ((uint64_t)sb->blocks_count - sb->first_data_block + sb->blocks_per_group - 1) /
             sb->blocks_per_group;
    if (groups * sb->inodes_per_group != sb->inodes_count || fs->first_ino < EXT2_OLD_FIRST_INO ||
        fs->first_ino > sb->inodes_count)
        return refuse(problem, -XEN_EINVAL, "damaged superblock: %u inodes, the first is %u",
                      sb->inodes_count, fs->first_ino);
    fs->group_count = (uint32_t)groups;
    fs->gdt_blocks = (uint32_t)((groups * sizeof(struct ext2_group_disk) + fs->block_size - 1) >>
                                fs->block_shift);
    fs->table_blocks =
        (uint32_t)(((uint64_t)sb->inodes_per_group * fs->inode_size + fs->block_size - 1) >>
                   fs->block_shift);
    if ((uint64_t)ext2_group_head(fs, 0) + fs->table_blocks + 2 > sb->blocks_per_group)
        return refuse(problem, -XEN_EINVAL, "damaged superblock: tables larger than a group");
    return 0;
}

static void set_max_size(struct ext2 *fs)
{
    uint64_t n = 1ull << fs->ptr_shift;
    uint64_t blocks = EXT2_DIRECT + n + n * n + n * n * n;

    fs->max_size = blocks << fs->block_shift;
    if (fs->max_size > MAX_FILE_SIZE)
        fs->max_size = MAX_FILE_SIZE;
    if (fs->sb.rev_level == 0)
        fs->max_size = MAX_FILE_REV0;
}

/* Bitmaps and tables lie in their own group, behind its head, and do not overlap. */
static bool group_ok(const struct ext2 *fs, uint32_t group)
{
    const struct ext2_group_disk *gd = &fs->groups[group];
    uint64_t low = (uint64_t)ext2_group_start(fs, group) + ext2_group_head(fs, group);
    uint64_t high = (uint64_t)ext2_group_start(fs, group) + fs->sb.blocks_per_group;
    uint64_t table_end = (uint64_t)gd->inode_table + fs->table_blocks;

    if (high > fs->sb.blocks_count)
        high = fs->sb.blocks_count;
    if (gd->block_bitmap < low || gd->block_bitmap >= high || gd->inode_bitmap < low ||
        gd->inode_bitmap >= high || gd->inode_table < low || table_end > high)
        return false;
    if (gd->block_bitmap == gd->inode_bitmap)
        return false;
    return !(gd->block_bitmap >= gd->inode_table && gd->block_bitmap < table_end) &&
           !(gd->inode_bitmap >= gd->inode_table && gd->inode_bitmap < table_end);
}

static int load_groups(struct ext2 *fs, char *problem)
{
    int rc;

    fs->groups = calloc(fs->gdt_blocks, fs->block_size);
    fs->gdt_dirty = calloc(fs->gdt_blocks, sizeof(*fs->gdt_dirty));
    fs->reserved = calloc(fs->group_count, sizeof(*fs->reserved));
    fs->bounce = malloc(fs->block_size);
    fs->zeros = calloc(EXT2_ZERO_BLOCKS, fs->block_size);
    if (!fs->groups || !fs->gdt_dirty || !fs->reserved || !fs->bounce || !fs->zeros ||
        ext2_cache_init(fs) < 0)
        return refuse(problem, -XEN_ENOMEM, "not enough memory to mount the file system");
    rc = ext2_disk_read(fs, fs->sb.first_data_block + 1, fs->gdt_blocks, fs->groups);
    if (rc < 0)
        return refuse(problem, rc, "reading the group descriptors failed");
    for (uint32_t g = 0; g < fs->group_count; g++) {
        if (!group_ok(fs, g))
            return refuse(problem, -XEN_EINVAL,
                          "damaged group descriptor %u: run e2fsck on the disk", g);
        fs->overhead += ext2_group_head(fs, g) + 2 + fs->table_blocks;
    }
    return 0;
}

static void unload(struct ext2 *fs)
{
    ext2_journal_free(fs);
    ext2_cache_free(fs);
    free(fs->reserved); /* its maps are gone: files that hold blocks are open */
    free(fs->groups);
    free(fs->gdt_dirty);
    free(fs->bounce);
    free(fs->zeros);
}

static void free_all(struct ext2 *fs)
{
    unload(fs);
    free(fs);
}

/* Errors and an unclean end of an earlier use: noted, counted anew, and left for e2fsck to settle.
 */
static int check_state(struct ext2 *fs, char *problem)
{
    bool errors = fs->sb.state & EXT2_STATE_ERROR;

    if ((fs->sb.state & EXT2_STATE_VALID) && !errors)
        return 0;
    fs->was_unclean = true;
    refuse(problem, 0, "the file system %s: switch off and run e2fsck -p on the disk",
           errors ? "has errors" : "was not unmounted in order");
    return ext2_recount(fs);
}

static int mount_checked(struct ext2 *fs, char *problem)
{
    int rc = 0;

    if (fs->dev->sectors < SUPER_SECTOR + SUPER_SECTORS)
        return refuse(problem, -XEN_EINVAL, "the disk is too small for a file system");
    rc = blkdev_read(fs->dev, SUPER_SECTOR, &fs->sb, SUPER_SECTORS);
    if (rc < 0)
        return refuse(problem, rc, "reading the superblock failed");
    if (fs->sb.magic != EXT2_MAGIC)
        return refuse(problem, -XEN_EINVAL,
                      "no ext2 file system on the disk: make one over the whole disk, without a "
                      "partition table, by mke2fs -t ext2");
    fs->readonly = fs->dev->readonly;
    if (fs->readonly)
        refuse(problem, 0, "mounted read-only: the disk is read-only");
    rc = check_geometry(fs, problem);
    if (rc == 0)
        rc = check_features(fs, problem);
    if (rc == 0)
        rc = load_groups(fs, problem);
    if (rc < 0)
        return rc;
    set_max_size(fs);
    return ext2_journal_open(fs, problem);
}

/* The superblock's counters are not in the journal; the groups' are. */
static void sum_groups(struct ext2 *fs)
{
    fs->sb.free_blocks_count = fs->sb.free_inodes_count = 0;
    for (uint32_t g = 0; g < fs->group_count; g++) {
        fs->sb.free_blocks_count += fs->groups[g].free_blocks_count;
        fs->sb.free_inodes_count += fs->groups[g].free_inodes_count;
    }
}

/* What the journal held has replaced what was read. */
static int mount_again(struct ext2 *fs, char *problem)
{
    struct blkdev *dev = fs->dev;
    struct ext2_env env = fs->env;
    int rc;

    unload(fs);
    memset(fs, 0, sizeof(*fs));
    fs->dev = dev;
    fs->env = env;
    rc = mount_checked(fs, problem);
    if (rc > 0)
        return refuse(problem, -XEN_EIO, "the journal comes back: the disk does not obey");
    if (rc == 0)
        sum_groups(fs);
    return rc;
}

static int mount_settled(struct ext2 *fs, char *problem)
{
    int rc = mount_checked(fs, problem);

    if (rc > 0)
        rc = mount_again(fs, problem);
    if (rc < 0)
        return rc;
    rc = check_state(fs, problem);
    if (rc < 0)
        return refuse(problem, rc, "the bitmaps cannot be read");
    return 0;
}

int ext2_mount(struct blkdev *dev, const struct ext2_env *env, struct ext2 **out, char *problem)
{
    struct ext2 *fs = calloc(1, sizeof(*fs));
    struct ext2_inode *root;
    int rc;

    problem[0] = 0;
    if (!fs)
        return refuse(problem, -XEN_ENOMEM, "not enough memory to mount the file system");
    fs->dev = dev;
    fs->env = *env;
    rc = mount_settled(fs, problem);
    if (rc == 0) {
        rc = ext2_iget(fs, EXT2_ROOT_INO, &root);
        if (rc == 0) {
            if (!ext2_is_dir(root))
                rc = -XEN_EINVAL;
            ext2_iput(root);
        }
        if (rc < 0)
            refuse(problem, -XEN_EINVAL, "the root directory is damaged: run e2fsck on the disk");
    }
    if (rc < 0) {
        free_all(fs);
        return rc;
    }
    *out = fs;
    return 0;
}

int ext2_unmount(struct ext2 *fs)
{
    int rc;

    if (fs->inodes)
        return -XEN_EBUSY;
    rc = ext2_sync(fs);
    free_all(fs);
    return rc;
}

/* Blocks of metadata in the running transaction. */
static uint32_t transaction_size(const struct ext2 *fs)
{
    uint32_t n = 0;

    for (const struct ext2_buf *buf = fs->bufs; buf < fs->bufs + EXT2_BUFS; buf++)
        n += buf->block && buf->dirty;
    return n;
}

int ext2_begin(struct ext2 *fs)
{
    int rc;

    if (fs->readonly)
        return -XEN_EROFS;
    fs->changes++;
    if (ext2_has_journal(fs)) {
        fs->dirty = true;
        return transaction_size(fs) < EXT2_BUFS / 2 ? 0 : ext2_journal_commit(fs);
    }
    if (fs->dirty)
        return 0;
    fs->sb.state &= (uint16_t)~EXT2_STATE_VALID;
    rc = ext2_write_super(fs);
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    if (rc < 0)
        return rc;
    fs->dirty = true;
    return 0;
}

int ext2_write_groups(struct ext2 *fs)
{
    for (uint32_t i = 0; i < fs->gdt_blocks; i++) {
        int rc;

        if (!fs->gdt_dirty[i])
            continue;
        rc = ext2_disk_write(fs, fs->sb.first_data_block + 1 + i, 1,
                             (uint8_t *)fs->groups + ((size_t)i << fs->block_shift));
        if (rc < 0)
            return rc;
        fs->gdt_dirty[i] = false;
    }
    return 0;
}

/* All metadata to its place, for good. */
static int settle(struct ext2 *fs)
{
    int rc;

    if (ext2_has_journal(fs)) {
        rc = ext2_journal_commit(fs);
        return rc ? rc : ext2_journal_checkpoint(fs);
    }
    rc = ext2_buf_flush(fs);
    if (rc == 0)
        rc = ext2_write_groups(fs);
    return rc ? rc : blkdev_flush(fs->dev);
}

int ext2_sync(struct ext2 *fs)
{
    int rc;

    if (fs->readonly)
        return 0;
    if (!fs->dirty)
        return blkdev_flush(fs->dev);
    rc = settle(fs); /* "clean" must not get there before what it speaks of */
    if (rc < 0)
        return rc;
    fs->sb.wtime = ext2_now(fs);
    fs->sb.feature_incompat &= ~EXT2_INCOMPAT_RECOVER;
    if (!fs->was_unclean)
        fs->sb.state |= EXT2_STATE_VALID;
    rc = ext2_write_super(fs);
    if (rc == 0)
        rc = blkdev_flush(fs->dev);
    if (rc == 0)
        fs->dirty = false;
    return rc;
}

bool ext2_flush_is_plain(const struct ext2 *fs)
{
    return !ext2_has_journal(fs) || transaction_size(fs) == 0;
}

int ext2_flush(struct ext2 *fs)
{
    return ext2_flush_is_plain(fs) ? blkdev_flush(fs->dev) : ext2_journal_commit(fs);
}

bool ext2_is_journaled(const struct ext2 *fs)
{
    return ext2_has_journal(fs);
}

int ext2_need_large_file(struct ext2 *fs)
{
    if (fs->sb.feature_ro_compat & EXT2_RO_COMPAT_LARGE_FILE)
        return 0;
    fs->sb.feature_ro_compat |= EXT2_RO_COMPAT_LARGE_FILE;
    return ext2_write_super(fs);
}

uint32_t ext2_now(struct ext2 *fs)
{
    uint32_t now = fs->env.now ? fs->env.now() : 0;

    /* e2fsck takes small deletion times for links of a list, so never let time be near zero. */
    return now ? now : fs->sb.wtime;
}

bool ext2_is_dirty(const struct ext2 *fs)
{
    return fs->dirty;
}

bool ext2_is_readonly(const struct ext2 *fs)
{
    return fs->readonly;
}

uint64_t ext2_change_count(const struct ext2 *fs)
{
    return fs->changes;
}

uint32_t ext2_block_size(const struct ext2 *fs)
{
    return fs->block_size;
}

void ext2_statfs(const struct ext2 *fs, struct ext2_statfs *st)
{
    st->block_size = fs->block_size;
    st->blocks = fs->sb.blocks_count - fs->sb.first_data_block - fs->overhead;
    st->free_blocks = fs->sb.free_blocks_count;
    st->inodes = fs->sb.inodes_count;
    st->free_inodes = fs->sb.free_inodes_count;
}
