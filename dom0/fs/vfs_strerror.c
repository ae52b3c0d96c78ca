/* SPDX-License-Identifier: MIT */
/* Errors in words, as a person at dom0's prompt reads them. */
#include "dom0/fs/vfs.h"

#include <xen/errno.h>

const char *vfs_strerror(int err)
{
    static const struct {
        int err;
        const char *text;
    } texts[] = {
        {0, "success"},
        {XEN_EPERM, "operation not permitted"},
        {XEN_ENOENT, "no such file or directory"},
        {XEN_EIO, "disk error or damaged file system"},
        {XEN_ENXIO, "no such device"},
        {XEN_EBADF, "file not open for that"},
        {XEN_EAGAIN, "try again"},
        {XEN_ENOMEM, "not enough memory in dom0"},
        {XEN_EACCES, "permission denied"},
        {XEN_EFAULT, "bad address"},
        {XEN_EBUSY, "in use"},
        {XEN_EEXIST, "exists already"},
        {XEN_ENODEV, "no disk is mounted"},
        {XEN_ENOTDIR, "not a directory"},
        {XEN_EISDIR, "is a directory"},
        {XEN_EINVAL, "invalid name or value"},
        {XEN_ENOSPC, "no space left on the disk"},
        {XEN_EROFS, "the file system is read-only"},
        {XEN_EMLINK, "too many links"},
        {XEN_ENAMETOOLONG, "name too long"},
        {XEN_ENOSYS, "not implemented"},
        {XEN_ENOTEMPTY, "directory not empty"},
        {XEN_EOVERFLOW, "file too large"},
        {XEN_EOPNOTSUPP, "not supported"},
        {XEN_ETIMEDOUT, "the device does not answer"},
    };

    if (err < 0)
        err = -err;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].err == err)
            return texts[i].text;
    }
    return "unknown error";
}
