/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and system calls. What is measured returns at once, by as few instructions as can be: the
 * figures trap.* and user.* hold these 8 to 10 and the iret hypercall.
 */
#include "asm.inc"

    .text
/* The bounce alone. */
    .globl trap_return
trap_return:
    drop_pushed
    return_by_iret

/* The same without the hypervisor: kernel to kernel, so the pushed selectors only need their RPL. */
    .globl trap_return_direct
trap_return_direct:
    drop_pushed
    orb $3, 8(%rsp)
    iretq

/* Behind an instruction of two bytes. */
    .globl trap_skip_ud2
trap_skip_ud2:
    drop_pushed
    addq $2, (%rsp)
    return_by_iret

/* On at the fixup address if there is one, otherwise to C. */
    .macro trap_with_fixup name, vector
    .globl trap_\name
trap_\name:
    cmpq $0, trap_\name\()_fixup(%rip)
    je 1f
    mov trap_\name\()_fixup(%rip), %rcx
    mov %rcx, 24(%rsp)
    incq trap_\name\()_count(%rip)
    drop_pushed 8
    return_by_iret
1:  movq $\vector, -8(%rsp)
    jmp trap_to_c
    .endm

    trap_with_fixup pf, 14
    trap_with_fixup gp, 13

/* The others: an error code of 0 where the processor has none, and the vector, below it for now. */
    .macro trap_vector vector, has_error=0
    .globl trap_vector_\vector
trap_vector_\vector:
    .if !\has_error
    sub $8, %rsp
    mov 16(%rsp), %r11
    mov 8(%rsp), %rcx
    mov %rcx, 0(%rsp)
    mov %r11, 8(%rsp)
    movq $0, 16(%rsp)
    .endif
    movq $\vector, -8(%rsp)
    jmp trap_to_c
    .endm

    trap_vector 0
    trap_vector 1
    trap_vector 4
    trap_vector 5
    trap_vector 6
    trap_vector 7
    trap_vector 10, 1
    trap_vector 11, 1
    trap_vector 12, 1
    trap_vector 16
    trap_vector 17, 1
    trap_vector 19

/* (vector) rcx r11 error rip ...: struct frame is complete above the registers. */
trap_to_c:
    sub $8, %rsp
    mov 8(%rsp), %rcx
    mov 16(%rsp), %r11
    push_registers
    mov %rsp, %rdi
    call_c trap_handle
    pop_registers
    add $32, %rsp           /* vector, rcx, r11, error */
    return_by_iret

    .globl trap_failsafe
trap_failsafe:
    ud2

/*
 * A system call of user.S; eax says which:
 * 0 nothing, return by SYSRET; 1 the end of user_enter(); 2 nothing, return by IRET; 3 switch spaces.
 * rcx and r11 are the call's own to destroy.
 */
    .globl trap_syscall
trap_syscall:
    add $16, %rsp
    test %eax, %eax
    jnz 1f
    return_by_iret VGCF_in_syscall
1:  cmp $2, %eax
    jne 2f
    return_by_iret
2:  cmp $3, %eax
    jne 3f
    push %rdi; push %rsi; push %r8; push %r9; push %r10; push %rdx
    call_c switch_spaces
    pop %rdx; pop %r10; pop %r9; pop %r8; pop %rsi; pop %rdi
    return_by_iret VGCF_in_syscall
3:  mov kernel_rsp(%rip), %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
    ret

/* void user_enter(rip, rsp, a, b, c): returns by system call 1. */
    .globl user_enter
user_enter:
    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
    mov %rsp, kernel_rsp(%rip)
    pushq $FLAT_USER_SS64
    pushq %rsi
    pushq $0x202
    pushq $FLAT_USER_CS64
    pushq %rdi
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
    return_by_iret

    .bss
    .balign 8
kernel_rsp:
    .skip 8

    .section .note.GNU-stack, "", @progbits
