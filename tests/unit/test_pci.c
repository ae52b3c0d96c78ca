/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration, MSI-X and MMIO rules against a simulated bus: one device with a 64-bit BAR
 * that holds registers, a 32-bit BAR that holds the MSI-X table, an I/O BAR and an MSI capability.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "hv/arch.h"
#include "hv/boot_info.h"
#include "hv/evtchn.h"
#include "hv/log.h"
#include "io/irq.h"
#include "io/mmio.h"
#include "io/pci.h"

#define BDF   0x0018
#define MSI   0x50
#define MSIX  0x70
#define TABLE 0xfebf1000UL
#define WIDE  0x800000000UL

/* ---- the bus ---- */

static uint32_t config[64], address;
static uint8_t table[8192];
static unsigned locked, writes_outside;
struct boot_info boot_info;
struct domain *dom0;

static void bus_reset(void)
{
    memset(config, 0, sizeof config);
    memset(table, 0, sizeof table);
    config[0] = 0x10421af4;
    config[1] = 0x00100007;
    config[4] = 0xc001;               /* I/O */
    config[5] = (uint32_t)TABLE;      /* 4 KiB, 32-bit */
    config[8] = (uint32_t)WIDE | 0xc; /* 16 KiB, 64-bit, prefetchable */
    config[9] = WIDE >> 32;
    config[13] = MSIX;
    config[MSIX / 4] = 0x80030000 | MSI << 8 | 0x11; /* enabled by the firmware, 4 entries */
    config[MSIX / 4 + 1] = 1;                        /* table: BAR 1 */
    config[MSIX / 4 + 2] = 0x801;                    /* pending bits: BAR 1 + 0x800 */
    config[MSI / 4] = 0x00800005;
}

static uint32_t writable(unsigned i)
{
    switch (i) {
    case 1:
        return 0x0000ffff;
    case 4:
        return 0xffffff80;
    case 5:
        return 0xfffff000;
    case 8:
        return 0xffffc000;
    case 9:
        return 0xffffffff;
    case MSIX / 4:
        return 0xc0000000;
    case MSI / 4:
    case MSI / 4 + 1:
    case MSI / 4 + 2:
    case MSI / 4 + 3:
    case 15:
        return 0xffffffff;
    default:
        return 0;
    }
}

static void port_out(uint16_t port, unsigned size, uint32_t value)
{
    assert_true(locked);
    if (port == 0xcf8) {
        assert_int_equal(size, 4);
        address = value;
        return;
    }
    assert_in_range(port, 0xcfc, 0xcff);
    if ((address >> 8 & 0xffff) != BDF) {
        writes_outside++;
        return;
    }
    unsigned i = (address & 0xff) / 4, shift = 8 * (port & 3);
    uint32_t mask = (size == 4 ? ~0U : (1U << 8 * size) - 1) << shift & writable(i);

    config[i] = (config[i] & ~mask) | (value << shift & mask);
}

static uint32_t port_in(uint16_t port, unsigned size)
{
    uint32_t value = ~0U;

    assert_true(locked);
    if (port == 0xcf8)
        return address;
    if ((address >> 8 & 0xffff) == BDF)
        value = config[(address & 0xff) / 4] >> 8 * (port & 3);
    return size == 4 ? value : value & ((1U << 8 * size) - 1);
}

uint8_t arch_in8(uint16_t port)
{
    return (uint8_t)port_in(port, 1);
}

uint16_t arch_in16(uint16_t port)
{
    return (uint16_t)port_in(port, 2);
}

uint32_t arch_in32(uint16_t port)
{
    return port_in(port, 4);
}

void arch_out8(uint16_t port, uint8_t v)
{
    port_out(port, 1, v);
}

void arch_out16(uint16_t port, uint16_t v)
{
    port_out(port, 2, v);
}

void arch_out32(uint16_t port, uint32_t v)
{
    port_out(port, 4, v);
}

/* ---- the rest of the seam ---- */

static unsigned vectors, raised, maps;
static void (*vector_fn)(void *);
static void *vector_arg;

void spin_lock_checked(struct spinlock *l)
{
    (void)l;
    assert_int_equal(locked, 0);
    locked = 1;
}

void spin_unlock_checked(struct spinlock *l)
{
    (void)l;
    assert_int_equal(locked, 1);
    locked = 0;
}

void *arch_map_mmio(maddr_t maddr, size_t bytes)
{
    assert_in_range(maddr, TABLE, TABLE + 0x2000);
    assert_true(bytes <= 4096);
    maps++;
    return table + (maddr - TABLE);
}

int arch_irq_vector_alloc(void (*fn)(void *), void *arg)
{
    vector_fn = fn;
    vector_arg = arg;
    vectors++;
    return 0x41;
}

void arch_irq_vector_free(int vector)
{
    assert_int_equal(vector, 0x41);
    vectors--;
}

void arch_msi_message(int vector, unsigned pcpu, uint64_t *message_address, uint32_t *data)
{
    assert_int_equal(pcpu, 0);
    *message_address = 0xfee00000;
    *data = (uint32_t)vector;
}

void evtchn_raise_pirq(struct domain *d, unsigned pirq)
{
    (void)d;
    raised = pirq;
}

struct frame *frame_of(mfn_t mfn)
{
    static struct frame ram;

    return mfn.n >= 0x100 && mfn.n < 0x20000 ? &ram : NULL;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

/* ---- helpers ---- */

static void guest_select(unsigned reg)
{
    pci_guest_out(0xcf8, 4, 0x80000000U | BDF << 8 | (reg & 0xfc));
}

static uint32_t guest_read_config(unsigned reg, unsigned size)
{
    guest_select(reg);
    return pci_guest_in(0xcfc + (reg & 3), size);
}

static void guest_write_config(unsigned reg, unsigned size, uint32_t value)
{
    guest_select(reg);
    pci_guest_out(0xcfc + (reg & 3), size, value);
}

static enum mmio_access access_at(maddr_t at)
{
    return mmio_access(maddr_to_mfn(at));
}

static int setup(void **state)
{
    (void)state;
    irq_release_all();
    pci_device_remove(BDF);
    bus_reset();
    raised = 0;
    writes_outside = 0;
    return 0;
}

/* ---- tests ---- */

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(guest_read_config(0, 4), 0x10421af4);
    assert_int_equal(guest_read_config(2, 2), 0x1042);
    assert_int_equal(guest_read_config(3, 1), 0x10);
    assert_int_equal(pci_guest_in(0xcf8, 4), 0x80001800);
    /* The shadow, not the hardware's register. */
    pci_guest_out(0xcf8, 4, 0x80001808);
    address = 0;
    assert_int_equal(pci_guest_in(0xcf8, 4), 0x80001808);
    /* Narrow accesses to the address register, unaligned ones, no enable bit, extended register
     * bits. */
    assert_int_equal(pci_guest_in(0xcf8, 2), 0xffff);
    pci_guest_out(0xcf9, 1, 6);
    assert_int_equal(pci_guest_in(0xcf8, 4), 0x80001808);
    assert_int_equal(pci_guest_in(0xcfd, 2), 0xffff);
    assert_int_equal(pci_guest_in(0xcfe, 4), 0xffffffff);
    pci_guest_out(0xcf8, 4, 0x00001800);
    assert_int_equal(pci_guest_in(0xcfc, 4), 0xffffffff);
    pci_guest_out(0xcf8, 4, 0x81001800);
    assert_int_equal(pci_guest_in(0xcfc, 4), 0xffffffff);
    /* An absent device. */
    pci_guest_out(0xcf8, 4, 0x80002000);
    assert_int_equal(pci_guest_in(0xcfc, 4), 0xffffffff);
    assert_int_equal(pci_guest_in(0xcfc, 1), 0xff);
}

static void test_device_add(void **state)
{
    uint32_t before[64];

    (void)state;
    assert_int_equal(access_at(TABLE), MMIO_DENIED);
    assert_int_equal(pci_device_add(BDF + 8), -XEN_ENODEV);
    memcpy(before, config, sizeof config);
    assert_int_equal(pci_device_add(BDF), 0);
    before[MSIX / 4] &= ~0xc0000000; /* the firmware's enable bit */
    assert_memory_equal(before, config, sizeof config);
    assert_int_equal(access_at(TABLE), MMIO_READ);
    assert_int_equal(access_at(TABLE + 0x1000), MMIO_DENIED);
    assert_int_equal(access_at(WIDE), MMIO_READ_WRITE);
    assert_int_equal(access_at(WIDE + 0x3fff), MMIO_READ_WRITE);
    assert_int_equal(access_at(WIDE + 0x4000), MMIO_DENIED);
    /* Again, moved: the old place is closed. */
    guest_write_config(0x20, 4, (uint32_t)WIDE + 0x100000);
    assert_int_equal(pci_device_add(BDF), 0);
    assert_int_equal(access_at(WIDE), MMIO_DENIED);
    assert_int_equal(access_at(WIDE + 0x100000), MMIO_READ_WRITE);
    assert_int_equal(access_at(TABLE), MMIO_READ);
    assert_int_equal(pci_device_remove(BDF), 0);
    assert_int_equal(access_at(TABLE), MMIO_DENIED);
    assert_int_equal(access_at(WIDE + 0x100000), MMIO_DENIED);
    assert_int_equal(pci_device_remove(BDF), -XEN_ENODEV);
}

/* Thousands of rounds leave room in the list. */
static void test_device_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        guest_write_config(0x20, 4, (uint32_t)WIDE + 0x4000 * (i % 3));
        assert_int_equal(pci_device_add(BDF), 0);
        if (i % 5 == 0)
            assert_int_equal(pci_device_remove(BDF), 0);
    }
    assert_int_equal(pci_device_add(BDF), 0);
    assert_int_equal(access_at(TABLE), MMIO_READ);
    assert_int_equal(access_at(WIDE + 0x4000 * (4999 % 3)), MMIO_READ_WRITE);
}

static void test_bad_bars(void **state)
{
    (void)state;
    boot_info.ranges[0] = (struct boot_range){0x100000, 0x300000, 1};
    boot_info.range_count = 1;
    config[5] = 0x00210000; /* a BAR over the hypervisor: MSI-X table and all */
    config[8] = 0x00200004; /* and one over RAM */
    config[9] = 0;
    assert_int_equal(pci_device_add(BDF), 0);
    assert_int_equal(access_at(0x210000), MMIO_DENIED);
    assert_int_equal(access_at(0x200000), MMIO_DENIED);
    assert_int_equal(irq_map_msix(BDF, 0), -XEN_ENODEV);
    config[5] = 0xfee00000; /* over the local APIC */
    assert_int_equal(pci_device_add(BDF), 0);
    assert_int_equal(access_at(0xfee00000), MMIO_DENIED);
    assert_int_equal(irq_map_msix(BDF, 0), -XEN_ENODEV);
    config[5] = 0xfffff000; /* the top of 4 GiB: no sum overflows */
    config[8] = 0xffffc00c;
    config[9] = 0xffffffff;
    assert_int_equal(pci_device_add(BDF), 0);
    assert_int_equal(access_at(0xfffff000), MMIO_READ);
}

static uint32_t *entry(unsigned i)
{
    return (uint32_t *)(table + 16 * i);
}

static void test_interrupt(void **state)
{
    long pirq, other;

    (void)state;
    assert_int_equal(irq_map_msix(BDF, 0), -XEN_ENODEV);
    assert_int_equal(pci_device_add(BDF), 0);
    guest_write_config(4, 2, 0);
    assert_int_equal(irq_map_msix(BDF, 0), -XEN_ENXIO);
    guest_write_config(4, 2, 6);
    assert_int_equal(irq_map_msix(BDF, 4), -XEN_EINVAL);
    assert_int_equal(vectors, 0);
    pirq = irq_map_msix(BDF, 1);
    assert_true(pirq > 0);
    assert_int_equal(irq_map_msix(BDF, 1), -XEN_EBUSY);
    other = irq_map_msix(BDF, 2);
    assert_true(other > 0 && other != pirq);
    assert_int_equal(vectors, 2);
    assert_int_equal(entry(1)[0], 0xfee00000);
    assert_int_equal(entry(1)[2], 0x41);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(entry(i)[3], 1);

    assert_int_equal(irq_bind(PIRQ_MAX), -XEN_EINVAL);
    assert_int_equal(irq_bind(PIRQ_MAX - 1), -XEN_EPERM);
    assert_int_equal(irq_bind((unsigned)other), 0);
    assert_int_equal(irq_bind((unsigned)other), -XEN_EEXIST);
    assert_int_equal(entry(2)[3], 0);
    assert_int_equal(entry(1)[3], 1);
    vector_fn(vector_arg);
    assert_int_equal(raised, other);
    irq_unbind((unsigned)other);
    assert_int_equal(entry(2)[3], 1);
    raised = 0;
    vector_fn(vector_arg);
    assert_int_equal(raised, 0);

    assert_int_equal(pci_device_remove(BDF), -XEN_EBUSY);
    assert_int_equal(irq_unmap((unsigned)pirq), 0);
    assert_int_equal(irq_unmap((unsigned)pirq), -XEN_EINVAL);
    assert_int_equal(irq_unmap(PIRQ_MAX), -XEN_EINVAL);
    irq_release_all();
    assert_int_equal(vectors, 0);
    assert_int_equal(pci_device_remove(BDF), 0);
}

static void test_intercept(void **state)
{
    uint32_t bar = (uint32_t)TABLE;

    (void)state;
    assert_int_equal(pci_device_add(BDF), 0);
    guest_write_config(0x14, 4, 0xfebf2000); /* nothing mapped: may move, and back */
    assert_int_equal(guest_read_config(0x14, 4), 0xfebf2000);
    guest_write_config(0x14, 4, bar);
    assert_true(irq_map_msix(BDF, 0) > 0);
    guest_write_config(0x14, 4, 0xfebf2000);
    assert_int_equal(guest_read_config(0x14, 4), bar);
    guest_write_config(0x15, 1, 0);
    assert_int_equal(guest_read_config(0x14, 4), bar);
    /* The control register by a word alone. */
    guest_write_config(MSIX, 4, 0xc0000000);
    assert_int_equal(guest_read_config(MSIX + 2, 2), 0x0003);
    guest_write_config(MSIX + 3, 1, 0x80);
    assert_int_equal(guest_read_config(MSIX + 2, 2), 0x0003);
    guest_write_config(MSIX + 2, 2, 0x8000);
    assert_int_equal(guest_read_config(MSIX + 2, 2), 0x8003);
    guest_write_config(MSIX + 2, 2, 0xc000);
    assert_int_equal(guest_read_config(MSIX + 2, 2), 0xc003);
    guest_write_config(MSIX + 2, 2, 0);
    /* MSI never. */
    guest_write_config(MSI + 2, 2, 1);
    guest_write_config(MSI + 4, 4, 0xfee00000);
    assert_int_equal(config[MSI / 4], 0x00800005);
    assert_int_equal(config[MSI / 4 + 1], 0);
    /* Others pass. */
    guest_write_config(0x3c, 1, 7);
    assert_int_equal(guest_read_config(0x3c, 1), 7);
}

static void test_firmware_areas(void **state)
{
    (void)state;
    boot_info.ranges[0] = (struct boot_range){0x1ffe0000, 0x20000000, 2};
    boot_info.ranges[1] = (struct boot_range){0x1ffd0000, 0x1ffe0000, 1};
    boot_info.ranges[2] = (struct boot_range){0xfeffc000, 0xff000000, 2};
    boot_info.range_count = 3;
    mmio_init();
    assert_int_equal(access_at(0), MMIO_READ);
    assert_int_equal(access_at(0x1000), MMIO_DENIED);
    assert_int_equal(access_at(0xf5000), MMIO_READ);
    assert_int_equal(access_at(0xb8000), MMIO_DENIED);
    assert_int_equal(access_at(0x1ffe1000), MMIO_DENIED); /* RAM for the frame table */
    boot_info.ranges[0] = (struct boot_range){0x3ffe0000, 0x40000000, 2};
    mmio_init();
    assert_int_equal(access_at(0x3ffe1000), MMIO_READ);
    assert_int_equal(access_at(0x1ffd0000), MMIO_DENIED);
    assert_int_equal(access_at(0xfeffc000), MMIO_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ports, setup),
        cmocka_unit_test_setup(test_device_add, setup),
        cmocka_unit_test_setup(test_device_again, setup),
        cmocka_unit_test_setup(test_bad_bars, setup),
        cmocka_unit_test_setup(test_interrupt, setup),
        cmocka_unit_test_setup(test_intercept, setup),
        cmocka_unit_test_setup(test_firmware_areas, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
