/* SPDX-License-Identifier: MIT */
/* Threads on different CPUs that wait for each other: a baton, a lock, a barrier. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stress.h"

#define PASSES  3000
#define THREADS 4
#define LOCKED  2000
#define MEETS   200

static _Atomic int baton;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static long counter;

static void futex_wait(_Atomic int *word, int value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* Whose turn it is: the baton modulo the number of threads. */
static void *pass_baton(void *arg)
{
    int me = (int)(long)arg;

    cpu_bind(me % cpu_count());
    for (;;) {
        int now = atomic_load(&baton);

        if (now >= PASSES)
            return NULL;
        if (now % THREADS != me) {
            futex_wait(&baton, now);
            continue;
        }
        atomic_fetch_add(&baton, 1);
        syscall(SYS_futex, &baton, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
    }
}

static void *take_lock(void *arg)
{
    cpu_bind((int)(long)arg % cpu_count());
    for (int i = 0; i < LOCKED; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *meet(void *arg)
{
    cpu_bind((int)(long)arg % cpu_count());
    for (int i = 0; i < MEETS; i++) {
        pthread_barrier_wait(&barrier);
        if (counter != i)
            fail("at meeting %d the counter is %ld", i, counter);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            counter++;
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void run(void *(*body)(void *arg))
{
    pthread_t threads[THREADS];

    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, body, (void *)i))
            fail("no thread %ld", i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

void stress_futex(void)
{
    run(pass_baton);
    run(take_lock);
    if (counter != (long)THREADS * LOCKED)
        fail("the lock let two in: %ld", counter);
    counter = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    run(meet);
    printf("futex: %d passes, %d under a lock, %d meetings\n", PASSES, THREADS * LOCKED, MEETS);
}
