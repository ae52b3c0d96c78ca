/* SPDX-License-Identifier: MIT */
/*
 * The loader's information (arch/x86/multiboot.c) and memory before the frame allocator
 * (arch/x86/bootmem.c): both formats, the command line, and RAM lists of firmware with holes,
 * overlaps and modules in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/acpi.h"
#include "arch/x86/bootmem.h"
#include "arch/x86/layout.h"
#include "arch/x86/multiboot.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/log.h"
#include "mm/frame.h"

#define MEMORY (16UL << 20)

uint32_t boot_magic, boot_info_address;
/* An image at physical 2 MiB .. 3 MiB: the addresses are only compared. */
__asm__(".globl image_start, image_end\n"
        ".set image_start, 0xffff810000200000\n"
        ".set image_end, 0xffff810000300000\n");

static unsigned rsdps, searches;
static struct {
    maddr_t start, end;
} given[16];
static unsigned given_count;

void acpi_offer_rsdp(const void *rsdp, size_t bytes)
{
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(bytes, 20);
    rsdps++;
}

void acpi_search_bios_area(void)
{
    searches++;
}

void frame_add_range(maddr_t start, maddr_t end)
{
    given[given_count].start = start;
    given[given_count++].end = end;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

static jmp_buf panicked;
static char panic_text[200];

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof panic_text, fmt, ap);
    va_end(ap);
    longjmp(panicked, 1);
}

static int setup(void **state)
{
    (void)state;
    memset((void *)LAYOUT_RAM, 0, MEMORY);
    memset(&boot_info, 0, sizeof boot_info);
    rsdps = searches = given_count = 0;
    return 0;
}

static void *ram(uint64_t at)
{
    return (void *)(LAYOUT_RAM + at);
}

/* ---- multiboot2 ---- */

static uint32_t end2;

static void begin2(uint32_t at)
{
    boot_magic = MB2_BOOT_MAGIC;
    boot_info_address = at;
    end2 = at + 8;
}

static void tag2(uint32_t type, const void *content, uint32_t bytes)
{
    struct mb2_tag *tag = ram(end2);

    tag->type = type;
    tag->size = 8 + bytes;
    if (bytes)
        memcpy(tag + 1, content, bytes);
    end2 += (tag->size + 7) & ~7u;
    *(uint32_t *)ram(boot_info_address) = end2 - boot_info_address;
}

static void memory2(uint64_t base, uint64_t length, uint32_t type)
{
    struct {
        uint32_t size, version;
        struct mb2_memory_entry e;
    } m = {24, 0, {base, length, type, 0}};

    tag2(MB2_TAG_MEMORY, &m, sizeof m);
}

static void module2(uint32_t start, uint32_t end, const char *text)
{
    struct {
        uint32_t start, end;
        char text[48];
    } m = {start, end, ""};

    strcpy(m.text, text);
    tag2(MB2_TAG_MODULE, &m, 8 + (uint32_t)strlen(text) + 1);
}

static void test_mb2(void **state)
{
    char value[8];

    (void)state;
    begin2(0x9000);
    tag2(MB2_TAG_CMDLINE, "placeholder loglevel=debug x", 29);
    module2(0x400000, 0x400123, "");
    module2(0x401000, 0x500000, "console=hvc0 quiet");
    memory2(0, 0x9fc00, 1);
    memory2(0x100000, 0xf00000, 1);
    memory2(0x5000, 0, 2);
    memory2(~0UL - 4095, 8192, 2); /* wraps */
    tag2(MB2_TAG_ACPI_OLD, "RSD PTR 567890123456", 20);
    tag2(MB2_TAG_EFI64, value, 8);
    tag2(MB2_TAG_END, NULL, 0);
    arch_read_boot_info();

    assert_string_equal(boot_info.cmdline, "loglevel=debug x");
    assert_int_equal(boot_info.module_count, 2);
    assert_int_equal(boot_info.modules[0].end, 0x400123);
    assert_string_equal(boot_info.modules[1].cmdline, "console=hvc0 quiet");
    assert_int_equal(boot_info.range_count, 3);
    assert_int_equal(boot_info.ranges[1].end, 0x1000000);
    assert_true(boot_info.ranges[2].end == ~0UL);
    assert_true(boot_info.efi);
    assert_int_equal(rsdps, 1);
    assert_int_equal(searches, 0);

    assert_true(boot_option("loglevel", value, sizeof value));
    assert_string_equal(value, "debug");
    assert_true(boot_option("loglevel", value, 3));
    assert_string_equal(value, "de");
    assert_true(boot_option("x", value, sizeof value));
    assert_string_equal(value, "");
    assert_false(boot_option("log", value, sizeof value));
    assert_false(boot_option("level", value, sizeof value));
}

static void expect_panic(const char *words)
{
    if (!setjmp(panicked)) {
        arch_read_boot_info();
        fail_msg("no panic");
    }
    if (!strstr(panic_text, words))
        fail_msg("\"%s\" does not contain \"%s\"", panic_text, words);
}

static void test_mb2_broken(void **state)
{
    struct mb2_tag *tag;

    begin2(0x9000);
    tag2(MB2_TAG_CMDLINE, "a", 2);
    tag = ram(0x9008);
    tag->size = 7;
    expect_panic("wrong size");
    tag->size = 64; /* beyond the end */
    expect_panic("wrong size");

    setup(state);
    begin2(0x9000);
    for (unsigned i = 0; i <= BOOT_MODULES; i++)
        module2(0x400000, 0x400123, "");
    expect_panic("boot modules");

    setup(state);
    begin2(0x9000);
    module2(0x400000, 0x3fffff, "");
    expect_panic("ends before");

    setup(state);
    begin2(0x9000);
    tag2(MB2_TAG_END, NULL, 0);
    expect_panic("no memory map");

    boot_magic = 0x12345678;
    expect_panic("multiboot");
}

/* ---- multiboot1, as QEMU fills it ---- */

static void test_mb1(void **state)
{
    struct mb1_info *info = ram(0x9500);
    struct mb1_module *modules = ram(0x9600);
    struct mb1_memory_entry *map = ram(0x9700);

    (void)state;
    boot_magic = MB1_BOOT_MAGIC;
    boot_info_address = 0x9500;
    *info = (struct mb1_info){.flags = MB1_HAS_CMDLINE | MB1_HAS_MODULES | MB1_HAS_MEMORY,
                              .cmdline = 0x9800,
                              .module_count = 2,
                              .modules = 0x9600,
                              .memory = 0x9700,
                              .memory_bytes = 2 * sizeof *map};
    modules[0] = (struct mb1_module){0x400000, 0x400100, 0x9900, 0};
    modules[1] = (struct mb1_module){0x401000, 0x402000, 0x9980, 0};
    map[0] = (struct mb1_memory_entry){20, 0, 0x9fc00, 1};
    map[1] = (struct mb1_memory_entry){20, 0x100000, 0xf00000, 1};
    strcpy(ram(0x9800), "build/penumbra.elf maxcpus=2");
    strcpy(ram(0x9900), "boot.dtb");
    strcpy(ram(0x9980), "dom0.elf a b");
    arch_read_boot_info();
    assert_string_equal(boot_info.cmdline, "maxcpus=2");
    assert_string_equal(boot_info.modules[0].cmdline, "");
    assert_string_equal(boot_info.modules[1].cmdline, "a b");
    assert_int_equal(boot_info.range_count, 2);
    assert_int_equal(boot_info.ranges[1].start, 0x100000);
    assert_int_equal(searches, 1);
}

/* ---- bootmem ---- */

static void range(maddr_t start, maddr_t end, uint32_t type)
{
    boot_info.ranges[boot_info.range_count++] = (struct boot_range){start, end, type};
}

/* What bootmem_finish() gave must not touch [start, end). */
static void assert_not_given(maddr_t start, maddr_t end)
{
    for (unsigned i = 0; i < given_count; i++)
        assert_true(given[i].end <= start || given[i].start >= end);
}

static uint64_t given_bytes(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < given_count; i++) {
        assert_int_equal(given[i].start & 4095, 0);
        assert_int_equal(given[i].end & 4095, 0);
        sum += given[i].end - given[i].start;
    }
    return sum;
}

static void test_bootmem(void **state)
{
    maddr_t page, block;

    (void)state;
    range(0, 0x9fc00, 1);
    range(0x100000, 0x900000, 1);
    range(0x800000, 0xfff800, 1); /* overlaps */
    range(0xe00000, 0xe01800, 2); /* reserved, inside RAM */
    boot_info.module_count = 1;
    boot_info.modules[0].start = 0x400010;
    boot_info.modules[0].end = 0x402001;
    bootmem_init();
    assert_int_equal(bootmem_ram_end(), 0xfff000);

    memset(ram(0xffe000), 0xaa, 4096);
    page = bootmem_page();
    assert_int_equal(page, 0xffe000); /* the highest whole one */
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(((uint8_t *)ram(page))[i], 0);
    block = bootmem_take(256, 1UL << 20);
    assert_int_equal(block, 0xd00000); /* 0xf00000 has no room: its last page is taken */
    assert_int_equal(bootmem_take(4096, 4096), 0);

    bootmem_finish();
    assert_false(bootmem_open());
    assert_not_given(0, 0x100000);
    assert_not_given(0x200000, 0x300000);
    assert_not_given(0x400000, 0x403000);
    assert_not_given(0xe00000, 0xe02000);
    assert_not_given(page, page + 4096);
    assert_not_given(block, block + 0x100000);
    assert_int_equal(given_bytes(),
                     0xfff000 - 0x100000 - 0x100000 - 0x3000 - 0x2000 - 4096 - 0x100000);
}

static void test_bootmem_limit(void **state)
{
    (void)state;
    range(0x100000, 0x200000, 1);
    range(1UL << 32, (1UL << 32) + 0x100000, 1);
    bootmem_init();
    assert_true(bootmem_take(1, 4096) < 1UL << 32);
    bootmem_no_limit();
    assert_int_equal(bootmem_take(1, 4096), (1UL << 32) + 0xff000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mb2, setup),
        cmocka_unit_test_setup(test_mb2_broken, setup),
        cmocka_unit_test_setup(test_mb1, setup),
        cmocka_unit_test_setup(test_bootmem, setup),
        cmocka_unit_test_setup(test_bootmem_limit, setup),
    };

    if (mmap((void *)LAYOUT_RAM, MEMORY, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)LAYOUT_RAM)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
