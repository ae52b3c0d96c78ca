/* SPDX-License-Identifier: MIT */
/* badinsn [KIND]: executes what user mode must not: ud (an undefined instruction), hlt, cli, in, or
 * div by zero. */
#include "lib.h"

int main(const char *args)
{
    if (strcmp(args, "hlt") == 0) {
        asm volatile("hlt");
    } else if (strcmp(args, "cli") == 0) {
        asm volatile("cli");
    } else if (strcmp(args, "in") == 0) {
        asm volatile("in $0x80, %%al" : : : "rax");
    } else if (strcmp(args, "div") == 0) {
        asm volatile("xor %%ecx, %%ecx; div %%ecx" : : : "rax", "rcx", "rdx");
    } else {
        asm volatile("ud2");
    }
    printf("badinsn: FAILED, still alive\n");
    return 1;
}
