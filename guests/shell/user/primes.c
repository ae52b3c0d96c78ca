/* SPDX-License-Identifier: MIT */
/* primes [N]: counts the primes below N (10000 if not given) with a sieve in its heap. */
#include "lib.h"

int main(const char *args)
{
    unsigned long limit = *args ? strtoul(args, NULL, 10) : 10000, count = 0, last = 0;
    char *composite = sys_sbrk((long)limit);

    if ((long)composite < 0 && (long)composite > -4096) {
        printf("primes: not enough memory for a sieve of %lu bytes\n", limit);
        return 1;
    }
    for (unsigned long n = 2; n < limit; n++) {
        if (composite[n]) {
            continue;
        }
        count++;
        last = n;
        for (unsigned long m = n * n; m < limit; m += n) {
            composite[m] = 1;
        }
    }
    printf("primes: %lu below %lu, the last is %lu\n", count, limit, last);
    return 0;
}
