/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of the guest's own, and its kernel stack. For the bench_*.c.
 *
 * Measured exceptions return at once in trap.S. A page fault or a #GP goes on at the fixup address
 * when there is one; a fault of trap_demand is mapped; everything else is the end.
 */
#ifndef BENCH_TRAP_H
#define BENCH_TRAP_H

#include <stdint.h>
#include <xen/xen.h>

#define TRAP_INT3  3
#define TRAP_UD    6
#define TRAP_INT80 0x80
#define TRAP_DPL0  4 /* flags of set_trap_table: events masked while the handler runs */
#define TRAP_DPL3  7

/* Where the next #PF, #GP goes on, 0: no fixup. The statement that faults sets it. */
extern uint64_t trap_pf_fixup, trap_gp_fixup;
extern volatile uint64_t trap_pf_count, trap_gp_count; /* of those that had one */

/* In assembly before the statement that may fault, which label 1 follows. Destroys rax. */
#define TRAP_GO_ON_AT(fixup) "lea 1f(%%rip), %%rax; mov %%rax, " #fixup "(%%rip); "

/* Entries of trap.S. */
extern char trap_return[];        /* by the iret hypercall */
extern char trap_return_direct[]; /* by the processor's own IRETQ: kernel to kernel only */
extern char trap_skip_ud2[];
extern char trap_vector_6[];
extern char trap_failsafe[];
extern char trap_syscall[];

/* All vectors; ends with an entry whose address is 0. Also for the other vCPUs' contexts. */
extern struct trap_info trap_table[];

/* Trap table, callbacks and kernel stack of vCPU 0; panics if the hypervisor refuses. */
void trap_init(void);

/* Replaces one vector's handler. */
void trap_set(unsigned vector, unsigned flags, const void *handler);

/* The kernel stack that the hypervisor switches to, and the call that says so once more. */
uint64_t trap_stack_top(void);

/* CALLBACKTYPE_*, CALLBACKF_*; 0 or an error. */
long trap_callback(unsigned type, unsigned flags, const void *handler);

/* How a user fault in the data part of space_main is mapped, page i to pages_data[i]. */
enum trap_demand { DEMAND_OFF, DEMAND_VA_MAPPING, DEMAND_MMU_UPDATE };
extern enum trap_demand trap_demand;
extern unsigned trap_demand_faults;

#endif
