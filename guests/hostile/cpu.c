/* SPDX-License-Identifier: MIT */
/* Questions about stacks, traps, modes and privileged instructions. */
#include "hostile.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/start.h>
#include <rt/trap.h>

#define NOWHERE 0x00003f0000000000UL /* canonical, never mapped */

static void bad_stack(void)
{
    asm volatile("mov %0, %%rsp; int3" : : "r"(NOWHERE) : "memory");
}

static void bad_kernel_stack(void)
{
    expect_refused("stack in the hypervisor's hole",
                   hypercall_stack_switch(0, 0xffff800000001000UL));
    expect_refused("stack not canonical", hypercall_stack_switch(0, 0x8000000000000000UL));
}

static void no_handlers(void)
{
    hypercall_set_trap_table(NULL);
    asm volatile("ud2");
}

/* The page-fault handler is itself not there: on hardware this would be a triple fault. */
static void triple_fault(void)
{
    static struct trap_info table[3] = {
        {.vector = 14, .flags = 0, .cs = 0xe033, .address = NOWHERE},
        {.vector = 8, .flags = 0, .cs = 0xe033, .address = NOWHERE},
    };

    hypercall_set_trap_table(table);
    asm volatile("mov %0, %%rsp; mov (%0), %%rax" : : "r"(NOWHERE) : "rax", "memory");
}

static void spin(void)
{
    printf("hostile: spinning with events off\n");
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    for (;;)
        asm volatile("");
}

struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};

static void iret_with(const struct iret_frame *f)
{
    /* The registers that a hypercall keeps are known: they are on the log of a death in it. */
    asm volatile(
        "mov $0xb0b0b0, %%ebx; mov $0xbbbb, %%ebp; mov $0x1212, %%r12d; mov $0x1313, %%r13d;"
        "mov $0x1414, %%r14d; mov $0x1515, %%r15d; mov %0, %%rsp; mov %1, %%eax; syscall"
        :
        : "a"(f), "i"(__HYPERVISOR_iret)
        : "memory");
}

static void iret_wild_rip(void)
{
    static struct iret_frame f = {
        .rip = 0x8000000000000000UL, .cs = 0xe030, .rflags = 0x200, .rsp = NOWHERE, .ss = 0xe02b};
    iret_with(&f);
}

static void iret_wild_cs(void)
{
    static struct iret_frame f = {
        .rip = NOWHERE, .cs = 0xe008, .rflags = 0x3200, .rsp = NOWHERE, .ss = 0xe010};
    iret_with(&f);
}

static void iret_no_user_root(void)
{
    static struct iret_frame f = {
        .rip = NOWHERE, .cs = 0xe033, .rflags = 0x200, .rsp = NOWHERE, .ss = 0xe02b};
    iret_with(&f);
}

static void iret_no_frame(void)
{
    iret_with((const struct iret_frame *)NOWHERE);
}

static volatile unsigned faults;
static unsigned long resume_at;

static bool skip(struct trap_regs *r)
{
    faults++;
    r->rip = resume_at;
    return true;
}

#define TRY(insn)                                                        \
    do {                                                                 \
        unsigned before = faults;                                        \
        asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; " insn "; 1:" \
                     : "=m"(resume_at)                                   \
                     :                                                   \
                     : "rax", "rcx", "rdx", "memory");                   \
        expect("faults of " insn, faults - before, 1);                   \
    } while (0)

static void privileged(void)
{
    trap_set_handler(13, skip);
    trap_set_handler(6, skip);
    trap_set_handler(14, skip);
    TRY("hlt");
    TRY("lgdt (%%rsp)");
    TRY("lidt (%%rsp)");
    TRY("mov $0xe040, %%eax; ltr %%ax");
    TRY("mov $0xc0000082, %%ecx; wrmsr");
    TRY("mov $0x8b00, %%ecx; rdmsr");
    TRY("int $0x20");
    TRY("mov $0xe008, %%eax; mov %%ax, %%ds");
    TRY("mov $0xe010, %%eax; mov %%ax, %%ss");
    TRY("mov %%rax, %%cr8");
    TRY("invlpg (%%rsp)");
    TRY("swapgs");
    TRY("sysretq");
    TRY("movabs $0xffff810000000000, %%rax; mov (%%rax), %%rax");
    TRY("movabs $0xffff840000000000, %%rax; mov %%rax, (%%rax)");
    TRY("movabs $0xffff800000000000, %%rax; mov %%rax, (%%rax)");
    TRY("movabs $0x8000000000000000, %%rax; mov (%%rax), %%rax");
}

static void debug_registers(void)
{
    expect_refused("breakpoint in the hypervisor",
                   hypercall_raw(__HYPERVISOR_set_debugreg, 0, 0xffff810000000000UL, 0, 0));
    expect_refused("I/O breakpoint", hypercall_raw(__HYPERVISOR_set_debugreg, 7, 0x20002, 0, 0));
    expect_refused("debug register 9", hypercall_raw(__HYPERVISOR_set_debugreg, 9, 0, 0, 0));
    expect_refused("segment base not canonical",
                   hypercall_set_segment_base(0, 0x8000000000000000UL));
}

const struct question cpu_questions[] = {
    {"bad-stack", "an exception with the stack pointer nowhere", bad_stack},
    {"stack-switch", "kernel stacks where none may be", bad_kernel_stack},
    {"no-handlers", "an exception with an empty trap table", no_handlers},
    {"triple-fault", "handlers and stack that fault themselves", triple_fault},
    {"spin", "an endless loop with events off", spin},
    {"iret-rip", "iret to an address that is not canonical", iret_wild_rip},
    {"iret-cs", "iret to the hypervisor's code segment", iret_wild_cs},
    {"iret-user", "iret to user mode without a user page table", iret_no_user_root},
    {"iret-frame", "iret with no frame", iret_no_frame},
    {"privileged", "instructions that are not for guests", privileged},
    {"debug", "debug registers and segment bases beyond its reach", debug_registers},
    {NULL, NULL, NULL},
};
