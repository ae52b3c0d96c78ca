/* SPDX-License-Identifier: MIT */
/*
 * Each stub is `mov $nr, %eax; syscall; ret`. SYSCALL destroys rcx and r11; the ABI lets a
 * hypercall clobber them, except iret, whose caller has built a frame that begins with rcx and r11:
 * its stub pushes them, and rax, and never returns (struct iret_context of
 * <xen/arch-x86/xen-x86_64.h>).
 */
#include "hv/hypercall_page.h"

#include <stdint.h>
#include <string.h>
#include <xen/xen.h>

#define STUB_BYTES 32

void hypercall_page_init(void *page)
{
    uint8_t *stub = page;

    for (unsigned nr = 0; nr < 4096 / STUB_BYTES; nr++, stub += STUB_BYTES) {
        uint8_t code[] = {0xb8, (uint8_t)nr, 0, 0, 0, /* mov $nr, %eax */
                          0x0f, 0x05,                 /* syscall */
                          0xc3};                      /* ret */

        memset(stub, 0xcc, STUB_BYTES);
        memcpy(stub, code, sizeof code);
        if (nr == __HYPERVISOR_iret) {
            static const uint8_t iret[] = {0x51,       /* push %rcx */
                                           0x41, 0x53, /* push %r11 */
                                           0x50,       /* push %rax */
                                           0xb8, __HYPERVISOR_iret,
                                           0,    0,
                                           0,           /* mov $23, %eax */
                                           0x0f, 0x05}; /* syscall */

            memcpy(stub, iret, sizeof iret);
        }
    }
}
