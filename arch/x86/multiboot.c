/* SPDX-License-Identifier: MIT */
/*
 * Copies what the loader says into struct boot_info. Everything lies below 4 GiB and is read
 * through the early map of memory; sizes and addresses are checked all the same, because a
 * truncated list is better met here than as a strange machine.
 */
#include "arch/x86/multiboot.h"

#include <stddef.h>
#include <string.h>

#include "arch/x86/acpi.h"
#include "arch/x86/layout.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/lib/ctype.h"
#include "hv/log.h"
#include "mm/frame.h"

struct boot_info boot_info;

extern uint32_t boot_magic, boot_info_address; /* boot.S */

/* Bytes [address, address + size) of physical memory below 4 GiB. */
static const void *low_memory(uint64_t address, uint64_t size, const char *what)
{
    if (address + size > 1UL << 32)
        panic("the boot loader's %s at %lx lies above 4 GiB", what, address);
    return (const void *)(LAYOUT_RAM + address);
}

/* The text behind the first word. */
static const char *skip_word(const char *s)
{
    while (*s && !is_space(*s))
        s++;
    while (is_space(*s))
        s++;
    return s;
}

static void copy_text(char *to, size_t size, const char *from, size_t max)
{
    size_t n = strnlen(from, max);

    if (n >= size) {
        log_warn("command line cut to %zu characters\n", size - 1);
        n = size - 1;
    }
    memcpy(to, from, n);
    to[n] = '\0';
}

/* Debian's and others' GRUB scripts put the word `placeholder` where old loaders put the file's
 * name. */
static void set_cmdline(const char *text, size_t max)
{
    static const char word[] = "placeholder";

    copy_text(boot_info.cmdline, sizeof boot_info.cmdline, text, max);
    if (strncmp(boot_info.cmdline, word, sizeof word - 1) == 0 &&
        (is_space(boot_info.cmdline[sizeof word - 1]) || !boot_info.cmdline[sizeof word - 1])) {
        const char *rest = skip_word(boot_info.cmdline);
        memmove(boot_info.cmdline, rest, strlen(rest) + 1);
    }
}

static void add_module(uint64_t start, uint64_t end, const char *cmdline, size_t max)
{
    struct boot_module *m;

    if (boot_info.module_count == BOOT_MODULES)
        panic("more than %d boot modules", BOOT_MODULES);
    if (end < start)
        panic("boot module %u ends before it starts", boot_info.module_count);
    m = &boot_info.modules[boot_info.module_count++];
    m->start = start;
    m->end = end;
    copy_text(m->cmdline, sizeof m->cmdline, cmdline, max);
}

static void add_range(uint64_t base, uint64_t length, uint32_t type)
{
    struct boot_range *r;
    uint64_t end;

    if (!length)
        return;
    if (__builtin_add_overflow(base, length, &end))
        end = ~0UL;
    if (boot_info.range_count == BOOT_RANGES) {
        log_warn("memory map: more than %d ranges, the rest is not used\n", BOOT_RANGES);
        return;
    }
    r = &boot_info.ranges[boot_info.range_count++];
    r->start = base;
    r->end = end;
    r->type = type;
}

static void read_mb2_memory(const struct mb2_memory *m)
{
    size_t bytes = m->tag.size - sizeof *m;

    if (m->entry_size < sizeof(struct mb2_memory_entry))
        panic("memory map entries of %u bytes", m->entry_size);
    for (size_t at = 0; at + m->entry_size <= bytes; at += m->entry_size) {
        const struct mb2_memory_entry *e = (const void *)(m->entries + at);
        add_range(e->base, e->length, e->type);
    }
}

static void read_mb2_tag(const struct mb2_tag *tag)
{
    size_t bytes = tag->size - sizeof *tag;
    const struct mb2_module *module = (const void *)tag;

    switch (tag->type) {
    case MB2_TAG_CMDLINE:
        set_cmdline((const char *)(tag + 1), bytes);
        break;
    case MB2_TAG_MODULE:
        if (tag->size > sizeof *module)
            add_module(module->start, module->end, module->cmdline, tag->size - sizeof *module);
        break;
    case MB2_TAG_MEMORY:
        if (tag->size >= sizeof(struct mb2_memory))
            read_mb2_memory((const void *)tag);
        break;
    case MB2_TAG_EFI32:
    case MB2_TAG_EFI64:
        boot_info.efi = true;
        break;
    case MB2_TAG_ACPI_OLD:
    case MB2_TAG_ACPI_NEW:
        acpi_offer_rsdp(tag + 1, bytes);
        break;
    default:
        break;
    }
}

static void read_mb2(uint64_t address)
{
    const struct mb2_info *info = low_memory(address, sizeof *info, "information");
    uint64_t at = sizeof *info;

    low_memory(address, info->size, "information");
    while (at + sizeof(struct mb2_tag) <= info->size) {
        const struct mb2_tag *tag = (const void *)((const char *)info + at);

        if (tag->type == MB2_TAG_END)
            return;
        if (tag->size < sizeof *tag || tag->size > info->size - at)
            panic("multiboot2 tag %u has a wrong size, %u", tag->type, tag->size);
        read_mb2_tag(tag);
        at += (tag->size + 7UL) & ~7UL;
    }
}

/* multiboot1 strings begin with the file's name, and have no length. */
static const char *mb1_text(uint32_t address)
{
    return address ? skip_word(low_memory(address, BOOT_CMDLINE, "command line")) : "";
}

static void read_mb1(uint64_t address)
{
    const struct mb1_info *info = low_memory(address, sizeof *info, "information");
    uint64_t at = 0;

    if (info->flags & MB1_HAS_CMDLINE)
        set_cmdline(mb1_text(info->cmdline), BOOT_CMDLINE);
    for (uint32_t i = 0; (info->flags & MB1_HAS_MODULES) && i < info->module_count; i++) {
        const struct mb1_module *m =
            low_memory(info->modules + i * sizeof *m, sizeof *m, "module list");
        add_module(m->start, m->end, mb1_text(m->cmdline), BOOT_CMDLINE);
    }
    while ((info->flags & MB1_HAS_MEMORY) && at < info->memory_bytes) {
        const struct mb1_memory_entry *e = low_memory(info->memory + at, sizeof *e, "memory map");
        add_range(e->base, e->length, e->type);
        at += e->size + sizeof e->size;
    }
}

void arch_read_boot_info(void)
{
    if (boot_magic == MB2_BOOT_MAGIC)
        read_mb2(boot_info_address);
    else if (boot_magic == MB1_BOOT_MAGIC)
        read_mb1(boot_info_address);
    else
        panic("not started by a multiboot loader (magic %x)", boot_magic);
    if (!boot_info.range_count)
        panic("the boot loader gave no memory map");
    /* With multiboot2 the loader knows (the BIOS area is no place to search under UEFI); QEMU's
     * -kernel does not. */
    if (boot_magic == MB1_BOOT_MAGIC)
        acpi_search_bios_area();
}

bool boot_option(const char *name, char *buf, unsigned size)
{
    size_t length = strlen(name);

    for (const char *s = boot_info.cmdline; *s; s = skip_word(s)) {
        const char *value = s + length;
        unsigned n = 0;

        if (strncmp(s, name, length) != 0 || !(*value == '=' || !*value || is_space(*value)))
            continue;
        if (*value == '=')
            value++;
        while (n + 1 < size && value[n] && !is_space(value[n])) {
            buf[n] = value[n];
            n++;
        }
        if (size)
            buf[n] = '\0';
        return true;
    }
    return false;
}

void *boot_module_data(unsigned i)
{
    return (void *)(LAYOUT_RAM + boot_info.modules[i].start);
}

void boot_modules_free(void)
{
    /* Whole pages only: the ends may be shared. */
    for (unsigned i = 0; i < boot_info.module_count; i++)
        frame_add_range(boot_info.modules[i].start, boot_info.modules[i].end);
    boot_info.module_count = 0;
}
