/* SPDX-License-Identifier: MIT */
/* Copies between the hypervisor and the running guest: the gate behind mm/guest.h. */
#include "arch/x86/uaccess.h"

#include "hv/arch.h"

/* Whole words, then the rest; the number of bytes that were left when a fault ended it. */
static inline size_t copy(void *dst, const void *src, size_t bytes)
{
    size_t words = bytes / 8, rest = bytes % 8;

    __asm__ volatile("1: rep movsq\n2:\n" X86_EXTABLE("1b", "2b")
                     : "+c"(words), "+D"(dst), "+S"(src)
                     :
                     : "memory");
    if (words)
        return words * 8 + rest;
    if (!rest)
        return 0;
    __asm__ volatile("1: rep movsb\n2:\n" X86_EXTABLE("1b", "2b")
                     : "+c"(rest), "+D"(dst), "+S"(src)
                     :
                     : "memory");
    return rest;
}

/* A word across two pages needs both at once, and each may be the other's table: writing one would
 * drop the other, for ever. Bytes get through one by one. */
static size_t copy_bytes(void *dst, const void *src, size_t bytes)
{
    __asm__ volatile("1: rep movsb\n2:\n" X86_EXTABLE("1b", "2b")
                     : "+c"(bytes), "+D"(dst), "+S"(src)
                     :
                     : "memory");
    return bytes;
}

bool arch_guest_range(uint64_t va, size_t bytes)
{
    uint64_t last;

    return !bytes || (x86_guest_range(va, bytes) && !__builtin_add_overflow(va, bytes - 1, &last));
}

size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    size_t left;

    if (!bytes || !x86_guest_range(va, bytes))
        return bytes;
    x86_user_access_begin();
    left = copy(dst, (const void *)va, bytes);
    x86_user_access_end();
    return left;
}

bool arch_read_words(uint64_t *dst, uint64_t va, size_t words)
{
    if (!x86_guest_range(va, words * sizeof *dst))
        return false;
    x86_user_access_begin();
    __asm__ volatile("1: rep movsq\n2:\n" X86_EXTABLE("1b", "2b")
                     : "+c"(words), "+D"(dst), "+S"(va)
                     :
                     : "memory");
    x86_user_access_end();
    return !words;
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    size_t left;

    if (!bytes || !x86_guest_range(va, bytes))
        return bytes;
    x86_user_access_begin();
    left = va % 8 ? copy_bytes((void *)va, src, bytes) : copy((void *)va, src, bytes);
    x86_user_access_end();
    return left;
}
