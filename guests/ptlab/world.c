/* SPDX-License-Identifier: MIT */
/*
 * A world: a few tables of each level and a few pages, linked at random below two L4 entries, and a
 * model of both. A step changes one entry, or accesses one address; the model says what must come
 * of it. See ptlab.h.
 *
 * Compared exactly: P, RW, NX, the frame, A and D. A walk that ends in a fault may or may not have
 * set A on its way (Intel SDM vol. 3, 4.8), so there the model learns; nothing else changes a bit.
 * Xen sets A in upper entries that it takes: there it does not count.
 */
#include <stdlib.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>

#include "ptlab.h"

#define ENTRIES  512
#define PAGES    12
#define WORDS    8     /* of each page that are looked at */
#define RET_AT   0xff8 /* a `ret` in each page */
#define SLOTS    4
#define COMPARED (PTE_P | PTE_RW | PTE_NX | PTE_ADDR | PTE_A | PTE_D)

#define FAULT_P 1UL
#define FAULT_W 2UL
#define FAULT_I 16UL

enum { ROOT, L3_FIRST = 1, L2_FIRST = 3, L1_FIRST = 6, TABLES = 11 };

struct table {
    uint64_t *page, *model;
    unsigned level;
    unsigned links; /* entries that point to it, by the model */
};

struct world {
    unsigned slot;
    bool shared;
    unsigned locked; /* atomic */
    struct table tables[TABLES];
    char *pages[PAGES];
    uint64_t words[PAGES][WORDS];
};

/* Which tables an entry of a table of this level may point to. */
static const struct {
    unsigned first, end;
} below[] = {{0, 0}, {0, 0}, {L1_FIRST, TABLES}, {L2_FIRST, L1_FIRST}, {L3_FIRST, L2_FIRST}};

/* The entries of a table that are used: its ends and its middle. */
static const unsigned used_slots[SLOTS] = {0, 1, 255, 511};

static unsigned level_of(unsigned table)
{
    return table >= L1_FIRST ? 1 : table >= L2_FIRST ? 2 : table >= L3_FIRST ? 3 : 4;
}

static unsigned slot_number(const struct world *w, unsigned table, unsigned i)
{
    return table == ROOT ? w->slot + i % 2 : used_slots[i];
}

static void *must_alloc(void)
{
    void *page = page_alloc(0);

    if (!page) {
        panic("ptlab: not enough memory: give it more (memory = 64)");
    }
    return page;
}

struct world *world_create(struct lab *lab, unsigned slot, bool shared)
{
    struct world *w = calloc(1, sizeof(*w));

    if (!w) {
        panic("ptlab: not enough memory");
    }
    w->slot = slot;
    w->shared = shared;
    for (unsigned i = 0; i < TABLES; i++) {
        struct table *t = &w->tables[i];

        t->level = level_of(i);
        t->model = must_alloc();
        t->page = i == ROOT ? pt_kernel_root() : must_alloc();
        if (i != ROOT) {
            way_make_table(lab, t->page, t->level);
        }
    }
    for (unsigned i = 0; i < PAGES; i++) {
        w->pages[i] = must_alloc();
        w->pages[i][RET_AT] = (char)0xc3;
    }
    return w;
}

void world_destroy(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        if (pt_write(&w->tables[ROOT].page[w->slot + i], 0)) {
            panic("ptlab: a root's entry cannot be cleared");
        }
    }
    pt_flush_all();
    for (unsigned i = L3_FIRST; i < TABLES; i++) { /* from the top: nothing points to it then */
        way_make_memory(w->tables[i].page);
        page_free(w->tables[i].page, 0);
    }
    for (unsigned i = 0; i < TABLES; i++) {
        page_free(w->tables[i].model, 0);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        page_free(w->pages[i], 0);
    }
    free(w);
}

static uint64_t compared(unsigned level)
{
    return level > 1 && !way_has_shadows() ? COMPARED & ~(PTE_A | PTE_D) : COMPARED;
}

/* ---- changes ---- */

static uint64_t frame_bits(const void *page)
{
    return virt_to_mfn(page) << PAGE_SHIFT;
}

/* The table that a present entry of the model points to, or NULL: a page of memory. */
static struct table *table_of(struct world *w, uint64_t entry)
{
    for (unsigned i = L3_FIRST; i < TABLES; i++) {
        if ((entry & PTE_ADDR) == frame_bits(w->tables[i].page)) {
            return &w->tables[i];
        }
    }
    return NULL;
}

static uint64_t some_target(struct lab *lab, const struct world *w, unsigned level)
{
    unsigned first = below[level].first, count = below[level].end - first;

    if (level > 1) {
        return frame_bits(w->tables[first + lab_pick(lab, count)].page);
    }
    return lab_pick(lab, 8) ? frame_bits(w->pages[lab_pick(lab, PAGES)])
                            : frame_bits(w->tables[1 + lab_pick(lab, TABLES - 1)].page);
}

static uint64_t some_flags(struct lab *lab)
{
    uint64_t flags = PTE_P | PTE_US;

    flags |= lab_pick(lab, 4) ? PTE_RW : 0;
    flags |= lab_pick(lab, 3) ? PTE_A : 0;
    flags |= lab_pick(lab, 2) ? PTE_D : 0;
    return flags | (lab_pick(lab, 6) ? 0 : PTE_NX);
}

/* What the entry may become next. */
static uint64_t next_entry(struct lab *lab, struct world *w, unsigned level, uint64_t old)
{
    uint64_t entry;

    if (!(old & PTE_P)) {
        entry = some_target(lab, w, level) | some_flags(lab);
    } else {
        switch (lab_pick(lab, 8)) {
        case 0:
            return 0; /* unmap */
        case 1:
            return old & ~PTE_P; /* the same, but remembered */
        case 2:
            entry = old ^ PTE_RW;
            break;
        case 3:
            entry = old ^ PTE_NX;
            break;
        case 4:
        case 5:
            entry = old & ~(lab_pick(lab, 2) ? PTE_A | PTE_D : PTE_D);
            break;
        case 6: /* another target with the same rights */
            entry = some_target(lab, w, level) | (old & ~PTE_ADDR);
            break;
        default:
            entry = some_target(lab, w, level) | some_flags(lab);
        }
    }
    /* A table is mapped read-only, if at all. */
    return level == 1 && table_of(w, entry) ? entry & ~PTE_RW : entry;
}

static void count_link(struct world *w, unsigned level, uint64_t entry, int by)
{
    struct table *t = level > 1 && entry & PTE_P ? table_of(w, entry) : NULL;

    if (t) {
        t->links += (unsigned)by;
    }
}

static void flush_after(struct lab *lab, const struct world *w)
{
    way_flush(w->shared || !lab_pick(lab, 64) ? MMUEXT_TLB_FLUSH_ALL : MMUEXT_TLB_FLUSH_LOCAL, 0);
}

static void change(struct lab *lab, struct world *w)
{
    unsigned i =
        lab_pick(lab, 4) ? L1_FIRST + lab_pick(lab, TABLES - L1_FIRST) : lab_pick(lab, L1_FIRST);
    struct table *t = &w->tables[i];
    unsigned slot = slot_number(w, i, lab_pick(lab, SLOTS));
    uint64_t old = t->model[slot], entry = next_entry(lab, w, t->level, old);
    /* The same bits that the model does not compare as there are: Xen adds some of its own. */
    uint64_t raw =
        old & PTE_P && entry & PTE_P ? (t->page[slot] & ~COMPARED) | (entry & COMPARED) : entry;

    way_set(lab, &t->page[slot], raw, t->level, 0);
    flush_after(lab, w);
    count_link(w, t->level, old, -1);
    count_link(w, t->level, entry, 1);
    t->model[slot] = entry;
    lab_check(lab, !((t->page[slot] ^ entry) & compared(t->level)),
              "table %u slot %u is %#lx, not %#lx", i, slot, t->page[slot], entry);
}

/* A table that nothing points to becomes memory, is written to, and is a table again. */
static void retype(struct lab *lab, struct world *w)
{
    unsigned i = L3_FIRST + lab_pick(lab, TABLES - 1);
    struct table *t = &w->tables[i];

    if (t->links) {
        return;
    }
    /* Not while something maps it read-only: that one would see it change. */
    for (unsigned k = L1_FIRST; k < TABLES; k++) {
        for (unsigned s = 0; s < SLOTS; s++) {
            uint64_t entry = w->tables[k].model[used_slots[s]];

            if ((entry & PTE_P) && table_of(w, entry) == t) {
                return;
            }
        }
    }
    for (unsigned s = 0; s < SLOTS; s++) {
        count_link(w, t->level, t->model[used_slots[s]], -1);
    }
    way_make_memory(t->page);
    memset(t->page, 0xff, PAGE_SIZE);
    lab_check(lab, t->page[lab_pick(lab, ENTRIES)] == ~0UL, "memory that was a table is not kept");
    memset(t->page, 0, PAGE_SIZE);
    memset(t->model, 0, PAGE_SIZE);
    way_make_table(lab, t->page, t->level);
    flush_after(lab, w);
}

/* ---- accesses ---- */

enum access { READ, WRITE, CALL };

struct walk {
    uint64_t *entry[5], *model[5]; /* by level; below the last one reached NULL */
    unsigned last;
    unsigned long fault; /* error bits, if it faults */
    bool faults;
};

/* By the model alone. */
static struct walk walk(struct world *w, unsigned long va, enum access access)
{
    struct table *t = &w->tables[ROOT];
    uint64_t all = PTE_RW, any = 0;
    struct walk k = {.last = 4};

    for (unsigned level = 4;; level--) {
        unsigned slot = va >> (12 + 9 * (level - 1)) & 511;
        uint64_t entry = t->model[slot];

        k.last = level;
        k.entry[level] = &t->page[slot];
        k.model[level] = &t->model[slot];
        if (!(entry & PTE_P)) {
            k.faults = true;
            break;
        }
        all &= entry;
        any |= entry & PTE_NX;
        if (level == 1) {
            k.faults = (access == WRITE && !(all & PTE_RW)) || (access == CALL && any);
            k.fault = FAULT_P;
            break;
        }
        t = table_of(w, entry);
    }
    k.fault |= access == WRITE ? FAULT_W : access == CALL ? FAULT_I : 0;
    return k;
}

/* Mostly an address that leads somewhere. */
static unsigned long some_address(struct lab *lab, struct world *w)
{
    struct table *t = &w->tables[ROOT];
    unsigned long va = 0;

    for (unsigned level = 4; level; level--) {
        unsigned slot = slot_number(w, level == 4 ? ROOT : TABLES, lab_pick(lab, SLOTS));

        for (unsigned tries = 0; t && tries < 4 && !(t->model[slot] & PTE_P); tries++) {
            slot = slot_number(w, level == 4 ? ROOT : TABLES, lab_pick(lab, SLOTS));
        }
        va |= (unsigned long)slot << (12 + 9 * (level - 1));
        t = t && level > 1 && t->model[slot] & PTE_P ? table_of(w, t->model[slot]) : NULL;
    }
    return va;
}

static void check_content(struct lab *lab, struct world *w, uint64_t entry, unsigned word,
                          uint64_t value)
{
    const struct table *t = table_of(w, entry);
    unsigned page = 0;

    if (t) {
        uint64_t there = t->page[word * ENTRIES / WORDS];

        lab_check(lab, value == there, "a table reads %#lx by another address, not %#lx", value,
                  there);
        return;
    }
    while (frame_bits(w->pages[page]) != (entry & PTE_ADDR)) {
        page++;
    }
    lab_check(lab, value == w->words[page][word], "page %u word %u reads %#lx, not %#lx", page,
              word, value, w->words[page][word]);
}

static void model_write(struct world *w, uint64_t entry, unsigned word, uint64_t value)
{
    unsigned page = 0;

    while (frame_bits(w->pages[page]) != (entry & PTE_ADDR)) {
        page++;
    }
    w->words[page][word] = value;
}

/* The entries of the way are as they must be afterwards. */
static void check_bits(struct lab *lab, const struct walk *k, enum access access)
{
    for (unsigned level = 4; level >= k->last; level--) {
        uint64_t now = *(volatile uint64_t *)k->entry[level], model = *k->model[level];

        if (k->faults) {
            lab_check(lab,
                      !((now ^ model) & compared(level) & ~PTE_A) &&
                          (now & PTE_A) >= (model & PTE_A),
                      "level %u was %#lx, is %#lx after a fault", level, model, now);
            *k->model[level] |= model & PTE_P ? now & PTE_A : 0;
            continue;
        }
        model |= PTE_A | (level == 1 && access == WRITE ? PTE_D : 0);
        *k->model[level] = model;
        lab_check(lab, !((now ^ model) & compared(level)),
                  "level %u is %#lx after an access, not %#lx", level, now, model);
    }
}

static void access_one(struct lab *lab, struct world *w)
{
    enum access access = (enum access)lab_pick(lab, 3);
    unsigned word = lab_pick(lab, WORDS);
    unsigned long page = some_address(lab, w), va = page + word * (PAGE_SIZE / WORDS);
    uint64_t value = lab_random(lab);
    struct walk k = walk(w, page, access);
    bool ok;

    /* A table holds no `ret`, and a store to it would be a change. */
    if (k.last == 1 && table_of(w, *k.model[1])) {
        access = READ;
        k = walk(w, page, access);
    }
    if (access == CALL) {
        va = page + RET_AT;
        ok = probe_call(lab, va);
    } else {
        ok = access == WRITE ? probe_write(lab, va, value) : probe_read(lab, va, &value);
    }
    lab_check(lab, ok == !k.faults, "access %d of %#lx %s", access, va,
              ok ? "must fault" : "must not fault");
    if (!ok) {
        unsigned long error = lab->fault_error & (FAULT_P | FAULT_W | FAULT_I);

        lab_check(lab, lab->fault_va == va, "fault at %#lx, not %#lx", lab->fault_va, va);
        lab_check(lab, error == k.fault, "access %d of %#lx faults with %#lx, not %#lx", access, va,
                  error, k.fault);
    }
    check_bits(lab, &k, access);
    if (ok && access == WRITE) {
        model_write(w, *k.model[1], word, value);
    } else if (ok && access == READ) {
        check_content(lab, w, *k.model[1], word, value);
    }
}

/* ---- together ---- */

static void lock(struct world *w)
{
    while (w->shared && __atomic_exchange_n(&w->locked, 1, __ATOMIC_ACQUIRE)) {
        lab_pause();
    }
}

static void unlock(struct world *w)
{
    __atomic_store_n(&w->locked, 0, __ATOMIC_RELEASE);
}

void world_compare(struct lab *lab, struct world *w)
{
    lock(w);
    for (unsigned i = 0; i < TABLES; i++) {
        const struct table *t = &w->tables[i];
        unsigned first = i == ROOT ? w->slot : 0, end = i == ROOT ? w->slot + 2 : ENTRIES;

        for (unsigned slot = first; slot < end; slot++) {
            uint64_t now = *(volatile uint64_t *)&t->page[slot];

            lab_check(lab, !((now ^ t->model[slot]) & compared(t->level)),
                      "table %u slot %u is %#lx, not %#lx", i, slot, now, t->model[slot]);
        }
    }
    for (unsigned page = 0; page < PAGES; page++) {
        for (unsigned word = 0; word < WORDS; word++) {
            uint64_t now = *(uint64_t *)(w->pages[page] + word * (PAGE_SIZE / WORDS));

            lab_check(lab, now == w->words[page][word], "page %u word %u is %#lx, not %#lx", page,
                      word, now, w->words[page][word]);
        }
    }
    unlock(w);
}

void world_step(struct lab *lab, struct world *w)
{
    lock(w);
    switch (lab_pick(lab, 16)) {
    case 0:
        retype(lab, w);
        break;
    case 1 ... 6:
        change(lab, w);
        break;
    default:
        access_one(lab, w);
    }
    unlock(w);
}
