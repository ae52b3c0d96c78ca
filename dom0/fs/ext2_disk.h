/* SPDX-License-Identifier: MIT */
/*
 * The ext2 format on disk, little-endian, as in Dave Poirier's "The Second Extended File System:
 * Internal Layout" and the Linux documentation of ext4's common part. For the files ext2_*.c only.
 */
#ifndef DOM0_FS_EXT2_DISK_H
#define DOM0_FS_EXT2_DISK_H

#include <assert.h>
#include <stdint.h>

#define EXT2_SUPER_OFFSET  1024
#define EXT2_MAGIC         0xef53
#define EXT2_ROOT_INO      2
#define EXT2_OLD_FIRST_INO 11
#define EXT2_OLD_INODE     128
#define EXT2_NAME_LEN      255
#define EXT2_LINK_MAX      32000

#define EXT2_DIRECT    12 /* i_block[]: 12 direct, then one of each indirection */
#define EXT2_IND_LEVEL 3
#define EXT2_N_BLOCKS  (EXT2_DIRECT + EXT2_IND_LEVEL)

/* s_state */
#define EXT2_STATE_VALID 1
#define EXT2_STATE_ERROR 2

#define EXT2_INCOMPAT_FILETYPE      0x2u
#define EXT2_INCOMPAT_RECOVER       0x4u
#define EXT2_INCOMPAT_SUPPORTED     EXT2_INCOMPAT_FILETYPE
#define EXT2_RO_COMPAT_SPARSE_SUPER 0x1u
#define EXT2_RO_COMPAT_LARGE_FILE   0x2u
#define EXT2_RO_COMPAT_SUPPORTED    (EXT2_RO_COMPAT_SPARSE_SUPER | EXT2_RO_COMPAT_LARGE_FILE)
#define EXT2_COMPAT_HAS_JOURNAL     0x4u
#define EXT2_COMPAT_SPARSE_SUPER2   0x200u

struct ext2_super_disk {
    uint32_t inodes_count;
    uint32_t blocks_count;
    uint32_t r_blocks_count;
    uint32_t free_blocks_count;
    uint32_t free_inodes_count;
    uint32_t first_data_block;
    uint32_t log_block_size;
    uint32_t log_frag_size;
    uint32_t blocks_per_group;
    uint32_t frags_per_group;
    uint32_t inodes_per_group;
    uint32_t mtime;
    uint32_t wtime;
    uint16_t mnt_count;
    uint16_t max_mnt_count;
    uint16_t magic;
    uint16_t state;
    uint16_t errors;
    uint16_t minor_rev_level;
    uint32_t lastcheck;
    uint32_t checkinterval;
    uint32_t creator_os;
    uint32_t rev_level;
    uint16_t def_resuid;
    uint16_t def_resgid;
    /* from here on only when rev_level >= 1 */
    uint32_t first_ino;
    uint16_t inode_size;
    uint16_t block_group_nr;
    uint32_t feature_compat;
    uint32_t feature_incompat;
    uint32_t feature_ro_compat;
    uint8_t uuid[16];
    char volume_name[16];
    char last_mounted[64];
    uint32_t algo_bitmap;
    uint8_t prealloc_blocks;
    uint8_t prealloc_dir_blocks;
    uint16_t reserved_gdt_blocks;
    uint8_t journal_uuid[16];
    uint32_t journal_inum;
    uint32_t journal_dev;
    uint32_t last_orphan;
    uint8_t rest[788];
};
static_assert(sizeof(struct ext2_super_disk) == 1024, "superblock");

struct ext2_group_disk {
    uint32_t block_bitmap;
    uint32_t inode_bitmap;
    uint32_t inode_table;
    uint16_t free_blocks_count;
    uint16_t free_inodes_count;
    uint16_t used_dirs_count;
    uint16_t flags;
    uint32_t reserved[3];
};
static_assert(sizeof(struct ext2_group_disk) == 32, "group descriptor");

struct ext2_inode_disk {
    uint16_t mode;
    uint16_t uid;
    uint32_t size;
    uint32_t atime;
    uint32_t ctime;
    uint32_t mtime;
    uint32_t dtime;
    uint16_t gid;
    uint16_t links_count;
    uint32_t blocks; /* of 512 bytes, indirect blocks included */
    uint32_t flags;
    uint32_t osd1;
    uint32_t block[EXT2_N_BLOCKS];
    uint32_t generation;
    uint32_t file_acl;
    uint32_t size_high; /* i_dir_acl in directories */
    uint32_t faddr;
    uint8_t osd2[12];
};
static_assert(sizeof(struct ext2_inode_disk) == 128, "inode");

#define EXT2_S_IFMT  0xf000
#define EXT2_S_IFLNK 0xa000
#define EXT2_S_IFREG 0x8000
#define EXT2_S_IFDIR 0x4000

/* i_flags: INDEX is dropped when we change the directory; the others mean a layout we lack. */
#define EXT2_FL_INDEX       0x1000u
#define EXT2_FL_UNSUPPORTED (0x4u | 0x800u | 0x80000u | 0x10000000u)

struct ext2_dirent_disk {
    uint32_t inode;
    uint16_t rec_len;
    uint8_t name_len;
    uint8_t file_type; /* with the feature FILETYPE, else 0 */
    char name[];
};
#define EXT2_DIRENT_HEAD     8u
#define EXT2_DIRENT_LEN(len) ((EXT2_DIRENT_HEAD + (uint32_t)(len) + 3u) & ~3u)
static_assert(sizeof(struct ext2_dirent_disk) == EXT2_DIRENT_HEAD, "directory entry");

#define EXT2_FT_UNKNOWN 0
#define EXT2_FT_REG     1
#define EXT2_FT_DIR     2
#define EXT2_FT_SYMLINK 7

/* An attribute block (i_file_acl), shared by reference count between inodes. */
struct ext2_xattr_disk {
    uint32_t magic;
    uint32_t refcount;
    uint32_t blocks;
};
#define EXT2_XATTR_MAGIC 0xea020000u

/*
 * The journal, all of it big-endian, as the Linux documentation of JBD2 has it. The blocks of a
 * transaction follow each other: a descriptor with a tag for each block, these blocks, the commit.
 */
#define EXT2_JOURNAL_MAGIC  0xc03b3998u
#define EXT2_JOURNAL_DESC   1u
#define EXT2_JOURNAL_COMMIT 2u
#define EXT2_JOURNAL_SUPER1 3u
#define EXT2_JOURNAL_SUPER2 4u
#define EXT2_JOURNAL_REVOKE 5u
/* The only incompatible feature of a journal that does not change how its blocks look. */
#define EXT2_JOURNAL_INCOMPAT_REVOKE 1u

struct ext2_journal_head {
    uint32_t magic;
    uint32_t type;
    uint32_t sequence;
};

struct ext2_journal_super {
    struct ext2_journal_head head;
    uint32_t block_size;
    uint32_t length;   /* blocks of the journal, this one included */
    uint32_t first;    /* place of the first block of the log */
    uint32_t sequence; /* the first transaction that is in the log */
    uint32_t start;    /* and where; 0: the log is empty */
    uint32_t error;
    uint32_t feature_compat;
    uint32_t feature_incompat;
    uint32_t feature_ro_compat;
    uint8_t rest[976];
};
static_assert(sizeof(struct ext2_journal_super) == 1024, "journal superblock");

#define EXT2_TAG_ESCAPE    1u /* the block began with the magic number: zeros are there instead */
#define EXT2_TAG_SAME_UUID 2u /* no 16 bytes of UUID follow */
#define EXT2_TAG_LAST      8u
struct ext2_journal_tag {
    uint32_t block;
    uint32_t flags;
};
#define EXT2_TAG_UUID 16u

#endif
