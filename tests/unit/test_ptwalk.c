/* SPDX-License-Identifier: MIT */
/* `pt`: addresses, flags, and why the shadow has less than the guest's entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dom0/cli/ptwalk.h"

#define P  0x001ul
#define RW 0x002ul
#define US 0x004ul
#define A  0x020ul
#define D  0x040ul
#define PS 0x080ul
#define NX 0x8000000000000000ul

static char buf[PTWALK_TEXT];

static void test_addresses(void **state)
{
    static const char *const bad[] = {
        "", "0x", "zz", "0x1g", "-1", "12345678123456781", "0xffff80000000000 ",
    };
    uint64_t va;

    (void)state;
    assert_null(ptwalk_address("0", &va));
    assert_int_equal(va, 0);
    assert_null(ptwalk_address("0xffffffff80001000", &va));
    assert_int_equal(va, 0xffffffff80001000ul);
    assert_null(ptwalk_address("7FFFffffffff", &va));
    assert_int_equal(va, 0x7ffffffffffful);
    assert_null(ptwalk_address("0Xffff880000000000", &va));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(ptwalk_address(bad[i], &va), "hexadecimal"));
    assert_non_null(strstr(ptwalk_address("800000000000", &va), "must all be equal"));
    assert_non_null(strstr(ptwalk_address("ffff7fffffffffff", &va), "must all be equal"));
    assert_non_null(strstr(ptwalk_address("ffff800000000000", &va), "the hypervisor's part"));
    assert_non_null(strstr(ptwalk_address("ffff87ffffffffff", &va), "the hypervisor's part"));
}

static void test_entries(void **state)
{
    (void)state;
    assert_string_equal(ptwalk_entry(0, buf), "-");
    assert_string_equal(ptwalk_entry(0x1f3b000 | P | RW | US | A | D, buf), "1f3b P RW US A D");
    assert_string_equal(ptwalk_entry(NX | 0x5000 | P | A, buf), "5 P A NX");
    assert_string_equal(ptwalk_entry(0x7000, buf), "7"); /* not present: what the guest left */
    assert_string_equal(ptwalk_entry(~0ul, buf), "ffffffffff P RW US PWT PCD A D PS G NX");
}

/* A walk that has everything: tables of level 4 to 1 that are followed, a leaf that is memory. */
static struct penumbra_walk whole(void)
{
    struct penumbra_walk w = {.va = 0x400000, .steps = 4, .has_leaf = 1};

    for (unsigned i = 0; i < 4; i++)
        w.step[i] = (struct penumbra_step){
            .table = {.gfn = 10 + i, .type = PENUMBRA_GFN_ram, .followed = (uint8_t)(16u >> i)},
            .entry = (11 + i) << 12 | P | RW | US | A | D,
            .shadow = (100 + i) << 12,
            .shadow_entry = (101 + i) << 12 | P | RW | US | A,
        };
    w.leaf = (struct penumbra_frame){.gfn = 14, .mfn = 104, .type = PENUMBRA_GFN_ram};
    return w;
}

static void note_has(const struct penumbra_walk *w, unsigned i, const char *text)
{
    ptwalk_note(w, i, buf);
    if (*text ? !strstr(buf, text) : *buf)
        fail_msg("step %u: <%s>, wanted <%s>", i, buf, text);
}

static void test_nothing_to_say(void **state)
{
    struct penumbra_walk w = whole();

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        note_has(&w, i, "");
    /* What the guest itself does not allow needs no reason. */
    w.step[3].entry &= ~RW;
    w.step[3].shadow_entry &= ~RW;
    note_has(&w, 3, "");
}

static void test_ends(void **state)
{
    struct penumbra_walk w = whole();

    (void)state;
    w.step[2].entry = 0;
    note_has(&w, 2, "the guest maps nothing here");
    w.step[2].entry = 0x200000 | P | PS;
    note_has(&w, 2, "large page");
    w.step[2].table.type = PENUMBRA_GFN_hole;
    note_has(&w, 2, "no page table");
    w.step[2].table.type = PENUMBRA_GFN_shared; /* of its own as soon as it is walked */
    note_has(&w, 2, "large page");
    w.step[3].entry |= PS; /* PAT at level 1 */
    note_has(&w, 3, "");
}

static void test_absent_tables(void **state)
{
    struct penumbra_walk w = whole();

    (void)state;
    w.step[1].shadow_entry = 0;
    note_has(&w, 1, "absent: the first access links it");
    w.step[2].table.followed = 0;
    note_has(&w, 1, "the table below has no shadow");
    w.step[2].table.flags = PENUMBRA_FRAME_held;
    note_has(&w, 1, "others write to the table below");
    w.step[1].entry &= ~A;
    note_has(&w, 1, "A is not set");
    w.step[1].table.followed = 0;
    note_has(&w, 1, "emptied");
    w.step[1].shadow = 0;
    note_has(&w, 1, "has no shadow: the first access makes it");
}

static void test_absent_leaf(void **state)
{
    struct penumbra_walk w = whole();

    (void)state;
    w.step[3].shadow_entry = 0;
    note_has(&w, 3, "the first access fills it");
    w.step[3].entry &= ~A;
    note_has(&w, 3, "A is not set");
    w.leaf.flags = PENUMBRA_FRAME_elsewhere;
    note_has(&w, 3, "mapped for another entry");
    w.leaf.type = PENUMBRA_GFN_hole;
    note_has(&w, 3, "no such frame");
}

static void test_narrower_leaf(void **state)
{
    struct penumbra_walk w = whole();

    (void)state;
    w.step[3].shadow_entry &= ~RW;
    note_has(&w, 3, "the first store makes it writable");
    w.leaf.flags = PENUMBRA_FRAME_logged;
    note_has(&w, 3, "logged");
    w.step[3].entry &= ~D;
    note_has(&w, 3, "D is not set");
    w.leaf.aliases = 2;
    note_has(&w, 3, "maps other domains' frames");
    w.leaf.followed = 1u << 1 | 1u << 3;
    note_has(&w, 3, "a page table of level 1 and 3, stores to it are caught");
    w.leaf.type = PENUMBRA_GFN_shared;
    note_has(&w, 3, "shared");
    w.leaf.flags = PENUMBRA_FRAME_readonly;
    note_has(&w, 3, "lent");
}

static void test_frames(void **state)
{
    struct penumbra_frame f = {.type = PENUMBRA_GFN_ram};

    (void)state;
    assert_string_equal(ptwalk_frame(&f, buf), "memory");
    f.levels = 1u << 2;
    assert_string_equal(ptwalk_frame(&f, buf), "memory, page table of level 2, not followed now");
    f.followed = 1u << 2;
    f.flags = PENUMBRA_FRAME_pinned | PENUMBRA_FRAME_held;
    assert_string_equal(ptwalk_frame(&f, buf),
                        "memory, page table of level 2, pinned, written by others");
    f = (struct penumbra_frame){.type = PENUMBRA_GFN_foreign, .flags = PENUMBRA_FRAME_readonly};
    assert_string_equal(ptwalk_frame(&f, buf), "another domain's, read-only");
    f.type = 99;
    assert_string_equal(ptwalk_frame(&f, buf), "of an unknown type, read-only");
    /* The longest there can be is cut, not more. */
    f = (struct penumbra_frame){
        .type = PENUMBRA_GFN_hole, .flags = 255, .levels = 30, .followed = 30, .aliases = 65535};
    assert_true(strlen(ptwalk_frame(&f, buf)) < PTWALK_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),      cmocka_unit_test(test_entries),
        cmocka_unit_test(test_nothing_to_say), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_absent_tables),  cmocka_unit_test(test_absent_leaf),
        cmocka_unit_test(test_narrower_leaf),  cmocka_unit_test(test_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
