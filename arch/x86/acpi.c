/* SPDX-License-Identifier: MIT */
/*
 * Reads the ACPI tables (ACPI specification 6.4, chapter 5). A table is believed when its length is
 * plausible and its checksum right; a missing or broken one costs the function that it describes,
 * never the boot.
 */
#include "arch/x86/acpi.h"

#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/paging.h"
#include "arch/x86/x86.h"
#include "hv/arch.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/log.h"

#define TABLE_MAX (1u << 20) /* no sane table is larger */
#define RSDP_V1   20
#define RSDP_V2   36

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t checksum2, reserved[3];
} __attribute__((packed));

struct table {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct acpi_info acpi = {.reset_space = 0xff};

static struct rsdp rsdp;
static bool have_rsdp;

static bool checksum_ok(const void *p, size_t bytes)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
    return sum == 0;
}

static uint64_t read_at(const void *p, size_t offset, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, (const char *)p + offset, bytes);
    return v;
}

/* ---- the root pointer ---- */

void acpi_offer_rsdp(const void *p, size_t bytes)
{
    const struct rsdp *r = p;

    if (bytes < RSDP_V1 || memcmp(r->signature, "RSD PTR ", 8) != 0 || !checksum_ok(p, RSDP_V1))
        return;
    if (have_rsdp && rsdp.revision >= r->revision)
        return;
    memset(&rsdp, 0, sizeof rsdp);
    memcpy(&rsdp, p, bytes < sizeof rsdp ? bytes : sizeof rsdp);
    have_rsdp = true;
}

/* Low memory is visible in the early map only. */
static bool search(maddr_t start, maddr_t end)
{
    for (maddr_t at = start; at + RSDP_V2 <= end; at += 16) {
        if (memcmp(x86_ram(at), "RSD PTR ", 8) != 0)
            continue;
        acpi_offer_rsdp(x86_ram(at), RSDP_V2);
        if (have_rsdp) {
            boot_info.rsdp = at;
            return true;
        }
    }
    return false;
}

void acpi_search_bios_area(void)
{
    maddr_t ebda = (maddr_t) * (const volatile uint16_t *)x86_ram(0x40e) << 4;

    if (ebda >= 0x400 && search(ebda & ~15UL, ebda + 1024))
        return;
    search(0xe0000, 0x100000);
}

/* ---- tables ---- */

static const struct table *map_table(maddr_t at)
{
    const struct table *t = at ? x86_map_firmware(at, sizeof *t) : NULL;

    if (!t || t->length < sizeof *t || t->length > TABLE_MAX)
        return NULL;
    if ((at & ~PAGE_MASK) + t->length > PAGE_SIZE)
        t = x86_map_firmware(at, t->length);
    return t && checksum_ok(t, t->length) ? t : NULL;
}

static const struct table *find_table(const char *signature)
{
    bool wide = rsdp.revision >= 2 && rsdp.xsdt;
    const struct table *root = have_rsdp ? map_table(wide ? rsdp.xsdt : rsdp.rsdt) : NULL;
    unsigned size = wide ? 8 : 4;

    for (size_t at = sizeof *root; root && at + size <= root->length; at += size) {
        const struct table *t = map_table(read_at(root, at, size));

        if (t && memcmp(t->signature, signature, 4) == 0)
            return t;
    }
    return NULL;
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
    if (!(flags & 1))
        return;
    if (acpi.cpu_count == PCPU_MAX) {
        log_warn("only the first %d processors are used\n", PCPU_MAX);
        return;
    }
    acpi.cpu_apic_id[acpi.cpu_count++] = apic_id;
}

static void add_override(const uint8_t *e)
{
    struct acpi_override *o;

    if (acpi.override_count == sizeof acpi.overrides / sizeof *acpi.overrides)
        return;
    o = &acpi.overrides[acpi.override_count++];
    o->isa_irq = e[3];
    o->gsi = (uint32_t)read_at(e, 4, 4);
    o->flags = (uint16_t)read_at(e, 8, 2);
}

/* One entry of the MADT; its length was checked against the table, here against its type. */
static void read_madt_entry(const uint8_t *e)
{
    static const uint8_t least[] = {[0] = 8, [1] = 12, [2] = 10, [5] = 12, [9] = 16};

    if (e[0] >= sizeof least || !least[e[0]] || e[1] < least[e[0]])
        return;
    switch (e[0]) {
    case 0: /* local APIC */
        add_cpu(e[3], (uint32_t)read_at(e, 4, 4));
        break;
    case 1: /* IO-APIC: the one with the ISA interrupts */
        if (!acpi.ioapic || read_at(e, 8, 4) == 0) {
            acpi.ioapic = read_at(e, 4, 4);
            acpi.ioapic_gsi = (uint32_t)read_at(e, 8, 4);
        }
        break;
    case 2:
        add_override(e);
        break;
    case 5:
        acpi.lapic = read_at(e, 4, 8);
        break;
    case 9: /* local x2APIC */
        add_cpu((uint32_t)read_at(e, 4, 4), (uint32_t)read_at(e, 8, 4));
        break;
    }
}

static void read_madt(void)
{
    const struct table *t = find_table("APIC");
    const uint8_t *bytes = (const uint8_t *)t;

    if (!t || t->length < 44)
        return;
    acpi.lapic = read_at(t, 36, 4);
    for (size_t at = 44; at + 2 <= t->length && bytes[at + 1] >= 2; at += bytes[at + 1]) {
        if (at + bytes[at + 1] > t->length)
            break;
        read_madt_entry(bytes + at);
    }
}

/* An integer of AML data: ZeroOp, OneOp or BytePrefix. */
static bool aml_byte(const uint8_t **p, const uint8_t *end, uint8_t *value)
{
    if (*p < end && **p <= 1) {
        *value = *(*p)++;
        return true;
    }
    if (end - *p >= 2 && **p == 0x0a) {
        *value = (*p)[1];
        *p += 2;
        return true;
    }
    return false;
}

/* Name(\_S5, Package { a, b, .. }), found by its bytes: 08 [5c] "_S5_" 12 length count a b. */
static void read_s5(const struct table *dsdt)
{
    const uint8_t *bytes = (const uint8_t *)dsdt, *end = bytes + dsdt->length;

    for (const uint8_t *p = bytes + sizeof *dsdt + 2; p + 8 < end; p++) {
        if (memcmp(p, "_S5_", 4) != 0 || p[4] != 0x12)
            continue;
        if (p[-1] != 0x08 && !(p[-1] == '\\' && p[-2] == 0x08))
            continue;
        p += 5;
        p += 1 + (*p >> 6); /* PkgLength: two top bits count further bytes */
        p++;                /* elements */
        if (p < end && aml_byte(&p, end, &acpi.s5_a)) {
            acpi.s5 = true;
            if (!aml_byte(&p, end, &acpi.s5_b))
                acpi.s5_b = acpi.s5_a;
        }
        return;
    }
}

static void read_fadt(void)
{
    const struct table *t = find_table("FACP"), *dsdt = NULL;

    if (!t || t->length < 76)
        return;
    acpi.pm1a = (uint16_t)read_at(t, 64, 4);
    acpi.pm1b = (uint16_t)read_at(t, 68, 4);
    if (t->length >= 92 && read_at(t, 91, 1) == 4)
        acpi.pm_timer = (uint16_t)read_at(t, 76, 4);
    if (t->length >= 129 && (read_at(t, 112, 4) & 1 << 10)) {
        acpi.reset_space = (uint8_t)read_at(t, 116, 1);
        acpi.reset_address = read_at(t, 120, 8);
        acpi.reset_value = (uint8_t)read_at(t, 128, 1);
    }
    if (t->length >= 148)
        dsdt = map_table(read_at(t, 140, 8));
    if (!dsdt)
        dsdt = map_table(read_at(t, 40, 4));
    if (dsdt)
        read_s5(dsdt);
}

void arch_acpi_init(void)
{
    if (!have_rsdp)
        log_warn("no ACPI tables: one processor, no power off\n");
    read_madt();
    read_fadt();
}
