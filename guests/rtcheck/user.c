/* SPDX-License-Identifier: MIT */
#include "user.h"

#include <string.h>

#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>

#define KERNEL_CS (FLAT_KERNEL_CS & ~3UL) /* privilege 0: the kernel itself is resumed */

static struct pt_space space;
static struct trap_regs *came_back;
/* Read and written by user_run()'s assembly. */
uint64_t user_kernel_rip, user_kernel_rsp;

bool user_create(const void *code, unsigned bytes, const uint64_t *data, unsigned words)
{
    char *code_page = page_alloc(0), *data_page = page_alloc(0);

    if (!code_page || !data_page || pt_space_create(&space)) {
        return false;
    }
    memcpy(code_page, code, bytes);
    memcpy(data_page, data, words * sizeof(*data));
    return pt_space_map(&space, USER_CODE, code_page, false, true) == 0 &&
           pt_space_map(&space, USER_DATA, data_page, true, false) == 0;
}

void user_destroy(void)
{
    pt_space_switch(NULL);
    pt_space_destroy(&space);
}

/* Whatever ends the user's run: the kernel goes on where it left. */
static bool back(struct trap_regs *regs)
{
    *came_back = *regs;
    regs->rip = user_kernel_rip;
    regs->rsp = user_kernel_rsp;
    regs->cs = KERNEL_CS;
    regs->ss = FLAT_KERNEL_SS;
    regs->rflags = 2;
    return true;
}

static const unsigned ends[] = {3, 11, 12, 13, 14, TRAP_SYSCALL};

static void set_ends(trap_fn fn)
{
    for (unsigned i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        trap_set_handler(ends[i], fn);
    }
}

void user_run(struct trap_regs *regs)
{
    /* What user mode enters the kernel on: this thread's own stack is in use. */
    static char stack[8192] __attribute__((aligned(16)));
    const struct trap_regs *resume = regs;
    bool masked = event_upcalls_save();

    came_back = regs;
    set_ends(back);
    pt_space_switch(&space);
    hypercall_stack_switch(FLAT_KERNEL_SS, (unsigned long)stack + sizeof(stack));
    asm volatile("push %%rbp\n\t"
                 "lea 1f(%%rip), %%rax\n\t"
                 "mov %%rax, user_kernel_rip\n\t"
                 "mov %%rsp, user_kernel_rsp\n\t"
                 "jmp trap_resume\n"
                 "1:\tpop %%rbp"
                 : "+D"(resume)
                 :
                 : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                   "r15", "memory", "cc");
    pt_space_switch(NULL);
    set_ends(NULL);
    event_upcalls_restore(masked);
}
