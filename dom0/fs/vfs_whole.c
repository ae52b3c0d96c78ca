/* SPDX-License-Identifier: MIT */
/* Whole files, by the other calls of vfs.h. */
#include "dom0/fs/vfs.h"

#include <stdlib.h>
#include <xen/errno.h>

int vfs_read_all(const char *path, size_t max, void **data, size_t *len)
{
    struct vfs_file *file;
    uint8_t *buf = NULL;
    uint64_t size;
    int64_t n = vfs_open(path, VFS_READ, NULL, &file);

    if (n < 0)
        return (int)n;
    size = vfs_size(file);
    if (size > max)
        n = -XEN_EOVERFLOW;
    else if (!(buf = malloc(size + 1)))
        n = -XEN_ENOMEM;
    else
        n = vfs_pread(file, buf, size, 0);
    vfs_close(file);
    if (n < 0) {
        free(buf);
        return (int)n;
    }
    buf[n] = 0;
    *data = buf;
    *len = (size_t)n;
    return 0;
}

int vfs_create_sparse(const char *path, uint64_t size)
{
    struct vfs_file *file;
    int rc = vfs_open(path, VFS_WRITE | VFS_CREATE | VFS_EXCL, NULL, &file);

    if (rc < 0)
        return rc;
    rc = vfs_truncate(file, size);
    vfs_close(file);
    if (rc < 0)
        vfs_unlink(path);
    return rc;
}
