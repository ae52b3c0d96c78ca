/* SPDX-License-Identifier: MIT */
/* The machine's end. */
#include "dom0/cli/cli.h"

#include <stdio.h>

#include <rt/console.h>

#include "dom0/builder/domain.h"
#include "dom0/drivers/acpi_poweroff.h"
#include "dom0/fs/vfs.h"

#define GUESTS_NS 10000000000ull /* that guests have to end by themselves */

static void progress(const char *line)
{
    printf("%s\n", line);
}

int cmd_poweroff(int argc, char **argv)
{
    int rc = 0;

    if (argc > 1)
        return cli_usage(argv[0]);
    domain_end_all(GUESTS_NS, progress);
    if (!cli_disk_problem()[0]) {
        rc = vfs_unmount();
        if (rc < 0)
            rc = vfs_sync();
    }
    if (rc < 0)
        cli_refuse(argv[0], rc, "the disk could not be brought up to date: %s", vfs_strerror(rc));
    printf("Power off\n");
    console_flush();
    acpi_poweroff();
}
