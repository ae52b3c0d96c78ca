/* SPDX-License-Identifier: MIT */
/* Kernel files of all forms: what they are taken for, what comes out, and in which words they are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/builder/kernelfile.h"
#include "dom0/config/cfgtext.h"

#define SETUP_SECTORS 3
#define SETUP_BYTES   ((SETUP_SECTORS + 1) * 512)
#define FILE_MAX      200000

static uint8_t file[FILE_MAX], elf[50000];
static size_t file_size;
static uint64_t spare_bytes;
static struct kernelfile k;
static struct cfg_error err;

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
    assert_ptr_equal(ctx, file);
    assert_true(offset <= file_size && len <= file_size - offset);
    memcpy(buf, file + offset, len);
    return 0;
}

static void *piece_alloc(void)
{
    return malloc(UNPACK_PIECE);
}

static uint64_t spare(void)
{
    return spare_bytes;
}

static void no_pause(void)
{
}

static const struct kernelfile_host host = {{piece_alloc, free, no_pause}, spare};

static int open_file(void)
{
    const struct elfimage_file raw = {"k", file_size, read_file, file};
    int rc;

    err.text[0] = 0;
    rc = kernelfile_identify(&k, &raw, &err);
    return rc < 0 ? rc : kernelfile_unpack(&k, &host, &err);
}

static void refuse(int rc, const char *message)
{
    assert_int_equal(open_file(), rc);
    kernelfile_close(&k);
    if (!strstr(err.text, message))
        fail_msg("got <%s>, wanted <%s>", err.text, message);
}

static void put(unsigned at, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        file[at + i] = (uint8_t)value;
}

/* What the tool makes of elf, behind `before` bytes of the file; returns its length. */
static size_t pack(const char *tool, size_t before)
{
    char name[] = "/tmp/kernelfile.XXXXXX", command[100];
    int fd = mkstemp(name);
    size_t len;
    FILE *f;

    assert_true(fd >= 0 && write(fd, elf, sizeof elf) == (ssize_t)sizeof elf && !close(fd));
    snprintf(command, sizeof command, "%s -c %s 2> /dev/null", tool, name);
    f = popen(command, "r");
    assert_non_null(f);
    len = fread(file + before, 1, sizeof file - before, f);
    if (pclose(f))
        fail_msg("%s failed: install gzip, xz-utils and zstd", tool);
    unlink(name);
    return len;
}

/* A bzImage around elf, as the kernel's own Makefile puts it together. */
static void make_bzimage(const char *tool)
{
    size_t len, start = SETUP_BYTES + 700;

    memset(file, 0, sizeof file);
    file[0x1f1] = SETUP_SECTORS;
    memcpy(file + 0x1fe, "\x55\xaa\xeb\x66HdrS", 8);
    put(0x206, 0x20f, 2);
    put(0x20e, 0x300, 2);
    strcpy((char *)file + 0x500, "6.1.0-test (me@here) #1");
    if (tool) {
        len = pack(tool, start);
    } else {
        memcpy(file + start, elf, sizeof elf);
        len = sizeof elf;
    }
    if (tool && strncmp(tool, "gzip", 4)) {
        put((unsigned)(start + len), sizeof elf, 4);
        len += 4;
    }
    put(0x248, 700, 4);
    put(0x24c, (uint32_t)len, 4);
    file_size = start + len + 3000;
}

static void assert_elf(void)
{
    uint8_t part[1000];

    assert_int_equal(k.elf.size, sizeof elf);
    for (size_t at = 0; at < sizeof elf; at += sizeof part) {
        assert_int_equal(k.elf.read(k.elf.ctx, at, part, sizeof part), 0);
        assert_memory_equal(part, elf + at, sizeof part);
    }
    kernelfile_close(&k);
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof elf; i++)
        elf[i] = (uint8_t)(i * i >> 7);
    memcpy(elf, "\177ELF", 4);
    memset(file, 0, sizeof file);
    spare_bytes = 1 << 20;
    return 0;
}

static void test_plain(void **state)
{
    (void)state;
    memcpy(file, elf, sizeof elf);
    file_size = sizeof elf;
    assert_int_equal(open_file(), 0);
    assert_false(k.bzimage);
    assert_int_equal(k.format, UNPACK_NONE);
    assert_elf();
}

static const struct {
    const char *tool;
    enum unpack_format format;
} tools[] = {
    {"gzip -9", UNPACK_GZIP},
    {"xz --check=crc32 --x86 --lzma2=dict=32MiB", UNPACK_XZ},
    {"zstd -19", UNPACK_ZSTD},
};

static void test_compressed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        file_size = pack(tools[i].tool, 0);
        assert_int_equal(open_file(), 0);
        assert_false(k.bzimage);
        assert_int_equal(k.format, tools[i].format);
        assert_elf();
    }
}

static void test_bzimage(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make_bzimage(tools[i].tool);
        assert_int_equal(open_file(), 0);
        assert_true(k.bzimage);
        assert_int_equal(k.protocol, 0x20f);
        assert_string_equal(k.version, "6.1.0-test (me@here) #1");
        assert_int_equal(k.format, tools[i].format);
        assert_int_equal(k.unpacked_size, sizeof elf);
        assert_elf();
    }
    make_bzimage(NULL); /* CONFIG_KERNEL_UNCOMPRESSED */
    assert_int_equal(open_file(), 0);
    assert_int_equal(k.format, UNPACK_NONE);
    assert_elf();
}

static void test_refused(void **state)
{
    (void)state;
    make_bzimage("gzip");
    memcpy(file + SETUP_BYTES + 700, "BZh9", 4);
    refuse(-XEN_EOPNOTSUPP, "compressed with bzip2, which cannot be unpacked here");
    make_bzimage("gzip");
    put(0x206, 0x207, 2);
    refuse(-XEN_ENOEXEC, "boot protocol 2.07");
    make_bzimage("gzip");
    put(0x24c, FILE_MAX, 4);
    refuse(-XEN_ENOEXEC, "truncated");
    put(0x24c, 3, 4);
    refuse(-XEN_ENOEXEC, "truncated");
    put(0x24c, UINT32_MAX, 4);
    put(0x248, UINT32_MAX, 4);
    refuse(-XEN_ENOEXEC, "truncated");
    make_bzimage("xz");
    file[SETUP_BYTES + 700 + 60] ^= 1;
    refuse(-XEN_ENOEXEC, "compressed with xz and cannot be unpacked: ");
    make_bzimage("zstd");
    spare_bytes = sizeof elf - 1;
    refuse(-XEN_ENOMEM, "takes 1 MiB of domain 0's memory");
}

/* Any length of a bzImage, and any damage to its header: an answer, and nothing outside the file
 * is read. */
static void test_damage(void **state)
{
    uint64_t seed = 5;

    (void)state;
    make_bzimage("gzip");
    for (size_t len = file_size; len > 0; len -= len > 3000 ? 997 : 1) {
        file_size = len;
        open_file();
        kernelfile_close(&k);
    }
    for (unsigned round = 0; round < 3000; round++) {
        if (round % 100 == 0)
            make_bzimage("gzip");
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        file[0x1f0 + (seed >> 33) % 0x60] = (uint8_t)(seed >> 25);
        if (open_file() < 0)
            assert_true(err.text[0]);
        kernelfile_close(&k);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),   TEST(test_compressed), TEST(test_bzimage),
        TEST(test_refused), TEST(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
