/* SPDX-License-Identifier: MIT */
/* The notes for the domain builder, and where each vCPU begins. */
#include "asm.inc"
#include <xen/elfnote.h>
#include <xen/features.h>

    .macro note type, kind:req, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  \kind \value
2:  .balign 4
    .popsection
    .endm

    note XEN_ELFNOTE_GUEST_OS, .asciz, "pvbench"
    note XEN_ELFNOTE_GUEST_VERSION, .asciz, "1"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_VIRT_BASE, .quad, VIRT_BASE
    note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
    note XEN_ELFNOTE_ENTRY, .quad, _start
    note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
    note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"
    note XEN_ELFNOTE_FEATURES, .asciz, "!writable_page_tables|pae_pgdir_above_4gb"
    note XEN_ELFNOTE_SUPPORTED_FEATURES, .long, (1 << XENFEAT_dom0)
    note XEN_ELFNOTE_L1_MFN_VALID, .quad, 1, 1

    .section .text.head, "ax"
/* rsi: start_info. */
    .globl _start
_start:
    read_tsc
    mov %rax, %rdi
    cld
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    call bench_main         /* (tsc, start_info) */
    ud2

    .text
/* edi: the vCPU's number. */
    .globl vcpu_start
vcpu_start:
    xor %ebp, %ebp
    call vcpu_main
    ud2

    .section .bss.page, "aw", @nobits
    .balign 4096
    .skip 32768
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
