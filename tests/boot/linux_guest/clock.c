/* SPDX-License-Identifier: MIT */
/*
 * Clocks: never back, on one CPU or from one to the next, all of them at one speed, and a sleep is
 * not shorter than it was meant to be.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/seccomp.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

#define READS   30000
#define SLEEPS  20
#define THREADS 4

static _Atomic int64_t latest;

static int64_t now(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t))
        fail("clock %d", id);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What one thread has seen, all others see as the past. */
static void *watch(void *arg)
{
    cpu_bind((int)(long)arg % cpu_count());
    for (int i = 0; i < READS; i++) {
        int64_t before = atomic_load(&latest), t = now(CLOCK_MONOTONIC);

        if (t < before)
            fail("the clock went back by %lld ns", (long long)(before - t));
        while (before < t && !atomic_compare_exchange_weak(&latest, &before, t))
            ;
    }
    return NULL;
}

void stress_clock(void)
{
    const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME,
                                CLOCK_MONOTONIC_RAW};
    int64_t begin[4], passed[4];
    pthread_t threads[THREADS];

    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, watch, (void *)i))
            fail("no thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        begin[i] = now(clocks[i]);
    for (int i = 0; i < SLEEPS; i++) {
        struct timespec t = {0, (i % 5 + 1) * 2000000};
        int64_t before = now(CLOCK_MONOTONIC);

        nanosleep(&t, NULL);
        if (now(CLOCK_MONOTONIC) - before < t.tv_nsec)
            fail("a sleep was too short");
    }
    for (int i = 0; i < 4; i++)
        passed[i] = now(clocks[i]) - begin[i];
    /* They were read one after the other, so the bound is wide; a jump or another speed is wider.
     */
    for (int i = 1; i < 4; i++)
        if (llabs(passed[i] - passed[0]) > passed[0] / 2)
            fail("clock %d: %lld ns passed, not %lld", clocks[i], (long long)passed[i],
                 (long long)passed[0]);
    printf("clock: %d reads by %d threads, none back; %d sleeps, none short\n", READS * THREADS,
           THREADS, SLEEPS);
}

/* Is the clock read without a system call? A process that may make none but read, write and exit
 * is killed at the first one. */
void stress_vdso(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        now(CLOCK_MONOTONIC);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
            fail("no seccomp");
        for (int i = 0; i < 1000; i++)
            now(CLOCK_MONOTONIC), now(CLOCK_REALTIME);
        syscall(SYS_exit, 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail("no child");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        printf("without system calls\n");
    else if (WIFSIGNALED(status))
        printf("by system calls\n");
    else
        fail("status %x", status);
}
