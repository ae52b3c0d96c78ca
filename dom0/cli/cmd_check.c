/* SPDX-License-Identifier: MIT */
/* What is this kernel, and can it be started? */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include <xen/errno.h>

#include "dom0/builder/kerneldisk.h"
#include "dom0/builder/kernelreport.h"
#include "dom0/config/cfgtext.h"

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
}

static int check(const char *command, const char *path)
{
    struct kernelfile *k = calloc(1, sizeof *k);
    struct cfg_error *err = calloc(1, sizeof *err);
    int rc = k && err ? kerneldisk_open(k, path, command, err) : -XEN_ENOMEM;

    if (!k || !err)
        cli_refuse(command, rc, "dom0 is out of memory");
    else if (rc < 0)
        cli_refuse(command, rc, "%s", err->text);
    else {
        printf("%s: ", path);
        rc = kernelreport(k, &kerneldisk_host, print_line, NULL, err);
    }
    if (k)
        kerneldisk_close(k);
    free(k);
    free(err);
    return rc;
}

int cmd_check(int argc, char **argv)
{
    char path[CLI_PATH_MAX];
    int rc;

    if (argc != 2)
        return cli_usage(argv[0]);
    rc = cli_path(argv[0], argv[1], path);
    return rc == 0 ? check(argv[0], path) : rc;
}
