/* SPDX-License-Identifier: MIT */
/*
 * The architecture's only header for code outside arch/: what an x86 adds to a vCPU. Others let
 * arch/x86 look inside; hv/physdev.c alone sets iopl.
 */
#ifndef ARCH_X86_PUBLIC_H
#define ARCH_X86_PUBLIC_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include "arch/x86/guest_offsets.h"
#include "mm/types.h"

/* General registers of an interrupted context, in the order in which entry.S pushes them: from rax
 * on, a hypercall's number and arguments as struct hypercall has them (syscall.c). */
struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, rcx, rax, rdi, rsi, rdx, r10, r8, r9;
    uint64_t vector; /* exception or interrupt vector; or VECTOR_* of guest_offsets.h */
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct callback {
    uint64_t address; /* 0: none */
    bool mask_events;
};

#define GDT_GUEST_PAGES 14 /* pages 0..13 of the 16-page GDT area are the guest's */
#define LDT_PAGES       16

struct arch_vcpu {
    bool kernel_mode;   /* guest kernel or guest user */
    struct regs regs;   /* while it runs: in the frame on its pCPU's stack, see x86_vcpu_regs() */
    uint64_t kernel_sp; /* stack_switch */
    uint16_t kernel_ss;
    uint64_t fs_base, gs_base_kernel, gs_base_user; /* saved while off a pCPU */
    uint16_t ds, es, fs, gs;
    struct trap_info traps[256]; /* address 0: none */
    struct callback event, failsafe, syscall, syscall32, sysenter;
    bool cr0_ts;       /* fpu_taskswitch: FPU use traps */
    bool failsafe_due; /* a selector failed to load: the failsafe callback comes first */
    bool dump_due;     /* arch_vcpu_dump() waits for all registers to be in the frame */
    uint64_t cr4;      /* what the guest reads back */
    uint64_t debugreg[8];
    unsigned iopl; /* PHYSDEVOP_set_iopl */

    uint64_t *gdt[GDT_GUEST_PAGES]; /* sanitised copies of the guest's GDT frames; NULL: absent */
    mfn_t gdt_mfn[GDT_GUEST_PAGES]; /* the frames that the copies are in */
    gfn_t gdt_gfn[GDT_GUEST_PAGES]; /* the guest's frames that they were made from */
    unsigned gdt_entries, gdt_pages;

    uint64_t time_written; /* TSC when vcpu_info's clock was set */

    uint64_t ldt_base; /* the guest's address */
    unsigned ldt_entries;
    uint16_t ldt_loaded;      /* a bit for each page with a copy */
    uint64_t *ldt[LDT_PAGES]; /* sanitised copies, made when needed; NULL: not yet */
    mfn_t ldt_mfn[LDT_PAGES];
    gfn_t ldt_gfn[LDT_PAGES];

    uint64_t xcr0; /* state components that the guest enabled by XSETBV; 0 without XSAVE */
    void *fpu;     /* XSAVE area, 64-aligned */
    bool fpu_used;
};

#endif
