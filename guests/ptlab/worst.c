/* SPDX-License-Identifier: MIT */
/*
 * Instructions that need as many page tables at once as can be: code, operands and stack each lie
 * across a boundary of 512 GiB, where two pages have nothing in common but the root. While one of
 * them is brought back by the hypervisor, none that this instruction has got already may go. Before
 * each, so many other tables are walked that a small pool has none of these left.
 *
 *      movs        code, source, destination          18 tables and the root
 *      push, pop   code, operand, stack               18
 *      lcall       code, pointer, stack               18
 *      enter       code, frame, stack                 18
 *      ud2         code, and the exception's frame    12
 *      vpgatherdd  code, 8 operands across 1 GiB each 38, and one L3 for all operands
 *
 * Code crosses behind its first byte, an 8-byte operand behind its fourth. See ptlab.h.
 */
#include <string.h>

#include <rt/event.h>
#include <rt/mm.h>
#include <rt/start.h>
#include <rt/trap.h>

#include "ptlab.h"

#define ROUNDS      4
#define FIRST_SLOT  100 /* L4 entries, two for each boundary */
#define FLOOD_BASE  (98UL << 39)
#define FLOOD       96 /* tables that are walked in between */
#define GATHER_BASE (96UL << 39)
#define GATHERED    8
#define GIB         (1UL << 30)
#define VECTOR_UD   6
#define EXECUTABLE  (PTE_KERNEL | PTE_US)

/* What the instruction begins with. */
struct start {
    uint64_t rsi, rdi, rcx, rsp, rbp, rip;
};

void worst_enter(const struct start *start);
extern char worst_back[];
uint64_t worst_sp;

/* To start->rip with these registers, and back by a jump to rbx or to worst_back. */
asm(".text\n"
    "worst_enter: push %rbx; push %rbp; push %r12\n"
    "mov %rsp, worst_sp(%rip)\n"
    "mov 0(%rdi), %rsi\n"
    "mov 16(%rdi), %rcx\n"
    "mov 24(%rdi), %rsp\n"
    "mov 32(%rdi), %rbp\n"
    "mov 40(%rdi), %rax\n"
    "mov 8(%rdi), %rdi\n"
    "lea worst_back(%rip), %rbx\n"
    "jmp *%rax\n"
    "worst_back: mov worst_sp(%rip), %rsp\n"
    "pop %r12; pop %rbp; pop %rbx\n"
    "cld\n"
    "ret\n");

enum { CODE, SOURCE, TARGET, STACK, BOUNDARIES };

static char *at[BOUNDARIES]; /* the first byte above each */
static unsigned done;

static void map(unsigned long va, const void *page)
{
    uint64_t *entry = pt_walk(pt_kernel_root(), va, true);

    if (!page || !entry || pt_write(entry, virt_to_mfn(page) << PAGE_SHIFT | EXECUTABLE)) {
        panic("ptlab: not enough memory: give it more (memory = 64)");
    }
}

/* Two new pages, below and above va. */
static char *map_boundary(unsigned long va)
{
    map(va - PAGE_SIZE, page_alloc(0));
    map(va, page_alloc(0));
    return (char *)va;
}

static void set_up(void)
{
    void *page = page_alloc(0);

    for (unsigned i = 0; i < BOUNDARIES; i++) {
        at[i] = map_boundary((FIRST_SLOT + 2 * i + 1UL) << 39);
    }
    for (unsigned i = 0; i < FLOOD; i++) {
        map(FLOOD_BASE + ((unsigned long)i << 21), page);
    }
    pt_flush_all();
}

static void flood(void)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < FLOOD; i++) {
            *(volatile uint64_t *)(FLOOD_BASE + ((unsigned long)i << 21)) += 1;
        }
    }
    pt_flush_all();
}

/* The instruction, `jmp *%rbx` behind it, the boundary behind its first byte. */
static void run(struct lab *lab, const char *code, unsigned length, struct start start)
{
    unsigned faults = lab->faults;
    bool events;

    memcpy(at[CODE] - 1, code, length);
    memcpy(at[CODE] - 1 + length, "\xff\xe3", 2);
    start.rip = (uint64_t)at[CODE] - 1;
    flood();
    events = event_upcalls_save(); /* an event has no business on that stack */
    worst_enter(&start);
    event_upcalls_restore(events);
    lab_check(lab, lab->faults == faults, "an instruction saw %u page faults",
              lab->faults - faults);
    done++;
}

static void fill(struct lab *lab, char *boundary)
{
    for (unsigned i = 0; i < 2 * PAGE_SIZE; i += 8) {
        uint64_t word = lab_random(lab);

        memcpy(boundary - PAGE_SIZE + i, &word, 8);
    }
}

static void strings(struct lab *lab)
{
    struct start start = {.rsi = (uint64_t)at[SOURCE] - 4,
                          .rdi = (uint64_t)at[TARGET] - 4,
                          .rsp = (uint64_t)at[STACK]};

    run(lab, "\x48\xa5", 2, start); /* movsq */
    lab_check(lab, !memcmp(at[SOURCE] - 4, at[TARGET] - 4, 8), "movsq moved something else");
    start.rsi = (uint64_t)at[SOURCE] - 2001;
    start.rdi = (uint64_t)at[TARGET] - 1003;
    start.rcx = 3000;
    run(lab, "\xf3\xa4", 2, start); /* rep movsb */
    lab_check(lab, !memcmp(at[SOURCE] - 2001, at[TARGET] - 1003, 3000),
              "rep movsb moved something else");
}

static void stacks(struct lab *lab)
{
    struct start start = {.rsi = (uint64_t)at[SOURCE] - 4, .rsp = (uint64_t)at[STACK] + 4};

    run(lab, "\xff\x36", 2, start); /* push (%rsi) */
    lab_check(lab, !memcmp(at[SOURCE] - 4, at[STACK] - 4, 8), "push pushed something else");
    start.rdi = (uint64_t)at[TARGET] - 4;
    start.rsp = (uint64_t)at[STACK] - 4;
    run(lab, "\x8f\x07", 2, start); /* pop (%rdi) */
    lab_check(lab, !memcmp(at[TARGET] - 4, at[STACK] - 4, 8), "pop popped something else");
}

static void far_call(struct lab *lab)
{
    struct {
        uint64_t offset;
        uint16_t selector;
    } __attribute__((packed)) to = {(uint64_t)worst_back, FLAT_KERNEL_CS};
    struct start start = {.rsi = (uint64_t)at[SOURCE] - 5, .rsp = (uint64_t)at[STACK] + 8};
    uint64_t pushed[2];

    memcpy(at[SOURCE] - 5, &to, sizeof(to));
    run(lab, "\x48\xff\x1e", 3, start); /* lcall *(%rsi), 64 bits */
    memcpy(pushed, at[STACK] - 8, sizeof(pushed));
    lab_check(lab, pushed[0] == (uint64_t)at[CODE] + 2 && pushed[1] == FLAT_KERNEL_CS,
              "lcall pushed %#lx:%#lx", pushed[1], pushed[0]);
}

static void frames(struct lab *lab)
{
    struct start start = {.rsp = (uint64_t)at[STACK] + 132, .rbp = (uint64_t)at[SOURCE] + 124};

    run(lab, "\xc8\x08\x00\x1f", 4, start); /* enter $8, $31: 30 words of the frame before */
    lab_check(lab, !memcmp(at[SOURCE] + 124 - 240, at[STACK] + 124 - 240, 240),
              "enter copied something else");
}

static bool skip_ud2(struct trap_regs *regs)
{
    regs->rip += 2;
    return true;
}

static void exception(struct lab *lab)
{
    struct start start = {.rsi = ~0UL, .rsp = (uint64_t)at[STACK] + 16};

    trap_set_handler(VECTOR_UD, skip_ud2);
    run(lab, "\x0f\x0b", 2, start);
    trap_set_handler(VECTOR_UD, NULL);
}

/* ---- gather ---- */

#define CR4_OSXSAVE (1UL << 18)

static bool enable_avx2(void)
{
    uint32_t a = 7, b = 0, c = 0, d = 0;
    uint64_t cr4;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(b & 1U << 5)) {
        return false;
    }
    a = 1;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if ((c & (1U << 26 | 1U << 28)) != (1U << 26 | 1U << 28)) {
        return false;
    }
    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE) : "memory");
    asm volatile("xsetbv" : : "a"(7), "c"(0), "d"(0));
    return true;
}

/* Element i: the boundary at 2 i + 1 GiB from the base. */
static char *gathered(unsigned i)
{
    return (char *)GATHER_BASE + (2 * i + 1) * GIB;
}

static void gather(struct lab *lab)
{
    int32_t index[GATHERED];
    uint32_t result[GATHERED];
    struct start start = {.rsi = GATHER_BASE + 8 * GIB - 2, .rsp = (uint64_t)at[STACK]};

    for (unsigned i = 0; i < GATHERED; i++) {
        uint32_t word = (uint32_t)lab_random(lab);

        memcpy(gathered(i) - 2, &word, 4);
        index[i] = ((int)(2 * i + 1) - 8) * (int)(GIB / 8);
    }
    asm volatile("vmovdqu (%0), %%ymm1; vpcmpeqd %%ymm2, %%ymm2, %%ymm2" : : "r"(index) : "memory");
    /* vpgatherdd ymm0, [rsi + ymm1 * 8], ymm2 */
    run(lab, "\xc4\xe2\x6d\x90\x04\xce", 6, start);
    asm volatile("vmovdqu %%ymm0, (%0)" : : "r"(result) : "memory");
    for (unsigned i = 0; i < GATHERED; i++) {
        lab_check(lab, !memcmp(&result[i], gathered(i) - 2, 4), "element %u is %#x", i, result[i]);
    }
}

unsigned worst_run(struct lab *lab)
{
    bool avx2 = way_has_shadows() && enable_avx2(); /* elsewhere no table is ever taken away */

    lab->resolve = NULL;
    set_up();
    for (unsigned i = 0; avx2 && i < GATHERED; i++) {
        map_boundary((unsigned long)gathered(i));
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = SOURCE; i < BOUNDARIES; i++) {
            fill(lab, at[i]);
        }
        strings(lab);
        stacks(lab);
        frames(lab);
        far_call(lab);
        exception(lab);
        if (avx2) {
            gather(lab);
        }
    }
    return done;
}
