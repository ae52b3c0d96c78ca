/* SPDX-License-Identifier: MIT */
/*
 * Compressed files against the tools that make them: every kind of data with every kind of packing
 * comes back as it was; files that are cut off or damaged are refused, and never crash, hang or
 * write outside of their memory (the sanitizers watch).
 */
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

#include "dom0/unpack/checksum.h"
#include "dom0/unpack/unpack.h"

#define DATA_MAX (1u << 20)

static uint8_t data[DATA_MAX], *packed;
static size_t data_len, packed_len;
static char folder[] = "/tmp/unpack.XXXXXX";
static unsigned pieces, piece_limit, reads;
static size_t read_fails_at;

static uint64_t random_next(void)
{
    static uint64_t seed = 88172645463325252ull;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void *piece_alloc(void)
{
    if (pieces == piece_limit)
        return NULL;
    pieces++;
    return malloc(UNPACK_PIECE);
}

static void piece_free(void *piece)
{
    pieces--;
    free(piece);
}

static void no_pause(void)
{
}

static const struct unpack_host host = {piece_alloc, piece_free, no_pause};

static int read_packed(void *ctx, uint64_t offset, void *buf, size_t len)
{
    assert_ptr_equal(ctx, &packed);
    assert_true(offset <= packed_len && len <= packed_len - offset);
    reads++;
    if (read_fails_at && reads == read_fails_at)
        return -XEN_EIO;
    memcpy(buf, packed + offset, len);
    return 0;
}

static struct unpack_data result;
static const char *why;

static int run(void)
{
    const struct unpack_source source = {.read = read_packed, .ctx = &packed, .size = packed_len};
    int rc;

    result.host = &host;
    reads = 0;
    why = NULL;
    rc = unpack(&source, unpack_recognise(packed, packed_len), &result, &why);
    if (rc < 0) {
        assert_non_null(why);
        assert_int_equal(pieces, 0);
    }
    return rc;
}

static void assert_same(void)
{
    uint8_t buf[5000];

    assert_int_equal(result.size, data_len);
    for (size_t at = 0; at < data_len; at += sizeof buf) {
        size_t n = data_len - at < sizeof buf ? data_len - at : sizeof buf;

        unpack_copy(&result, at, buf, n);
        assert_memory_equal(buf, data + at, n);
    }
    unpack_free(&result);
    assert_int_equal(pieces, 0);
}

/* --- data of several kinds --- */

static void make_random(size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)random_next();
}

static void make_zeros(size_t len)
{
    memset(data, 0, len);
}

/* Words from a small set: literals, near and far matches, repeated distances. */
static void make_text(size_t len)
{
    static const char *const words[] = {"page ", "table ",  "of ",           "the ",       "guest ",
                                        "\n",    "shadow ", "frame number ", "hypervisor "};

    for (size_t at = 0; at < len;) {
        const char *word = words[random_next() % 9];
        size_t n = strlen(word);

        if (n > len - at)
            n = len - at;
        memcpy(data + at, word, n);
        at += n;
    }
}

/* Machine code as far as the x86 filter cares: many calls, near each other, at all distances. */
static void make_code(size_t len)
{
    static const uint8_t bytes[] = {0xe8, 0xe9, 0x00, 0xff, 0x48, 0x89};

    for (size_t i = 0; i < len; i++)
        data[i] = random_next() % 8 ? bytes[random_next() % 6] : (uint8_t)random_next();
}

/* Few symbols, very unevenly: long codes, entropy coding without matches. */
static void make_skewed(size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)__builtin_ctzll(random_next() | 1ull << 40);
}

static void (*const kinds[])(size_t len) = {make_random, make_zeros, make_text, make_code,
                                            make_skewed};

static const char *const tools[] = {
    "gzip -1",
    "gzip -9 --no-name",
    "xz -0 --check=none",
    "xz -6 --check=crc32",
    "xz --check=crc64 --x86 --lzma2=preset=6,lc=1,lp=3,pb=0",
    "xz --block-size=10000 --x86 --lzma2=dict=64KiB",
    "zstd -1 --no-check",
    "zstd -3",
    "zstd -19",
    "zstd --ultra -22",
    "zstd --fast=5",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Pack `data` with the tool, into `packed`. */
static void pack(const char *tool)
{
    char command[200], name[60];
    FILE *f;

    snprintf(name, sizeof name, "%s/data", folder);
    f = fopen(name, "wb");
    assert_true(f && fwrite(data, 1, data_len, f) == data_len && !fclose(f));
    snprintf(command, sizeof command, "%s -c %s 2> /dev/null > %s.packed", tool, name, name);
    if (system(command))
        fail_msg("%s failed: install gzip, xz-utils and zstd", tool);
    snprintf(name, sizeof name, "%s/data.packed", folder);
    f = fopen(name, "rb");
    assert_true(f && !fseek(f, 0, SEEK_END));
    packed_len = (size_t)ftell(f);
    rewind(f);
    free(packed);
    packed = malloc(packed_len); /* to the byte, so that ASan sees what is read behind */
    assert_true(fread(packed, 1, packed_len, f) == packed_len && !fclose(f));
}

static void test_tools(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 5000, UNPACK_PIECE, 300000};

    (void)state;
    for (unsigned kind = 0; kind < COUNT(kinds); kind++)
        for (unsigned size = 0; size < COUNT(sizes); size++) {
            data_len = sizes[size];
            kinds[kind](data_len);
            for (unsigned tool = 0; tool < COUNT(tools); tool++) {
                pack(tools[tool]);
                if (run() < 0)
                    fail_msg("%s, kind %u, %zu bytes: %s", tools[tool], kind, data_len, why);
                assert_same();
            }
        }
}

/* What follows the packed part, as the size that Linux puts there, is left alone. */
static void test_trailer(void **state)
{
    (void)state;
    make_text(data_len = 70000);
    for (unsigned tool = 0; tool < COUNT(tools); tool++) {
        uint8_t *longer;

        pack(tools[tool]);
        longer = malloc(packed_len + 4);
        memcpy(longer, packed, packed_len);
        memcpy(longer + packed_len, "\x12\x34\x56\x00", 4);
        free(packed);
        packed = longer;
        packed_len += 4;
        assert_int_equal(run(), 0);
        assert_same();
    }
}

/* Several packed files one behind the other are one. */
static void test_members(void **state)
{
    (void)state;
    for (unsigned tool = 0; tool < COUNT(tools); tool++) {
        uint8_t *twice;

        make_text(data_len = 100000);
        pack(tools[tool]);
        twice = malloc(2 * packed_len);
        memcpy(twice, packed, packed_len);
        memcpy(twice + packed_len, packed, packed_len);
        free(packed);
        packed = twice;
        packed_len *= 2;
        memcpy(data + data_len, data, data_len);
        data_len *= 2;
        assert_int_equal(run(), 0);
        assert_same();
    }
}

static void test_cut_off(void **state)
{
    (void)state;
    for (unsigned tool = 0; tool < COUNT(tools); tool++) {
        uint8_t *whole;
        size_t whole_len;

        make_text(data_len = 3000);
        pack(tools[tool]);
        whole = packed;
        whole_len = packed_len;
        for (packed_len = 6; packed_len < whole_len; packed_len++) {
            packed = malloc(packed_len);
            memcpy(packed, whole, packed_len);
            if (run() != -XEN_EINVAL)
                fail_msg("%s cut off at %zu of %zu: %s", tools[tool], packed_len, whole_len, why);
            free(packed);
        }
        packed = whole;
        packed_len = whole_len;
    }
}

/* Damage: either it is found, or the data is right nevertheless (in a time stamp, say). Formats
 * without a checksum may give anything that fits. */
static void damage(unsigned tool, unsigned rounds)
{
    uint8_t *whole;

    pack(tools[tool]);
    whole = malloc(packed_len);
    memcpy(whole, packed, packed_len);
    for (unsigned round = 0; round < rounds; round++) {
        memcpy(packed, whole, packed_len);
        for (unsigned n = 0; n <= round % 3; n++)
            packed[random_next() % packed_len] = (uint8_t)random_next();
        /* Headers have no checksum: flags and names may make another file of it. */
        if (tools[tool][0] != 'x')
            memcpy(packed, whole, tools[tool][0] == 'g' ? 16 : 5);
        if (run() < 0)
            continue;
        /* An early end before zeros passes: nothing has the checksum 0 and the size 0. */
        if (!result.size || strstr(tools[tool], "check=none") || strstr(tools[tool], "no-check"))
            unpack_free(&result);
        else
            assert_same();
    }
    free(whole);
}

static void test_damage(void **state)
{
    (void)state;
    piece_limit = 16; /* a damaged size must not take the host's memory */
    for (unsigned kind = 0; kind < COUNT(kinds); kind++)
        for (unsigned tool = 0; tool < COUNT(tools); tool++) {
            kinds[kind](data_len = 1 + random_next() % 20000);
            damage(tool, 100);
        }
}

/* Not even the first bytes are right, but for the magic number; checksums of headers fit. */
static void test_noise(void **state)
{
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, gzip[] = {0x1f, 0x8b, 8, 0};
    static const uint8_t xz[] = {0xfd, '7',  'z', 'X',  'Z', 0, 0, 0,    0xff, 0x12, 0xd9, 0x41, 2,
                                 0,    0x21, 1,   0x16, 0,   0, 0, 0x74, 0x2f, 0xe5, 0xa3, 1};
    static const struct {
        const uint8_t *bytes;
        size_t len;
    } heads[] = {{zstd, sizeof zstd}, {gzip, sizeof gzip}, {xz, sizeof xz}};

    (void)state;
    piece_limit = 8; /* a run of 128 KiB takes four bytes in zstd */
    packed_len = 4000;
    free(packed);
    packed = malloc(packed_len);
    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = 0; i < packed_len; i++)
            packed[i] = (uint8_t)(random_next() & (round % 2 ? 0xff : 0x3f));
        memcpy(packed, heads[round % 3].bytes, heads[round % 3].len);
        if (run() == 0)
            unpack_free(&result);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    make_text(data_len = 300000);
    for (unsigned tool = 0; tool < COUNT(tools); tool++) {
        pack(tools[tool]);
        for (piece_limit = 0; piece_limit < 5; piece_limit++)
            assert_int_equal(run(), -XEN_ENOMEM);
        piece_limit = 5;
        assert_int_equal(run(), 0);
        assert_same();
    }
}

static void test_read_error(void **state)
{
    (void)state;
    make_random(data_len = 100000);
    for (unsigned tool = 0; tool < COUNT(tools); tool++) {
        pack(tools[tool]);
        read_fails_at = 3;
        assert_int_equal(run(), -XEN_EIO);
        read_fails_at = 0;
    }
}

static void test_unknown(void **state)
{
    static const struct {
        const char *magic;
        const char *name;
    } known[] = {{"BZh91AY", "bzip2"}, {"\x89LZO\0\r\n", "lzo"}, {"\x02\x21\x4c\x18   ", "lz4"}};

    (void)state;
    for (unsigned i = 0; i < COUNT(known); i++) {
        packed_len = 7;
        free(packed);
        packed = malloc(packed_len);
        memcpy(packed, known[i].magic, packed_len);
        assert_string_equal(unpack_name(unpack_recognise(packed, packed_len)), known[i].name);
        assert_int_equal(run(), -XEN_EOPNOTSUPP);
    }
    assert_int_equal(unpack_recognise((const uint8_t *)"\177ELF", 4), UNPACK_NONE);
    assert_int_equal(unpack_recognise((const uint8_t *)"\x28\xb5\x2f", 3), UNPACK_NONE);
}

static void test_checksum_other(void **state)
{
    (void)state;
    make_text(data_len = 1000);
    pack("xz --check=sha256");
    assert_int_equal(run(), -XEN_EOPNOTSUPP);
    assert_non_null(strstr(why, "--check=crc32"));
    pack("xz --delta --lzma2");
    assert_int_equal(run(), -XEN_EOPNOTSUPP);
}

/* The values for "123456789" of the catalogues, and XXH64's of nothing. */
static void test_checksums(void **state)
{
    const uint8_t *digits = (const uint8_t *)"123456789";
    struct checksum_xxh64 x;

    (void)state;
    assert_int_equal(checksum_crc32(0, digits, 9), 0xcbf43926);
    assert_int_equal(checksum_crc64(0, digits, 9), 0x995dc9bbdf1939fa);
    for (unsigned cut = 0; cut <= 9; cut++)
        assert_int_equal(checksum_crc32(checksum_crc32(0, digits, cut), digits + cut, 9 - cut),
                         0xcbf43926);
    checksum_xxh64_init(&x);
    assert_int_equal(checksum_xxh64_value(&x), 0xef46db3751d8e999);
}

static int setup(void **state)
{
    (void)state;
    piece_limit = UINT32_MAX;
    read_fails_at = 0;
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char command[60];

    (void)state;
    free(packed);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tools),     TEST(test_trailer),        TEST(test_members),
        TEST(test_cut_off),   TEST(test_damage),         TEST(test_noise),
        TEST(test_unknown),   TEST(test_checksum_other), TEST(test_checksums),
        TEST(test_no_memory), TEST(test_read_error),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
