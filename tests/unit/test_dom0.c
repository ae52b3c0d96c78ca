/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's construction, as far as it is pure: the ELF image and its notes, the layout, the page
 * tables, the hypercall page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>
#include <xen/elfnote.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "hv/dom0_layout.h"
#include "hv/elf.h"
#include "hv/hypercall_page.h"

#define HIGH 0xffffffff80000000UL

/* ---- images ---- */

static struct {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[4];
    uint8_t notes[512];
    uint8_t text[256];
} file;
static size_t notes_used;
static struct elf_image image;
static const char *why;

static void note(uint32_t type, const void *desc, uint32_t bytes)
{
    Elf64_Nhdr n = {4, bytes, type};
    uint8_t *at = file.notes + notes_used;

    memcpy(at, &n, sizeof n);
    memcpy(at + sizeof n, "Xen", 4);
    memcpy(at + sizeof n + 4, desc, bytes);
    notes_used += sizeof n + 4 + ((bytes + 3) & ~3U);
    file.ph[1].p_filesz = notes_used;
}

static void note_number(uint32_t type, uint64_t value)
{
    note(type, &value, 8);
}

/* A kernel of 1 MiB at pfn 0x100, mapped high. */
static int image_good(void **state)
{
    (void)state;
    memset(&file, 0, sizeof file);
    notes_used = 0;
    memcpy(file.eh.e_ident, ELFMAG, SELFMAG);
    file.eh.e_ident[EI_CLASS] = ELFCLASS64;
    file.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    file.eh.e_type = ET_EXEC;
    file.eh.e_machine = EM_X86_64;
    file.eh.e_entry = HIGH + 0x100000;
    file.eh.e_phoff = offsetof(typeof(file), ph);
    file.eh.e_phentsize = sizeof(Elf64_Phdr);
    file.eh.e_phnum = 2;
    file.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                              .p_offset = offsetof(typeof(file), text),
                              .p_paddr = 0x100000,
                              .p_vaddr = HIGH + 0x100000,
                              .p_filesz = sizeof file.text,
                              .p_memsz = 0x100000};
    file.ph[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = offsetof(typeof(file), notes)};
    note_number(XEN_ELFNOTE_VIRT_BASE, HIGH);
    note_number(XEN_ELFNOTE_PADDR_OFFSET, 0);
    return 0;
}

static long parse_size(size_t size)
{
    void *copy = malloc(size ? size : 1);
    long rc;

    memcpy(copy, &file, size);
    why = NULL;
    rc = elf_parse(&image, copy, size, &why);
    if (rc) {
        assert_non_null(why);
        assert_true(rc == -XEN_EINVAL || rc == -XEN_ENOEXEC);
    }
    free(copy);
    return rc;
}

static long parse(void)
{
    return parse_size(sizeof file);
}

static void refused(const char *text)
{
    assert_true(parse() < 0);
    if (!strstr(why, text))
        fail_msg("\"%s\" does not contain \"%s\"", why, text);
}

static void test_elf_good(void **state)
{
    (void)state;
    note(XEN_ELFNOTE_GUEST_OS, "tester\x1b", 8);
    note(XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb", 42);
    note_number(XEN_ELFNOTE_HYPERCALL_PAGE, HIGH + 0x101000);
    note_number(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    note_number(XEN_ELFNOTE_MOD_START_PFN, 1);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.virt_base, HIGH);
    assert_int_equal(image.entry, HIGH + 0x100000);
    assert_int_equal(image.segment_count, 1);
    assert_int_equal(image.segments[0].paddr, 0x100000);
    assert_int_equal(image.paddr_end, 0x200000);
    assert_true(image.has_hypercall_page && image.has_init_p2m && image.mod_start_pfn);
    assert_int_equal(image.hypercall_page, HIGH + 0x101000);
    assert_string_equal(image.guest_os, "tester");
}

/* Zero is a value: PV-GRUB has VIRT_BASE 0 and ENTRY 0. */
static void test_elf_zero(void **state)
{
    (void)state;
    notes_used = 0;
    file.ph[0].p_paddr = 0;
    note_number(XEN_ELFNOTE_VIRT_BASE, 0);
    note_number(XEN_ELFNOTE_ENTRY, 0);
    note_number(XEN_ELFNOTE_HYPERCALL_PAGE, 0);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.entry, 0);
    assert_true(image.has_hypercall_page);
    assert_false(image.has_init_p2m);
}

static void test_elf_paddr_offset(void **state)
{
    (void)state;
    notes_used = 0;
    file.ph[0].p_paddr = HIGH + 0x100000;
    note_number(XEN_ELFNOTE_VIRT_BASE, HIGH);
    note_number(XEN_ELFNOTE_PADDR_OFFSET, HIGH);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.segments[0].paddr, 0x100000);
    file.ph[0].p_paddr = 0x100000;
    refused("below the PADDR_OFFSET");
}

static void test_elf_refused(void **state)
{
    (void)state;
    file.eh.e_machine = EM_386;
    refused("not for x86-64");
    image_good(NULL);
    file.eh.e_ident[0] = 0;
    refused("no ELF file");
    image_good(NULL);
    file.eh.e_type = ET_REL;
    refused("not linked");
    image_good(NULL);
    file.ph[0].p_offset = ~0UL;
    refused("truncated: a segment");
    image_good(NULL);
    file.ph[0].p_filesz = 0x100001;
    refused("larger in the file");
    image_good(NULL);
    file.ph[0].p_memsz = ~0UL;
    refused("overflow");
    image_good(NULL);
    file.ph[0].p_type = PT_NULL;
    refused("nothing to load");
    image_good(NULL);
    file.ph[1].p_type = PT_NULL;
    refused("no Xen notes");
    image_good(NULL);
    file.ph[1].p_offset = ~0UL - 4; /* a bad note segment is as good as none */
    refused("no Xen notes");
    image_good(NULL);
    note_number(XEN_ELFNOTE_ENTRY, HIGH - 1);
    refused("entry point");
    image_good(NULL);
    note_number(XEN_ELFNOTE_VIRT_BASE, HIGH + 1);
    refused("not a page address");
    image_good(NULL);
    note_number(XEN_ELFNOTE_HYPERCALL_PAGE, HIGH + 0x200000);
    refused("HYPERCALL_PAGE");
    image_good(NULL);
    note_number(XEN_ELFNOTE_INIT_P2M, 12);
    refused("INIT_P2M");
    image_good(NULL);
    note(XEN_ELFNOTE_FEATURES, "pae|!auto_translated_physmap", 29);
    refused("requires a feature");
    image_good(NULL);
    note(XEN_ELFNOTE_FEATURES, "!", 1);
    refused("requires a feature");
    image_good(NULL);
    notes_used = 0;
    note_number(XEN_ELFNOTE_PADDR_OFFSET, 0);
    refused("no VIRT_BASE");
    image_good(NULL);
    file.eh.e_phoff = ~0UL - 8;
    refused("program headers");
}

static void test_elf_damage(void **state)
{
    unsigned accepted = 0;
    uint64_t seed = 1;

    (void)state;
    for (size_t cut = 0; cut < sizeof file; cut += 7)
        assert_true(parse_size(cut) < 0);
    for (unsigned round = 0; round < 50000; round++) {
        uint8_t *bytes = (uint8_t *)&file;

        image_good(NULL);
        note(XEN_ELFNOTE_FEATURES, "!writable_page_tables", 22);
        for (unsigned n = round % 4 + 1; n; n--) {
            seed = seed * 6364136223846793005UL + 1442695040888963407UL;
            bytes[(seed >> 33) % offsetof(typeof(file), text)] = (uint8_t)(seed >> 16);
        }
        if (!parse()) {
            struct dom0_layout l;

            accepted++;
            dom0_layout_plan(&l, &image, 8192, 5000, &why);
        }
    }
    assert_in_range(accepted, 5000, 49000);
}

/* ---- layout and page tables ---- */

#define FIRST_FRAME 0x8000UL

static uint64_t (*pages)[512]; /* of the domain, as far as tables need them */
static uint64_t nr_pages;

static uint64_t read_entry(void *context, uint64_t pfn, unsigned index)
{
    assert_ptr_equal(context, &pages);
    assert_true(pfn < nr_pages && index < 512);
    return pages[pfn][index];
}

static void write_entry(void *context, uint64_t pfn, unsigned index, uint64_t entry)
{
    assert_ptr_equal(context, &pages);
    assert_true(pfn < nr_pages && index < 512);
    pages[pfn][index] = entry;
}

/* The entry that maps va, 0 if nothing does. */
static uint64_t walk(const struct dom0_layout *l, uint64_t va)
{
    uint64_t pfn = l->tables.pfn, entry = 0;

    for (int level = 4; level >= 1; level--) {
        assert_true(pfn - l->tables.pfn < l->tables.pages);
        entry = pages[pfn][(va >> (12 + 9 * (level - 1))) & 511];
        if (!(entry & 1))
            return 0;
        pfn = (entry >> 12 & 0xffffffffff) - FIRST_FRAME;
    }
    return entry;
}

static void check_tables(const struct dom0_layout *l)
{
    struct dom0_memory m = {read_entry, write_entry, &pages, FIRST_FRAME};

    nr_pages = l->mapped_pages; /* nothing else is touched */
    pages = calloc(nr_pages, sizeof *pages);
    dom0_layout_tables(l, &m);
    for (uint64_t pfn = 0; pfn < l->mapped_pages; pfn++) {
        bool table = pfn - l->tables.pfn < l->tables.pages;

        assert_int_equal(walk(l, dom0_layout_va(l, pfn)),
                         (FIRST_FRAME + pfn) << 12 | (table ? 0x65 : 0x67));
    }
    assert_int_equal(walk(l, dom0_layout_va(l, l->mapped_pages)), 0);
    for (uint64_t i = 0; l->p2m_apart && i < l->p2m.pages; i++)
        assert_int_equal(walk(l, l->p2m_va + (i << 12)),
                         (FIRST_FRAME + l->p2m.pfn + i) << 12 | 0x67);
    /* No table page is left over. */
    for (uint64_t t = 0; t < l->tables.pages; t++) {
        bool used = false;

        for (unsigned i = 0; i < 512; i++)
            used |= pages[l->tables.pfn + t][i] != 0;
        assert_true(used);
    }
    free(pages);
}

static void check_areas(const struct dom0_layout *l, uint64_t kernel_pages)
{
    const struct dom0_area areas[] = {{0, kernel_pages}, l->initrd, l->p2m,
                                      l->start_info,     l->tables, l->stack};

    for (unsigned i = 0; i < 6; i++) {
        assert_true(areas[i].pfn + areas[i].pages <= l->nr_pages);
        for (unsigned j = 0; j < i; j++)
            assert_true(areas[i].pfn >= areas[j].pfn + areas[j].pages ||
                        areas[j].pfn >= areas[i].pfn + areas[i].pages || !areas[i].pages ||
                        !areas[j].pages);
    }
    assert_true(l->stack.pfn + 1 + 128 <= l->mapped_pages);
    assert_int_equal((dom0_layout_va(l, l->mapped_pages) & 0x3fffff), 0);
}

static void test_layouts(void **state)
{
    static const uint64_t bases[] = {
        HIGH, 0, 0x100000, 0xffff880000000000, 0x7fffc0000000, 0xffffffffc0000000};
    static const uint64_t memory[] = {4096, 5000, 32768, 300000};
    struct dom0_layout l;

    (void)state;
    for (unsigned b = 0; b < 6; b++)
        for (unsigned m = 0; m < 4; m++)
            for (unsigned variant = 0; variant < 8; variant++) {
                struct elf_image k = {.virt_base = bases[b],
                                      .paddr_end = 0x234567,
                                      .mod_start_pfn = variant & 1,
                                      .has_init_p2m = variant & 2,
                                      .init_p2m = 0x8000000000};

                assert_int_equal(
                    dom0_layout_plan(&l, &k, memory[m], variant & 4 ? 1234567 : 0, &why), 0);
                assert_int_equal(l.initrd.pages, variant & 4 ? 302 : 0);
                assert_int_equal(l.initrd_by_pfn, (variant & 5) == 5);
                check_areas(&l, 0x235);
                check_tables(&l);
            }
}

static void layout_refused(struct elf_image k, uint64_t memory_pages, uint64_t initrd,
                           const char *text)
{
    struct dom0_layout l;

    assert_true(dom0_layout_plan(&l, &k, memory_pages, initrd, &why) < 0);
    if (!strstr(why, text))
        fail_msg("\"%s\" does not contain \"%s\"", why, text);
}

static void test_layouts_refused(void **state)
{
    struct elf_image k = {.virt_base = HIGH, .paddr_end = 0x200000};

    (void)state;
    layout_refused(k, 512, 0, "raise 'memory'");
    layout_refused(k, 1024, 0x400000, "raise 'memory'");
    layout_refused(k, 1024, ~0UL, "raise 'memory'");
    k.paddr_end = ~0UL;
    layout_refused(k, 1024, 0, "raise 'memory'");
    k.paddr_end = 0x200000;
    k.virt_base = 0xffff800000000000; /* the hypervisor's */
    layout_refused(k, 8192, 0, "VIRT_BASE");
    k.virt_base = 0x7fffffe00000; /* over the end of the lower half */
    layout_refused(k, 8192, 0, "VIRT_BASE");
    k.virt_base = 0x0000900000000000; /* not canonical */
    layout_refused(k, 8192, 0, "VIRT_BASE");
    k.virt_base = 0xffffffffffc00000; /* over the end of everything */
    k.paddr_end = 0x500000;
    layout_refused(k, 8192, 0, "VIRT_BASE");
    k.virt_base = HIGH;
    k.paddr_end = 0x200000;
    k.has_init_p2m = true;
    k.init_p2m = HIGH + 0x1000;
    layout_refused(k, 8192, 0, "INIT_P2M");
    k.init_p2m = HIGH - 0x1000;
    layout_refused(k, 8192, 0, "INIT_P2M");
    k.init_p2m = 0xffff800000000000;
    layout_refused(k, 8192, 0, "INIT_P2M");
}

static void test_hypercall_page(void **state)
{
    uint8_t page[4096];
    static const uint8_t call[] = {0xb8, 12, 0, 0, 0, 0x0f, 0x05, 0xc3, 0xcc};
    static const uint8_t iret[] = {0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc};

    (void)state;
    hypercall_page_init(page);
    assert_memory_equal(page + 12 * 32, call, sizeof call);
    assert_memory_equal(page + 23 * 32, iret, sizeof iret);
    assert_int_equal(page[127 * 32 + 1], 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_elf_good, image_good),
        cmocka_unit_test_setup(test_elf_zero, image_good),
        cmocka_unit_test_setup(test_elf_paddr_offset, image_good),
        cmocka_unit_test_setup(test_elf_refused, image_good),
        cmocka_unit_test_setup(test_elf_damage, image_good),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_layouts_refused),
        cmocka_unit_test(test_hypercall_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
