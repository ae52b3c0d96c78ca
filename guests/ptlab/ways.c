/* SPDX-License-Identifier: MIT */
/* The ways of changing a page-table entry. See ptlab.h. */
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>

#include "ptlab.h"

const char *const way_names[WAYS] = {"hypercall", "store", "xchg", "cmpxchg",
                                     "lockand",   "bts",   "other"};

bool way_has_shadows(void)
{
    static int known = -1;
    xen_extraversion_t extra = "";

    if (known < 0) {
        hypercall_xen_version(XENVER_extraversion, extra);
        known = strstr(extra, "penumbra") != NULL;
    }
    return known;
}

/* What is not emulated needs a table that its kernel may write. */
bool way_writable(enum way way)
{
    return way_has_shadows() && (way == WAY_OTHER || start_option_u64("writable", 0));
}

void way_frame_op(unsigned cmd, const void *page)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = virt_to_mfn(page)};

    if (hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF)) {
        panic("mmuext_op %u on frame %#lx was refused", cmd, (unsigned long)virt_to_mfn(page));
    }
}

void way_flush(unsigned cmd, unsigned long va)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.linear_addr = va};

    if (hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF)) {
        panic("mmuext_op %u on address %#lx was refused", cmd, va);
    }
}

static void remap(void *page, uint64_t flags)
{
    uint64_t pte = virt_to_mfn(page) << PAGE_SHIFT | flags;

    if (hypercall_update_va_mapping((unsigned long)page, pte, UVMF_INVLPG | UVMF_LOCAL)) {
        panic("page %p cannot be mapped with %#lx", (void *)page, flags);
    }
}

void way_make_table(const struct lab *lab, uint64_t *page, unsigned level)
{
    static const unsigned pins[] = {0, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE,
                                    MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE};

    if (!way_writable(lab->way)) {
        remap(page, PTE_P | PTE_A | PTE_NX);
    }
    way_frame_op(pins[level], page);
}

void way_make_memory(uint64_t *page)
{
    way_frame_op(MMUEXT_UNPIN_TABLE, page);
    remap(page, PTE_KERNEL | PTE_NX);
}

static void by_hypercall(struct lab *lab, uint64_t *entry, uint64_t value, unsigned long va)
{
    struct mmu_update update = {.val = value};
    long rc;

    if (va && lab_way_pick(lab, 2)) {
        rc = hypercall_update_va_mapping(va, value, 0);
    } else {
        update.ptr = virt_to_mfn(entry) << PAGE_SHIFT | ((unsigned long)entry & ~PAGE_MASK);
        rc = hypercall_mmu_update(&update, 1, NULL, DOMID_SELF);
    }
    if (rc) {
        panic("entry %p cannot become %#lx: error %ld", (void *)entry, value, rc);
    }
}

/* In one piece, or only the part that changes. */
static void by_store(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    unsigned narrow = lab_way_pick(lab, 2);

    lab->changes++;
    if (narrow && (old ^ value) < 0x100) {
        asm volatile("movb %1, %0" : "+m"(*(uint8_t *)entry) : "q"((uint8_t)value) : "memory");
    } else if (narrow && (old ^ value) < 1UL << 32) {
        asm volatile("movl %1, %0" : "+m"(*(uint32_t *)entry) : "r"((uint32_t)value) : "memory");
    } else {
        asm volatile("movq %1, %0" : "+m"(*entry) : "r"(value) : "memory");
    }
}

static void by_xchg(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    uint64_t got = value;

    lab->changes++;
    asm volatile("xchg %0, %1" : "+r"(got), "+m"(*entry) : : "memory");
    lab_check(lab, got == old, "xchg found %#lx, not %#lx", got, old);
}

static uint64_t compare_exchange(uint64_t *entry, uint64_t expected, uint64_t value, bool *done)
{
    asm volatile("lock cmpxchg %3, %1"
                 : "+a"(expected), "+m"(*entry), "=@ccz"(*done)
                 : "r"(value)
                 : "memory");
    return expected;
}

/* Once with a wrong idea of what is there, then with the right one. */
static void by_cmpxchg(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    uint64_t got;
    bool done;

    lab->changes += 2;
    got = compare_exchange(entry, old ^ PTE_PWT, value ^ PTE_PWT, &done);
    lab_check(lab, !done && got == old && *entry == old, "cmpxchg of what is not there: %#lx", got);
    compare_exchange(entry, old, value, &done);
    lab_check(lab, done, "cmpxchg of %#lx does not find it", old);
}

/* Never with a frame number that is neither the old nor the new one while present. */
static void by_lockand(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    uint64_t keep = (old ^ value) & PTE_ADDR ? 0 : value | ~old;

    if ((old & keep) != old) {
        lab->changes++;
        asm volatile("lock andq %1, %0" : "+m"(*entry) : "r"(keep) : "memory", "cc");
        old &= keep;
    }
    if (old != value) {
        lab->changes++;
        asm volatile("lock orq %1, %0" : "+m"(*entry) : "r"(value & ~old) : "memory", "cc");
    }
}

static bool flip_bit(struct lab *lab, uint64_t *entry, uint64_t bit, bool set)
{
    bool was;

    lab->changes++;
    switch (lab_way_pick(lab, 3)) {
    case 0:
        asm volatile("lock btcq %2, %0" : "+m"(*entry), "=@ccc"(was) : "r"(bit) : "memory");
        return was;
    case 1:
        if (set && bit == 1) { /* the form with an immediate */
            asm volatile("lock btsq $1, %0" : "+m"(*entry), "=@ccc"(was) : : "memory");
            return was;
        }
        break;
    default:
        break;
    }
    if (set) {
        asm volatile("lock btsq %2, %0" : "+m"(*entry), "=@ccc"(was) : "r"(bit) : "memory");
    } else {
        asm volatile("lock btrq %2, %0" : "+m"(*entry), "=@ccc"(was) : "r"(bit) : "memory");
    }
    return was;
}

/* Bit by bit; P goes first and comes last if the frame changes. */
static void by_bts(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    uint64_t now = old;

    if ((now & PTE_P) && (now ^ value) & (PTE_ADDR | PTE_P)) {
        lab_check(lab, flip_bit(lab, entry, 0, false), "P was not there to be reset");
        now &= ~PTE_P;
    }
    for (unsigned bit = 63; bit; bit--) {
        if ((now ^ value) >> bit & 1) {
            bool set = value >> bit & 1;

            lab_check(lab, flip_bit(lab, entry, bit, set) != set, "bit %u was %d before", bit, set);
            now ^= 1UL << bit;
        }
    }
    if (now != value) {
        lab_check(lab, !flip_bit(lab, entry, 0, true), "P was there before");
    }
}

static void by_other(struct lab *lab, uint64_t *entry, uint64_t old, uint64_t value)
{
    uint64_t *to = entry, count = 1;
    const uint64_t *from = &value;

    lab->changes++;
    switch (lab_way_pick(lab, 6)) {
    case 0:
        asm volatile("addq %1, %0" : "+m"(*entry) : "r"(value - old) : "memory", "cc");
        break;
    case 1:
        asm volatile("subq %1, %0" : "+m"(*entry) : "r"(old - value) : "memory", "cc");
        break;
    case 2:
        asm volatile("xorq %1, %0" : "+m"(*entry) : "r"(old ^ value) : "memory", "cc");
        break;
    case 3:
        asm volatile("movnti %1, %0" : "=m"(*entry) : "r"(value) : "memory");
        break;
    case 4:
        asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
        break;
    default:
        asm volatile("movsq" : "+D"(to), "+S"(from) : : "memory");
    }
}

void way_set(struct lab *lab, uint64_t *entry, uint64_t value, unsigned level, unsigned long va)
{
    static void (*const by[])(struct lab * lab, uint64_t * entry, uint64_t old, uint64_t value) = {
        [WAY_STORE] = by_store,     [WAY_XCHG] = by_xchg, [WAY_CMPXCHG] = by_cmpxchg,
        [WAY_LOCKAND] = by_lockand, [WAY_BTS] = by_bts,   [WAY_OTHER] = by_other,
    };
    uint64_t old = *(volatile uint64_t *)entry;

    if (lab->way == WAY_HYPERCALL) {
        lab->changes++;
        by_hypercall(lab, entry, value, va);
    } else if ((level > 1 && !way_has_shadows()) || (level == 4 && way_writable(lab->way))) {
        /* The kernel's root is not ours to map writable. */
        by_hypercall(lab, entry, value, 0);
    } else {
        by[lab->way](lab, entry, old, value);
    }
}
