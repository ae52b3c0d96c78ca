/* SPDX-License-Identifier: MIT */
/*
 * Families: a parent's address space of PAGES pages, and children that are made as fork() makes
 * them: the parent's entries become read-only, the child gets a copy of them, and whoever writes
 * first gets a page of its own. Each space is a tree of tables of its own below the kernel's half.
 * See ptlab.h.
 */
#include <stdlib.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>

#include "ptlab.h"

#define PAGES        256
#define CHILDREN     3
#define SPARE        192 /* pages for copies */
#define WRITES       32  /* pages that a child writes to */
#define ENTRIES      512
#define KERNEL_SLOTS 272 /* the first L4 entry that is the guest kernel's (pt_space.c) */
#define BASE         (40UL << 39)

#define FAULT_WRITE_PRESENT 3UL
#define SHARED              (PTE_P | PTE_US | PTE_A | PTE_NX)

/* tables[0] is the L1, [3] the root. */
struct space {
    uint64_t *tables[4];
    void *pages[PAGES];   /* the model: which page, */
    uint64_t seen[PAGES]; /* and its first word */
};

struct family {
    struct space parent, children[CHILDREN];
    struct space *present; /* the space that this vCPU is on */
    void *spare[SPARE];
    unsigned spares;
    uint8_t users[PAGES + SPARE]; /* spaces that have the page */
    void *all[PAGES + SPARE];
    uint64_t *free_tables[4 * CHILDREN];
    unsigned copies;
};

static unsigned page_number(const struct family *f, const void *page)
{
    unsigned i = 0;

    while (f->all[i] != page) {
        i++;
    }
    return i;
}

static unsigned long address(unsigned page)
{
    return BASE + page * PAGE_SIZE;
}

static uint64_t entry_for(const void *page, uint64_t flags)
{
    return virt_to_mfn(page) << PAGE_SHIFT | flags;
}

/* Links the four tables, which are memory still, and makes tables of them. */
static void space_link(const struct lab *lab, struct space *s)
{
    const uint64_t *kernel = pt_kernel_root();

    memcpy(&s->tables[3][KERNEL_SLOTS], &kernel[KERNEL_SLOTS],
           (ENTRIES - KERNEL_SLOTS) * sizeof(*kernel));
    s->tables[1][0] = entry_for(s->tables[0], PTE_TABLE);
    s->tables[2][0] = entry_for(s->tables[1], PTE_TABLE);
    s->tables[3][BASE >> 39] = entry_for(s->tables[2], PTE_TABLE);
    for (unsigned i = 0; i < 4; i++) { /* from below: what a table points to is one */
        way_make_table(lab, s->tables[i], i + 1);
    }
}

static void space_unlink(struct space *s)
{
    for (unsigned i = 4; i--;) {
        way_make_memory(s->tables[i]);
        memset(s->tables[i], 0, PAGE_SIZE);
    }
}

static void go_to(struct family *f, struct space *s)
{
    way_frame_op(MMUEXT_NEW_BASEPTR, s->tables[3]);
    f->present = s;
}

static void go_home(struct family *f)
{
    way_frame_op(MMUEXT_NEW_BASEPTR, pt_kernel_root());
    f->present = NULL;
}

/* A write to a page that others have too, or had: a copy, or the page itself if nobody is left. */
static bool copy_on_write(struct lab *lab, unsigned long va, unsigned long error)
{
    struct family *f = lab->family;
    unsigned n = (unsigned)((va - BASE) / PAGE_SIZE), number;
    struct space *s = f->present;
    void *page;

    if (!s || va < BASE || n >= PAGES || (error & 31) != FAULT_WRITE_PRESENT) {
        return false;
    }
    page = s->pages[n];
    number = page_number(f, page);
    if (f->users[number] > 1) {
        if (!f->spares) {
            panic("ptlab: no page for a copy");
        }
        f->users[number]--;
        s->pages[n] = f->spare[--f->spares];
        memcpy(s->pages[n], page, PAGE_SIZE);
        f->users[page_number(f, s->pages[n])] = 1;
        f->copies++;
    }
    way_set(lab, &s->tables[0][n], entry_for(s->pages[n], SHARED | PTE_RW | PTE_D), 1,
            va & PAGE_MASK);
    way_flush(MMUEXT_INVLPG_LOCAL, va);
    return true;
}

static void *must_alloc(void)
{
    void *page = page_alloc(0);

    if (!page) {
        panic("ptlab: not enough memory: give it more (memory = 64)");
    }
    return page;
}

struct family *family_create(struct lab *lab)
{
    struct family *f = calloc(1, sizeof(*f));

    if (!f) {
        panic("ptlab: not enough memory");
    }
    for (unsigned i = 0; i < PAGES + SPARE; i++) {
        f->all[i] = must_alloc();
    }
    for (unsigned i = 0; i < 4; i++) {
        f->parent.tables[i] = must_alloc();
    }
    for (unsigned i = 0; i < 4 * CHILDREN; i++) {
        f->free_tables[i] = must_alloc();
    }
    f->spares = SPARE;
    memcpy(f->spare, &f->all[PAGES], sizeof(f->spare));
    for (unsigned i = 0; i < PAGES; i++) {
        struct space *s = &f->parent;

        s->pages[i] = f->all[i];
        f->users[i] = 1;
        s->seen[i] = lab_random(lab);
        *(uint64_t *)s->pages[i] = s->seen[i];
        s->tables[0][i] = entry_for(s->pages[i], SHARED | PTE_RW | PTE_D);
    }
    space_link(lab, &f->parent);
    lab->family = f;
    return f;
}

void family_destroy(struct lab *lab)
{
    struct family *f = lab->family;

    space_unlink(&f->parent);
    for (unsigned i = 0; i < 4; i++) {
        page_free(f->parent.tables[i], 0);
    }
    for (unsigned i = 0; i < 4 * CHILDREN; i++) {
        page_free(f->free_tables[i], 0);
    }
    for (unsigned i = 0; i < PAGES + SPARE; i++) {
        page_free(f->all[i], 0);
    }
    free(f);
    lab->family = NULL;
}

/* The parent's pages become the child's too. */
static void bear(struct lab *lab, struct space *child)
{
    struct family *f = lab->family;
    struct space *parent = &f->parent;

    for (unsigned i = 0; i < 4; i++) {
        child->tables[i] = f->free_tables[(child - f->children) * 4 + i];
    }
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t entry = parent->tables[0][i];

        if (entry & PTE_RW) {
            entry &= ~PTE_RW;
            way_set(lab, &parent->tables[0][i], entry, 1, f->present == parent ? address(i) : 0);
        }
        child->tables[0][i] = entry;
        child->pages[i] = parent->pages[i];
        child->seen[i] = parent->seen[i];
        f->users[page_number(f, child->pages[i])]++;
    }
    way_flush(MMUEXT_TLB_FLUSH_LOCAL, 0);
    space_link(lab, child);
}

/* All pages read, some written, all read again. */
static void visit(struct lab *lab, struct space *s)
{
    struct family *f = lab->family;
    uint64_t value;

    go_to(f, s);
    for (unsigned i = 0; i < PAGES; i++) {
        lab_check(lab, probe_read(lab, address(i), &value) && value == s->seen[i],
                  "page %u of a space reads %#lx, not %#lx", i, value, s->seen[i]);
    }
    for (unsigned n = 0; n < WRITES; n++) {
        unsigned i = lab_pick(lab, PAGES), before = lab->faults;
        bool writable = s->tables[0][i] & PTE_RW;

        s->seen[i] = lab_random(lab);
        lab_check(lab, probe_write(lab, address(i), s->seen[i]), "page %u cannot be written", i);
        lab_check(lab, lab->faults - before == !writable, "page %u: %u faults", i,
                  lab->faults - before);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        value = *(volatile uint64_t *)address(i);
        lab_check(lab, value == s->seen[i], "page %u reads %#lx, not %#lx", i, value, s->seen[i]);
    }
}

static void end(struct lab *lab, struct space *child)
{
    struct family *f = lab->family;

    space_unlink(child);
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned number = page_number(f, child->pages[i]);

        if (!--f->users[number]) {
            f->spare[f->spares++] = child->pages[i];
        }
    }
}

void family_storm(struct lab *lab)
{
    struct family *f = lab->family;
    unsigned first = lab_pick(lab, CHILDREN);

    lab->resolve = copy_on_write;
    visit(lab, &f->parent);
    for (unsigned i = 0; i < CHILDREN; i++) {
        bear(lab, &f->children[i]);
        visit(lab, &f->children[i]);
        if (i & 1) {
            go_to(f, &f->parent);
        } else {
            go_home(f);
        }
    }
    visit(lab, &f->parent);
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct space *child = &f->children[(first + i) % CHILDREN];

        if (lab_pick(lab, 2)) {
            go_to(f, &f->parent);
        } else {
            go_home(f);
        }
        end(lab, child);
    }
    visit(lab, &f->parent);
    go_home(f);
    lab->resolve = NULL;
}
