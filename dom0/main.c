/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's kernel: starts its services one after the other and then becomes the command line.
 * What cannot be started is said, and the prompt comes all the same: a machine without a disk is
 * one that a person wants to look at.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <xen/version.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/blk/blkback.h"
#include "dom0/builder/cpupool.h"
#include "dom0/builder/domain.h"
#include "dom0/cli/cli.h"
#include "dom0/console/console.h"
#include "dom0/drivers/nvme.h"
#include "dom0/drivers/pci.h"
#include "dom0/drivers/virtio_blk.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

static void banner(void)
{
    char extra[16] = "";
    long version = hypercall_xen_version(XENVER_version, NULL);

    hypercall_xen_version(XENVER_extraversion, extra);
    extra[sizeof extra - 1] = 0;
    printf("\nPenumbra control domain, on hypervisor interface %ld.%ld%s, %lu MiB\n", version >> 16,
           version & 0xffff, extra, mm_total_pages() >> 8);
}

/* The disk: a virtio one, else an NVMe one. */
static int find_disk(struct blkdev **disk, const char **problem)
{
    int rc = virtio_blk_start(disk);

    *problem = virtio_blk_problem();
    if (rc != -XEN_ENODEV)
        return rc;
    rc = nvme_start(disk);
    if (rc < 0 && rc != -XEN_ENODEV)
        *problem = nvme_problem();
    return rc;
}

/* The disk and its file system. False, with the reason told and kept, if there are no files. */
static bool start_disk(void)
{
    struct blkdev *disk;
    const char *problem = "";

    if (pci_init() < 0) {
        problem = "the hypervisor does not let us use PCI";
    } else if (find_disk(&disk, &problem) < 0) {
        ; /* it is told */
    } else if (vfs_mount(disk, &vfs_env_dom0) < 0) {
        problem = vfs_problem();
    } else {
        if (*vfs_problem())
            printf("disk: %s\n", vfs_problem());
        else if (!vfs_is_journaled())
            printf(
                "disk: it has no journal, a power cut may cost more than the last writes: switch "
                "off and run tune2fs -j on it\n");
        if (!thread_create("sync", vfs_sync_thread, NULL))
            printf("disk: no memory for the thread that keeps it clean\n");
        return true;
    }
    printf("disk: %s\n", problem);
    cli_set_disk_problem(problem);
    return false;
}

static void check(const char *service, int rc)
{
    if (rc < 0)
        printf("%s: could not be started: %s (error %d)\n", service, vfs_strerror(rc), -rc);
}

int main(void)
{
    bool files;

    banner();
    files = start_disk();
    check("store", store_service_start());
    check("console", console_service_start());
    if (files)
        check("block back end", blkback_start());
    check("domains", domain_service_start());
    check("CPU pools", cpupool_service_start());
    printf("`help` shows the commands\n");
    cli_run();
    return 0;
}
