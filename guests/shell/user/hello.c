/* SPDX-License-Identifier: MIT */
/* hello: says so from user mode. */
#include "lib.h"

int main(const char *args)
{
    printf("Hello from user mode, process %ld%s%s\n", sys_getpid(), *args ? ", told: " : "", args);
    return 0;
}
