/* SPDX-License-Identifier: MIT */
/* Commands on the virtual disks of running guests. Words, header and rows are xl's. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/blk/blkback.h"
#include "dom0/builder/disks.h"
#include "dom0/builder/domain.h"
#include "dom0/cli/options.h"
#include "dom0/config/diskspec.h"

/* --- block-list --- */

static int block_rows(domid_t domid)
{
    struct blkback_info *disks = calloc(XLCFG_DISKS_MAX, sizeof *disks);
    unsigned count = disks ? blkback_list(domid, disks, XLCFG_DISKS_MAX) : 0;

    for (unsigned i = 0; i < count; i++)
        printf("%-5u %-3d %-6d %-5u %-6u %-8u %-30s\n", disks[i].vdev_number, 0, domid,
               disks[i].front_state, disks[i].event_channel, disks[i].ring_ref,
               disks[i].backend_path);
    free(disks);
    return disks ? 0 : -XEN_ENOMEM;
}

int cmd_block_list(int argc, char **argv)
{
    domid_t domid;
    int rc;

    if (argc < 2 || argv[1][0] == '-')
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc < 0)
        return rc;
    printf("%-5s %-3s %-6s %-5s %-6s %-8s %-30s\n", "Vdev", "BE", "handle", "state", "evt-ch",
           "ring-ref", "BE-path");
    for (int i = 1; i < argc; i++) {
        rc = cli_domain(argv[0], argv[i], &domid);
        if (rc == 0)
            rc = block_rows(domid);
    }
    return rc;
}

/* --- block-attach, block-detach --- */

/* The words that describe a disk, as one text. */
static int join(const char *command, int argc, char **argv, char *text, size_t size)
{
    size_t used = 0;

    for (int i = 0; i < argc; i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? "," : "", argv[i]);

        if (n < 0 || (size_t)n >= size - used)
            return cli_refuse(command, -XEN_EINVAL, "the disk's description is too long");
        used += (size_t)n;
    }
    return 0;
}

static int complete_target(const char *command, struct diskspec *disk)
{
    char path[CLI_PATH_MAX];
    int rc;

    if (!*disk->target)
        return 0;
    rc = cli_disk_file(command, disk->target, path);
    if (rc == 0 && strlen(path) >= sizeof disk->target)
        rc = cli_refuse(command, -XEN_EINVAL, "the path of the image is too long");
    if (rc == 0)
        memcpy(disk->target, path, strlen(path) + 1);
    return rc;
}

int cmd_block_attach(int argc, char **argv)
{
    struct diskspec disk;
    struct cfg_error err;
    char text[2 * DISKSPEC_PATH_MAX];
    domid_t domid;
    int rc;

    if (argc < 3 || argv[1][0] == '-')
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc == 0)
        rc = join(argv[0], argc - 2, argv + 2, text, sizeof text);
    if (rc < 0)
        return rc;
    rc = diskspec_parse(text, &disk, &err);
    if (rc < 0)
        return cli_refuse(argv[0], rc, "%s", err.text);
    rc = complete_target(argv[0], &disk);
    if (rc < 0)
        return rc;
    rc = disks_plug(domid, &disk, &err);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s", err.text) : 0;
}

/* A disk by the guest's name for it, or by its number in the store. */
static int parse_vdev(const char *command, const char *word, unsigned *vdev_number)
{
    int number = diskspec_vdev_number(word);
    uint64_t n;

    if (number < 0 && options_number(word, UINT32_MAX, &n)) {
        *vdev_number = (unsigned)n;
        return 0;
    }
    if (number < 0)
        return cli_refuse(command, -XEN_EINVAL,
                          "'%.32s' is no disk: write xvda to xvdp, or the number of `block-list`",
                          word);
    *vdev_number = (unsigned)number;
    return 0;
}

/* The domain and the disk of a command's first two words. */
static int take_disk(char **argv, domid_t *domid, unsigned *vdev_number)
{
    int rc = cli_domain(argv[0], argv[1], domid);

    return rc ? rc : parse_vdev(argv[0], argv[2], vdev_number);
}

int cmd_block_detach(int argc, char **argv)
{
    bool force = false;
    const struct option options[] = {{'f', "force", &force, NULL}, OPTIONS_END};
    char why[CLI_WHY_MAX];
    struct cfg_error err;
    unsigned vdev_number;
    domid_t domid;
    int rc;

    argc = options_take(argc, argv, options, why, sizeof why);
    if (argc < 0)
        return cli_refuse(argv[0], argc, "%s", why);
    if (argc != 3)
        return cli_usage(argv[0]);
    rc = take_disk(argv, &domid, &vdev_number);
    if (rc < 0)
        return rc;
    rc = disks_unplug(domid, vdev_number, force, &err);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s: %s: %s", argv[1], argv[2], err.text) : 0;
}

/* --- cd-insert, cd-eject --- */

int cmd_cd_insert(int argc, char **argv)
{
    struct diskspec disk = {0};
    struct cfg_error err;
    unsigned vdev_number;
    domid_t domid;
    int rc;

    if (argc != 4)
        return cli_usage(argv[0]);
    rc = take_disk(argv, &domid, &vdev_number);
    if (rc < 0)
        return rc;
    if (strlen(argv[3]) >= sizeof disk.target)
        return cli_refuse(argv[0], -XEN_EINVAL, "the path of the image is too long");
    memcpy(disk.target, argv[3], strlen(argv[3]) + 1);
    disk.format = image_format_by_name(disk.target);
    rc = complete_target(argv[0], &disk);
    if (rc < 0)
        return rc;
    rc = disks_insert(domid, vdev_number, &disk, &err);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s", err.text) : 0;
}

int cmd_cd_eject(int argc, char **argv)
{
    struct cfg_error err;
    unsigned vdev_number;
    domid_t domid;
    int rc;

    if (argc != 3)
        return cli_usage(argv[0]);
    rc = take_disk(argv, &domid, &vdev_number);
    if (rc < 0)
        return rc;
    rc = disks_insert(domid, vdev_number, NULL, &err);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s", err.text) : 0;
}
