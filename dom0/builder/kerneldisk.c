/* SPDX-License-Identifier: MIT */
#include "dom0/builder/kerneldisk.h"

#include <string.h>
#include <xen/errno.h>

#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/config/cfgtext.h"
#include "dom0/fs/vfs.h"

#define PIECE_ORDER (UNPACK_PIECE_SHIFT - PAGE_SHIFT)
#define KEPT_PAGES  1024 /* never taken for unpacking: guests' services go on meanwhile */

static void *piece_alloc(void)
{
    if (mm_free_pages() < KEPT_PAGES + (1ul << PIECE_ORDER))
        return NULL;
    return page_alloc(PIECE_ORDER);
}

static void piece_free(void *piece)
{
    page_free(piece, PIECE_ORDER);
}

static uint64_t spare(void)
{
    return mm_free_pages() > KEPT_PAGES ? (mm_free_pages() - KEPT_PAGES) << PAGE_SHIFT : 0;
}

const struct kernelfile_host kerneldisk_host = {{piece_alloc, piece_free, thread_yield}, spare};

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
    int64_t got = vfs_pread(ctx, buf, len, offset);

    return got < 0 ? (int)got : (size_t)got == len ? 0 : -XEN_EIO;
}

int kerneldisk_open(struct kernelfile *k, const char *path, const char *who, struct cfg_error *err)
{
    struct elfimage_file raw = {.name = path, .read = read_file};
    struct vfs_file *file;
    int rc = vfs_open(path, VFS_READ, who, &file);

    memset(k, 0, sizeof *k);
    if (rc < 0) {
        cfg_error_set(err, "kernel %s: %s", path, vfs_strerror(rc));
        return rc;
    }
    raw.size = vfs_size(file);
    raw.ctx = file;
    return kernelfile_identify(k, &raw, err);
}

void kerneldisk_close(struct kernelfile *k)
{
    kernelfile_close(k);
    if (k->raw.ctx)
        vfs_close(k->raw.ctx);
    k->raw.ctx = NULL;
}
