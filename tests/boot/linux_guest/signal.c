/* SPDX-License-Identifier: MIT */
/* Signals: to others, to oneself, on a stack of their own, by fault, by timer, nested. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define PINGS  1500
#define FAULTS 1500
#define NESTED 200
#define TICKS  100

static volatile sig_atomic_t count, depth, deepest, ticks;
static unsigned char *page;
static char own_stack[65536];

static void on_ping(int number)
{
    (void)number;
    count++;
}

/* Two processes send each other a signal in turn. */
static void ping_pong(void)
{
    sigset_t blocked, waited;
    pid_t parent = getpid(), child;
    int status;

    signal(SIGUSR1, on_ping);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &waited);
    count = 0;
    child = fork();
    for (int i = 0; i < PINGS; i++) {
        if (child)
            kill(child, SIGUSR1);
        while (count <= i)
            sigsuspend(&waited);
        if (!child)
            kill(parent, SIGUSR1);
    }
    if (!child)
        _exit(count == PINGS ? 0 : 1);
    if (waitpid(child, &status, 0) != child || status || count != PINGS)
        fail("%d of %d signals came, the child ended with %x", count, PINGS, status);
    sigprocmask(SIG_SETMASK, &waited, NULL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if ((unsigned char *)info->si_addr != page + count % 4096)
        fail("a fault at %p, not at byte %d", info->si_addr, count % 4096);
    count++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* On a stack of its own: is that where the handler runs? */
static void on_own_stack(int number)
{
    char here;

    (void)number;
    if (&here < own_stack || &here >= own_stack + sizeof own_stack)
        fail("a handler ran on another stack");
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (deepest < 20)
        raise(SIGUSR2);
    depth--;
}

static void on_tick(int number)
{
    (void)number;
    ticks++;
}

static void faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    count = 0;
    for (int i = 0; i < FAULTS; i++) {
        mprotect(page, 4096, PROT_READ);
        ((volatile unsigned char *)page)[i % 4096] = (unsigned char)i;
    }
    if (count != FAULTS)
        fail("%d of %d faults came", count, FAULTS);
}

static void nested(void)
{
    struct sigaction action = {.sa_handler = on_own_stack, .sa_flags = SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};

    sigaltstack(&stack, NULL);
    sigaction(SIGUSR2, &action, NULL);
    for (int i = 0; i < NESTED; i++)
        raise(SIGUSR2);
    if (deepest != 20 || depth)
        fail("nested %d deep, %d left", deepest, depth);
}

static void timer(void)
{
    struct itimerval every = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};

    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < TICKS)
        ;
    setitimer(ITIMER_REAL, &never, NULL);
}

void stress_signal(void)
{
    ping_pong();
    faults();
    nested();
    timer();
    printf("signal: %d back and forth, %d faults, %d on a stack of their own, %d ticks\n", PINGS,
           FAULTS, NESTED, TICKS);
}
