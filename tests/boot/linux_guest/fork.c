/* SPDX-License-Identifier: MIT */
/* Processes: many at once, a chain of them, and programs that are started and end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define STORM  24 /* children at once */
#define ROUNDS 6
#define PAGES  64
#define EXECS  40
#define CHAIN  16

static int wait_all(int count)
{
    int sum = 0, status;

    for (int i = 0; i < count; i++) {
        if (wait(&status) < 0 || !WIFEXITED(status))
            fail("a child is lost or died: status %x", status);
        sum += WEXITSTATUS(status);
    }
    return sum;
}

/* Each child writes to the pages that it has from its parent: they are its own now. */
static void child(unsigned char *pages, int n)
{
    for (int i = 0; i < PAGES; i++)
        if (pages[i * 4096] != (unsigned char)i)
            _exit(200);
    for (int i = n % 3; i < PAGES; i += 3)
        memset(pages + i * 4096, n, 4096);
    for (int i = 0; i < PAGES; i++)
        if (pages[i * 4096 + 7] != (unsigned char)(i % 3 == n % 3 ? n : i))
            _exit(201);
    _exit(n);
}

static void storm(unsigned char *pages)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int n = 0; n < STORM; n++)
            if (!fork())
                child(pages, n);
        if (wait_all(STORM) != STORM * (STORM - 1) / 2)
            fail("a child saw a wrong page");
    }
    for (int i = 0; i < PAGES * 4096; i++)
        if (pages[i] != (unsigned char)(i / 4096))
            fail("a child wrote to its parent's page %d", i / 4096);
}

/* A child of a child of a child: each adds to what all share. */
static int chain(int *shared, int depth)
{
    if (depth == CHAIN)
        return 0;
    ++*shared;
    if (!fork())
        _exit(chain(shared, depth + 1));
    return wait_all(1);
}

void stress_fork(void)
{
    unsigned char *pages =
        mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int sum = 0;

    for (int i = 0; i < PAGES; i++)
        memset(pages + i * 4096, i, 4096);
    storm(pages);
    for (int n = 0; n < EXECS; n++) {
        char text[16];

        snprintf(text, sizeof text, "%d", n);
        if (!fork()) {
            execl("/proc/self/exe", "stress", "exit", text, (char *)NULL);
            _exit(250);
        }
        if (n % 4 == 3)
            sum += wait_all(4);
    }
    sum += chain(shared, 0);
    printf("fork: %d children, programs' sum %d, a chain of %d\n", STORM * ROUNDS, sum, *shared);
}
