/* SPDX-License-Identifier: MIT */
/*
 * Processes. A process enters the kernel by a system call, a fault or an event; all arrive at the
 * top of its thread's stack, which the switch hook names to the hypervisor whenever the thread gets
 * the vCPU, together with the address space. Threads are cooperative, so user mode is left by
 * force: while processes run, a ticker thread wakes up every few milliseconds, and the event on
 * whose back it comes lets the others run before it returns to user mode.
 */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>
#include <rt/thread.h>

#include "memory.h"
#include "syscall.h"

#define QUANTUM_NS 5000000

#define VECTOR_PAGE_FAULT 14
#define FAULT_WRITE       2 /* of a page fault's error code */
#define FAULT_FETCH       16

static struct process *processes[PROCESS_MAX];
static int next_pid = 1;
static unsigned running;
static struct waitq ended_wait = WAITQ_INIT, running_wait = WAITQ_INIT;

struct process *process_self(void)
{
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        if (processes[i] && processes[i]->thread == thread_self()) {
            return processes[i];
        }
    }
    return NULL;
}

void process_each(void (*fn)(const struct process *p, void *arg), void *arg)
{
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        if (processes[i]) {
            fn(processes[i], arg);
        }
    }
}

/* --- beginning ----------------------------------------------------------------------------- */

static void switched_in(void *arg)
{
    struct process *p = arg;

    pt_space_switch(&p->space);
    hypercall_stack_switch(FLAT_KERNEL_SS, (unsigned long)thread_stack_top(p->thread));
}

/* The argument string lies at the top of the stack, and rdi points to it. */
static void process_start(void *arg)
{
    struct process *p = arg;
    unsigned long args = STACK_TOP - USER_ARGS_MAX;
    struct trap_regs regs = {
        .rip = p->entry,
        .cs = FLAT_USER_CS,
        .ss = FLAT_USER_SS,
        .rflags = 0x202, /* interrupts, that is events, on */
        .rsp = args,
        .rdi = args,
    };

    thread_set_switch_hook(p->thread, switched_in, p);
    event_upcalls_save();
    switched_in(p);
    event_upcalls_restore(false);
    if (memory_to_user(p, args, p->args, strlen(p->args) + 1)) {
        process_exit(WAIT_KILLED);
    }
    trap_resume(&regs);
}

static int process_make(struct process *p, const struct program *program)
{
    int rc = pt_space_create(&p->space);

    if (rc) {
        return rc;
    }
    rc = memory_load(p, program);
    if (!rc) {
        p->thread = thread_create(p->name, process_start, p);
        rc = p->thread ? 0 : -XEN_ENOMEM;
    }
    if (rc) {
        pt_space_destroy(&p->space);
    }
    return rc;
}

int process_spawn(const char *name, const char *args, int parent)
{
    const struct program *program = memory_program(name);
    struct process *p;
    unsigned slot = 0;
    int rc;

    if (!program) {
        return -XEN_ENOENT;
    }
    while (slot < PROCESS_MAX && processes[slot]) {
        slot++;
    }
    if (slot == PROCESS_MAX) {
        return -XEN_EAGAIN;
    }
    p = calloc(1, sizeof(*p));
    if (!p) {
        return -XEN_ENOMEM;
    }
    p->parent = parent;
    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(p->args, sizeof(p->args), "%s", args);
    rc = process_make(p, program);
    if (rc) {
        free(p);
        return rc;
    }
    p->pid = next_pid++;
    processes[slot] = p;
    running++;
    waitq_wake(&running_wait);
    return p->pid;
}

/* --- end ----------------------------------------------------------------------------------- */

static void forget(struct process *p)
{
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        if (processes[i] == p) {
            processes[i] = NULL;
        }
    }
    free(p);
}

/* Children of a dead process are nobody's: zombies go at once, others when they end. */
static void orphan_children(int pid)
{
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        struct process *p = processes[i];

        if (p && p->parent == pid) {
            p->parent = -1;
            if (p->state == ZOMBIE) {
                forget(p);
            }
        }
    }
}

void process_exit(int status)
{
    struct process *p = process_self();

    event_upcalls_restore(false);
    thread_set_switch_hook(p->thread, NULL, NULL);
    pt_space_switch(NULL);
    pt_space_destroy(&p->space);
    p->pages = 0;
    orphan_children(p->pid);
    p->state = ZOMBIE;
    p->status = status;
    p->thread = NULL;
    running--;
    if (p->parent < 0) {
        forget(p);
    }
    waitq_wake(&ended_wait);
    thread_exit();
}

bool process_kill(int pid)
{
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        if (processes[i] && processes[i]->pid == pid && processes[i]->state == RUNNING) {
            processes[i]->killed = true;
            waitq_wake(&ended_wait);
            return true;
        }
    }
    return false;
}

/* A dead child, or NULL; *any tells whether there are children at all. */
static struct process *find_dead(int parent, int pid, bool *any)
{
    *any = false;
    for (unsigned i = 0; i < PROCESS_MAX; i++) {
        struct process *p = processes[i];

        if (p && p->parent == parent && (pid < 0 || p->pid == pid)) {
            *any = true;
            if (p->state == ZOMBIE) {
                return p;
            }
        }
    }
    return NULL;
}

int process_wait(int parent, int pid, int *status)
{
    struct process *dead, *self = process_self();
    bool any;

    wait_event(&ended_wait,
               (dead = find_dead(parent, pid, &any)) || !any || (self && self->killed));
    if (!dead) {
        return -XEN_ESRCH;
    }
    pid = dead->pid;
    *status = dead->status;
    forget(dead);
    return pid;
}

/* --- into the kernel and out of it --------------------------------------------------------- */

static bool on_syscall(struct trap_regs *regs)
{
    struct process *p = process_self();

    event_upcalls_restore(false);
    /* The hypervisor only guesses the selectors of a system call. */
    regs->cs = FLAT_USER_CS;
    regs->ss = FLAT_USER_SS;
    regs->rax = (uint64_t)syscall_run(p, regs);
    if (p->killed) {
        process_exit(WAIT_INTERRUPT);
    }
    return true;
}

static void report_fault(const struct process *p, const struct trap_regs *regs,
                         unsigned long address)
{
    if (regs->vector == VECTOR_PAGE_FAULT) {
        printf("%s (%d): segmentation fault at 0x%lx, rip 0x%lx\n", p->name, p->pid, address,
               regs->rip);
    } else {
        printf("%s (%d): exception %lu, error 0x%lx, rip 0x%lx\n", p->name, p->pid, regs->vector,
               regs->error, regs->rip);
    }
}

/* All exceptions. One in the kernel itself is not dealt with here, and ends the domain. */
static bool on_exception(struct trap_regs *regs)
{
    unsigned long address = trap_fault_address();
    struct process *p = process_self();

    if (!trap_from_user(regs) || !p) {
        return false;
    }
    event_upcalls_restore(false);
    if (regs->vector == VECTOR_PAGE_FAULT && !(regs->error & FAULT_FETCH) &&
        memory_fault(p, address, regs->error & FAULT_WRITE)) {
        return true;
    }
    report_fault(p, regs, address);
    process_exit(WAIT_KILLED + (int)regs->vector);
}

static void on_preempt(struct trap_regs *regs)
{
    struct process *p = process_self();

    (void)regs;
    event_upcalls_restore(false);
    thread_yield();
    if (p && p->killed) {
        process_exit(WAIT_INTERRUPT);
    }
}

static void ticker(void *arg)
{
    (void)arg;
    for (;;) {
        wait_event(&running_wait, running != 0);
        thread_sleep_ns(QUANTUM_NS);
    }
}

void process_init(void)
{
    for (unsigned v = 0; v < 32; v++) {
        trap_set_handler(v, on_exception);
    }
    trap_set_handler(TRAP_SYSCALL, on_syscall);
    trap_set_preempt_hook(on_preempt);
    if (!thread_create("ticker", ticker, NULL)) {
        panic("no memory for the ticker");
    }
}
