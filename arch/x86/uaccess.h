/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own accesses to memory of the guest that runs here, at the guest's virtual
 * addresses, through the root that is loaded. A fault is tried again as long as the shadow can be
 * filled (traps.c); then it goes to the label, or ends the copy. For arch/x86 only; others use
 * mm/guest.h.
 *
 * A page needs a fault for each level, and for A, D and protection. A guest whose other vCPUs take
 * the entries away as fast as they come gets -EFAULT after ACCESS_RETRIES of them since it came
 * here; it must not keep this pCPU, with interrupts off.
 *
 *      if (!x86_guest_range(va, 16))
 *          goto fault;
 *      x86_user_access_begin();
 *      x86_get_guest(a, va, fault);
 *      x86_get_guest(b, va + 8, fault);
 *      x86_user_access_end();
 *      return 0;
 *  fault:
 *      x86_user_access_end();
 */
#ifndef ARCH_X86_UACCESS_H
#define ARCH_X86_UACCESS_H

#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/pcpu.h"
#include "mm/types.h"

/* Guest addresses are the lower half and what lies behind the hole: one range when counted from the
 * hole's end upwards and around. */
#define GUEST_ADDRESSES (0x800000000000UL - LAYOUT_HOLE_END)

/* May all of these bytes, at least one, be the guest's? Beyond the last address comes the first:
 * nothing but the guest's lies there either. */
static inline bool x86_guest_range(uint64_t va, size_t bytes)
{
    return bytes <= GUEST_ADDRESSES && va - LAYOUT_HOLE_END <= GUEST_ADDRESSES - bytes;
}

#define X86_EXTABLE(from, to)             \
    ".pushsection .extable, \"a\"\n"      \
    ".balign 8\n.quad " from ", " to "\n" \
    ".popsection\n"

/* One aligned word, between begin and end; the address was checked. */
#define x86_put_guest(value, va, fault)                                    \
    __asm__ goto("1: movq %0, %1\n" X86_EXTABLE("1b", "%l2")               \
                 :                                                         \
                 : "r"((uint64_t)(value)), "m"(*(volatile uint64_t *)(va)) \
                 : "memory"                                                \
                 : fault)
#define x86_get_guest(to, va, fault)                                   \
    do {                                                               \
        uint64_t word_ = 0; /* gcc 12 fails on a member of a struct */ \
        __asm__ goto("1: movq %1, %0\n" X86_EXTABLE("1b", "%l2")       \
                     : "=r"(word_)                                     \
                     : "m"(*(const volatile uint64_t *)(va))           \
                     :                                                 \
                     : fault);                                         \
        (to) = word_;                                                  \
    } while (0)

#endif
