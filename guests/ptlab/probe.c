/* SPDX-License-Identifier: MIT */
/* Accesses that may fault, and the handler that lets them. See ptlab.h. */
#include <rt/trap.h>

#include "ptlab.h"

#define VECTOR_PF 14

unsigned long probe_do_read(unsigned long va, uint64_t *value);
unsigned long probe_do_write(unsigned long va, uint64_t value);
unsigned long probe_do_call(unsigned long va);
extern char probe_fault[], probe_call_fault[];

/* The first instruction of each is the one that may fault; the call's faults at its target. */
asm(".text\n"
    "probe_do_read: mov (%rdi), %rax\n"
    "mov %rax, (%rsi)\n"
    "xor %eax, %eax\n"
    "ret\n"
    "probe_do_write: mov %rsi, (%rdi)\n"
    "xor %eax, %eax\n"
    "ret\n"
    "probe_do_call: call *%rdi\n"
    "xor %eax, %eax\n"
    "ret\n"
    "probe_call_fault: add $8, %rsp\n"
    "probe_fault: mov $1, %eax\n"
    "ret\n");

static bool on_page_fault(struct trap_regs *regs)
{
    unsigned long va = trap_fault_address();
    struct lab *lab = lab_self();

    lab->faults++;
    if (lab->resolve && lab->resolve(lab, va, regs->error)) {
        return true;
    }
    lab->fault_va = va;
    lab->fault_error = regs->error;
    if (regs->rip == (unsigned long)probe_do_read || regs->rip == (unsigned long)probe_do_write) {
        regs->rip = (unsigned long)probe_fault;
        return true;
    }
    if (regs->rip == va) {
        regs->rip = (unsigned long)probe_call_fault;
        return true;
    }
    return false;
}

void probe_init(void)
{
    trap_set_handler(VECTOR_PF, on_page_fault);
}

bool probe_read(struct lab *lab, unsigned long va, uint64_t *value)
{
    (void)lab;
    return !probe_do_read(va, value);
}

bool probe_write(struct lab *lab, unsigned long va, uint64_t value)
{
    (void)lab;
    return !probe_do_write(va, value);
}

bool probe_call(struct lab *lab, unsigned long va)
{
    (void)lab;
    return !probe_do_call(va);
}
