/* SPDX-License-Identifier: MIT */
/* Kernel files: what is taken from them, what is refused and in which words, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>
#include <xen/elfnote.h>
#include <xen/errno.h>

#include "dom0/builder/elfimage.h"
#include "dom0/builder/kernelfile.h"
#include "dom0/builder/kernelreport.h"
#include "dom0/config/cfgtext.h"

#define BASE 0xffffffff80000000ull

/* A small kernel in memory: headers, two segments, notes; the tests bend it. */
static struct {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[3];
    Elf64_Shdr sh[2];
    unsigned char notes[512];
    unsigned char text[8192];
} file;

static size_t file_size, notes_len;
static struct elfimage image;
static struct cfg_error err;

static void add_note(uint32_t type, const void *desc, uint32_t size)
{
    Elf64_Nhdr n = {4, size, type};
    unsigned char *at = file.notes + notes_len;

    memcpy(at, &n, sizeof n);
    memcpy(at + sizeof n, "Xen", 4);
    memcpy(at + sizeof n + 4, desc, size);
    notes_len += sizeof n + 4 + ((size + 3) & ~3u);
    file.ph[2].p_filesz = notes_len;
    file.sh[1].sh_size = notes_len;
}

static void add_number(uint32_t type, uint64_t value)
{
    add_note(type, &value, 8);
}

static int setup(void **state)
{
    (void)state;
    memset(&file, 0, sizeof file);
    notes_len = 0;
    file_size = sizeof file;
    memcpy(file.eh.e_ident, ELFMAG, SELFMAG);
    file.eh.e_ident[EI_CLASS] = ELFCLASS64;
    file.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    file.eh.e_type = ET_EXEC;
    file.eh.e_machine = EM_X86_64;
    file.eh.e_entry = BASE + 0x100010;
    file.eh.e_phoff = sizeof file.eh;
    file.eh.e_phentsize = sizeof(Elf64_Phdr);
    file.eh.e_phnum = 3;
    file.eh.e_shoff = offsetof(__typeof__(file), sh);
    file.eh.e_shentsize = sizeof(Elf64_Shdr);
    file.eh.e_shnum = 2;
    file.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                              .p_offset = offsetof(__typeof__(file), text),
                              .p_paddr = 0x100000,
                              .p_filesz = 4096,
                              .p_memsz = 4096};
    file.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                              .p_offset = offsetof(__typeof__(file), text) + 4096,
                              .p_paddr = 0x102000,
                              .p_filesz = 4096,
                              .p_memsz = 0x5001};
    file.ph[2] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = offsetof(__typeof__(file), notes)};
    file.sh[1] = (Elf64_Shdr){.sh_type = SHT_NOTE, .sh_offset = offsetof(__typeof__(file), notes)};
    add_number(XEN_ELFNOTE_VIRT_BASE, BASE);
    add_note(XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    return 0;
}

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
    assert_true(offset <= file_size && len <= file_size - offset);
    memcpy(buf, (const char *)ctx + offset, len);
    return 0;
}

static int parse(void)
{
    const struct elfimage_file f = {"k.elf", file_size, read_file, &file};

    err.text[0] = 0;
    return elfimage_parse(&f, &image, &err);
}

static void refuse(const char *message)
{
    assert_int_equal(parse(), -XEN_ENOEXEC);
    if (!strstr(err.text, message))
        fail_msg("got <%s>, wanted <%s>", err.text, message);
}

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    assert_int_equal(image.virt_base, BASE);
    assert_int_equal(image.entry, BASE + 0x100010);
    assert_int_equal(image.start, 0x100000);
    assert_int_equal(image.end, 0x107001);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.segments[1].start, 0x102000);
    assert_int_equal(image.segments[1].file_size, 4096);
    assert_false(image.has_hypercall_page || image.has_init_p2m || image.mod_start_pfn);
}

static void test_all_notes(void **state)
{
    uint32_t one = 1;

    (void)state;
    add_number(XEN_ELFNOTE_ENTRY, BASE + 0x100020);
    add_number(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x102000);
    add_number(XEN_ELFNOTE_PADDR_OFFSET, 0);
    add_number(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    add_note(XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    add_note(XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb", 42);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.entry, BASE + 0x100020);
    assert_true(image.has_hypercall_page && image.hypercall_page == BASE + 0x102000);
    assert_true(image.has_init_p2m && image.init_p2m == 0x8000000000);
    assert_true(image.mod_start_pfn);
}

static void test_paddr_offset(void **state)
{
    (void)state;
    add_number(XEN_ELFNOTE_PADDR_OFFSET, 0x80000);
    assert_int_equal(parse(), -XEN_ENOEXEC); /* the entry moved out */
    add_number(XEN_ELFNOTE_ENTRY, BASE + 0x80010);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.start, 0x80000);
    add_number(XEN_ELFNOTE_PADDR_OFFSET, 0x200000);
    refuse("does not fit its notes");
}

/* Virtual base 0 and entry 0 are values like others: PV-GRUB has them. */
static void test_base_zero(void **state)
{
    (void)state;
    file.ph[0].p_paddr = 0;
    add_number(XEN_ELFNOTE_VIRT_BASE, 0);
    add_number(XEN_ELFNOTE_ENTRY, 0);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.entry, 0);
}

static void test_section_notes(void **state)
{
    (void)state;
    file.ph[2].p_filesz = 0xffffffffffff;
    assert_int_equal(parse(), 0);
    file.ph[2].p_type = PT_NULL;
    assert_int_equal(parse(), 0);
    file.eh.e_shnum = 0;
    refuse("no Xen notes");
}

static void test_no_elf(void **state)
{
    (void)state;
    memset(&file, 0, sizeof file);
    refuse("is no ELF file");
    memcpy(&file, "#!/bin/sh", 9);
    refuse("a script");
    memcpy(&file, "070701", 6);
    refuse("a cpio archive");
    memcpy(&file, "!<arch>\n", 8);
    refuse("an archive");
    file_size = 0;
    refuse("is no ELF file");
}

static void test_other_elf(void **state)
{
    (void)state;
    file.eh.e_machine = EM_AARCH64;
    refuse("not for x86-64");
    setup(NULL);
    file.eh.e_ident[EI_CLASS] = ELFCLASS32;
    refuse("not for x86-64");
    setup(NULL);
    file.eh.e_type = ET_REL;
    refuse("no program");
    setup(NULL);
    file.eh.e_phnum = 0;
    refuse("no usable program headers");
    setup(NULL);
    file.ph[0].p_type = file.ph[1].p_type = PT_NULL;
    refuse("nothing to load");
}

static void test_notes_missing_or_wrong(void **state)
{
    (void)state;
    file.ph[2].p_filesz = file.sh[1].sh_size = 0;
    refuse("no Xen notes");
    setup(NULL);
    add_note(XEN_ELFNOTE_XEN_VERSION, "xen-4.0", 8);
    refuse("another version of the interface");
    setup(NULL);
    add_note(XEN_ELFNOTE_FEATURES, "pae_pgdir_above_4gb|!auto_translated_physmap", 44);
    refuse("requires the feature 'auto_translated_physmap'");
    setup(NULL);
    add_number(XEN_ELFNOTE_ENTRY, BASE + 0x50000);
    refuse("entry point 0xffffffff80050000 lies outside");
    setup(NULL);
    add_number(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x102800);
    refuse("hypercall page");
}

static void test_pvh_only(void **state)
{
    (void)state;
    add_number(XEN_ELFNOTE_PHYS32_ENTRY, 0x100010);
    refuse("for PVH guests only");
    add_number(XEN_ELFNOTE_ENTRY, BASE + 0x100010);
    assert_int_equal(parse(), 0);
}

static void test_truncated(void **state)
{
    (void)state;
    file_size = sizeof file - 1;
    refuse("is truncated: a segment ends at byte");
    file_size = 100;
    refuse("is truncated: its headers end");
    file_size = 40;
    refuse("is truncated: it has 40 bytes");
    setup(NULL);
    file.ph[1].p_filesz = 0x6000;
    refuse("impossible sizes");
    setup(NULL);
    file.ph[1].p_offset = ~0ull;
    refuse("is truncated");
}

/* Every length of file, and random damage: an answer, and no read beyond the end. */
static void test_every_length(void **state)
{
    (void)state;
    for (file_size = 0; file_size < sizeof file; file_size += 7)
        if (parse() < 0)
            assert_true(err.text[0]);
}

/* --- the report on a kernel --- */

static char report[8000];

static void take_line(void *ctx, const char *line)
{
    size_t at = strlen(report);

    (void)ctx;
    for (const char *c = line; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
    snprintf(report + at, sizeof report - at, "%s\n", line);
}

static uint64_t no_spare(void)
{
    return 0;
}

static int make_report(void)
{
    static const struct kernelfile_host host = {.spare = no_spare};
    const struct elfimage_file f = {"k.elf", file_size, read_file, &file};
    struct kernelfile k;
    int rc;

    report[0] = 0;
    assert_int_equal(kernelfile_identify(&k, &f, &err), 0);
    rc = kernelreport(&k, &host, take_line, NULL, &err);
    kernelfile_close(&k);
    assert_non_null(strstr(report, rc == 0 ? "\nverdict: can be started here"
                                           : "\nverdict: cannot be started here: "));
    return rc;
}

static void assert_reported(const char *text)
{
    if (!strstr(report, text))
        fail_msg("<%s> is not in:\n%s", text, report);
}

static void test_report(void **state)
{
    uint32_t bits = 0x8801;

    (void)state;
    add_note(XEN_ELFNOTE_GUEST_OS, "tiny\033[2J", 9);
    add_note(XEN_ELFNOTE_SUPPORTED_FEATURES, &bits, 4);
    add_note(77, "abc", 3);
    assert_int_equal(make_report(), 0);
    assert_reported("ELF file, 8 KiB\n");
    assert_reported("  VIRT_BASE            0xffffffff80000000\n");
    assert_reported("  GUEST_OS             tiny?[2J\n");
    assert_reported("0x8801 writable_page_tables dom0 linux_rsdp_unrestricted\n");
    assert_reported("  note 77              3 bytes\n");
    assert_reported("  memory               2 MiB at least");
    add_number(XEN_ELFNOTE_INIT_P2M, 0xffff800000000000);
    assert_int_equal(make_report(), -XEN_ENOEXEC);
    assert_reported("wants addresses that a guest cannot have");
    memset(&file, 0, sizeof file);
    assert_int_equal(make_report(), -XEN_ENOEXEC);
    assert_reported("file, 8 KiB\nverdict: cannot be started here: kernel k.elf is no ELF file");
}

static void test_damage(void **state)
{
    uint64_t seed = 7;
    unsigned accepted = 0;

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        setup(NULL);
        for (unsigned n = 0; n <= round % 3; n++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            ((unsigned char *)&file)[(seed >> 33) % offsetof(__typeof__(file), text)] =
                (unsigned char)(seed >> 25);
        }
        if (round % 50 == 0)
            make_report();
        if (parse() == 0) {
            accepted++;
            assert_true(image.start < image.end);
            for (unsigned i = 0; i < image.segment_count; i++)
                assert_true(image.segments[i].start + image.segments[i].mem_size <= image.end);
        } else {
            assert_true(err.text[0]);
        }
    }
    assert_true(accepted > 1000 && accepted < 99000);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good),          TEST(test_all_notes),
        TEST(test_paddr_offset),  TEST(test_base_zero),
        TEST(test_section_notes), TEST(test_no_elf),
        TEST(test_other_elf),     TEST(test_notes_missing_or_wrong),
        TEST(test_pvh_only),      TEST(test_report),
        TEST(test_truncated),     TEST(test_every_length),
        TEST(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
