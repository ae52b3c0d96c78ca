/* SPDX-License-Identifier: MIT */
/*
 * Where SYSCALL lands: page 0 of each per-pCPU area. The page is the same everywhere; the struct pcpu that it reaches through
 * rip is the pCPU's own (layout.h).
 */
#include "arch/x86/pcpu.h"

#define PCPU(offset) syscall_stub + PCPU_AREA_DATA + offset(%rip)

        .section .text.stub, "ax"
        .balign 4096
        .globl  syscall_stub, syscall32_stub
syscall_stub:
        mov     %rsp, PCPU(PCPU_GUEST_RSP)
        mov     PCPU(PCPU_STACK_TOP), %rsp
        jmp     *PCPU(PCPU_SYSCALL_ENTRY)

        .balign 64
syscall32_stub:
        mov     %rsp, PCPU(PCPU_GUEST_RSP)
        mov     PCPU(PCPU_STACK_TOP), %rsp
        jmp     *PCPU(PCPU_SYSCALL32_ENTRY)

        .section .note.GNU-stack, "", @progbits
