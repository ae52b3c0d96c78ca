/* SPDX-License-Identifier: MIT */
/*
 * What hypercalls on page tables (hv/mmu.c) share with the emulation of instructions that do the
 * same.
 */
#ifndef HV_MMU_H
#define HV_MMU_H

#include "mm/types.h"

struct vcpu;

/* MMUEXT_NEW_BASEPTR, or a MOV to CR3: the running vCPU's kernel root is gfn from now on, loaded
 * and its TLB flushed. -EINVAL: not its domain's memory. A domain that cannot go on with it
 * crashes. */
long mmu_set_kernel_base(struct vcpu *v, gfn_t gfn);

#endif
