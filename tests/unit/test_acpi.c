/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (arch/x86/acpi.c): a sound set is read, and whatever is wrong with one table costs
 * only what that table says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "arch/x86/acpi.h"
#include "arch/x86/paging.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/log.h"

#define MEMORY 0x10000
#define XSDT   0x1000
#define MADT   0x2000
#define FADT   0x3000
#define DSDT   0x4000

struct boot_info boot_info;
static uint8_t memory[MEMORY];

const void *x86_map_firmware(maddr_t maddr, size_t bytes)
{
    return maddr < MEMORY && bytes <= MEMORY - maddr ? memory + maddr : NULL;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

static void seal(uint32_t at, const char *signature, uint32_t length)
{
    uint8_t sum = 0;

    memcpy(memory + at, signature, 4);
    memcpy(memory + at + 4, &length, 4);
    memory[at + 9] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + 9] = (uint8_t)-sum;
}

static void put(uint32_t at, uint64_t value, unsigned bytes)
{
    memcpy(memory + at, &value, bytes);
}

static void offer_root(void)
{
    uint8_t root[36] = "RSD PTR ", sum = 0;
    uint64_t xsdt = XSDT;

    root[15] = 2;
    memcpy(root + 24, &xsdt, 8);
    for (unsigned i = 0; i < 20; i++)
        sum = (uint8_t)(sum + root[i]);
    root[8] = (uint8_t)-sum;
    acpi_offer_rsdp(root, sizeof root);
}

/* Two processors, a disabled one, an IO-APIC, an override, an entry that is unknown. */
static void make_madt(void)
{
    static const uint8_t entries[] = {
        0, 8,  0, 0, 1, 0, 0,    0, /* processor, APIC number 0 */
        0, 8,  1, 4, 1, 0, 0,    0, /* 4 */
        0, 8,  2, 5, 0, 0, 0,    0, /* disabled */
        1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, 2, 10, 0, 4, 20, 0, 0, 0, 0x0d, 0, 77, 3, 0,
    };

    put(MADT + 36, 0xfee00000, 4);
    memcpy(memory + MADT + 44, entries, sizeof entries);
    seal(MADT, "APIC", 44 + sizeof entries);
}

static void make_fadt(void)
{
    put(FADT + 40, DSDT, 4);
    put(FADT + 64, 0x604, 4);
    put(FADT + 76, 0x608, 4);
    memory[FADT + 91] = 4;
    put(FADT + 112, 1 << 10, 4);
    memory[FADT + 116] = 1;
    put(FADT + 120, 0xcf9, 8);
    memory[FADT + 128] = 0x0f;
    seal(FADT, "FACP", 132);
}

static void make_dsdt(const uint8_t *aml, size_t bytes)
{
    memset(memory + DSDT, 0, 0x100);
    memcpy(memory + DSDT + 40, aml, bytes);
    seal(DSDT, "DSDT", 40 + (uint32_t)bytes + 8);
}

static const uint8_t good_s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 4, 0x0a, 5, 0x01, 0, 0};

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    acpi = (struct acpi_info){.reset_space = 0xff};
    put(XSDT + 36, 0x9000, 8); /* points at nothing */
    put(XSDT + 44, MADT, 8);
    put(XSDT + 52, FADT, 8);
    seal(XSDT, "XSDT", 60);
    make_madt();
    make_fadt();
    make_dsdt(good_s5, sizeof good_s5);
    offer_root();
    return 0;
}

static void test_good(void **state)
{
    (void)state;
    arch_acpi_init();
    assert_int_equal(acpi.cpu_count, 2);
    assert_int_equal(acpi.cpu_apic_id[1], 4);
    assert_int_equal(acpi.lapic, 0xfee00000);
    assert_int_equal(acpi.ioapic, 0xfec00000);
    assert_int_equal(acpi.override_count, 1);
    assert_int_equal(acpi.overrides[0].isa_irq, 4);
    assert_int_equal(acpi.overrides[0].gsi, 20);
    assert_int_equal(acpi.overrides[0].flags, 0x0d);
    assert_int_equal(acpi.pm1a, 0x604);
    assert_int_equal(acpi.pm_timer, 0x608);
    assert_true(acpi.s5);
    assert_int_equal(acpi.s5_a, 5);
    assert_int_equal(acpi.s5_b, 1);
    assert_int_equal(acpi.reset_space, 1);
    assert_int_equal(acpi.reset_address, 0xcf9);
}

static void test_broken_table(void **state)
{
    (void)state;
    memory[MADT + 50] ^= 1; /* checksum */
    arch_acpi_init();
    assert_int_equal(acpi.cpu_count, 0);
    assert_int_equal(acpi.ioapic, 0);
    assert_int_equal(acpi.pm1a, 0x604);

    setup(state);
    put(MADT + 4, 0xffffffff, 4); /* length */
    put(FADT + 4, 8, 4);
    arch_acpi_init();
    assert_int_equal(acpi.cpu_count, 0);
    assert_int_equal(acpi.pm1a, 0);
}

static void test_broken_entries(void **state)
{
    (void)state;
    memory[MADT + 44 + 8 + 1] = 0; /* the second entry has no length: the rest is not read */
    seal(MADT, "APIC", 44 + 49);
    arch_acpi_init();
    assert_int_equal(acpi.cpu_count, 1);

    setup(state);
    memory[MADT + 44 + 1] = 200; /* longer than the table */
    seal(MADT, "APIC", 44 + 49);
    arch_acpi_init();
    assert_int_equal(acpi.cpu_count, 0);
}

static void test_s5(void **state)
{
    static const uint8_t with_root[] = {0x08, '\\', '_', 'S', '5',  '_', 0x12,
                                        0x41, 0x01, 2,   0,   0x0a, 7};
    static const uint8_t no_name[] = {0x09, '_', 'S', '5', '_', 0x12, 0x06, 4, 0x0a, 5, 0x01, 0, 0};
    static const uint8_t no_number[] = {0x08, '_',  'S', '5',  '_', 0x12, 0x06,
                                        4,    0x11, 5,   0x01, 0,   0};

    (void)state;
    make_dsdt(with_root, sizeof with_root);
    arch_acpi_init();
    assert_true(acpi.s5);
    assert_int_equal(acpi.s5_a, 0);
    assert_int_equal(acpi.s5_b, 7);

    setup(state);
    make_dsdt(no_name, sizeof no_name);
    arch_acpi_init();
    assert_false(acpi.s5);

    setup(state);
    make_dsdt(no_number, sizeof no_number);
    arch_acpi_init();
    assert_false(acpi.s5);
}

/* Whatever bytes a table has, reading stays inside it (AddressSanitizer watches the end of the
 * memory). */
static void test_random(void **state)
{
    srandom(1);
    for (unsigned round = 0; round < 3000; round++) {
        uint32_t length = 44 + (uint32_t)random() % 120;

        setup(state);
        for (uint32_t i = 44; i < length; i++)
            memory[MADT + i] = (uint8_t)(random() % 14);
        seal(MADT, "APIC", length);
        memcpy(memory + DSDT + 40 + random() % 40, good_s5, 1 + (size_t)random() % sizeof good_s5);
        seal(DSDT, "DSDT", 40 + (uint32_t)random() % 60);
        arch_acpi_init();
        assert_true(acpi.cpu_count <= PCPU_MAX);
        assert_true(acpi.override_count <= 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_broken_table, setup),
        cmocka_unit_test_setup(test_broken_entries, setup),
        cmocka_unit_test_setup(test_s5, setup),
        cmocka_unit_test_setup(test_random, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
