/* SPDX-License-Identifier: MIT */
#include "dom0/builder/kernelreport.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/elfnote.h>
#include <xen/features.h>

#include "dom0/builder/kernelfile.h"
#include "dom0/builder/layout.h"
#include "dom0/config/cfgtext.h"

#define LINE_BYTES 400
#define TEXT_MAX   200          /* shown of a note's text */
#define PAGES_MAX  (1ull << 28) /* a tebibyte: more no domain has */

struct report {
    kernelreport_fn line;
    void *ctx;
};

static void say(const struct report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct report *r, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->line(r->ctx, line);
}

/* --- notes --- */

/* How a note's content is to be read. */
enum note_kind { NOTE_NUMBER, NOTE_TEXT, NOTE_FEATURES, NOTE_BYTES };

static const struct {
    uint32_t type;
    const char *name;
    enum note_kind kind;
} notes[] = {
    {XEN_ELFNOTE_ENTRY, "ENTRY", NOTE_NUMBER},
    {XEN_ELFNOTE_HYPERCALL_PAGE, "HYPERCALL_PAGE", NOTE_NUMBER},
    {XEN_ELFNOTE_VIRT_BASE, "VIRT_BASE", NOTE_NUMBER},
    {XEN_ELFNOTE_PADDR_OFFSET, "PADDR_OFFSET", NOTE_NUMBER},
    {XEN_ELFNOTE_XEN_VERSION, "XEN_VERSION", NOTE_TEXT},
    {XEN_ELFNOTE_GUEST_OS, "GUEST_OS", NOTE_TEXT},
    {XEN_ELFNOTE_GUEST_VERSION, "GUEST_VERSION", NOTE_TEXT},
    {XEN_ELFNOTE_LOADER, "LOADER", NOTE_TEXT},
    {XEN_ELFNOTE_PAE_MODE, "PAE_MODE", NOTE_TEXT},
    {XEN_ELFNOTE_FEATURES, "FEATURES", NOTE_TEXT},
    {XEN_ELFNOTE_HV_START_LOW, "HV_START_LOW", NOTE_NUMBER},
    {XEN_ELFNOTE_L1_MFN_VALID, "L1_MFN_VALID", NOTE_BYTES},
    {XEN_ELFNOTE_SUSPEND_CANCEL, "SUSPEND_CANCEL", NOTE_NUMBER},
    {XEN_ELFNOTE_INIT_P2M, "INIT_P2M", NOTE_NUMBER},
    {XEN_ELFNOTE_MOD_START_PFN, "MOD_START_PFN", NOTE_NUMBER},
    {XEN_ELFNOTE_SUPPORTED_FEATURES, "SUPPORTED_FEATURES", NOTE_FEATURES},
    {XEN_ELFNOTE_PHYS32_ENTRY, "PHYS32_ENTRY", NOTE_NUMBER},
};

static const char *const features[] = {
    [XENFEAT_writable_page_tables] = "writable_page_tables",
    [XENFEAT_writable_descriptor_tables] = "writable_descriptor_tables",
    [XENFEAT_auto_translated_physmap] = "auto_translated_physmap",
    [XENFEAT_supervisor_mode_kernel] = "supervisor_mode_kernel",
    [XENFEAT_pae_pgdir_above_4gb] = "pae_pgdir_above_4gb",
    [XENFEAT_mmu_pt_update_preserve_ad] = "mmu_pt_update_preserve_ad",
    [XENFEAT_highmem_assist] = "highmem_assist",
    [XENFEAT_gnttab_map_avail_bits] = "gnttab_map_avail_bits",
    [XENFEAT_hvm_callback_vector] = "hvm_callback_vector",
    [XENFEAT_hvm_safe_pvclock] = "hvm_safe_pvclock",
    [XENFEAT_hvm_pirqs] = "hvm_pirqs",
    [XENFEAT_dom0] = "dom0",
    [XENFEAT_memory_op_vnode_supported] = "memory_op_vnode_supported",
    [XENFEAT_ARM_SMCCC_supported] = "ARM_SMCCC_supported",
    [XENFEAT_linux_rsdp_unrestricted] = "linux_rsdp_unrestricted",
};

#define FEATURE_COUNT (sizeof features / sizeof features[0])

/* A file's bytes, made fit for a terminal. */
static void copy_text(char *to, size_t room, const unsigned char *from, uint32_t size)
{
    size_t n = 0;

    for (; n < size && n < room - 1 && from[n]; n++)
        to[n] = (char)(from[n] >= ' ' && from[n] <= '~' ? from[n] : '?');
    to[n] = 0;
}

static unsigned long long number(const unsigned char *desc, uint32_t size)
{
    unsigned long long n = 0;

    for (uint32_t i = size < 8 ? size : 8; i; i--)
        n = n << 8 | desc[i - 1];
    return n;
}

static void feature_words(unsigned long long bits, char *text, size_t room)
{
    size_t at = 0;

    for (unsigned i = 0; i < FEATURE_COUNT && at < room; i++)
        if (bits >> i & 1 && features[i])
            at += (size_t)snprintf(text + at, room - at, " %s", features[i]);
}

static void say_note(void *ctx, uint32_t type, const unsigned char *desc, uint32_t size)
{
    const struct report *r = ctx;
    enum note_kind kind = NOTE_BYTES;
    const char *name = NULL;
    char text[TEXT_MAX] = "";

    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (notes[i].type == type) {
            name = notes[i].name;
            kind = notes[i].kind;
        }
    if (!name) {
        snprintf(text, sizeof text, "note %u", type);
        say(r, "  %-20s %u bytes", text, size);
        return;
    }
    if (kind == NOTE_TEXT)
        copy_text(text, sizeof text, desc, size);
    else if (kind == NOTE_BYTES)
        snprintf(text, sizeof text, "%u bytes", size);
    else
        snprintf(text, sizeof text, "%#llx", number(desc, size));
    if (kind == NOTE_FEATURES)
        feature_words(number(desc, size), text + strlen(text), sizeof text - strlen(text));
    say(r, "  %-20s %s", name, text);
}

/* --- the whole --- */

static void say_form(const struct report *r, const struct kernelfile *k)
{
    const char *packed = k->format == UNPACK_NONE ? "not compressed" : unpack_name(k->format);

    if (k->bzimage) {
        say(r, "Linux bzImage, boot protocol %u.%02u, %llu KiB", k->protocol >> 8,
            k->protocol & 255, (unsigned long long)k->raw.size >> 10);
        if (k->version[0])
            say(r, "  %-20s %s", "version", k->version);
        say(r, "  %-20s %s, %llu KiB at byte %llu", "payload", packed,
            (unsigned long long)k->size >> 10, (unsigned long long)k->offset);
    } else if (k->format != UNPACK_NONE) {
        say(r, "file compressed with %s, %llu KiB", packed, (unsigned long long)k->raw.size >> 10);
    } else {
        say(r, "%s, %llu KiB", k->is_elf ? "ELF file" : "file",
            (unsigned long long)k->raw.size >> 10);
    }
}

static int try_layout(const struct elfimage *image, uint64_t pages, struct cfg_error *err)
{
    struct layout l;
    int rc = layout_plan(&l, image, pages, 0, err);

    if (rc == 0)
        layout_free(&l);
    return rc;
}

/* The least memory, in pages, that holds the kernel and what the builder puts beside it. Returns
 * what layout_plan() says if no amount does. */
static int least_pages(const struct elfimage *image, uint64_t *pages, struct cfg_error *err)
{
    uint64_t low = 0, high = 1;
    int rc;

    while ((rc = try_layout(image, high, err)) < 0 && high < PAGES_MAX) {
        low = high;
        high *= 2;
    }
    while (rc == 0 && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;

        if (try_layout(image, middle, NULL) == 0)
            high = middle;
        else
            low = middle;
    }
    *pages = high;
    return rc;
}

static int say_image(const struct report *r, struct kernelfile *k, struct cfg_error *err)
{
    struct elfimage image;
    uint64_t pages;
    int rc = elfimage_parse(&k->elf, &image, err);

    if (rc < 0)
        return rc;
    say(r, "  %-20s %u segments, bytes %#llx to %#llx of its memory", "loads", image.segment_count,
        (unsigned long long)image.start, (unsigned long long)image.end);
    say(r, "  %-20s %#llx", "starts at", (unsigned long long)image.entry);
    rc = least_pages(&image, &pages, err);
    if (rc == 0)
        say(r, "  %-20s %llu MiB at least, before it has a ramdisk and does anything", "memory",
            (unsigned long long)((pages + 255) >> 8));
    return rc;
}

int kernelreport(struct kernelfile *k, const struct kernelfile_host *host, kernelreport_fn line,
                 void *ctx, struct cfg_error *err)
{
    struct report r = {line, ctx};
    int rc;

    say_form(&r, k);
    rc = kernelfile_unpack(k, host, err);
    if (rc == 0 && k->format != UNPACK_NONE)
        say(&r, "  %-20s %llu KiB", "unpacked", (unsigned long long)k->elf.size >> 10);
    if (rc == 0) {
        elfimage_notes(&k->elf, say_note, &r, NULL); /* what is wrong, the parse below tells */
        rc = say_image(&r, k, err);
    }
    if (rc < 0)
        say(&r, "verdict: cannot be started here: %.300s", err->text);
    else
        say(&r, "verdict: can be started here, as kernel = \"%s\"", k->raw.name);
    return rc;
}
