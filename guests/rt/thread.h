/* SPDX-License-Identifier: MIT */
/*
 * Cooperative threads. All run on vCPU 0; a thread keeps the vCPU until it waits, sleeps, yields or
 * ends, so data that only threads touch needs no lock across code that does none of these. Event
 * handlers run in between at any moment; with them, share flags only, and tell threads by
 * waitq_wake().
 *
 * Functions here are for threads, except waitq_wake(), which event handlers on vCPU 0 may call too.
 */
#ifndef RT_THREAD_H
#define RT_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREAD_STACK_BYTES \
    16384 /* of each thread; a canary at its end is checked at every switch */

struct thread;

/* Makes a thread that will call fn(arg); it ends when fn returns. The name is copied, cut to 15
 * characters. NULL if out of memory. The handle is good until the thread ends; nobody needs to
 * collect it. */
struct thread *thread_create(const char *name, void (*fn)(void *), void *arg);

struct thread *thread_self(void);
const char *thread_name(const struct thread *t);

/* Lets every other runnable thread run once. */
void thread_yield(void);

/* Ends the calling thread. */
void thread_exit(void) __attribute__((noreturn));

/* Sleeps at least ns nanoseconds. */
void thread_sleep_ns(uint64_t ns);

/* For a thread with a user mode: fn(arg) is called with events masked each time the thread is
 * about to run again (after every switch to it), to set the kernel stack and the page-table roots.
 */
void thread_set_switch_hook(struct thread *t, void (*fn)(void *), void *arg);

/* The address just above the thread's stack. */
void *thread_stack_top(struct thread *t);

/* A place where threads wait for something to become true. */
struct waitq {
    struct thread *first;
};
#define WAITQ_INIT \
    {              \
        NULL       \
    }

static inline void waitq_init(struct waitq *wq)
{
    wq->first = NULL;
}

/* Makes all waiting threads look at their condition again. Legal in event handlers on vCPU 0 and in
 * threads. */
void waitq_wake(struct waitq *wq);

/* Waits until cond is true. cond is evaluated many times, on the calling thread, and must not wait
 * itself. Whoever makes it true calls waitq_wake() afterwards; no wake-up is lost in between. */
#define wait_event(wq, cond)         \
    do {                             \
        for (;;) {                   \
            waitq_prepare(wq);       \
            if (cond) {              \
                break;               \
            }                        \
            waitq_block(UINT64_MAX); \
        }                            \
        waitq_finish(wq);            \
    } while (0)

/* The same for at most ns nanoseconds; the value is that of cond at the end. */
#define wait_event_timeout(wq, cond, ns)                 \
    ({                                                   \
        uint64_t wait_until_ = waitq_deadline(ns);       \
        bool wait_true_;                                 \
        for (;;) {                                       \
            waitq_prepare(wq);                           \
            wait_true_ = (cond);                         \
            if (wait_true_ || waitq_past(wait_until_)) { \
                break;                                   \
            }                                            \
            waitq_block(wait_until_);                    \
        }                                                \
        waitq_finish(wq);                                \
        wait_true_;                                      \
    })

/* The parts of the macros above; not for direct use. */
void waitq_prepare(struct waitq *wq);
void waitq_finish(struct waitq *wq);
void waitq_block(uint64_t deadline_ns);
uint64_t waitq_deadline(uint64_t ns);
bool waitq_past(uint64_t deadline_ns);

/* Held by one thread across waits; not recursive, panics if misused. Never in event handlers. */
struct mutex {
    struct thread *owner;
    struct waitq waiters;
};
#define MUTEX_INIT       \
    {                    \
        NULL, WAITQ_INIT \
    }

static inline void mutex_init(struct mutex *m)
{
    m->owner = NULL;
    waitq_init(&m->waiters);
}

void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

#endif
