/* SPDX-License-Identifier: MIT */
/*
 * Where things stand in struct vcpu and in the guest's vcpu_info, for assembly; guest.h checks
 * them.
 */
#ifndef ARCH_X86_GUEST_OFFSETS_H
#define ARCH_X86_GUEST_OFFSETS_H

#define VCPU_INFO        8
#define VCPU_USER_ROOT   24
#define VCPU_USER_MODE   32
#define VCPU_KERNEL_MODE 128

#define INFO_PENDING 0 /* evtchn_upcall_pending */
#define INFO_MASK    1 /* evtchn_upcall_mask */

#endif
