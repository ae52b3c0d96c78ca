/* SPDX-License-Identifier: MIT */
/*
 * The ways into the hypervisor and out of it. Assembly moves registers: each way in builds a struct regs
 * (arch/x86/public.h), calls one C function, and undoes the frame. Only hypercalls are dispatched here.
 *
 *   high   ss
 *          rsp
 *          rflags        pushed by the processor, or by syscall_entry
 *          cs
 *          rip
 *          error code    0 where the processor has none
 *          vector
 *          r9 .. r15     struct regs begins at r15
 *   low    <- rsp at the call
 *
 * A frame that came from a guest always ends at the top of the pCPU's main stack (TSS.RSP0, or the stub that syscall_entry
 * comes from), which is where x86_guest_regs() finds it.
 */
#include "arch/x86/extable.inc"
#include "arch/x86/guest_offsets.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/x86.h"

#define PCPU(field) (PCPU_AREA_DATA + PCPU_##field)

        .macro  SAVE_SCRATCH
        push    %r9
        push    %r8
        push    %r10
        push    %rdx
        push    %rsi
        push    %rdi
        push    %rax
        push    %rcx
        push    %r11
        .endm

        .macro  SAVE_REGS
        SAVE_SCRATCH
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        .endm

        .macro  FILL_PRESERVED          /* what SAVE_SCRATCH leaves out */
        mov     %rbx, REGS_RBX(%rsp)
        mov     %rbp, REGS_RBP(%rsp)
        mov     %r12, REGS_R12(%rsp)
        mov     %r13, REGS_R13(%rsp)
        mov     %r14, REGS_R14(%rsp)
        mov     %r15, REGS_R15(%rsp)
        .endm

        .macro  RESTORE_ARGUMENTS
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %r10
        pop     %r8
        pop     %r9
        .endm

        .macro  RESTORE_REGS
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        pop     %r11
        pop     %rcx
        pop     %rax
        RESTORE_ARGUMENTS
        .endm

/* ---- exceptions and interrupts: 256 stubs and a table of their addresses for the IDT ---- */
        .section .rodata
        .balign 8
        .globl  entry_vectors
entry_vectors:
        .text

/* Vectors with an error code of the processor's: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX (Intel SDM vol. 3, 6.15). */
        .set    VEC, 0
        .rept   256
        .pushsection .rodata
        .quad   1f
        .popsection
        .balign 16
1:
        .if !(VEC == 8 || (VEC >= 10 && VEC <= 14) || VEC == 17 || VEC == 21 || VEC == 29 || VEC == 30)
        push    $0
        .endif
        push    $VEC
        .if VEC == 1 || VEC == 2 || VEC == 8 || VEC == 18
        jmp     ist_entry
        .elseif VEC == 14
        jmp     page_fault_entry
        .else
        jmp     trap_entry
        .endif
        .set    VEC, VEC + 1
        .endr

        .balign 16
trap_entry:
        SAVE_REGS
        cld
1:      mov     %rsp, %rdi
        call    trap_dispatch
        RESTORE_REGS
        add     $16, %rsp               /* vector, error code */
        .globl  entry_iret
entry_iret:                             /* a fault here is the guest's: see traps.c */
        iretq

        .balign 16
page_fault_entry:
        SAVE_REGS
        cld
        mov     %rsp, %rdi
        call    page_fault_dispatch
        RESTORE_REGS
        add     $16, %rsp
        jmp     entry_iret

/* On a stack of their own (IST): #DB, NMI, #DF, #MC, which may come before a stack is set up (just after SYSCALL, or with
 * MOV SS pending, CVE-2018-8897). ist_dispatch() returns the frame to go on with: its argument with nothing left to
 * do, or a copy at the top of the main stack, which goes the ordinary way. */
ist_entry:
        SAVE_REGS
        cld
        mov     %rsp, %rdi
        call    ist_dispatch
        mov     %rax, %rsp
        jmp     1b

/* void x86_resume(struct regs *): leave through this frame, which may be anywhere. */
        .globl  x86_resume
x86_resume:
        mov     %rdi, %rsp
        RESTORE_REGS
        add     $16, %rsp
        jmp     entry_iret

/*
 * ---- SYSCALL: the per-pCPU stub has saved the guest's rsp in struct pcpu and loaded the main stack's top. The guest's rip
 * is in rcx, its rflags in r11 (AMD APM vol. 3, SYSCALL). From guest kernel mode it is a hypercall, wherever it stands
 * (guests use no hypercall page): number in rax; arguments in rdi, rsi, rdx, r10, r8, r9; result in rax; rcx and r11 are
 * lost. The frame is the call (struct hypercall from rax on), which its continuation finds in place.
 *
 * Hypercalls are what guests do most, so all that most of them need is here: handlers keep r15 to rbx for their caller, so
 * these enter the frame only if something is to be done on the way out; SYSRET leads back to an address of the upper half
 * (elsewhere an Intel processor might fault in ring 0 on the guest's stack, CVE-2012-0217) without TF or RF. ----
 */
        .globl  syscall_entry
syscall_entry:
        push    $0xe02b                 /* FLAT_USER_SS64 */
        push    $0                      /* rsp: from struct pcpu, below */
        push    %r11
        push    $0xe033                 /* FLAT_USER_CS64 */
        push    %rcx
        push    $0
        push    $VECTOR_HYPERCALL
        SAVE_SCRATCH
        sub     $REGS_R11, %rsp
        mov     %rsp, %r11
        xor     %r11w, %r11w            /* the pCPU's area */
        mov     PCPU(CURRENT)(%r11), %rdi
        movl    $ACCESS_RETRIES, PCPU(ACCESS_RETRIES)(%r11)
        mov     PCPU(GUEST_RSP)(%r11), %rdx
        mov     %rdx, REGS_RSP(%rsp)
        cmpb    $0, VCPU_KERNEL_MODE(%rdi)
        je      syscall_of_user
        incq    VCPU_HYPERCALLS(%rdi)
        movq    $0, VCPU_HYPERCALL_SINCE(%rdi)
        mov     VCPU_DOMAIN(%rdi), %rdx
        cmp     $63, %rax               /* HYPERCALL_COUNT - 1 */
        ja      hypercall_not_allowed
        bt      %rax, DOMAIN_HYPERCALLS(%rdx)
        jnc     hypercall_not_allowed
        lea     REGS_RAX(%rsp), %rsi
        lea     (%rax,%rax,2), %rax
        lea     hypercall_table(%rip), %rdx
        call    *(%rdx,%rax,8)
hypercall_done:
        mov     %rsp, %r11
        xor     %r11w, %r11w
        mov     PCPU(CURRENT)(%r11), %rdx
        mov     VCPU_INFO(%rdx), %rdx
        cmpb    $0, PCPU(RESCHED)(%r11)
        jne     hypercall_slow_exit
        cmpb    $0, INFO_PENDING(%rdx)  /* an event, to be delivered or not */
        jne     hypercall_slow_exit
        cmp     $-HYPERCALL_RESTART, %rax
        je      hypercall_slow_exit
        mov     REGS_RIP(%rsp), %rcx
        mov     REGS_RFLAGS(%rsp), %r11
        test    %rcx, %rcx
        jns     hypercall_slow_exit     /* lower half, or just behind it: what SYSCALL left there is else canonical */
        test    $RFLAGS_TF | RFLAGS_RF, %r11d
        jnz     hypercall_slow_exit
        add     $REGS_RDI, %rsp
        RESTORE_ARGUMENTS
        mov     REGS_RSP - REGS_VECTOR(%rsp), %rsp
        sysretq

hypercall_not_allowed:
        mov     %rax, %rsi
        call    hypercall_refused
        jmp     hypercall_done

hypercall_slow_exit:
        FILL_PRESERVED
        mov     %rsp, %rdi
        mov     %rax, %rsi
        call    hypercall_finish
        jmp     syscall_exit
syscall_of_user:
        FILL_PRESERVED
        movl    $VECTOR_SYSCALL, REGS_VECTOR(%rsp)
        mov     %rsp, %rdi
        call    syscall_dispatch
syscall_exit:                           /* al: may SYSRET be used? */
        test    %al, %al
        RESTORE_REGS                    /* pops leave the flags alone */
        lea     16(%rsp), %rsp
        jz      entry_iret
        mov     24(%rsp), %rsp          /* rcx and r11 hold rip and rflags */
        sysretq

/* SYSCALL from 32-bit code (CSTAR): same frame, its own vector. */
        .globl  syscall32_entry
syscall32_entry:
        push    $0xe02b
        push    $0
        push    %r11
        push    $0xe023                 /* FLAT_USER_CS32 */
        push    %rcx
        push    $0
        push    $0x101                  /* VECTOR_SYSCALL32 */
        SAVE_REGS
        mov     %rsp, %rdi
        call    syscall32_dispatch
        RESTORE_REGS
        add     $16, %rsp
        jmp     entry_iret

/* int x86_rdmsr_safe(uint32_t msr, uint64_t *value), x86_wrmsr_safe(uint32_t msr, uint64_t value): 0, or 1 on #GP. */
        .globl  x86_rdmsr_safe
x86_rdmsr_safe:
        mov     %edi, %ecx
1:      rdmsr
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, (%rsi)
        xor     %eax, %eax
        ret
2:      mov     $1, %eax
        ret
        EXTABLE 1b, 2b
        .globl  x86_wrmsr_safe
x86_wrmsr_safe:
        mov     %edi, %ecx
        mov     %esi, %eax
        mov     %rsi, %rdx
        shr     $32, %rdx
1:      wrmsr
        xor     %eax, %eax
        ret
2:      mov     $1, %eax
        ret
        EXTABLE 1b, 2b

        .section .note.GNU-stack, "", @progbits
