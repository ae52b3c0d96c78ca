/* SPDX-License-Identifier: MIT */
#include "ldt.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/trap.h>

#include "user.h"

#define MS            1000000UL
#define LOW           0x20000000UL /* below 4 GiB: a descriptor's base has 32 bits */
#define PER_PAGE      512
#define ENTRIES       (2 * PER_PAGE)
#define SELECTOR(i)   ((i) << 3 | 4 | 3)
#define ERROR_CODE(i) ((i) << 3 | 4)
#define DATA          0xf3 /* present, ring 3, read and write, accessed */
#define CODE          0xfb
#define VALUE(i)      (0x1234560000UL + (i))

static uint64_t *table; /* two pages */
static unsigned vector; /* of the last exception, 0: none */
static uint64_t error, address;

static bool skip(struct trap_regs *regs)
{
    vector = (unsigned)regs->vector;
    error = regs->error;
    address = trap_fault_address();
    regs->rip = regs->rbx;
    return true;
}

static void set_handlers(trap_fn fn)
{
    trap_set_handler(11, fn);
    trap_set_handler(13, fn);
    trap_set_handler(14, fn);
}

static uint64_t segment(uint64_t base, uint64_t limit, uint64_t type)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 | (limit >> 16 & 0xf) << 48 |
           4UL << 52 /* D */ | (base >> 24 & 0xff) << 56;
}

static long set_ldt(const void *base, unsigned entries)
{
    struct mmuext_op op = {.cmd = MMUEXT_SET_LDT, .arg2.nr_ents = entries};

    op.arg1.linear_addr = (unsigned long)base;
    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static long update_descriptor(const uint64_t *entry, uint64_t value)
{
    return hypercall_raw(__HYPERVISOR_update_descriptor,
                         virt_to_mfn(entry) << PAGE_SHIFT | ((unsigned long)entry & ~PAGE_MASK),
                         value, 0, 0);
}

static long map(const void *page, uint64_t flags)
{
    return hypercall_update_va_mapping((unsigned long)page,
                                       flags ? virt_to_mfn(page) << PAGE_SHIFT | flags | PTE_NX : 0,
                                       UVMF_INVLPG | UVMF_ALL);
}

/* The first word of a segment, or 0 and the exception in `vector`. */
static uint64_t word_of(unsigned entry)
{
    uint64_t value = 0;

    vector = 0;
    asm volatile("lea 1f(%%rip), %%rbx\n\tmov %1, %%fs\n\tmov %%fs:0, %0\n1:"
                 : "+r"(value)
                 : "r"(SELECTOR(entry))
                 : "rbx", "memory");
    return value;
}

/* The same without loading the selector again. */
static uint64_t word_at_fs(void)
{
    uint64_t value;

    asm volatile("mov %%fs:0, %0" : "=r"(value));
    return value;
}

/* The limit by LSL; 0 if the descriptor is none. */
static uint32_t limit_of(unsigned entry)
{
    uint32_t limit = 0;

    asm volatile("lsl %1, %0" : "+r"(limit) : "r"(SELECTOR(entry)));
    return limit;
}

static bool gives_gp(unsigned entry)
{
    return word_of(entry) == 0 && vector == 13 && error == ERROR_CODE(entry);
}

/* Two pages of data at LOW and a table; its first page's entries 1 and 2 and the last of the second
 * are segments on them. */
static bool set_up(void)
{
    static uint64_t *data[2];

    table = page_alloc(1);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *entry = pt_walk(pt_kernel_root(), LOW + i * PAGE_SIZE, true);

        data[i] = data[i] ? data[i] : page_alloc(0);
        data[i][0] = VALUE(i);
        if (!table || !entry || pt_write(entry, virt_to_mfn(data[i]) << PAGE_SHIFT | PTE_KERNEL)) {
            return false;
        }
    }
    table[1] = segment(LOW, 0xfff, DATA);
    table[2] = segment(LOW + PAGE_SIZE, 0x7ff, DATA);
    table[ENTRIES - 1] = table[1];
    set_handlers(skip);
    return map(table, PTE_P | PTE_A) == 0 && map(table + PER_PAGE, PTE_P | PTE_A) == 0;
}

static void tear_down(void)
{
    asm volatile("mov %0, %%fs" : : "r"(0));
    set_ldt(NULL, 0);
    map(table, 0);
    map(table + PER_PAGE, 0);
    pt_make_memory(table);
    pt_make_memory(table + PER_PAGE);
    page_free(table, 1);
    set_handlers(NULL);
}

static bool ldt_works(void)
{
    bool ok = set_ldt(table, ENTRIES) == 0;

    ok = ok && word_of(1) == VALUE(0) && limit_of(1) == 0xfff;
    ok = ok && word_of(2) == VALUE(1) && limit_of(2) == 0x7ff;
    ok = ok && word_of(ENTRIES - 1) == VALUE(0);
    ok = ok && gives_gp(3) && gives_gp(ENTRIES);
    ok = ok && update_descriptor(&table[1], segment(LOW + PAGE_SIZE, 0xff, DATA)) == 0;
    ok = ok && word_of(1) == VALUE(1) && limit_of(1) == 0xff;
    /* What others do with the processor meanwhile leaves it as it is. */
    thread_sleep_ns(5 * MS);
    ok = ok && word_at_fs() == VALUE(1) && word_of(2) == VALUE(1) && limit_of(1) == 0xff;
    ok = ok && update_descriptor(&table[1], 0) == 0 && gives_gp(1);
    ok = ok && update_descriptor(&table[1], 0x0000890000000067UL) == -XEN_EINVAL; /* a TSS */
    ok = ok && set_ldt(NULL, 0) == 0 && gives_gp(2);
    return ok;
}

static bool bad_calls(void)
{
    return set_ldt((char *)table + 8, 8) == -XEN_EINVAL && set_ldt(table, 8193) == -XEN_EINVAL &&
           set_ldt((void *)0xffff800000000000UL, 8) == -XEN_EINVAL &&
           set_ldt((void *)0x8000000000000000UL, 8) == -XEN_EINVAL &&
           set_ldt((void *)0x8000000000000008UL, 0) == 0;
}

bool check_ldt(void)
{
    bool ok = set_up() && ldt_works() && bad_calls();

    tear_down();
    return ok;
}

static bool faults_at(const uint64_t *entry)
{
    return word_of((unsigned)(entry - table)) == 0 && vector == 14 &&
           address == (unsigned long)entry && error == 0;
}

/* The second page: what is loaded stays, whatever becomes of its mapping; a table that is set anew
 * has what is mapped then, or faults where it lies. */
static bool pages_work(void)
{
    uint64_t *last = &table[ENTRIES - 1], *page = table + PER_PAGE;
    bool ok = set_ldt(table, ENTRIES) == 0 && word_of(ENTRIES - 1) == VALUE(0);

    ok = ok && map(page, 0) == 0 && word_of(ENTRIES - 1) == VALUE(0);
    ok = ok && set_ldt(NULL, 0) == 0 && set_ldt(table, ENTRIES) == 0 && faults_at(last);
    ok = ok && map(page, PTE_KERNEL) == 0;
    if (ok) {
        *last = table[2];
    }
    ok = ok && map(page, PTE_P | PTE_A) == 0 && word_of(ENTRIES - 1) == VALUE(1);
    return ok && word_of(2) == VALUE(1);
}

bool check_ldt_pages(void)
{
    bool ok = set_up() && pages_work();

    tear_down();
    return ok;
}

/* --- user mode ---------------------------------------------------------------------------- */

/* mov %edi, %fs; mov %fs:(%esi), %eax; int3: the same bytes in 64 and in 32 bits. */
static const uint8_t user_code[] = {0x8e, 0xe7, 0x64, 0x8b, 0x06, 0xcc};
static const uint64_t user_data[] = {VALUE(7), VALUE(8)};

static struct trap_regs run(uint64_t cs, uint64_t ss, uint64_t rip, unsigned entry, unsigned offset)
{
    struct trap_regs regs = {.cs = cs, .ss = ss, .rip = rip, .rflags = 2};

    regs.rdi = SELECTOR(entry);
    regs.rsi = offset;
    user_run(&regs);
    return regs;
}

static bool reads(const struct trap_regs *regs, uint64_t value, uint64_t cs)
{
    return regs->vector == 3 && (uint32_t)regs->rax == (uint32_t)value && (regs->cs & 0xffff) == cs;
}

static bool user_works(void)
{
    struct trap_regs r;
    bool ok;

    r = run(FLAT_USER_CS, FLAT_USER_SS, USER_CODE, 1, 8);
    ok = reads(&r, VALUE(8), FLAT_USER_CS);
    r = run(SELECTOR(2), SELECTOR(3), 0, 1, 0); /* 32 bits, code at 0 of its segment */
    ok = ok && reads(&r, VALUE(7), SELECTOR(2));
    r = run(FLAT_USER_CS, FLAT_USER_SS, USER_CODE, 5, 0);
    ok = ok && r.vector == 13 && r.error == ERROR_CODE(5) && r.rip == USER_CODE;
    /* A segment that goes away: its kernel has the processor's answer, and goes on. */
    ok = ok && update_descriptor(&table[2], 0) == 0;
    r = run(SELECTOR(2), SELECTOR(3), 0, 1, 0);
    return ok && r.vector == 13 && r.error == ERROR_CODE(2) && (r.cs & 0xffff) == SELECTOR(2);
}

bool check_ldt_user(void)
{
    bool ok;

    if (!set_up() || !user_create(user_code, sizeof(user_code), user_data, 2)) {
        return false;
    }
    map(table, 0);
    pt_make_memory(table);
    table[1] = segment(USER_DATA, 0xf, DATA);
    table[2] = segment(USER_CODE, 0xfff, CODE);
    table[3] = segment(0, 0xfffff, DATA);
    map(table, PTE_P | PTE_A);
    ok = set_ldt(table, ENTRIES) == 0 && user_works();
    tear_down();
    user_destroy();
    return ok;
}

/* --- two vCPUs ---------------------------------------------------------------------------- */

#define ROUNDS 300

static uint64_t *other_table;
static volatile unsigned other_state; /* 0 runs, 1 went well, 2 did not */

static bool keeps_reading(const uint64_t *ldt, uint64_t value)
{
    bool ok = set_ldt(ldt, PER_PAGE) == 0;

    for (unsigned i = 0; ok && i < ROUNDS; i++) {
        ok = word_of(1) == value;
        hypercall_sched_op(SCHEDOP_yield, NULL);
        ok = ok && word_at_fs() == value;
    }
    return ok;
}

static void other_vcpu(void *arg)
{
    (void)arg;
    other_state = keeps_reading(other_table, VALUE(1)) ? 1 : 2;
    set_ldt(NULL, 0);
}

bool check_ldt_vcpus(void)
{
    unsigned vcpus = smp_vcpus();
    bool ok = true;

    if (vcpus < 3) { /* 1 had its check */
        return true;
    }
    if (!set_up()) {
        return false;
    }
    other_table = page_alloc(0);
    other_table[1] = table[2];
    other_state = 0;
    ok = map(other_table, PTE_P | PTE_A) == 0 && smp_boot_vcpu(vcpus - 1, other_vcpu, NULL) == 0;
    ok = keeps_reading(table, VALUE(0)) && ok;
    while (ok && !other_state) {
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
    tear_down();
    return ok && other_state == 1;
}
