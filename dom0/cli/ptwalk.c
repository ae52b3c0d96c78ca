/* SPDX-License-Identifier: MIT */
#include "dom0/cli/ptwalk.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Page-table entries: Intel SDM vol. 3, 4.5. */
#define ENTRY_P    (1ull << 0)
#define ENTRY_RW   (1ull << 1)
#define ENTRY_A    (1ull << 5)
#define ENTRY_D    (1ull << 6)
#define ENTRY_PS   (1ull << 7) /* at levels 2 and 3 */
#define ENTRY_ADDR 0x000ffffffffff000ull

#define LEVELS     4
#define HOLE_FIRST 0x0000800000000000ull /* the first address that is not canonical */
#define HOLE_END   0xffff800000000000ull /* behind the last one: the hypervisor's part begins */
#define OURS_END   0xffff880000000000ull

static const struct {
    uint64_t bit;
    const char *name;
} flags[] = {
    {ENTRY_P, "P"}, {ENTRY_RW, "RW"}, {1ull << 2, "US"}, {1ull << 3, "PWT"}, {1ull << 4, "PCD"},
    {ENTRY_A, "A"}, {ENTRY_D, "D"},   {ENTRY_PS, "PS"},  {1ull << 8, "G"},   {1ull << 63, "NX"},
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *ptwalk_address(const char *word, uint64_t *va)
{
    const char *digits = word[0] == '0' && (word[1] == 'x' || word[1] == 'X') ? word + 2 : word;
    size_t count = strlen(digits);

    *va = 0;
    for (const char *s = digits; *s; s++) {
        if (hex_digit(*s) < 0)
            count = 0;
        *va = *va << 4 | (uint64_t)(hex_digit(*s) & 15);
    }
    if (count < 1 || count > 16)
        return "no address: write up to 16 hexadecimal digits, like 0xffffffff80001000";
    if (*va >= HOLE_FIRST && *va < HOLE_END)
        return "no address: the bits from 47 up must all be equal";
    if (*va >= HOLE_END && *va < OURS_END)
        return "the hypervisor's part of every address space (0xffff800000000000 to "
               "0xffff87ffffffffff): no table of a guest leads there";
    return NULL;
}

/* Adds to the text in buf, which stays whole when it is too long. */
static void add(char buf[PTWALK_TEXT], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char buf[PTWALK_TEXT], const char *format, ...)
{
    size_t used = strlen(buf);
    va_list args;

    va_start(args, format);
    vsnprintf(buf + used, PTWALK_TEXT - used, format, args);
    va_end(args);
}

static char *say(char buf[PTWALK_TEXT], const char *text)
{
    snprintf(buf, PTWALK_TEXT, "%s", text);
    return buf;
}

char *ptwalk_entry(uint64_t entry, char buf[PTWALK_TEXT])
{
    if (!entry)
        return say(buf, "-");
    snprintf(buf, PTWALK_TEXT, "%llx", (unsigned long long)((entry & ENTRY_ADDR) >> 12));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (entry & flags[i].bit)
            add(buf, " %s", flags[i].name);
    return buf;
}

/* "2" or "1 and 2", from a mask with bit n for level n. */
static void add_levels(char buf[PTWALK_TEXT], unsigned mask)
{
    const char *separator = "";

    for (unsigned level = 1; level <= LEVELS; level++)
        if (mask & 1u << level) {
            add(buf, "%s%u", separator, level);
            separator = " and ";
        }
}

char *ptwalk_frame(const struct penumbra_frame *f, char buf[PTWALK_TEXT])
{
    static const char *const types[] = {
        [PENUMBRA_GFN_hole] = "nothing: the domain has no such frame",
        [PENUMBRA_GFN_ram] = "memory",
        [PENUMBRA_GFN_mmio] = "a device's registers",
        [PENUMBRA_GFN_special] = "the hypervisor's, lent to the domain",
        [PENUMBRA_GFN_grant] = "another domain's, granted",
        [PENUMBRA_GFN_foreign] = "another domain's",
        [PENUMBRA_GFN_shared] = "memory, shared until it is written",
    };

    say(buf, f->type < sizeof types / sizeof types[0] ? types[f->type] : "of an unknown type");
    if (f->followed || f->levels) {
        add(buf, ", page table of level ");
        add_levels(buf, f->followed ? f->followed : f->levels);
        add(buf, "%s", f->followed ? "" : ", not followed now");
    }
    if (f->flags & PENUMBRA_FRAME_pinned)
        add(buf, ", pinned");
    if (f->aliases)
        add(buf, ", maps %u of other domains", f->aliases);
    if (f->flags & PENUMBRA_FRAME_readonly)
        add(buf, ", read-only");
    if (f->flags & PENUMBRA_FRAME_logged)
        add(buf, ", logged");
    if (f->flags & PENUMBRA_FRAME_held)
        add(buf, ", written by others");
    return buf;
}

/* ---- why the shadow has less than the guest's entry ---- */

static unsigned level_of(unsigned i)
{
    return LEVELS - i;
}

/* The shadow itself is why: it is not there, or follows nothing. */
static const char *no_table(const struct penumbra_step *step, unsigned level)
{
    if (!step->shadow)
        return "this table has no shadow: the first access makes it";
    if (!(step->table.followed & 1u << level))
        return "its shadow was emptied: the next access fills it";
    return NULL;
}

static const char *absent_table(const struct penumbra_step *step,
                                const struct penumbra_frame *below, unsigned level)
{
    if (!(step->entry & ENTRY_A))
        return "absent: A is not set, the first access sets it";
    if (below && (below->flags & PENUMBRA_FRAME_held))
        return "absent: others write to the table below, so it cannot be followed";
    if (below && !(below->followed & 1u << (level - 1)))
        return "absent: the table below has no shadow, the first access makes it";
    return "absent: the first access links it";
}

static const char *absent_leaf(const struct penumbra_walk *w, const struct penumbra_step *step)
{
    if (w->leaf.type == PENUMBRA_GFN_hole)
        return "absent: the domain has no such frame";
    if (w->leaf.flags & PENUMBRA_FRAME_elsewhere)
        return "absent: another domain's frame, mapped for another entry than this";
    if (!(step->entry & ENTRY_A))
        return "absent: A is not set, the first access sets it";
    return "absent: the first access fills it";
}

/* The guest may write there, the processor not. */
static char *narrower_leaf(const struct penumbra_frame *f, const struct penumbra_step *step,
                           char buf[PTWALK_TEXT])
{
    if (f->flags & PENUMBRA_FRAME_readonly)
        return say(buf, "read-only: so it was lent");
    if (f->type == PENUMBRA_GFN_shared)
        return say(buf, "read-only: shared, the first store gives it a frame of its own");
    if (f->followed) {
        say(buf, "read-only: a page table of level ");
        add_levels(buf, f->followed);
        add(buf, ", stores to it are caught");
        return buf;
    }
    if (f->aliases)
        return say(buf, "read-only: a table that maps other domains' frames, stores are caught");
    if (!(step->entry & ENTRY_D))
        return say(buf, "read-only: D is not set, the first store sets it");
    if (f->flags & PENUMBRA_FRAME_logged)
        return say(buf, "read-only: logged, the first store is noted");
    return say(buf, "read-only: the first store makes it writable");
}

static char *leaf_note(const struct penumbra_walk *w, const struct penumbra_step *step,
                       char buf[PTWALK_TEXT])
{
    if (!step->shadow_entry)
        return say(buf, absent_leaf(w, step));
    if ((step->entry & ENTRY_RW) && !(step->shadow_entry & ENTRY_RW))
        return narrower_leaf(&w->leaf, step, buf);
    return say(buf, "");
}

char *ptwalk_note(const struct penumbra_walk *w, unsigned i, char buf[PTWALK_TEXT])
{
    const struct penumbra_step *step = &w->step[i];
    unsigned level = level_of(i);
    const char *why;

    if (step->table.type != PENUMBRA_GFN_ram && step->table.type != PENUMBRA_GFN_shared)
        return say(buf, "no page table: not the domain's own memory");
    if (!(step->entry & ENTRY_P))
        return say(buf, "the guest maps nothing here");
    if ((level == 2 || level == 3) && (step->entry & ENTRY_PS))
        return say(buf, "a large page, which does not exist here");
    why = step->shadow_entry ? NULL : no_table(step, level);
    if (why)
        return say(buf, why);
    if (level == 1)
        return leaf_note(w, step, buf);
    if (step->shadow_entry)
        return say(buf, "");
    return say(buf, absent_table(step, i + 1u < w->steps ? &step[1].table : NULL, level));
}
