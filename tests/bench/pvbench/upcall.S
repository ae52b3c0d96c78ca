/* SPDX-License-Identifier: MIT */
/* Event upcalls: each notes when it began, for event.*_to_entry. */
#include "asm.inc"

    .macro note_time vcpu
    push %rax
    push %rdx
    read_tsc
    mov %rax, event_tsc + 8 * \vcpu(%rip)
    .endm

    .macro upcall vcpu
    .globl event_entry_\vcpu
event_entry_\vcpu:
    note_time \vcpu
    pop %rdx
    pop %rax
    sub $16, %rsp           /* vector and error: struct frame's layout */
    mov 16(%rsp), %rcx
    mov 24(%rsp), %r11
    push_registers
    mov $\vcpu, %edi
    call_c event_upcall
    pop_registers
    add $32, %rsp
    return_by_iret
    .endm

    .text
    upcall 0
    upcall 1
    upcall 2
    upcall 3

/*
 * The least that a handler can do, vCPU 0: clear the pending word, the selector and the flag. shared_info
 * begins with vcpu_info[0]: flag at 0, selector at 8.
 */
    .globl event_entry_min
event_entry_min:
    note_time 0
    mov event_min_word(%rip), %rax
    movq $0, (%rax)
    movb $0, event_shared_page(%rip)
    movq $0, event_shared_page + 8(%rip)
    pop %rdx
    pop %rax
    drop_pushed
    incq handled(%rip)
    return_by_iret

    .bss
    .balign 8
handled:
    .skip 8

    .section .note.GNU-stack, "", @progbits
