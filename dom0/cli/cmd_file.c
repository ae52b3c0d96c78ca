/* SPDX-License-Identifier: MIT */
/* Commands on dom0's disk. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

#define READ_BYTES 4096

int cli_path(const char *command, const char *word, char path[CLI_PATH_MAX])
{
    if (cli_disk_problem()[0])
        return cli_refuse(command, -XEN_ENODEV, "there are no files: %s", cli_disk_problem());
    if (strlen(word) + 2 > CLI_PATH_MAX)
        return cli_refuse(command, -XEN_EINVAL, "the path is too long");
    snprintf(path, CLI_PATH_MAX, "%s%s", word[0] == '/' ? "" : "/", word);
    return 0;
}

int cli_disk_file(const char *command, const char *word, char path[CLI_PATH_MAX])
{
    char named[CLI_PATH_MAX];

    if (strchr(word, '/'))
        return cli_path(command, word, path);
    if (strlen(word) > VFS_NAME_MAX)
        return cli_refuse(command, -XEN_EINVAL, "the name is too long");
    snprintf(named, sizeof named, CLI_DISKS "/%s", word);
    return cli_path(command, named, path);
}

int cli_refuse_file(const char *command, const char *path, int rc)
{
    char who[VFS_WHO_MAX];

    if (rc == -XEN_EBUSY && vfs_holder(path, who, sizeof who))
        return cli_refuse(command, rc, "%s: in use by %s", path, who);
    return cli_refuse(command, rc, "%s: %s", path, vfs_strerror(rc));
}

static void print_entry(const struct vfs_stat *st, const char *name, bool full)
{
    if (full)
        printf("%c %12llu %12llu  ",
               st->type == VFS_DIR    ? 'd'
               : st->type == VFS_FILE ? '-'
                                      : 'l',
               (unsigned long long)st->size, (unsigned long long)st->allocated);
    term_write_safe(name, strlen(name));
    printf("%s\n", st->type == VFS_DIR ? "/" : "");
}

static int list_directory(const char *command, const char *path, bool full)
{
    struct vfs_dirent *entries;
    unsigned count;
    int rc = vfs_list(path, &entries, &count);

    if (rc < 0)
        return cli_refuse_file(command, path, rc);
    for (unsigned i = 0; i < count && !term_interrupted(); i++)
        print_entry(&entries[i].stat, entries[i].name, full);
    free(entries);
    return 0;
}

int cmd_ls(int argc, char **argv)
{
    bool full = argc > 1 && !strcmp(argv[1], "-l");
    int first = full ? 2 : 1, rc = 0;
    char path[CLI_PATH_MAX];

    if (argc > first + 1 || (argc > first && argv[first][0] == '-'))
        return cli_usage(argv[0]);
    rc = cli_path(argv[0], argc > first ? argv[first] : "/", path);
    if (rc == 0) {
        struct vfs_stat st;

        rc = vfs_stat(path, &st);
        if (rc < 0)
            return cli_refuse_file(argv[0], path, rc);
        if (st.type != VFS_DIR)
            print_entry(&st, path, full);
        else
            rc = list_directory(argv[0], path, full);
    }
    return rc;
}

static int show_file(const char *command, const char *path)
{
    char *buf = malloc(READ_BYTES);
    struct vfs_file *file = NULL;
    char last = '\n';
    int64_t n = buf ? vfs_open(path, VFS_READ, command, &file) : -XEN_ENOMEM;

    if (n == 0)
        while ((n = vfs_read(file, buf, READ_BYTES)) > 0 && !term_interrupted()) {
            term_write_safe(buf, (size_t)n);
            last = buf[n - 1];
        }
    if (last != '\n')
        printf("\n");
    if (file)
        vfs_close(file);
    free(buf);
    return n < 0 ? cli_refuse_file(command, path, (int)n) : 0;
}

int cmd_cat(int argc, char **argv)
{
    char path[CLI_PATH_MAX];
    int rc = 0;

    if (argc < 2)
        return cli_usage(argv[0]);
    for (int i = 1; rc == 0 && i < argc; i++) {
        rc = cli_path(argv[0], argv[i], path);
        if (rc == 0)
            rc = show_file(argv[0], path);
    }
    return rc;
}

int cmd_rm(int argc, char **argv)
{
    char path[CLI_PATH_MAX];
    int rc = 0;

    if (argc < 2)
        return cli_usage(argv[0]);
    for (int i = 1; rc == 0 && i < argc; i++) {
        rc = cli_path(argv[0], argv[i], path);
        if (rc < 0)
            return rc;
        rc = vfs_unlink(path);
        if (rc < 0)
            cli_refuse_file(argv[0], path, rc);
    }
    return rc;
}

int cmd_df(int argc, char **argv)
{
    unsigned long long total, used, available;
    struct vfs_df df;
    char path[CLI_PATH_MAX];
    int rc = cli_path(argv[0], "/", path);

    if (argc > 1)
        return cli_usage(argv[0]);
    if (rc == 0)
        rc = vfs_df(&df);
    if (rc < 0)
        return rc;
    total = df.blocks * df.block_size / 1024;
    available = df.free_blocks * df.block_size / 1024;
    used = total - available;
    printf("Filesystem      1K-blocks      Used Available Use%% Mounted on\n");
    printf("dom0            %9llu %9llu %9llu %3llu%% /%s\n", total, used, available,
           total ? (used * 100 + total - 1) / total : 0, df.readonly ? " (read-only)" : "");
    printf("%llu of %llu inodes are free\n", (unsigned long long)df.free_inodes,
           (unsigned long long)df.inodes);
    return 0;
}
