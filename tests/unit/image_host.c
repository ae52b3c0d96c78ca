/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/unit/image_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/errno.h>

#include "dom0/unpack/unpack.h"

#define FILES_MAX 64

static struct host_mem files[FILES_MAX];
struct host_log *host_log;
unsigned host_log_count;
unsigned host_pieces;
uint64_t host_accesses_left, host_fail_at, host_accesses;
uint64_t host_seed = 1;

uint64_t host_random(void)
{
    host_seed ^= host_seed >> 12;
    host_seed ^= host_seed << 25;
    host_seed ^= host_seed >> 27;
    return host_seed * 0x2545f4914f6cdd1dull;
}

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

/* --- files in memory --- */

struct host_mem *host_find(const char *path)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].path[0] && !strcmp(files[i].path, path))
            return &files[i];
    return NULL;
}

struct host_mem *host_put(const char *path, const void *data, uint64_t size)
{
    struct host_mem *m = host_find(path);

    for (int i = 0; !m && i < FILES_MAX; i++)
        if (!files[i].path[0])
            m = &files[i];
    if (!m || strlen(path) >= sizeof m->path)
        die("too many files in memory");
    free(m->data);
    memset(m, 0, sizeof *m);
    strcpy(m->path, path);
    m->data = malloc(size + 1);
    if (size)
        memcpy(m->data, data, size);
    m->size = m->room = size;
    return m;
}

void host_forget_all(void)
{
    host_log_clear();
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].users)
            die("a file was not closed");
        free(files[i].data);
        memset(&files[i], 0, sizeof files[i]);
    }
}

void host_log_clear(void)
{
    for (unsigned i = 0; i < host_log_count; i++)
        free(host_log[i].data);
    free(host_log);
    host_log = NULL;
    host_log_count = 0;
}

static void log_op(struct host_mem *m, enum host_op op, uint64_t offset, uint64_t len,
                   const void *data)
{
    struct host_log *l;

    if (!m->logged)
        return;
    if (host_log_count % 1024 == 0)
        host_log = realloc(host_log, (host_log_count + 1024) * sizeof *host_log);
    l = &host_log[host_log_count++];
    *l = (struct host_log){op, m, offset, len, NULL};
    if (data) {
        l->data = malloc(len);
        memcpy(l->data, data, len);
    }
}

/* The counts that let a test find endless loops and failing disks. */
static int count_access(void)
{
    host_accesses++;
    if (host_accesses_left && --host_accesses_left == 0)
        die("endless reading or writing");
    return host_fail_at && host_accesses >= host_fail_at ? -XEN_EIO : 0;
}

static int mem_read(struct image_file *f, uint64_t offset, void *buf, size_t len)
{
    struct host_mem *m = f->priv;

    if (!imgfile_inside(m->size, offset, len) || m->size != f->size)
        die("a read outside of the file");
    memcpy(buf, m->data + offset, len);
    return count_access();
}

static int mem_write(struct image_file *f, uint64_t offset, const void *buf, size_t len)
{
    struct host_mem *m = f->priv;
    int rc = count_access();

    if (!imgfile_inside(m->size, offset, len) || !f->writable)
        die("a write outside of the file");
    if (rc)
        return rc;
    log_op(m, HOST_WRITE, offset, len, buf);
    memcpy(m->data + offset, buf, len);
    return 0;
}

static int mem_resize(struct image_file *f, uint64_t size)
{
    struct host_mem *m = f->priv;
    int rc = count_access();

    if (rc || size > HOST_MEM_MAX)
        return rc ? rc : -XEN_ENOSPC;
    log_op(m, HOST_RESIZE, size, 0, NULL);
    if (size > m->room) {
        m->room = size * 2;
        m->data = realloc(m->data, m->room + 1);
    }
    if (size > m->size)
        memset(m->data + m->size, 0, size - m->size);
    m->size = size;
    return 0;
}

static int mem_flush(struct image_file *f)
{
    log_op(f->priv, HOST_FLUSH, 0, 0, NULL);
    return count_access();
}

static void mem_close(struct image_file *f)
{
    ((struct host_mem *)f->priv)->users--;
    free(f);
}

/* The whole blocks of a part of a file. */
static void whole_blocks(uint64_t *offset, uint64_t *len)
{
    uint64_t end = (*offset + *len) & ~4095ull;

    *offset = (*offset + 4095) & ~4095ull;
    *len = end > *offset ? end - *offset : 0;
}

static int mem_punch(struct image_file *f, uint64_t offset, uint64_t len)
{
    void *zeros;
    int rc;

    whole_blocks(&offset, &len);
    zeros = calloc(1, len + 1);
    rc = len ? mem_write(f, offset, zeros, len) : 0;
    free(zeros);
    return rc;
}

static const struct image_file_ops mem_ops = {mem_read,  mem_write, mem_resize, mem_flush,
                                              mem_close, NULL,      mem_punch};

/* --- files of the host --- */

static int fd_of(const struct image_file *f)
{
    return (int)(intptr_t)f->priv;
}

static int fd_read(struct image_file *f, uint64_t offset, void *buf, size_t len)
{
    return pread(fd_of(f), buf, len, (off_t)offset) == (ssize_t)len ? 0 : -XEN_EIO;
}

static int fd_write(struct image_file *f, uint64_t offset, const void *buf, size_t len)
{
    return pwrite(fd_of(f), buf, len, (off_t)offset) == (ssize_t)len ? 0 : -XEN_EIO;
}

static int fd_resize(struct image_file *f, uint64_t size)
{
    return ftruncate(fd_of(f), (off_t)size) ? -XEN_ENOSPC : 0;
}

/* The order of writing is looked at in memory; here it would only wait for a disk. */
static int fd_flush(struct image_file *f)
{
    (void)f;
    return 0;
}

static void fd_close(struct image_file *f)
{
    close(fd_of(f));
    free(f);
}

static uint64_t fd_hole(struct image_file *f, uint64_t offset, uint64_t len)
{
    off_t data = lseek(fd_of(f), (off_t)offset, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO ? len : 0;
    return (uint64_t)data - offset < len ? (uint64_t)data - offset : len;
}

static int fd_punch(struct image_file *f, uint64_t offset, uint64_t len)
{
    whole_blocks(&offset, &len);
    if (!len)
        return 0;
    return fallocate(fd_of(f), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)len)
               ? -XEN_EIO
               : 0;
}

static const struct image_file_ops fd_ops = {fd_read,  fd_write, fd_resize, fd_flush,
                                             fd_close, fd_hole,  fd_punch};

static int fd_open(const char *path, unsigned flags, struct image_file *f)
{
    int mode = (flags & IMAGE_FILE_WRITE ? O_RDWR : O_RDONLY) |
               (flags & IMAGE_FILE_CREATE ? O_CREAT | O_EXCL : 0);
    int fd = open(path, mode | O_CLOEXEC, 0644);
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return errno == ENOENT ? -XEN_ENOENT : errno == EEXIST ? -XEN_EEXIST : -XEN_EIO;
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return -XEN_EISDIR;
    }
    f->ops = &fd_ops;
    f->size = (uint64_t)st.st_size;
    f->priv = (void *)(intptr_t)fd;
    return 0;
}

/* --- the environment --- */

static int open_mem(const char *path, unsigned flags, struct image_file *f)
{
    struct host_mem *m = host_find(path);

    if (flags & IMAGE_FILE_CREATE) {
        if (m)
            return -XEN_EEXIST;
        m = host_put(path, NULL, 0);
    }
    if (!m)
        return -XEN_ENOENT;
    m->users++;
    f->ops = &mem_ops;
    f->size = m->size;
    f->priv = m;
    return 0;
}

static int env_open(const struct image_env *env, const char *path, unsigned flags,
                    struct image_file **out, char *why)
{
    struct image_file *f = calloc(1, sizeof *f);
    int rc;

    (void)why;
    (void)env;
    if (!strncmp(path, HOST_MEM, strlen(HOST_MEM)))
        rc = open_mem(path, flags, f);
    else
        rc = fd_open(path, flags, f);
    if (rc) {
        free(f);
        return rc;
    }
    f->writable = flags & IMAGE_FILE_WRITE;
    *out = f;
    return 0;
}

static int env_remove(const char *path)
{
    struct host_mem *m = host_find(path);

    if (!m)
        return unlink(path) ? -XEN_ENOENT : 0;
    free(m->data);
    memset(m, 0, sizeof *m);
    return 0;
}

static uint32_t env_random(void)
{
    return (uint32_t)(host_random() >> 32);
}

static void env_yield(void)
{
}

static void *piece_alloc(void)
{
    host_pieces++;
    return malloc(UNPACK_PIECE);
}

static void piece_free(void *piece)
{
    host_pieces--;
    free(piece);
}

const struct image_env host_env = {"a test",  env_open, env_remove,  env_random,
                                   env_yield, NULL,     piece_alloc, piece_free};

void host_load(const char *path, const char *from)
{
    FILE *f = fopen(from, "rb");
    struct host_mem *m;
    struct stat st;

    if (!f || fstat(fileno(f), &st))
        die(from);
    m = host_put(path, NULL, 0);
    m->data = realloc(m->data, (size_t)st.st_size + 1);
    m->size = m->room = (uint64_t)st.st_size;
    if (fread(m->data, 1, m->size, f) != m->size)
        die(from);
    fclose(f);
}

void host_save(const char *path, const char *to)
{
    struct host_mem *m = host_find(path);
    FILE *f = fopen(to, "wb");

    if (!m || !f || fwrite(m->data, 1, m->size, f) != m->size || fclose(f))
        die(to);
}
