/* SPDX-License-Identifier: MIT */
/*
 * The groups of figures, one function and file each, in the order in which main.c calls them. All
 * run on vCPU 0 in space_main with upcalls off, and leave it so, the data part of both spaces
 * unmapped. What the hypervisor refuses is reported as unsupported and left out.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

void bench_hypercall(void);
void bench_trap(void);
void bench_emul(void);
void bench_user(void);
void bench_mmu(void);
void bench_demand(void);
void bench_switch(void);
void bench_fork(void);
void bench_event(void);
void bench_timer(void);
void bench_grant(void);
void bench_memory(void);
void bench_vcpu(void); /* leaves a second vCPU up, if there is one */
void bench_sched(void);

#endif
