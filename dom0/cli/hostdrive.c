/* SPDX-License-Identifier: MIT */
#include "dom0/cli/hostdrive.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/nvme.h"
#include "dom0/fs/ext2.h"
#include "dom0/fs/vfs.h"

#define HOW                                                                               \
    "start QEMU with HOST=FILE of make run, or -drive file=FILE,format=raw,if=none,id=h " \
    "-device nvme,drive=h,serial=h"

static int refuse(char *why, int rc, const char *text)
{
    snprintf(why, HOSTDRIVE_WHY_MAX, "%s", text);
    return rc;
}

/* Looked for at the first use. */
static int find_drive(struct blkdev **drive, char *why)
{
    int rc;

    *drive = nvme_disk();
    if (*drive && *drive == vfs_blkdev())
        return refuse(why, -XEN_ENODEV, "there is no second disk: the NVMe disk is domain 0's own");
    rc = *drive ? 0 : nvme_start(drive);
    if (rc == -XEN_ENODEV)
        return refuse(why, rc, "there is no drive of the host: " HOW);
    return rc < 0 ? refuse(why, rc, nvme_problem()) : 0;
}

static void report(const char *text)
{
    printf("host's drive: %s\n", text);
}

static int mount(struct blkdev *drive, struct ext2 **fs, char *why)
{
    const struct ext2_env env = {.now = vfs_env_dom0.now, .report = report};
    char problem[EXT2_PROBLEM_LEN];
    int rc = ext2_mount(drive, &env, fs, problem);

    if (rc < 0)
        snprintf(why, HOSTDRIVE_WHY_MAX,
                 "the host's drive: %s (--raw takes the drive as it is, without files)", problem);
    return rc;
}

/* The drive, and its file system where there is a path. */
static int begin(struct hostfile *f, const char *path, struct blkdev **drive, char *why)
{
    int rc = find_drive(drive, why);

    memset(f, 0, sizeof(*f));
    return rc == 0 && path ? mount(*drive, &f->fs, why) : rc;
}

static int give_up(struct hostfile *f, int rc, const char *path, const char *text, char *why)
{
    if (f->ip)
        ext2_iput(f->ip);
    if (f->fs)
        ext2_unmount(f->fs);
    snprintf(why, HOSTDRIVE_WHY_MAX, "the host's %.200s: %s", path, text ? text : vfs_strerror(rc));
    return rc;
}

int hostfile_open(struct hostfile *f, const char *path, char why[HOSTDRIVE_WHY_MAX])
{
    struct blkdev *drive;
    int rc = begin(f, path, &drive, why);

    if (rc < 0)
        return rc;
    f->size = drive->sectors << BLK_SECTOR_SHIFT;
    if (!path)
        return 0;
    rc = ext2_lookup(f->fs, path, true, &f->ip);
    if (rc < 0)
        return give_up(f, rc, path, NULL, why);
    if (!ext2_is_file(f->ip))
        return give_up(f, -XEN_EINVAL, path, "not a file", why);
    f->size = ext2_size(f->ip);
    return 0;
}

int hostfile_create(struct hostfile *f, const char *path, uint64_t size,
                    char why[HOSTDRIVE_WHY_MAX])
{
    struct blkdev *drive;
    int rc = begin(f, path, &drive, why);

    if (rc < 0)
        return rc;
    f->size = size;
    if (!path) {
        if (drive->readonly)
            return refuse(why, -XEN_EROFS, "the host's drive can only be read");
        if (size > drive->sectors << BLK_SECTOR_SHIFT)
            return refuse(why, -XEN_ENOSPC, "the host's drive is smaller than the file");
        return 0;
    }
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->temporary, sizeof f->temporary, "%s.new", f->path);
    ext2_unlink(f->fs, f->temporary); /* of an attempt before; it need not be there */
    rc = ext2_create(f->fs, f->temporary, 0644, &f->ip);
    if (rc == 0)
        rc = ext2_truncate(f->ip, size);
    return rc < 0 ? give_up(f, rc, path, NULL, why) : 0;
}

/* Whole sectors of the drive; the last one of a file may be there in part. */
static int raw(void *buf, size_t len, uint64_t offset, bool write)
{
    uint32_t sectors = (uint32_t)(len >> BLK_SECTOR_SHIFT);
    uint64_t first = offset >> BLK_SECTOR_SHIFT;
    uint8_t last[BLK_SECTOR_SIZE];
    struct blkdev *drive = nvme_disk();
    size_t rest = len % BLK_SECTOR_SIZE;
    int rc = 0;

    if (sectors)
        rc = write ? blkdev_write(drive, first, buf, sectors)
                   : blkdev_read(drive, first, buf, sectors);
    if (rc == 0 && rest)
        rc = blkdev_read(drive, first + sectors, last, 1);
    if (rc == 0 && rest && write) {
        memcpy(last, (uint8_t *)buf + len - rest, rest);
        rc = blkdev_write(drive, first + sectors, last, 1);
    } else if (rc == 0 && rest) {
        memcpy((uint8_t *)buf + len - rest, last, rest);
    }
    return rc;
}

int hostfile_read(struct hostfile *f, void *buf, size_t len, uint64_t offset)
{
    int64_t n;

    if (!f->fs)
        return raw(buf, len, offset, false);
    n = ext2_read(f->ip, buf, len, offset);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_EIO;
}

int hostfile_write(struct hostfile *f, const void *buf, size_t len, uint64_t offset)
{
    int64_t n;

    if (!f->fs)
        return raw((void *)(uintptr_t)buf, len, offset, true);
    n = ext2_write(f->ip, buf, len, offset);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_ENOSPC;
}

int hostfile_close(struct hostfile *f, bool keep)
{
    int rc = 0, err;

    if (!f->fs)
        return keep ? blkdev_flush(nvme_disk()) : 0;
    ext2_iput(f->ip);
    if (*f->temporary)
        rc = keep ? ext2_rename(f->fs, f->temporary, f->path) : ext2_unlink(f->fs, f->temporary);
    err = ext2_unmount(f->fs);
    return rc ? rc : err;
}
