/* SPDX-License-Identifier: MIT */
/*
 * How the other processors start: real mode, at a page below 1 MiB that smp.c copies this to and fills in. Straight from real mode
 * to 64-bit mode, on a root table that shows this page at its own address beside the hypervisor's part.
 */
#include "arch/x86/x86.h"

        .section .rodata
        .balign 16
        .globl  trampoline_start, trampoline_end
        .globl  trampoline_gdt_base, trampoline_far, trampoline_root_address, trampoline_stack, trampoline_entry
        .code16
trampoline_start:
        cli
        cld
        mov     %cs, %ax
        mov     %ax, %ds
        mov     trampoline_root_address - trampoline_start, %eax
        mov     %eax, %cr3
        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $(EFER_LME | EFER_NXE), %eax
        wrmsr
        lgdtl   trampoline_gdt_pointer - trampoline_start
        mov     $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
        mov     %eax, %cr0
        ljmpl   *(trampoline_far - trampoline_start)

        .code64
trampoline_long:
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     trampoline_stack(%rip), %rsp
        xor     %ebp, %ebp
        push    %rbp                    /* end of the backtrace; keeps the stack aligned as after a call */
        jmp     *trampoline_entry(%rip)

        .balign 8
trampoline_gdt:
        .quad   0
        .quad   0x00af9b000000ffff      /* 64-bit code */
        .quad   0x00cf93000000ffff      /* data */
trampoline_gdt_pointer:
        .short  . - trampoline_gdt - 1
trampoline_gdt_base:
        .long   trampoline_gdt - trampoline_start       /* plus the page's address */
trampoline_far:
        .long   trampoline_long - trampoline_start      /* plus the page's address */
        .short  0x08
        .balign 8
trampoline_root_address:
        .quad   0
trampoline_stack:
        .quad   0
trampoline_entry:
        .quad   0
trampoline_end:

        .section .note.GNU-stack, "", @progbits
