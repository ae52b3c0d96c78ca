/* SPDX-License-Identifier: MIT */
/*
 * spawntest [N]: N rounds of starting several children at once, some of which crash, and collecting
 * them; checks that every one comes back once, with the right status. As a child ("child K") it
 * works a little and exits with K.
 */
#include "lib.h"

#define CHILDREN 6u

static int child(unsigned k)
{
    volatile unsigned char *heap = sys_sbrk(64 * 1024);

    for (unsigned i = 0; i < 64 * 1024; i += 4096) {
        if (heap[i]) {
            return 99;
        }
        heap[i] = (unsigned char)k;
    }
    for (unsigned i = 0; i < k; i++) {
        sys_yield();
    }
    if (k == CHILDREN - 1) {
        asm volatile("ud2");
    }
    return (int)k;
}

static int round_of_children(void)
{
    long pids[CHILDREN];
    char args[24];

    for (unsigned k = 0; k < CHILDREN; k++) {
        snprintf(args, sizeof(args), "child %u", k);
        pids[k] = sys_spawn("spawntest", args);
        if (pids[k] < 0) {
            printf("spawntest: FAILED, spawn gives %ld\n", pids[k]);
            return 1;
        }
    }
    for (unsigned k = 0; k < CHILDREN; k++) {
        int status = -1, wanted = k == CHILDREN - 1 ? WAIT_KILLED + 6 : (int)k;
        long pid = sys_wait(pids[k], &status);

        if (pid != pids[k] || status != wanted) {
            printf("spawntest: FAILED, child %u: wait gives %ld, status %d\n", k, pid, status);
            return 1;
        }
    }
    return sys_wait(-1, NULL) >= 0;
}

int main(const char *args)
{
    unsigned long rounds = *args ? strtoul(args, NULL, 10) : 5;

    if (strncmp(args, "child ", 6) == 0) {
        return child((unsigned)strtoul(args + 6, NULL, 10));
    }
    for (unsigned long i = 0; i < rounds; i++) {
        if (round_of_children()) {
            return 1;
        }
    }
    printf("spawntest: %lu rounds of %u children ok\n", rounds, CHILDREN);
    return 0;
}
