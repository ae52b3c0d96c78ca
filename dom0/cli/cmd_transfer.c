/* SPDX-License-Identifier: MIT */
/* Files from and to the host's drive. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>

#include "dom0/cli/hostdrive.h"
#include "dom0/cli/options.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

#define CHUNK       65536u
#define PROGRESS_NS 1000000000ull

/* Both ends of a copy. */
struct transfer {
    const char *command;
    bool import; /* from the host */
    const char *from;
    struct hostfile host;
    struct vfs_file *file;
    uint64_t size;
    uint64_t shown_ns;
    bool shown;
};

/* A line that is written over, once a second. */
static void progress(struct transfer *t, uint64_t done)
{
    uint64_t now = clock_ns();

    if (now - t->shown_ns < PROGRESS_NS)
        return;
    t->shown_ns = now;
    t->shown = true;
    printf("\r%s: %llu of %llu MiB", t->command, (unsigned long long)done >> 20,
           (unsigned long long)t->size >> 20);
}

static bool all_zeros(const uint8_t *buf, size_t len)
{
    return len == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0);
}

static int get(struct transfer *t, void *buf, size_t len, uint64_t at)
{
    int64_t n;

    if (t->import)
        return hostfile_read(&t->host, buf, len, at);
    n = vfs_pread(t->file, buf, len, at);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_EIO;
}

/* Zeros stay holes, but on a drive, where something else may be. */
static int put(struct transfer *t, const void *buf, size_t len, uint64_t at)
{
    int64_t n;

    if ((t->import || t->host.fs) && all_zeros(buf, len))
        return 0;
    if (!t->import)
        return hostfile_write(&t->host, buf, len, at);
    n = vfs_pwrite(t->file, buf, len, at);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -XEN_ENOSPC;
}

/* -EAGAIN: stopped by Ctrl-C. */
static int copy(struct transfer *t)
{
    uint8_t *buf = malloc(CHUNK);
    int rc = buf ? 0 : -XEN_ENOMEM;

    t->shown_ns = clock_ns();
    for (uint64_t at = 0; rc == 0 && at < t->size; at += CHUNK) {
        size_t len = t->size - at < CHUNK ? (size_t)(t->size - at) : CHUNK;

        if (term_interrupted()) {
            rc = -XEN_EAGAIN;
            break;
        }
        rc = get(t, buf, len, at);
        if (rc == 0)
            rc = put(t, buf, len, at);
        progress(t, at + len);
    }
    if (t->shown)
        printf("\n");
    free(buf);
    return rc;
}

static int finish(struct transfer *t, int rc)
{
    if (rc == -XEN_EAGAIN)
        return cli_refuse(t->command, rc, "stopped: nothing is changed%s",
                          t->import || t->host.fs ? "" : " but the start of the drive");
    if (rc < 0)
        return cli_refuse(t->command, rc, "%s: %s", t->from, vfs_strerror(rc));
    printf("%llu bytes\n", (unsigned long long)t->size);
    return 0;
}

/* The last part of a path. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A complete file takes the place of one of that name, if nobody uses it. */
static int import_to(struct transfer *t, const char *to)
{
    char temporary[CLI_PATH_MAX + 8];
    int rc;

    snprintf(temporary, sizeof temporary, "%s.new", to);
    rc = vfs_open(temporary, VFS_WRITE | VFS_CREATE | VFS_TRUNC, t->command, &t->file);
    if (rc < 0)
        return cli_refuse_file(t->command, temporary, rc);
    rc = vfs_truncate(t->file, t->size);
    if (rc == 0)
        rc = copy(t);
    vfs_close(t->file);
    if (rc == 0)
        rc = vfs_rename(temporary, to);
    if (rc == 0)
        rc = vfs_sync();
    if (rc < 0)
        vfs_unlink(temporary);
    if (rc == -XEN_EBUSY)
        return cli_refuse_file(t->command, to, rc);
    return finish(t, rc);
}

/* Words: the options taken out; --raw. */
static int take(int *argc, char **argv, bool *whole)
{
    const struct option options[] = {{'r', "raw", whole, NULL}, OPTIONS_END};
    char why[CLI_WHY_MAX];

    *whole = false;
    *argc = options_take(*argc, argv, options, why, sizeof why);
    return *argc < 0 ? cli_refuse(argv[0], *argc, "%s", why) : 0;
}

int cmd_import(int argc, char **argv)
{
    struct transfer t = {.command = argv[0], .import = true};
    char path[CLI_PATH_MAX], to[CLI_PATH_MAX], why[HOSTDRIVE_WHY_MAX];
    bool whole;
    int rc = take(&argc, argv, &whole);

    if (rc < 0)
        return rc;
    if (whole ? argc != 2 : argc < 2 || argc > 3)
        return cli_usage(argv[0]);
    t.from = argv[1];
    rc = cli_disk_file(argv[0], whole || argc > 2 ? argv[argc - 1] : base_name(argv[1]), to);
    if (rc == 0)
        rc = cli_path(argv[0], argv[1], path);
    if (rc < 0)
        return rc;
    rc = hostfile_open(&t.host, whole ? NULL : path, why);
    if (rc < 0)
        return cli_refuse(argv[0], rc, "%s", why);
    t.size = t.host.size;
    rc = import_to(&t, to);
    hostfile_close(&t.host, false);
    return rc;
}

int cmd_export(int argc, char **argv)
{
    struct transfer t = {.command = argv[0]};
    char from[CLI_PATH_MAX], to[CLI_PATH_MAX], why[HOSTDRIVE_WHY_MAX];
    bool whole;
    int rc = take(&argc, argv, &whole), err;

    if (rc < 0)
        return rc;
    if (whole ? argc != 2 : argc < 2 || argc > 3)
        return cli_usage(argv[0]);
    rc = cli_disk_file(argv[0], argv[1], from);
    if (rc == 0)
        rc = cli_path(argv[0], argc > 2 ? argv[2] : base_name(argv[1]), to);
    if (rc < 0)
        return rc;
    t.from = from;
    /* Nobody writes to it meanwhile: a guest's disk is exported when the guest has ended. */
    rc = vfs_open(from, VFS_READ | VFS_LOCK, argv[0], &t.file);
    if (rc < 0)
        return cli_refuse_file(argv[0], from, rc);
    t.size = vfs_size(t.file);
    rc = hostfile_create(&t.host, whole ? NULL : to, t.size, why);
    if (rc < 0) {
        vfs_close(t.file);
        return cli_refuse(argv[0], rc, "%s", why);
    }
    rc = copy(&t);
    err = hostfile_close(&t.host, rc == 0);
    vfs_close(t.file);
    return finish(&t, rc ? rc : err);
}
