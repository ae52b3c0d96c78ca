/* SPDX-License-Identifier: MIT */
#include "dom0/builder/ptbuild.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#define LEVELS   4
#define VA_MASK  ((1ull << 48) - 1)
#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_US   0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_LEAF (PTE_P | PTE_RW | PTE_A | PTE_D)

/* log2 of the bytes that one entry of a table of that level covers; a table covers that of level+1.
 */
static unsigned entry_shift(unsigned level)
{
    return 12 + 9 * (level - 1);
}

/* The number of the table, among those of its level, that covers `va`. */
static uint64_t table_number(uint64_t va, unsigned level)
{
    return (va & VA_MASK) >> entry_shift(level + 1);
}

uint64_t ptbuild_count(uint64_t va, uint64_t pages)
{
    uint64_t last = (va & VA_MASK) + (pages << 12) - 1, count = 0;

    for (unsigned level = 1; level <= LEVELS; level++)
        count += table_number(last, level) - table_number(va, level) + 1;
    return count;
}

static const struct ptbuild_table *find(const struct ptbuild *pt, unsigned level, uint64_t base)
{
    for (unsigned i = 0; i < pt->table_count; i++)
        if (pt->tables[i].level == level && pt->tables[i].base == base)
            return &pt->tables[i];
    return NULL;
}

static int append(struct ptbuild *pt, unsigned level, uint64_t base, uint64_t pfn)
{
    if (pt->table_count == pt->table_room) {
        unsigned room = pt->table_room ? 2 * pt->table_room : 16;
        struct ptbuild_table *tables = realloc(pt->tables, room * sizeof *tables);

        if (!tables)
            return -XEN_ENOMEM;
        pt->tables = tables;
        pt->table_room = room;
    }
    pt->tables[pt->table_count++] = (struct ptbuild_table){level, base, pfn};
    return 0;
}

int ptbuild_add(struct ptbuild *pt, const struct ptbuild_region *region, uint64_t first_table_pfn)
{
    uint64_t first = region->va & VA_MASK, last = first + (region->pages << 12) - 1;
    unsigned index = pt->region_count;
    int added = 0;

    if (index == PTBUILD_REGIONS_MAX)
        return -XEN_EINVAL;
    pt->regions[index] = *region;
    pt->region_tables[index] = first_table_pfn;
    pt->region_count++;
    for (unsigned level = LEVELS; level >= 1; level--) {
        for (uint64_t n = table_number(first, level); n <= table_number(last, level); n++) {
            uint64_t base = n << entry_shift(level + 1);

            if (find(pt, level, base))
                continue;
            if (append(pt, level, base, first_table_pfn + (unsigned)added) < 0)
                return -XEN_ENOMEM;
            added++;
        }
    }
    pt->region_new[index] = (unsigned)added;
    return added;
}

static bool is_table(const struct ptbuild *pt, uint64_t pfn)
{
    for (unsigned i = 0; i < pt->region_count; i++)
        if (pfn >= pt->region_tables[i] && pfn - pt->region_tables[i] < pt->region_new[i])
            return true;
    return false;
}

/* The pfn mapped at `va`. */
static bool leaf_pfn(const struct ptbuild *pt, uint64_t va, uint64_t *pfn)
{
    for (unsigned i = 0; i < pt->region_count; i++) {
        const struct ptbuild_region *r = &pt->regions[i];
        uint64_t first = r->va & VA_MASK;

        if (va >= first && va - first < r->pages << 12) {
            *pfn = r->pfn + ((va - first) >> 12);
            return true;
        }
    }
    return false;
}

void ptbuild_fill(const struct ptbuild *pt, unsigned index, uint64_t entries[PTBUILD_ENTRIES],
                  uint64_t (*to_mfn)(void *ctx, uint64_t pfn), void *ctx)
{
    const struct ptbuild_table *table = &pt->tables[index];

    for (unsigned i = 0; i < PTBUILD_ENTRIES; i++) {
        uint64_t va = table->base + ((uint64_t)i << entry_shift(table->level)), pfn;

        entries[i] = 0;
        if (table->level > 1) {
            const struct ptbuild_table *child = find(pt, table->level - 1, va);

            if (child)
                entries[i] = to_mfn(ctx, child->pfn) << 12 | PTE_LEAF | PTE_US;
        } else if (leaf_pfn(pt, va, &pfn)) {
            entries[i] = to_mfn(ctx, pfn) << 12 | PTE_LEAF;
            if (is_table(pt, pfn))
                entries[i] &= ~PTE_RW;
        }
    }
}

void ptbuild_free(struct ptbuild *pt)
{
    free(pt->tables);
    memset(pt, 0, sizeof *pt);
}
