/* SPDX-License-Identifier: MIT */
/* spin: runs for ever without a system call; Ctrl-C must end it, and others must run beside it. */
#include "lib.h"

int main(const char *args)
{
    (void)args;
    printf("spin: until Ctrl-C\n");
    for (;;) {
        asm volatile("pause");
    }
}
