/* SPDX-License-Identifier: MIT */
/* User mode: loops around one operation each. user.h has their arguments. */
#include "asm.inc"

    .section .utext, "ax"

/* (samples, n) */
    .macro user_loop name:req, operation
    .globl u_\name
u_\name:
    mov %rsi, %r13
    mov %rdi, %r14
0:  read_tsc
    mov %rax, %r12
    \operation
    read_tsc
    sub %r12, %rax
    mov %rax, (%r14)
    add $8, %r14
    dec %r13
    jnz 0b
    mov $1, %eax
    syscall
    ud2
    .endm

    user_loop empty, ""
    user_loop syscall, "xor %eax, %eax; syscall"
    user_loop syscall_full, "mov $2, %eax; syscall"
    user_loop switch, "mov $3, %eax; syscall"
    user_loop int3, int3
    user_loop ud2, ud2
    user_loop int80, "int $0x80"

/* (sample, address, n): one word to each of n pages. */
    .globl u_touch
u_touch:
    mov %rdx, %r13
    read_tsc
    mov %rax, %r12
0:  movq %rsi, (%rsi)
    add $4096, %rsi
    dec %r13
    jnz 0b
    read_tsc
    sub %r12, %rax
    mov %rax, (%rdi)
    mov $1, %eax
    syscall
    ud2

    .section .note.GNU-stack, "", @progbits
