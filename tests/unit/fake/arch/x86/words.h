/* SPDX-License-Identifier: MIT */
/* The same with the guest of the host tests: see fake_arch.c. */
#ifndef ARCH_X86_WORDS_H
#define ARCH_X86_WORDS_H

#include "hv/arch.h"

static inline bool arch_read_2(uint64_t dst[2], uint64_t va)
{
    return arch_read_words(dst, va, 2);
}

#endif
