/* SPDX-License-Identifier: MIT */
/*
 * Random work on files of a file system against copies in memory, in the way of fsx:
 *
 *     fsx DEVICE FOLDER SEED STEPS
 *
 * mounts DEVICE (ext4) at FOLDER, and writes (through the page cache, past it, by mmap), truncates,
 * punches, renames, removes and reads files, with flushes and dropped caches in between, and mounts
 * anew. What is read must equal the copies. In the end it unmounts, and prints for each file what
 * the copies say it is, for somebody who looks at the disk from outside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 8
#define MOST  (3u << 20) /* bytes of a file */
#define PAGE  4096u

static struct {
    int fd;     /* -1: there is no such file */
    int direct; /* the same file with O_DIRECT */
    uint32_t size;
    uint8_t *data; /* MOST bytes, zeros behind the size */
} file[FILES];

static const char *device, *folder;
static uint8_t *buffer; /* MOST bytes, for direct I/O, too */
static uint64_t state;
static unsigned step;
static const char *doing = "start";

#define check(ok) ((ok) ? (void)0 : failed(#ok, __LINE__))

static void failed(const char *what, int line)
{
    printf("fsx: FAILED step %u (%s), line %d: %s, errno %d\n", step, doing, line, what, errno);
    exit(1);
}

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 33) % limit;
}

static char *path_of(unsigned i)
{
    static char path[2][64];
    static unsigned turn;
    char *p = path[turn++ % 2];

    snprintf(p, sizeof(path[0]), "%s/file%u", folder, i);
    return p;
}

static void open_file(unsigned i, int flags)
{
    file[i].fd = open(path_of(i), O_RDWR | flags, 0644);
    check(file[i].fd >= 0);
    file[i].direct = open(path_of(i), O_RDWR | O_DIRECT);
    check(file[i].direct >= 0);
}

static void close_file(unsigned i)
{
    if (file[i].fd >= 0) {
        check(close(file[i].fd) == 0);
        check(close(file[i].direct) == 0);
    }
}

static void take_size(unsigned i, uint32_t size)
{
    if (size < file[i].size)
        memset(file[i].data + size, 0, file[i].size - size);
    file[i].size = size;
}

/* A part of a file: small, large, near the begin, aligned or not. */
static void pick(uint32_t align, uint32_t *at, uint32_t *len)
{
    *at = below(below(2) ? MOST : 100000);
    *len = 1 + below(below(4) ? 20000 : 400000);
    *at -= *at % align;
    *len += (align - *len % align) % align;
    if (*len > MOST - *at)
        *len = MOST - *at;
}

static void fill(uint8_t *to, uint32_t len)
{
    uint8_t seed = (uint8_t)below(256);

    for (uint32_t n = 0; n < len; n++)
        to[n] = (uint8_t)(seed + n * 7 + (n >> 8));
}

static void step_write(unsigned i, bool direct)
{
    uint32_t at, len;

    pick(direct ? PAGE : 1, &at, &len);
    fill(buffer, len);
    check(pwrite(direct ? file[i].direct : file[i].fd, buffer, len, at) == (ssize_t)len);
    memcpy(file[i].data + at, buffer, len);
    if (at + len > file[i].size)
        file[i].size = at + len;
}

static void step_map(unsigned i)
{
    uint32_t at, len;
    uint8_t *map;

    pick(PAGE, &at, &len);
    if (at + len > file[i].size)
        return;
    map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file[i].fd, at);
    check(map != MAP_FAILED);
    check(memcmp(map, file[i].data + at, len) == 0);
    fill(map + len / 3, len / 3);
    memcpy(file[i].data + at + len / 3, map + len / 3, len / 3);
    if (below(2))
        check(msync(map, len, MS_SYNC) == 0);
    check(munmap(map, len) == 0);
}

static void read_all(unsigned i, bool direct)
{
    struct stat st;

    check(fstat(file[i].fd, &st) == 0);
    check(st.st_size == file[i].size);
    memset(buffer, 0x55, MOST);
    check(pread(direct ? file[i].direct : file[i].fd, buffer, MOST, 0) == (ssize_t)file[i].size);
    for (uint32_t n = 0; n < file[i].size; n++) {
        if (buffer[n] != file[i].data[n]) {
            printf("fsx: FAILED step %u (%s): file%u at %u has 0x%02x, not 0x%02x\n", step, doing,
                   i, n, buffer[n], file[i].data[n]);
            exit(1);
        }
    }
}

static void step_punch(unsigned i)
{
    uint32_t at, len;

    pick(1, &at, &len);
    check(fallocate(file[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len) == 0);
    memset(file[i].data + at, 0, len);
}

static void step_rename(unsigned i)
{
    unsigned j = below(FILES);
    uint8_t *data = file[j].data;

    if (j == i)
        return;
    check(rename(path_of(i), path_of(j)) == 0);
    close_file(j);
    file[j] = file[i];
    file[i].fd = -1;
    file[i].data = data;
    file[i].size = 0;
    memset(data, 0, MOST);
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

    check(fd >= 0);
    check(write(fd, "3", 1) == 1);
    close(fd);
}

static void mount_it(void)
{
    check(mount(device, folder, "ext4", 0, below(2) ? "discard" : "") == 0);
}

static void trim(void)
{
    struct fstrim_range range = {.len = UINT64_MAX};
    int fd = open(folder, O_RDONLY);

    check(fd >= 0);
    check(ioctl(fd, FITRIM, &range) == 0);
    close(fd);
}

/* Another mount, so all that is read afterwards comes from the disk. */
static void step_remount(void)
{
    for (unsigned i = 0; i < FILES; i++)
        close_file(i);
    check(umount(folder) == 0);
    mount_it();
    for (unsigned i = 0; i < FILES; i++) {
        if (file[i].fd >= 0) {
            open_file(i, 0);
            read_all(i, below(2));
        }
    }
}

#define DO(call)       \
    do {               \
        doing = #call; \
        call;          \
    } while (0)

static void step_file(unsigned i)
{
    uint32_t what = below(100);

    if (file[i].fd < 0) {
        DO(open_file(i, O_CREAT | O_EXCL));
        DO(step_write(i, false));
    } else if (what < 35) {
        DO(step_write(i, false));
    } else if (what < 50) {
        DO(step_write(i, true));
    } else if (what < 58) {
        DO(step_map(i));
    } else if (what < 66) {
        uint32_t size = below(MOST);

        DO(check(ftruncate(file[i].fd, size) == 0));
        take_size(i, size);
    } else if (what < 72) {
        DO(step_punch(i));
    } else if (what < 80) {
        DO(check(fsync(file[i].fd) == 0));
    } else if (what < 92) {
        DO(read_all(i, what & 1));
    } else if (what < 95) {
        DO(step_rename(i));
    } else if (what < 97) {
        DO(check(unlink(path_of(i)) == 0));
        close_file(i);
        file[i].fd = -1;
        take_size(i, 0);
    } else {
        DO(drop_caches());
    }
}

static uint32_t crc32_of(const uint8_t *data, uint32_t len)
{
    uint32_t crc = ~0u;

    while (len--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

int main(int argc, char **argv)
{
    unsigned steps;

    if (argc != 5)
        return 2;
    device = argv[1];
    folder = argv[2];
    state = strtoull(argv[3], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
    steps = (unsigned)strtoul(argv[4], NULL, 10);
    check(posix_memalign((void **)&buffer, PAGE, MOST) == 0);
    for (unsigned i = 0; i < FILES; i++) {
        file[i].fd = -1;
        file[i].data = calloc(1, MOST);
        check(file[i].data);
    }
    mount_it();
    for (step = 1; step <= steps; step++) {
        if (step % 150 == 0)
            DO(step_remount());
        else if (step % 150 == 70)
            DO(trim());
        else
            step_file(below(FILES));
    }
    DO(step_remount());
    for (unsigned i = 0; i < FILES; i++) {
        if (file[i].fd >= 0)
            printf("fsx: file%u %u %08x\n", i, file[i].size, crc32_of(file[i].data, file[i].size));
        close_file(i);
    }
    check(umount(folder) == 0);
    printf("fsx: %u steps\n", steps);
    return 0;
}
