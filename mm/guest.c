/* SPDX-License-Identifier: MIT */
/*
 * Copies between the hypervisor and the running guest. The only thing decided here is which
 * addresses are the guest's at all: the hypervisor runs with its own entries in the same root, so
 * an address in the hole would reach them.
 */
#include "mm/guest.h"

#include <xen/errno.h>

#include "hv/arch.h"

#define LOWER_END   0x0000800000000000UL
#define UPPER_START 0xffff880000000000UL /* behind the hole, L4 slots 256..271 */

static bool range_is_guests(uint64_t va, size_t bytes)
{
    uint64_t last;

    if (bytes == 0)
        return true;
    if (__builtin_add_overflow(va, bytes - 1, &last))
        return false;
    return last < LOWER_END || va >= UPPER_START;
}

long guest_read(void *dst, uint64_t guest_va, size_t bytes)
{
    if (!range_is_guests(guest_va, bytes) || arch_copy_from_guest(dst, guest_va, bytes))
        return -XEN_EFAULT;
    return 0;
}

long guest_write(uint64_t guest_va, const void *src, size_t bytes)
{
    if (!range_is_guests(guest_va, bytes) || arch_copy_to_guest(guest_va, src, bytes))
        return -XEN_EFAULT;
    return 0;
}
