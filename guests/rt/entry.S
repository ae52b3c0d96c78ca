/* SPDX-License-Identifier: MIT */
/*
 * Where the hypervisor enters the kernel: start of day, exceptions, event upcalls, system calls;
 * and the thread switch.
 *
 * What the hypervisor has pushed at an entry, low address to high (<xen/arch-x86/xen-x86_64.h> and
 * the behaviour of Xen's PV bounce frames):
 *
 *     rcx  r11  [error code]  rip  cs  rflags  rsp  ss
 *
 * Every entry takes rcx and r11 back, pushes an error code of 0 where there is none, and a vector;
 * then the rest of the registers. The result is struct trap_regs (rt/trap.h). The way out is always
 * the iret hypercall, which restores the event mask (as IF of rflags) and the registers in one
 * step, so that no upcall can come in between.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include <xen/features.h>
#include <xen/xen.h>

    .macro note type, kind:req, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  \kind \value
2:  .balign 4
    .popsection
    .endm

    note XEN_ELFNOTE_GUEST_OS, .asciz, "Penumbra guest"
    note XEN_ELFNOTE_GUEST_VERSION, .asciz, "1"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_VIRT_BASE, .quad, _text
    note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
    note XEN_ELFNOTE_ENTRY, .quad, _start
    note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"
    note XEN_ELFNOTE_FEATURES, .asciz, "!writable_page_tables|pae_pgdir_above_4gb"
    note XEN_ELFNOTE_SUPPORTED_FEATURES, .long, (1 << XENFEAT_writable_page_tables) | (1 << XENFEAT_dom0)
    note XEN_ELFNOTE_L1_MFN_VALID, .quad, 1, 1

    .section .text.start, "ax"
    .globl _start
/* rsi: start_info, rsp: the builder's stack, one page. */
_start:
    cld
    mov %rsi, %rdi
    mov %rsp, %rsi
    mov $start_stack_top, %rsp
    xor %ebp, %ebp
    push %rbp
    jmp start_c

    .text

    .macro trap vector:req, has_error=0
trap_\vector:
    pop %rcx
    pop %r11
    .if !\has_error
    push $0
    .endif
    push $\vector
    jmp trap_common
    .endm

    trap 0
    trap 1
    trap 2
    trap 3
    trap 4
    trap 5
    trap 6
    trap 7
    trap 8, 1
    trap 9
    trap 10, 1
    trap 11, 1
    trap 12, 1
    trap 13, 1
    trap 14, 1
    trap 15
    trap 16
    trap 17, 1
    trap 18
    trap 19
    trap 20
    trap 21, 1

    .globl trap_syscall_entry, trap_event_entry, trap_failsafe_entry
    .set trap_syscall_entry, trap_256
    .set trap_event_entry, trap_257
    trap 256
    trap 257

/* A selector that cannot be loaded: four more words, ds es fs gs, lie above r11. */
trap_failsafe_entry:
    pop %rcx
    pop %r11
    add $32, %rsp
    push $0
    push $258
    jmp trap_common

trap_common:
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    call trap_dispatch

/*
 * rsp: struct trap_regs. The two words of vector and error become rcx and flags of the iret frame.
 */
trap_leave:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    mov %rcx, (%rsp)
    movq $0, 8(%rsp)
    push %r11
    push %rax
    mov $__HYPERVISOR_iret, %eax
    syscall
    ud2

/*
 * void trap_resume(const struct trap_regs *regs): on a copy below, so that the registers may lie
 * anywhere.
 */
    .globl trap_resume
trap_resume:
    mov %rdi, %rsi
    sub $176, %rsp
    and $-16, %rsp
    mov %rsp, %rdi
    mov $22, %ecx
    rep movsq
    jmp trap_leave

/* void thread_switch_stack(void **save_sp, void *load_sp) */
    .globl thread_switch_stack
thread_switch_stack:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

/* A secondary vCPU begins here, on its own stack; rdi: its struct smp_cpu. */
    .globl smp_entry
smp_entry:
    cld
    xor %ebp, %ebp
    push %rbp
    jmp smp_start

    .section .rodata
    .balign 8
    .globl trap_entries
trap_entries:
    .quad trap_0, trap_1, trap_2, trap_3, trap_4, trap_5, trap_6, trap_7, trap_8, trap_9, trap_10
    .quad trap_11, trap_12, trap_13, trap_14, trap_15, trap_16, trap_17, trap_18, trap_19, trap_20, trap_21

    .bss
    .balign 4096
    .globl start_stack, start_stack_top
start_stack:
    .skip 32768
start_stack_top:

    .section .note.GNU-stack, "", @progbits
