/* SPDX-License-Identifier: MIT */
/*
 * What a processor knows about itself. Found from the stack pointer: GS belongs to the guest. For
 * arch/x86 only.
 */
#ifndef ARCH_X86_PCPU_H
#define ARCH_X86_PCPU_H

#include "arch/x86/layout.h"

/* Offsets for assembly; checked below. */
#define PCPU_GUEST_RSP       0
#define PCPU_STACK_TOP       8
#define PCPU_SYSCALL_ENTRY   16
#define PCPU_SYSCALL32_ENTRY 24
#define PCPU_CURRENT         32
#define PCPU_ROOT            40
#define PCPU_TLB_NOTED       48
#define PCPU_ACCESS_RETRIES  56
#define PCPU_RESCHED         60

/* Faults that accesses to the guest may have while the hypervisor is entered once (uaccess.h): as
 * many as a hypercall's time allows. */
#define ACCESS_RETRIES 1024

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/pcid.h"

struct vcpu;

/* 64-bit task state (Intel SDM vol. 3, 8.7). */
struct x86_tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* [0] is IST 1 */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap; /* beyond the limit: no port is allowed */
} __attribute__((packed));

struct pcpu {
    uint64_t guest_rsp; /* saved by the SYSCALL stub */
    uint64_t stack_top; /* of the main stack; TSS.RSP0 has the same value */
    void (*syscall_entry)(void);
    void (*syscall32_entry)(void);

    /* The vCPU whose state is loaded here, NULL when idle: arch_vcpu_load() sets it. */
    struct vcpu *current;
    uint64_t root;           /* the machine address in CR3 */
    uint64_t *tlb_noted;     /* where this pCPU notes its flushes (mm/tlb.h) */
    unsigned access_retries; /* faults that accesses to the guest may still have (uaccess.h) */
    volatile bool resched;   /* arch_request_resched(): written by others, cleared here */
    volatile bool in_panic;  /* this pCPU is printing its last words */

    unsigned id;
    uint32_t apic_id;
    struct vcpu *fpu_owner;  /* whose FPU registers are live here */
    uint64_t timer_deadline; /* ns; UINT64_MAX: off */

    struct pcid_table pcid;

    uint64_t *desc_l1;   /* page-table entries of the descriptor window (desc.c) */
    unsigned gdt_pages;  /* of a guest's GDT in the window */
    unsigned ldt_loaded; /* entries of the LDT in LDTR, 0: none */

    struct x86_tss tss;
};

#define PCPU_OFFSET(member, value) \
    _Static_assert(offsetof(struct pcpu, member) == (value), "known to assembly")
PCPU_OFFSET(guest_rsp, PCPU_GUEST_RSP);
PCPU_OFFSET(stack_top, PCPU_STACK_TOP);
PCPU_OFFSET(syscall_entry, PCPU_SYSCALL_ENTRY);
PCPU_OFFSET(syscall32_entry, PCPU_SYSCALL32_ENTRY);
PCPU_OFFSET(current, PCPU_CURRENT);
PCPU_OFFSET(root, PCPU_ROOT);
PCPU_OFFSET(tlb_noted, PCPU_TLB_NOTED);
PCPU_OFFSET(access_retries, PCPU_ACCESS_RETRIES);
PCPU_OFFSET(resched, PCPU_RESCHED);
_Static_assert(sizeof(struct x86_tss) == 104, "Intel SDM");
_Static_assert(sizeof(struct pcpu) <= 4096, "one page of the area");

static inline struct pcpu *this_pcpu(void)
{
    uint64_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp)); /* not volatile: the area never changes under a function */
    /* rsp may stand exactly at the top of a stack; tops lie inside the area (layout.h). */
    return (struct pcpu *)((sp & ~(uint64_t)(PCPU_AREA_SIZE - 1)) + PCPU_AREA_DATA);
}

/* The area of any pCPU that was started. */
static inline struct pcpu *pcpu_of(unsigned id)
{
    return (struct pcpu *)(LAYOUT_PCPU + (uint64_t)id * PCPU_AREA_SIZE + PCPU_AREA_DATA);
}

/* arch/x86/smp.c: maps the area and the descriptor window of a pCPU and fills struct pcpu. -ENOMEM.
 */
long pcpu_area_create(unsigned id, uint32_t apic_id);
/* On that pCPU, on its own main stack: descriptor tables, MSRs, control registers. */
void pcpu_area_load(unsigned id);

#endif /* __ASSEMBLER__ */
#endif
