/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C: 32-bit protected mode without paging becomes 64-bit mode on early page tables, which
 * show the first 4 GiB three times: at 0 (left behind at once), as the image's window and as the map of all RAM.
 *
 * Two headers: multiboot2 for GRUB, and multiboot1 with address fields (flag bit 16), by which QEMU's -kernel loads
 * a 64-bit ELF file as one block. Loader state: eax magic, ebx address of the information structure.
 */
#include "arch/x86/layout.h"
#include "arch/x86/x86.h"

#define PHYS(symbol) (symbol - LAYOUT_IMAGE_BASE)

#define MB1_MAGIC  0x1badb002
#define MB1_FLAGS  0x00010003 /* page-aligned modules, memory map, address fields */
#define MB2_MAGIC  0xe85250d6
#define SEL_CODE64 0x08
#define SEL_CODE32 0x10
#define SEL_DATA   0x18

        .section .boot.header, "ax"
        .code32
        .balign 8
mb1_header:
        .long   MB1_MAGIC
        .long   MB1_FLAGS
        .long   -(MB1_MAGIC + MB1_FLAGS)
        .long   PHYS(mb1_header)
        .long   PHYS(image_start)
        .long   PHYS(data_end)
        .long   PHYS(image_end)
        .long   PHYS(boot_start)

        .balign 8
mb2_header:
        .long   MB2_MAGIC
        .long   0                       /* i386 */
        .long   mb2_header_end - mb2_header
        .long   -(MB2_MAGIC + 0 + (mb2_header_end - mb2_header))
        .balign 8
        .short  1, 0                    /* information request: command line, modules, memory map, ACPI old, new */
        .long   28
        .long   1, 3, 6, 14, 15
        .balign 8
        .short  2, 0                    /* addresses */
        .long   24
        .long   PHYS(mb2_header), PHYS(image_start), PHYS(data_end), PHYS(image_end)
        .balign 8
        .short  3, 0                    /* entry */
        .long   12
        .long   PHYS(boot_start)
        .balign 8
        .short  6, 0                    /* modules on page boundaries */
        .long   8
        .balign 8
        .short  0, 0
        .long   8
mb2_header_end:

        .section .boot.text, "ax"
        .globl  boot_start
boot_start:
        cli
        cld
        mov     $PHYS(boot_stack_top), %esp
        mov     %eax, PHYS(boot_magic)
        mov     %ebx, PHYS(boot_info_address)

        /* Long mode and NX, or a plain word of why not. */
        mov     $0x80000000, %eax
        cpuid
        cmp     $0x80000001, %eax
        jb      boot_no_long_mode
        mov     $0x80000001, %eax
        cpuid
        and     $(1 << 29 | 1 << 20), %edx
        cmp     $(1 << 29 | 1 << 20), %edx
        jne     boot_no_long_mode

        /* One L3 table serves all three windows; its first four entries cover 4 GiB in pages of 2 MiB. */
        mov     $PHYS(boot_l3), %eax
        or      $(PTE_P | PTE_RW), %eax
        mov     %eax, PHYS(boot_l4)
        mov     %eax, PHYS(boot_l4) + 8 * ((LAYOUT_IMAGE_BASE >> 39) & 511)
        mov     %eax, PHYS(boot_l4) + 8 * ((LAYOUT_RAM >> 39) & 511)
        mov     $PHYS(boot_l2), %eax
        or      $(PTE_P | PTE_RW), %eax
        xor     %ecx, %ecx
1:      mov     %eax, PHYS(boot_l3)(, %ecx, 8)
        add     $4096, %eax
        inc     %ecx
        cmp     $4, %ecx
        jne     1b
        mov     $(PTE_P | PTE_RW | PTE_PSE), %eax
        xor     %ecx, %ecx
2:      mov     %eax, PHYS(boot_l2)(, %ecx, 8)
        add     $0x200000, %eax
        inc     %ecx
        cmp     $2048, %ecx
        jne     2b

        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $PHYS(boot_l4), %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $(EFER_LME | EFER_NXE), %eax
        wrmsr
        mov     %cr0, %eax
        and     $~(CR0_EM | CR0_TS | 3 << 29), %eax     /* caches on */
        or      $(CR0_PG | CR0_WP | CR0_MP | CR0_NE | 1), %eax
        mov     %eax, %cr0
        lgdt    PHYS(boot_gdt_pointer)
        ljmp    $SEL_CODE64, $PHYS(boot_long)

boot_no_long_mode:
        mov     $PHYS(boot_message), %esi
3:      mov     $0x3fd, %dx             /* COM1 line status: transmitter free? */
        in      %dx, %al
        test    $0x20, %al
        jz      3b
        mov     (%esi), %al
        test    %al, %al
        jz      4f
        mov     $0x3f8, %dx
        out     %al, %dx
        inc     %esi
        jmp     3b
4:      mov     $0x11, %al             /* QEMU: end, as panic() does */
        mov     $0xf4, %dx
        out     %al, %dx
        hlt
        jmp     4b
boot_message:
        .asciz  "\r\nPenumbra: this processor has no 64-bit mode with no-execute pages\r\n"

        .code64
boot_long:
        mov     $SEL_DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        movabs  $boot_high, %rax
        jmp     *%rax
boot_high:
        lea     boot_stack_top(%rip), %rsp
        xor     %ebp, %ebp
        push    %rbp                    /* end of the backtrace */
        push    %rbp
        call    hv_main
5:      cli
        hlt
        jmp     5b

        .balign 8
        .globl  boot_gdt_pointer
boot_gdt:
        .quad   0
        .quad   0x00af9a000000ffff      /* 64-bit code */
        .quad   0x00cf9a000000ffff      /* 32-bit code */
        .quad   0x00cf92000000ffff      /* data */
boot_gdt_pointer:
        .short  . - boot_gdt - 1
        .long   PHYS(boot_gdt)
        .long   0

/* The first stack lies like that of a per-pCPU area (layout.h), so that this_pcpu() is right from the first line of C:
 * struct pcpu is all zero there, pCPU 0. */
        .section .bss.boot_area, "aw", @nobits
        .skip   PCPU_AREA_STACK_TOP     /* on a PCPU_AREA_SIZE boundary: linker.ld */
boot_stack_top:
        .balign 4096
        .globl  boot_l4
boot_l4:
        .skip   4096
boot_l3:
        .skip   4096
boot_l2:
        .skip   4 * 4096
        .globl  boot_magic, boot_info_address
boot_magic:
        .skip   4
boot_info_address:
        .skip   4

        .section .note.GNU-stack, "", @progbits
