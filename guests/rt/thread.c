/* SPDX-License-Identifier: MIT */
/*
 * The thread scheduler: a first-in first-out run queue, a list of sleepers by deadline, and the
 * switch. Event handlers touch both lists (waitq_wake, timer), so every change is made with upcalls
 * masked.
 *
 * A thread that waits goes through prepare (on the queue, state WAITING), a look at its condition,
 * block, finish. A wake between prepare and block makes it READY again, and block then returns at
 * once: no wake-up is lost.
 */
#include "thread.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "event.h"
#include "hypercall.h"
#include "mm.h"
#include "start.h"
#include "thread_internal.h"

#define STACK_ORDER  2
#define STACK_CANARY 0x5ca1ab1e0ddba115UL

_Static_assert(PAGE_SIZE << STACK_ORDER == THREAD_STACK_BYTES, "stack size");

enum thread_state { READY, WAITING };

struct thread {
    void *sp; /* while it does not run */
    enum thread_state state;
    bool queued;         /* on the run queue */
    bool sleeping;       /* on the list of sleepers */
    uint64_t deadline;   /* of a sleeper */
    struct thread *next; /* run queue */
    struct thread *next_sleeper;
    struct thread *next_waiter;
    struct waitq *waitq; /* that it is on */
    void (*fn)(void *);
    void *arg;
    void (*switch_hook)(void *);
    void *switch_arg;
    char *stack;
    char name[16];
};

void thread_switch_stack(void **save_sp, void *load_sp);

extern char start_stack[], start_stack_top[];

static struct thread main_thread = {.stack = start_stack, .name = "main"};
static struct thread *current = &main_thread;
static struct thread *run_first, **run_last = &run_first;
static struct thread *sleepers; /* earliest first */
static struct thread *finished; /* to be freed by whoever runs next */
static uint64_t timer_at = UINT64_MAX;

static void *stack_end(struct thread *t)
{
    return t == &main_thread ? start_stack_top : t->stack + THREAD_STACK_BYTES;
}

/* --- lists; upcalls are masked ------------------------------------------------------------ */

static void make_ready(struct thread *t)
{
    t->state = READY;
    if (!t->queued && t != current) {
        t->queued = true;
        t->next = NULL;
        *run_last = t;
        run_last = &t->next;
    }
}

static struct thread *take_ready(void)
{
    struct thread *t = run_first;

    if (t) {
        t->queued = false;
        run_first = t->next;
        if (!run_first) {
            run_last = &run_first;
        }
    }
    return t;
}

static void sleeper_remove(struct thread *t)
{
    struct thread **at = &sleepers;

    if (!t->sleeping) {
        return;
    }
    while (*at != t) {
        at = &(*at)->next_sleeper;
    }
    *at = t->next_sleeper;
    t->sleeping = false;
}

static void timer_arm(void)
{
    uint64_t first = sleepers ? sleepers->deadline : UINT64_MAX;

    /* A timer that fires too early is harmless; a call to the hypervisor is not free. */
    if (first < timer_at) {
        timer_at = first;
        clock_set_timer(first);
    }
}

static void sleeper_add(struct thread *t, uint64_t deadline)
{
    struct thread **at = &sleepers;

    while (*at && (*at)->deadline <= deadline) {
        at = &(*at)->next_sleeper;
    }
    t->deadline = deadline;
    t->sleeping = true;
    t->next_sleeper = *at;
    *at = t;
    timer_arm();
}

static void wake_sleepers(void)
{
    uint64_t now = clock_ns();

    while (sleepers && sleepers->deadline <= now) {
        struct thread *t = sleepers;

        sleeper_remove(t);
        make_ready(t);
    }
    timer_at = UINT64_MAX;
    timer_arm();
}

/* --- the switch --------------------------------------------------------------------------- */

static void reap(void)
{
    if (finished) {
        page_free(finished->stack, STACK_ORDER);
        free(finished);
        finished = NULL;
    }
}

static void check_canary(const struct thread *t)
{
    if (*(const unsigned long *)t->stack != STACK_CANARY) {
        panic("thread %s has overrun its stack", t->name);
    }
}

/* After a switch, on the new thread's stack. */
static void arrived(void)
{
    reap();
    if (current->switch_hook) {
        current->switch_hook(current->switch_arg);
    }
}

/* Gives the vCPU to the next runnable thread, blocking the vCPU while there is none. Upcalls are
 * masked. The caller has put itself where it belongs; it may be chosen itself. */
static void schedule(void)
{
    struct thread *next, *from = current;

    while (!(next = take_ready())) {
        if (from->state == READY && from != finished) {
            return;
        }
        /* Unmasks and blocks in one step; handlers run on this stack before it returns. */
        hypercall_sched_op(SCHEDOP_block, NULL);
        event_upcalls_save();
    }
    if (next == from) {
        return;
    }
    check_canary(from);
    if (from->state == READY && from != finished) {
        from->queued = true;
        from->next = NULL;
        *run_last = from;
        run_last = &from->next;
    }
    current = next;
    thread_switch_stack(&from->sp, next->sp);
    arrived();
}

static void thread_begin(void)
{
    arrived();
    event_upcalls_restore(false);
    current->fn(current->arg);
    thread_exit();
}

/* --- for threads -------------------------------------------------------------------------- */

struct thread *thread_create(const char *name, void (*fn)(void *), void *arg)
{
    struct thread *t = calloc(1, sizeof(*t));
    char *stack = page_alloc(STACK_ORDER);
    void **sp;
    bool saved;

    if (!t || !stack) {
        free(t);
        if (stack) {
            page_free(stack, STACK_ORDER);
        }
        return NULL;
    }
    t->stack = stack;
    *(unsigned long *)stack = STACK_CANARY;
    t->fn = fn;
    t->arg = arg;
    strncpy(t->name, name, sizeof(t->name) - 1);

    /* As thread_switch_stack() leaves it: six registers (zero), then where it returns to; the
     * stack is off 16 bytes by 8 there, as after a call. The last word, 0, ends backtraces. */
    sp = (void **)stack_end(t) - 8;
    sp[6] = (void *)thread_begin;
    t->sp = sp;

    saved = event_upcalls_save();
    make_ready(t);
    event_upcalls_restore(saved);
    return t;
}

void thread_init(void)
{
    *(unsigned long *)start_stack = STACK_CANARY;
    clock_init(wake_sleepers);
}

bool thread_may_wait(void)
{
    return !current->waitq && current->state == READY;
}

struct thread *thread_self(void)
{
    return current;
}

const char *thread_name(const struct thread *t)
{
    return t->name;
}

void *thread_stack_top(struct thread *t)
{
    return stack_end(t);
}

void thread_set_switch_hook(struct thread *t, void (*fn)(void *), void *arg)
{
    t->switch_arg = arg;
    t->switch_hook = fn;
}

void thread_yield(void)
{
    bool saved = event_upcalls_save();

    schedule();
    event_upcalls_restore(saved);
}

void thread_exit(void)
{
    event_upcalls_save();
    if (current == &main_thread) {
        panic("the main thread cannot exit");
    }
    reap();
    finished = current;
    schedule();
    panic("a finished thread ran again");
}

/* --- waiting ------------------------------------------------------------------------------ */

uint64_t waitq_deadline(uint64_t ns)
{
    uint64_t deadline;

    return __builtin_add_overflow(clock_ns(), ns, &deadline) ? UINT64_MAX : deadline;
}

bool waitq_past(uint64_t deadline_ns)
{
    return clock_ns() >= deadline_ns;
}

void waitq_prepare(struct waitq *wq)
{
    bool saved = event_upcalls_save();

    if (current->waitq && current->waitq != wq) {
        panic("thread %s waits inside the condition of another wait", current->name);
    }
    if (!current->waitq) {
        struct thread **at = &wq->first;

        /* Last in the line: those who wait longer look first. */
        while (*at) {
            at = &(*at)->next_waiter;
        }
        current->waitq = wq;
        current->next_waiter = NULL;
        *at = current;
    }
    current->state = WAITING;
    event_upcalls_restore(saved);
}

void waitq_finish(struct waitq *wq)
{
    bool saved = event_upcalls_save();

    if (current->waitq) {
        struct thread **at = &wq->first;

        while (*at && *at != current) {
            at = &(*at)->next_waiter;
        }
        if (!*at) {
            panic("thread %s is not on the queue that it waited on", current->name);
        }
        *at = current->next_waiter;
        current->waitq = NULL;
    }
    sleeper_remove(current);
    current->state = READY;
    event_upcalls_restore(saved);
}

void waitq_block(uint64_t deadline_ns)
{
    bool saved = event_upcalls_save();

    if (current->state == WAITING) {
        if (deadline_ns != UINT64_MAX) {
            sleeper_add(current, deadline_ns);
        }
        schedule();
        sleeper_remove(current);
    }
    event_upcalls_restore(saved);
}

void waitq_wake(struct waitq *wq)
{
    bool saved = event_upcalls_save();

    while (wq->first) {
        struct thread *t = wq->first;

        wq->first = t->next_waiter;
        t->waitq = NULL;
        sleeper_remove(t);
        make_ready(t);
    }
    event_upcalls_restore(saved);
}

void thread_sleep_ns(uint64_t ns)
{
    struct waitq nobody = WAITQ_INIT;

    wait_event_timeout(&nobody, false, ns);
}

void mutex_lock(struct mutex *m)
{
    if (m->owner == current) {
        panic("thread %s locks a mutex twice", current->name);
    }
    wait_event(&m->waiters, !m->owner);
    m->owner = current;
}

void mutex_unlock(struct mutex *m)
{
    if (m->owner != current) {
        panic("thread %s unlocks a mutex that it does not hold", current->name);
    }
    m->owner = NULL;
    waitq_wake(&m->waiters);
}
