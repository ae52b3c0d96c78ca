/* SPDX-License-Identifier: MIT */
/* crash [ADDRESS]: writes to an address that it has no right to, 0 if none is given. */
#include "lib.h"

int main(const char *args)
{
    volatile int *address = (volatile int *)strtoul(args, NULL, 0);

    *address = 1;
    printf("crash: FAILED, still alive\n");
    return 1;
}
