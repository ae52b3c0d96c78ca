/* SPDX-License-Identifier: MIT */
#include "dom0/builder/kernelfile.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/config/cfgtext.h"

/* Linux's boot protocol, Documentation/arch/x86/boot.rst in its source: fields by file offset. */
#define SETUP_SECTORS   0x1f1 /* of the real-mode part, one more is the first */
#define SETUP_DEFAULT   4     /* what 0 means there */
#define BOOT_FLAG       0x1fe /* 55 aa */
#define HEADER_MAGIC    0x202 /* "HdrS" */
#define PROTOCOL        0x206
#define KERNEL_VERSION  0x20e /* offset of a text, less 0x200 */
#define PAYLOAD_OFFSET  0x248 /* from the protected-mode part's begin; protocol 2.08 and later */
#define PAYLOAD_LENGTH  0x24c
#define HEADER_BYTES    0x250
#define PROTOCOL_WANTED 0x208
#define SECTOR          512

static uint32_t number_at(const uint8_t *head, unsigned at, unsigned bytes)
{
    uint32_t n = 0;

    for (unsigned i = bytes; i; i--)
        n = n << 8 | head[at + i - 1];
    return n;
}

static int read_raw(struct kernelfile *k, uint64_t offset, void *buf, size_t len,
                    struct cfg_error *err)
{
    int rc = k->raw.read(k->raw.ctx, offset, buf, len);

    if (rc < 0)
        cfg_error_set(err, "kernel %s cannot be read (error %d)", k->raw.name, -rc);
    return rc;
}

/* "6.1.0-56-amd64 (user@host) #1 ...", for show. */
static int read_version(struct kernelfile *k, const uint8_t *head, struct cfg_error *err)
{
    uint64_t at = number_at(head, KERNEL_VERSION, 2) + 0x200ull;
    size_t len = sizeof k->version - 1;
    int rc;

    if (at == 0x200 || at >= k->raw.size)
        return 0;
    if (len > k->raw.size - at)
        len = (size_t)(k->raw.size - at);
    rc = read_raw(k, at, k->version, len, err);
    for (size_t i = 0; i < len && k->version[i]; i++)
        if (k->version[i] < ' ' || k->version[i] > '~')
            k->version[i] = '?';
    return rc;
}

/* Where the payload lies, and the size of what it holds, which is behind it in its last bytes. */
static int find_payload(struct kernelfile *k, const uint8_t *head, struct cfg_error *err)
{
    uint64_t sectors = head[SETUP_SECTORS] ? head[SETUP_SECTORS] : SETUP_DEFAULT;
    unsigned long long end;
    uint8_t size[4];
    int rc;

    k->offset = (sectors + 1) * SECTOR + number_at(head, PAYLOAD_OFFSET, 4);
    k->size = number_at(head, PAYLOAD_LENGTH, 4);
    end = k->offset + k->size;
    if (k->size < sizeof size || end > k->raw.size) {
        cfg_error_set(
            err,
            "kernel %s is a bzImage that is truncated: its payload ends at byte %llu, the "
            "file has %llu: copy it again",
            k->raw.name, end, (unsigned long long)k->raw.size);
        return -XEN_ENOEXEC;
    }
    rc = read_raw(k, end - sizeof size, size, sizeof size, err);
    k->unpacked_size = number_at(size, 0, sizeof size);
    return rc;
}

static int read_bzimage(struct kernelfile *k, const uint8_t *head, struct cfg_error *err)
{
    int rc;

    k->bzimage = true;
    k->protocol = number_at(head, PROTOCOL, 2);
    if (k->protocol < PROTOCOL_WANTED) {
        cfg_error_set(err,
                      "kernel %s is a bzImage of boot protocol %u.%02u, which does not say where "
                      "the kernel lies in it: give the unpacked vmlinux",
                      k->raw.name, k->protocol >> 8, k->protocol & 255);
        return -XEN_ENOEXEC;
    }
    rc = read_version(k, head, err);
    return rc < 0 ? rc : find_payload(k, head, err);
}

static int read_format(struct kernelfile *k, struct cfg_error *err)
{
    uint8_t magic[UNPACK_MAGIC_MAX];
    size_t len = k->size < sizeof magic ? (size_t)k->size : sizeof magic;
    int rc = read_raw(k, k->offset, magic, len, err);

    if (rc == 0) {
        k->format = unpack_recognise(magic, len);
        k->is_elf = len >= SELFMAG && !memcmp(magic, ELFMAG, SELFMAG);
    }
    if (k->format == UNPACK_NONE)
        k->unpacked_size = 0;
    return rc;
}

int kernelfile_identify(struct kernelfile *k, const struct elfimage_file *raw,
                        struct cfg_error *err)
{
    uint8_t head[HEADER_BYTES];
    int rc = 0;

    memset(k, 0, sizeof *k);
    k->raw = *raw;
    k->size = raw->size;
    if (raw->size >= sizeof head) {
        rc = read_raw(k, 0, head, sizeof head, err);
        if (rc == 0 && !memcmp(head + BOOT_FLAG, "\x55\xaa", 2) &&
            !memcmp(head + HEADER_MAGIC, "HdrS", 4))
            rc = read_bzimage(k, head, err);
    }
    return rc < 0 ? rc : read_format(k, err);
}

/* --- the ELF file inside --- */

static int read_part(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct kernelfile *k = ctx;

    return k->raw.read(k->raw.ctx, k->offset + offset, buf, len);
}

static int read_unpacked(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct kernelfile *k = ctx;

    unpack_copy(&k->data, offset, buf, len);
    return 0;
}

static int no_room(const struct kernelfile *k, uint64_t spare, struct cfg_error *err)
{
    cfg_error_set(err,
                  "kernel %s takes %llu MiB of domain 0's memory to unpack, %llu are free there: "
                  "unpack it on the host (Linux's scripts/extract-vmlinux), or give domain 0 more "
                  "in hv/boot.dts",
                  k->raw.name, (unsigned long long)(k->unpacked_size >> 20) + 1,
                  (unsigned long long)(spare >> 20));
    return -XEN_ENOMEM;
}

static int refuse_unpack(const struct kernelfile *k, int rc, const char *why, struct cfg_error *err)
{
    const char *name = unpack_name(k->format);

    if (rc == -XEN_EOPNOTSUPP && (k->format > UNPACK_ZSTD || k->format == UNPACK_NONE))
        cfg_error_set(err,
                      "kernel %s is compressed with %s, which cannot be unpacked here (gzip, xz "
                      "and zstd can): unpack it on the host (Linux's scripts/extract-vmlinux)",
                      k->raw.name, name);
    else
        cfg_error_set(err, "kernel %s is compressed with %s and cannot be unpacked: %s",
                      k->raw.name, name, why);
    return rc == -XEN_EINVAL ? -XEN_ENOEXEC : rc;
}

int kernelfile_unpack(struct kernelfile *k, const struct kernelfile_host *host,
                      struct cfg_error *err)
{
    const struct unpack_source source = {
        .read = k->raw.read, .ctx = k->raw.ctx, .offset = k->offset, .size = k->size};
    const char *why;
    int rc;

    k->elf = (struct elfimage_file){k->raw.name, k->size, read_part, k};
    if (k->format == UNPACK_NONE)
        return 0;
    if (k->unpacked_size > host->spare())
        return no_room(k, host->spare(), err);
    k->data.host = &host->unpack;
    rc = unpack(&source, k->format, &k->data, &why);
    if (rc == -XEN_ENOMEM && !k->unpacked_size)
        k->unpacked_size = host->spare();
    if (rc == -XEN_ENOMEM)
        return no_room(k, host->spare(), err);
    if (rc < 0)
        return refuse_unpack(k, rc, why, err);
    k->elf.size = k->data.size;
    k->elf.read = read_unpacked;
    return 0;
}

void kernelfile_close(struct kernelfile *k)
{
    if (k->data.host)
        unpack_free(&k->data);
}
