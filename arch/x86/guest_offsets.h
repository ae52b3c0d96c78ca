/* SPDX-License-Identifier: MIT */
/*
 * Where things stand in struct regs, struct vcpu and the guest's vcpu_info, for assembly; guest.h
 * checks them.
 */
#ifndef ARCH_X86_GUEST_OFFSETS_H
#define ARCH_X86_GUEST_OFFSETS_H

#define VCPU_DOMAIN          0
#define VCPU_INFO            8
#define VCPU_HYPERCALL_SINCE 16
#define VCPU_HYPERCALLS      24 /* count.hypercalls */
#define VCPU_USER_ROOT       104
#define VCPU_USER_MODE       112
#define VCPU_KERNEL_MODE     208

#define DOMAIN_HYPERCALLS 16

#define REGS_R15    0
#define REGS_R14    8
#define REGS_R13    16
#define REGS_R12    24
#define REGS_RBP    32
#define REGS_RBX    40
#define REGS_R11    48
#define REGS_RAX    64
#define REGS_RDI    72
#define REGS_VECTOR 120
#define REGS_RIP    136
#define REGS_RFLAGS 152
#define REGS_RSP    160

#define VECTOR_SYSCALL   0x100 /* of user mode; of kernel mode, once it is on its way out */
#define VECTOR_SYSCALL32 0x101
#define VECTOR_HYPERCALL 0x102 /* r15 to rbx are not in the frame but in their registers */
#define VECTOR_NONE      0x1ff /* handled already: just leave through the frame */

#define HYPERCALL_RESTART 85 /* XEN_ERESTART */

#define INFO_PENDING 0 /* evtchn_upcall_pending */
#define INFO_MASK    1 /* evtchn_upcall_mask */

#endif
