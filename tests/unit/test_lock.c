/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a lock (hv/lock.c), with a thread for each pCPU and little patience: one holder at a
 * time, nobody overtaken for ever, the queue in order, and the lock closed to others while there is
 * one. The order of locks is in test_log.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "hv/arch.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "mm/tlb.h"

#define THREADS 4
#define ROUNDS  20000

static _Thread_local unsigned pcpu;
static _Thread_local int waits; /* between tlb_wait_begin() and tlb_wait_end() */
static _Thread_local unsigned relaxed;
static struct spinlock lock;

unsigned arch_pcpu_id(void)
{
    return pcpu;
}

/* The tests' own threads have no processor each. */
void arch_cpu_relax(void)
{
    if (waits != 1)
        abort();
    relaxed++;
    sched_yield();
}

void tlb_wait_begin(void)
{
    waits++;
}

void tlb_wait_end(void)
{
    waits--;
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

static pthread_t start(void *(*fn)(void *), unsigned id)
{
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, fn, (void *)(uintptr_t)id), 0);
    return t;
}

/* ---- one holder at a time ---- */

static uint64_t counter, mirror; /* under the lock; not atomic */

static void *count(void *id)
{
    pcpu = (unsigned)(uintptr_t)id;
    for (unsigned i = 0; i < ROUNDS; i++) {
        spin_lock(&lock);
        counter++;
        if (i % 64 == 0)
            sched_yield(); /* a holder whose processor is taken away: the others lose patience */
        mirror = counter;
        spin_unlock(&lock);
    }
    return NULL;
}

static void test_exclusion(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    spin_lock_init(&lock, LOCK_IRQ);
    lock.next = lock.head = 0xfff0; /* tickets wrap */
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = start(count, i + 1);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter, THREADS * ROUNDS);
    assert_int_equal(mirror, counter);
    assert_int_equal(lock.state, 0);
    assert_int_equal(lock.next, lock.head);
}

/* ---- the queue ---- */

static unsigned order[THREADS], served; /* under the lock */

static void *take_once(void *id)
{
    pcpu = (unsigned)(uintptr_t)id;
    spin_lock(&lock);
    order[served++] = pcpu;
    spin_unlock(&lock);
    return relaxed ? NULL : id;
}

/* Until as many have drawn a ticket: who is counted in `queued` may not have one yet. */
static void wait_queued(unsigned count)
{
    while (__atomic_load_n(&lock.next, __ATOMIC_ACQUIRE) != count)
        sched_yield();
}

/* Who has looked in vain LOCK_PATIENCE times is overtaken no more: a pCPU that releases and wants
 * the lock again at once comes behind it. */
static void test_queue(void **state)
{
    pthread_t threads[THREADS];
    void *result;

    (void)state;
    pcpu = 0;
    served = 0;
    spin_lock_init(&lock, LOCK_IRQ);
    spin_lock(&lock);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = start(take_once, THREADS - i);
        wait_queued(i + 1);
    }
    spin_unlock(&lock);
    if (!spin_trylock(&lock))
        spin_lock(&lock);
    assert_int_equal(served, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(order[i], THREADS - i);
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    spin_unlock(&lock);
    assert_int_equal(lock.state, 0);
}

/* Nobody waits: no look is spent, no ticket drawn. */
static void test_uncontended(void **state)
{
    (void)state;
    pcpu = 0;
    relaxed = 0;
    spin_lock_init(&lock, LOCK_IRQ);
    assert_true(spin_trylock(&lock));
    assert_false(spin_trylock(&lock));
    spin_unlock(&lock);
    spin_lock(&lock);
    assert_true(spin_held(&lock));
    spin_unlock(&lock);
    assert_int_equal(lock.state, 0);
    assert_int_equal(lock.next, 0);
    assert_int_equal(relaxed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exclusion),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_uncontended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
