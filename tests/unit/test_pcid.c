/* SPDX-License-Identifier: MIT */
/*
 * PCIDs against a model of a TLB that keeps everything it may: random loads of roots, flushes,
 * single addresses, changes of tables, and roots whose frame becomes another root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/pcid.h"

#define ROOTS 20
#define PAGES 4

static struct pcid_table table;
static uint64_t clock_now; /* the TLB clock */
static uint64_t loaded;    /* what CR3 holds, without bit 63 */

/* A translation that may be cached: of which generation of which root's page. */
static struct {
    bool valid[PAGES];
    unsigned root, version[PAGES];
} tlb[PCID_COUNT + 1];
static unsigned version[ROOTS + 1][PAGES]; /* of the tables now */
static uint64_t removed_at[ROOTS + 1];     /* stamp of the last change that the guest made */
static bool must_be_fresh[ROOTS + 1]
                         [PAGES]; /* the guest flushed it: no older version may be seen */

static uint64_t state = 1;

static unsigned rnd(unsigned below)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (unsigned)(state >> 33) % below;
}

static uint64_t address(unsigned root)
{
    return (uint64_t)root << 12;
}

static void write_cr3(uint64_t cr3)
{
    unsigned pcid = cr3 & 0xfff;

    if (!(cr3 & PCID_NOFLUSH))
        memset(tlb[pcid].valid, 0, sizeof tlb[pcid].valid);
    tlb[pcid].root = (unsigned)(cr3 >> 12 & 0xff);
    loaded = cr3 & ~PCID_NOFLUSH;
}

static unsigned loaded_root(void)
{
    return (unsigned)(loaded >> 12);
}

/* The processor looks at all pages, from its TLB where it has something. */
static void access_all(void)
{
    unsigned pcid = loaded & 0xfff, root = loaded_root();

    for (unsigned page = 0; page < PAGES; page++) {
        if (!tlb[pcid].valid[page]) {
            tlb[pcid].valid[page] = true;
            tlb[pcid].version[page] = version[root][page];
        }
        assert_int_equal(tlb[pcid].root, root);
        if (must_be_fresh[root][page])
            assert_int_equal(tlb[pcid].version[page], version[root][page]);
    }
}

static void toggle(unsigned root)
{
    write_cr3(pcid_load(&table, address(root), 0, clock_now));
}

/* A new base pointer: what was changed before must be seen. */
static void switch_to(unsigned root)
{
    write_cr3(pcid_load(&table, address(root), removed_at[root], clock_now));
    memset(must_be_fresh[root], 1, sizeof must_be_fresh[root]);
}

static void flush_all(void)
{
    pcid_forget(&table);
    toggle(loaded_root());
    memset(must_be_fresh, 1, sizeof must_be_fresh);
}

static void flush_page(unsigned page)
{
    tlb[loaded & 0xfff].valid[page] = false;
    pcid_forget_others(&table, loaded & ~0xfffUL);
    for (unsigned root = 1; root <= ROOTS; root++)
        must_be_fresh[root][page] = true;
}

static void change(unsigned root, unsigned page)
{
    version[root][page]++;
    removed_at[root] = clock_now++; /* tlb_stamp() */
    must_be_fresh[root][page] = false;
}

/* A user base pointer is only noted, and loaded by a later change of mode. */
static void set_user(unsigned root)
{
    pcid_forget_older(&table, address(root), removed_at[root]);
    if (root != loaded_root())
        memset(must_be_fresh[root], 1, sizeof must_be_fresh[root]);
}

static void test_random(void **unused)
{
    unsigned kept = 0, flushed = 0;

    (void)unused;
    clock_now = 1;
    toggle(1);
    for (unsigned step = 0; step < 500000; step++) {
        unsigned root = 1 + rnd(rnd(2) ? 3 : ROOTS);

        switch (rnd(8)) {
        case 0:
            change(root, rnd(PAGES));
            break;
        case 1:
            flush_page(rnd(PAGES));
            break;
        case 2:
            if (rnd(4) == 0)
                flush_all();
            break;
        case 3:
            switch_to(root);
            break;
        case 4:
            set_user(root);
            break;
        default: {
            uint64_t cr3 = pcid_load(&table, address(root), 0, clock_now);
            kept += cr3 >> 63;
            flushed += !(cr3 >> 63);
            write_cr3(cr3);
        }
        }
        access_all();
    }
    assert_true(kept > 10000 && flushed > 10000);
}

/* As many roots as there are numbers stay; one more takes the place of the oldest. */
static void test_replacement(void **unused)
{
    (void)unused;
    memset(&table, 0, sizeof table);
    for (unsigned i = 1; i <= PCID_COUNT; i++)
        assert_int_equal(pcid_load(&table, address(i), 0, 5), address(i) | i);
    for (unsigned i = 1; i <= PCID_COUNT; i++)
        assert_int_equal(pcid_load(&table, address(i), 0, 6), address(i) | i | PCID_NOFLUSH);
    assert_int_equal(pcid_load(&table, address(100), 0, 7), address(100) | 1);
    assert_int_equal(pcid_load(&table, address(1), 0, 7), address(1) | 2);
    assert_int_equal(pcid_load(&table, address(3), 5, 8),
                     address(3) | 3); /* older than the stamp */
    assert_int_equal(pcid_load(&table, address(3), 5, 9), address(3) | 3 | PCID_NOFLUSH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_replacement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
