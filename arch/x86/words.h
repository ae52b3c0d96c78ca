/* SPDX-License-Identifier: MIT */
/*
 * The smallest reads of the running guest's memory, inline, for hypercalls that are over in a few
 * dozen instructions; through mm/guest.h alone. (Host tests have their own file of this name.)
 */
#ifndef ARCH_X86_WORDS_H
#define ARCH_X86_WORDS_H

#include "arch/x86/uaccess.h"

/* Two words at a guest's address; false: fault, or not a guest's address. */
static inline bool arch_read_2(uint64_t dst[2], uint64_t va)
{
    if (!x86_guest_range(va, 2 * sizeof *dst))
        return false;
    x86_user_access_begin();
    x86_get_guest(dst[0], va, fault);
    x86_get_guest(dst[1], va + 8, fault);
    x86_user_access_end();
    return true;
fault:
    x86_user_access_end();
    return false;
}

#endif
