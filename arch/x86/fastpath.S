/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_iret without C: half of what a guest's exception, system call or event costs is the way back. The same as
 * hypercall_iret() (cpu_calls.c), which stays the reference and takes what is not plain: a stack in the lower half, a fault
 * that cannot be mended, an event to be delivered, a reschedule, a root to be found. Nothing is changed before that is
 * certain but the event mask, which the reference would set alike. `fastpath=off` on the boot line leaves this file out.
 *
 *   high   rflags of the caller, rip of the caller: for the reference
 *          ss, rsp, rflags, cs, rip: read from the guest's frame, for IRETQ
 *          rcx, r11, rax: the same, popped before it
 *   low    <- rsp
 */
#include "arch/x86/extable.inc"
#include "arch/x86/guest_offsets.h"
#include "arch/x86/pcpu.h"
#include "arch/x86/x86.h"

#define PCPU(field) (PCPU_AREA_DATA + PCPU_##field)

/* struct iret_context at rax (public header arch-x86/xen-x86_64.h) */
#define FRAME_RAX    0
#define FRAME_R11    8
#define FRAME_RCX    16
#define FRAME_FLAGS  24
#define FRAME_RIP    32
#define FRAME_CS     40
#define FRAME_RFLAGS 48
#define FRAME_RSP    56
#define FRAME_SS     64

/* On our stack, once all is read. */
#define OUR_RIP    24
#define OUR_CS     32
#define OUR_RFLAGS 40
#define OUR_SS     56

        .macro  PUSH_FROM_GUEST offset
9:      pushq   \offset(%rax)
        EXTABLE 9b, iret_slow
        .endm

        .text
        .balign 64
        .globl  syscall_fast_entry
syscall_fast_entry:
        cmp     $23, %rax               /* __HYPERVISOR_iret; its rax, rcx and r11 are free */
        jne     syscall_entry
        push    %r11
        push    %rcx
        mov     %rsp, %rcx
        xor     %cx, %cx                /* the pCPU's area */
        mov     PCPU(CURRENT)(%rcx), %r11
        cmpb    $0, PCPU(RESCHED)(%rcx)
        jne     iret_slow
        cmpb    $0, VCPU_KERNEL_MODE(%r11)
        je      iret_slow
        mov     PCPU(GUEST_RSP)(%rcx), %rax
        shr     $43, %rax
        cmp     $LAYOUT_HOLE_END >> 43, %rax
        jb      iret_slow               /* lower half, or our own part */
        mov     PCPU(GUEST_RSP)(%rcx), %rax
        movl    $ACCESS_RETRIES, PCPU(ACCESS_RETRIES)(%rcx)
        USER_ACCESS_BEGIN
        PUSH_FROM_GUEST FRAME_SS
        PUSH_FROM_GUEST FRAME_RSP
        PUSH_FROM_GUEST FRAME_RFLAGS
        PUSH_FROM_GUEST FRAME_CS
        PUSH_FROM_GUEST FRAME_RIP
8:      testb   $1, FRAME_FLAGS + 1(%rax)
        EXTABLE 8b, iret_slow
        jnz     1f
        PUSH_FROM_GUEST FRAME_RCX
        PUSH_FROM_GUEST FRAME_R11
        PUSH_FROM_GUEST FRAME_RAX
        USER_ACCESS_END
        jmp     iret_read
1:      pushq   (%rsp)                  /* VGCF_in_syscall: as SYSRET leaves them, rcx from rip */
        pushq   24(%rsp)                /* r11 from rflags */
        PUSH_FROM_GUEST FRAME_RAX
        USER_ACCESS_END
iret_read:
        mov     VCPU_INFO(%r11), %rax
        btl     $9, OUR_RFLAGS(%rsp)    /* IF: does it want events? */
        jc      1f
        movb    $1, INFO_MASK(%rax)
        jmp     2f
1:      xor     %ecx, %ecx
        xchg    %cl, INFO_MASK(%rax)    /* a barrier: see hypercall_iret() */
        cmpb    $0, INFO_PENDING(%rax)
        jne     iret_slow
2:      andq    $~(RFLAGS_IOPL | RFLAGS_NT | RFLAGS_VM), OUR_RFLAGS(%rsp)
        orq     $RFLAGS_IF | 2, OUR_RFLAGS(%rsp)
        movzwl  OUR_SS(%rsp), %eax
        or      $3, %eax
        mov     %rax, OUR_SS(%rsp)
        movzwl  OUR_CS(%rsp), %eax
        mov     %eax, %ecx
        or      $3, %eax
        mov     %rax, OUR_CS(%rsp)
        cmp     %eax, %ecx
        je      4f
3:      pop     %rax
        pop     %r11
        pop     %rcx
        jmp     entry_iret

4:      mov     VCPU_USER_ROOT(%r11), %rax      /* to user mode: x86_toggle_mode() */
        test    %rax, %rax
        jz      iret_slow
        movb    $0, VCPU_KERNEL_MODE(%r11)
        movb    $1, VCPU_USER_MODE(%r11)
        swapgs
        mov     %rsp, %r11
        xor     %r11w, %r11w
        mov     tlb_now(%rip), %rcx             /* before the flush begins: tlb_flush_begin() */
        mov     %rax, PCPU(ROOT)(%r11)
        mov     %rax, %cr3
        mov     PCPU(TLB_NOTED)(%r11), %rax
        mov     %rcx, (%rax)
        jmp     3b

/* All from the start in C: the call as it came. A fault in the middle has left AC set. */
iret_slow:
        pushfq
        andq    $~RFLAGS_AC, (%rsp)
        popfq
        mov     %rsp, %rcx
        xor     %cx, %cx
        mov     PCPU(STACK_TOP)(%rcx), %rsp
        mov     -8(%rsp), %r11
        mov     -16(%rsp), %rcx
        mov     $23, %eax
        jmp     syscall_entry

        .section .note.GNU-stack, "", @progbits
